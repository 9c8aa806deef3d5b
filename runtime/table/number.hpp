// A JSON number as read: integers keep their 64 bits, everything else is a finite double. Comparisons are exact across
// the three kinds.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

namespace weir::table {

class number {
public:
  enum class kind : std::uint8_t { integer, natural, real };

  number() : number(std::int64_t{0}) {}
  explicit number(std::int64_t v) : integer_(v), kind_(kind::integer) {}
  // One text has one form: a natural is above the range of int64.
  explicit number(std::uint64_t v) : kind_(v <= INT64_MAX ? kind::integer : kind::natural) {
    if (v <= INT64_MAX)
      integer_ = static_cast<std::int64_t>(v);
    else
      natural_ = v;
  }
  explicit number(double v) : real_(v), kind_(kind::real) {}

  kind form() const { return kind_; }
  bool is_real() const { return kind_ == kind::real; }
  std::int64_t integer() const { return integer_; }  // form() == integer
  std::uint64_t natural() const { return natural_; } // form() == natural
  double real() const { return real_; }              // form() == real
  double as_double() const;                          // rounded to the nearest
  // Same kind and same bits (so 1 and 1.0, or 0.0 and -0.0, are not identical, though they compare equal).
  bool identical(const number& other) const;

private:
  union {
    std::int64_t integer_;
    std::uint64_t natural_;
    double real_;
  };
  kind kind_;
};

// By mathematical value, without rounding: 2^53 + 1 is greater than the double 2^53.
std::strong_ordering compare(const number& a, const number& b);

// JSON text: integers as digits, doubles as the shortest text that reads back to the same bits, always with '.' or 'e'.
// Not finite: null.
void append(std::string& out, const number& n);
void append(std::string& out, double v);
void append(std::string& out, std::int64_t v);
void append(std::string& out, std::uint64_t v);

// A JSON string with quotes; everything but '"', '\' and control characters as it is.
void append_quoted(std::string& out, std::string_view text);

} // namespace weir::table
