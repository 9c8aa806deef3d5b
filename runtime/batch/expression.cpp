#include "runtime/batch/expression_node.hpp"
#include "runtime/table/event_time.hpp"
#include "runtime/table/wide.hpp"

#include <cmath>
#include <optional>
#include <utility>

namespace weir::batch {

namespace {

using table::number;
using table::wide;
using kind = table::field::kind;

derived_value of(const number& n) {
  derived_value v;
  if (n.is_real() && !std::isfinite(n.real()))
    return v;
  v.is = kind::number;
  v.num = n;
  return v;
}

derived_value of(std::string text) {
  derived_value v;
  if (text.size() > longest_derived)
    return v;
  v.is = kind::text;
  v.text = std::move(text);
  return v;
}

derived_value of(const table::field& f) {
  derived_value v;
  switch (f.is) {
  case kind::number: return of(f.num);
  case kind::text: return of(std::string(f.text));
  case kind::boolean:
    v.is = kind::boolean;
    v.boolean = f.boolean;
    return v;
  case kind::missing:
  case kind::null:
  case kind::array:
  case kind::object: break;
  }
  return v;
}

// Exactly, where both are integers and so is the result, in 64 bits.
std::optional<number> exact(operation what, const number& a, const number& b) {
  if (a.is_real() || b.is_real())
    return std::nullopt;
  const auto x = table::widened(a), y = table::widened(b);
  wide result = 0;
  bool overflow = false;
  switch (what) {
  case operation::add: result = x + y; break;
  case operation::subtract: result = x - y; break;
  case operation::multiply: overflow = __builtin_mul_overflow(x, y, &result); break;
  case operation::remainder:
    if (y == 0)
      return std::nullopt;
    result = x % y;
    break;
  default: return std::nullopt;
  }
  return !overflow && table::fits_64(result) ? std::optional(table::narrowed(result)) : std::nullopt;
}

derived_value arithmetic(operation what, const derived_value& a, const derived_value& b) {
  if (a.is != kind::number || b.is != kind::number)
    return {};
  if (const auto n = exact(what, a.num, b.num))
    return of(*n);
  const auto x = a.num.as_double(), y = b.num.as_double();
  switch (what) {
  case operation::add: return of(number(x + y));
  case operation::subtract: return of(number(x - y));
  case operation::multiply: return of(number(x * y));
  case operation::divide: return of(number(x / y));
  default: return of(number(std::fmod(x, y)));
  }
}

// A whole double is an integer where it fits.
derived_value whole(double v) {
  if (v >= -0x1p63 && v < 0x1p63)
    return of(number(static_cast<std::int64_t>(v)));
  return of(number(v));
}

derived_value rounded(operation what, const derived_value& v) {
  if (v.is != kind::number)
    return {};
  if (!v.num.is_real())
    return what == operation::abs && v.num.form() == number::kind::integer && v.num.integer() < 0
               ? of(table::narrowed(-table::widened(v.num)))
               : v;
  const auto x = v.num.real();
  switch (what) {
  case operation::abs: return of(number(std::fabs(x)));
  case operation::floor: return whole(std::floor(x));
  case operation::ceil: return whole(std::ceil(x));
  default: return whole(std::round(x));
  }
}

std::optional<std::int64_t> moment_of(const derived_value& v) {
  table::field f;
  f.is = v.is;
  f.num = v.num;
  f.text = v.text;
  return table::event_time(f);
}

// The begin of the bucket that a moment is in.
derived_value bucket_of(std::optional<std::int64_t> at_ms, std::int64_t width_ms) {
  if (!at_ms)
    return {};
  auto into = *at_ms % width_ms;
  if (into < 0)
    into += width_ms;
  return *at_ms < INT64_MIN + into ? derived_value{} : of(number(*at_ms - into));
}

bool append_text(std::string& out, const derived_value& v) {
  switch (v.is) {
  case kind::text: out += v.text; return true;
  case kind::boolean: out += v.boolean ? "true" : "false"; return true;
  case kind::number: table::append(out, v.num); return true;
  default: return false;
  }
}

struct evaluation {
  const table::record_reader& row;
  std::span<const derived_value> earlier;
  std::int64_t time_ms;

  derived_value run(const expression::node& n) const {
    switch (n.what) {
    case operation::literal: return n.literal;
    case operation::pointer: return of(row.at(n.at));
    case operation::earlier: return earlier[n.index];
    case operation::time: return of(number(time_ms));
    case operation::negate: return arithmetic(operation::subtract, of(number(std::int64_t{0})), run(n.arguments[0]));
    case operation::add:
    case operation::subtract:
    case operation::multiply:
    case operation::divide:
    case operation::remainder: return arithmetic(n.what, run(n.arguments[0]), run(n.arguments[1]));
    case operation::bucket: { // time() is milliseconds, whatever its size would tell
      const auto& moment = n.arguments[0];
      return bucket_of(moment.what == operation::time ? time_ms : moment_of(run(moment)), n.width_ms);
    }
    case operation::abs:
    case operation::floor:
    case operation::ceil:
    case operation::round: return rounded(n.what, run(n.arguments[0]));
    case operation::concat: return concat(n);
    case operation::coalesce:
      for (const auto& a : n.arguments)
        if (auto v = run(a); v.is != kind::null)
          return v;
      return {};
    }
    return {};
  }

  derived_value concat(const expression::node& n) const {
    std::string out;
    for (const auto& a : n.arguments)
      if (!append_text(out, run(a)) || out.size() > longest_derived)
        return {};
    return of(std::move(out));
  }
};

} // namespace

expression::expression(std::unique_ptr<const node> root) : root_(std::move(root)) {}
expression::~expression() = default;
expression::expression(expression&&) noexcept = default;
expression& expression::operator=(expression&&) noexcept = default;

derived_value expression::evaluate(const table::record_reader& row, std::span<const derived_value> earlier,
                                   std::int64_t time_ms) const {
  return evaluation{row, earlier, time_ms}.run(*root_);
}

} // namespace weir::batch
