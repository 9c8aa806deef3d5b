#include "runtime/table/event_time.hpp"

#include <chrono>
#include <cmath>

namespace weir::table {

namespace {

// Reads fixed-width digits off the front.
bool digits(std::string_view& text, std::size_t n, int& value) {
  if (text.size() < n)
    return false;
  value = 0;
  for (std::size_t i = 0; i < n; ++i) {
    if (text[i] < '0' || text[i] > '9')
      return false;
    value = value * 10 + (text[i] - '0');
  }
  text.remove_prefix(n);
  return true;
}

bool one_of(std::string_view& text, std::string_view allowed) {
  if (text.empty() || allowed.find(text[0]) == std::string_view::npos)
    return false;
  text.remove_prefix(1);
  return true;
}

std::optional<std::int64_t> rfc3339(std::string_view text) {
  int year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0;
  if (!digits(text, 4, year) || !one_of(text, "-") || !digits(text, 2, month) || !one_of(text, "-") ||
      !digits(text, 2, day) || !one_of(text, "Tt ") || !digits(text, 2, hour) || !one_of(text, ":") ||
      !digits(text, 2, minute) || !one_of(text, ":") || !digits(text, 2, second))
    return {};
  const std::chrono::year_month_day date{std::chrono::year(year), std::chrono::month(static_cast<unsigned>(month)),
                                         std::chrono::day(static_cast<unsigned>(day))};
  if (!date.ok() || hour > 23 || minute > 59 || second > 60) // 60: a leap second, counted as the next one
    return {};
  int milliseconds = 0;
  if (one_of(text, ".")) {
    int weight = 100;
    std::size_t n = 0;
    for (; n < text.size() && text[n] >= '0' && text[n] <= '9'; ++n, weight /= 10)
      milliseconds += (text[n] - '0') * weight;
    if (n == 0)
      return {};
    text.remove_prefix(n);
  }
  std::int64_t ahead_minutes = 0;
  if (!text.empty() && (text[0] == '+' || text[0] == '-')) {
    const int sign = text[0] == '+' ? 1 : -1;
    text.remove_prefix(1);
    int hours = 0, minutes = 0;
    if (!digits(text, 2, hours) || !one_of(text, ":") || !digits(text, 2, minutes) || hours > 23 || minutes > 59)
      return {};
    ahead_minutes = sign * (hours * 60 + minutes);
  } else if (!one_of(text, "Zz")) {
    return {};
  }
  if (!text.empty())
    return {};
  const auto days = std::int64_t{std::chrono::sys_days(date).time_since_epoch().count()};
  return (((days * 24 + hour) * 60 + minute - ahead_minutes) * 60 + second) * 1000 + milliseconds;
}

} // namespace

std::optional<std::int64_t> event_time(const field& value) {
  if (value.is == field::kind::text)
    return rfc3339(value.text);
  if (value.is != field::kind::number)
    return {};
  const auto v = value.num.as_double();
  const auto size = std::fabs(v);
  if (!(size < 9e18))
    return {};
  if (size < 1e11)
    return std::llround(v * 1000);
  if (value.num.form() == number::kind::integer && size < 1e14)
    return value.num.integer();
  return std::llround(size < 1e14 ? v : size < 1e17 ? v / 1e3 : v / 1e6);
}

} // namespace weir::table
