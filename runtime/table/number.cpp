#include "runtime/table/number.hpp"

#include <bit>
#include <charconv>
#include <cmath>

namespace weir::table {

namespace {

constexpr double two_63 = 9223372036854775808.0;
constexpr double two_64 = 18446744073709551616.0;

// Both are whole numbers of one type once the double is cut; what was cut off decides between equal ones.
template <class Int>
std::strong_ordering compare_cut(Int a, double b) {
  const auto whole = std::trunc(b);
  if (const auto order = a <=> static_cast<Int>(whole); order != 0)
    return order;
  const auto rest = b - whole;
  return rest > 0 ? std::strong_ordering::less : rest < 0 ? std::strong_ordering::greater : std::strong_ordering::equal;
}

std::strong_ordering compare(std::int64_t a, double b) {
  if (b >= two_63)
    return std::strong_ordering::less;
  if (b < -two_63)
    return std::strong_ordering::greater;
  return compare_cut(a, b);
}

std::strong_ordering compare(std::uint64_t a, double b) {
  if (b >= two_64)
    return std::strong_ordering::less;
  if (b < 0)
    return std::strong_ordering::greater;
  return compare_cut(a, b);
}

std::strong_ordering turned(std::strong_ordering order) { return 0 <=> order; }

} // namespace

double number::as_double() const {
  switch (kind_) {
  case kind::integer: return static_cast<double>(integer_);
  case kind::natural: return static_cast<double>(natural_);
  case kind::real: break;
  }
  return real_;
}

bool number::identical(const number& other) const {
  if (kind_ != other.kind_)
    return false;
  if (kind_ == kind::real)
    return std::bit_cast<std::uint64_t>(real_) == std::bit_cast<std::uint64_t>(other.real_);
  return kind_ == kind::integer ? integer_ == other.integer_ : natural_ == other.natural_;
}

std::strong_ordering compare(const number& a, const number& b) {
  using kind = number::kind;
  if (a.is_real() && b.is_real())
    return a.real() < b.real()   ? std::strong_ordering::less
           : a.real() > b.real() ? std::strong_ordering::greater
                                 : std::strong_ordering::equal;
  if (b.is_real())
    return a.form() == kind::integer ? compare(a.integer(), b.real()) : compare(a.natural(), b.real());
  if (a.is_real())
    return turned(compare(b, a));
  if (a.form() != b.form()) // a natural is above every integer
    return a.form() == kind::integer ? std::strong_ordering::less : std::strong_ordering::greater;
  return a.form() == kind::integer ? a.integer() <=> b.integer() : a.natural() <=> b.natural();
}

void append(std::string& out, std::int64_t v) {
  char text[24];
  out.append(text, std::to_chars(text, text + sizeof text, v).ptr);
}

void append(std::string& out, std::uint64_t v) {
  char text[24];
  out.append(text, std::to_chars(text, text + sizeof text, v).ptr);
}

void append(std::string& out, double v) {
  if (!std::isfinite(v)) {
    out += "null";
    return;
  }
  char text[40];
  const std::string_view shortest(text, std::to_chars(text, text + sizeof text, v).ptr);
  out += shortest;
  if (shortest.find_first_of(".e") == std::string_view::npos)
    out += ".0"; // or it would be read back as an integer
}

void append(std::string& out, const number& n) {
  switch (n.form()) {
  case number::kind::integer: return append(out, n.integer());
  case number::kind::natural: return append(out, n.natural());
  case number::kind::real: return append(out, n.real());
  }
}

void append_quoted(std::string& out, std::string_view text) {
  out += '"';
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      constexpr auto digits = "0123456789abcdef";
      out += "\\u00";
      out += digits[c >> 4];
      out += digits[c & 15];
    } else {
      out += c;
    }
  }
  out += '"';
}

} // namespace weir::table
