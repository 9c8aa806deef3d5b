#include "runtime/batch/cron.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <fmt/format.h>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace weir::batch {

namespace {

constexpr std::int64_t day_s = 86'400;
// Two 29ths of February are at most eight years apart.
constexpr std::int64_t most_days = 3'000;

constexpr std::array<std::string_view, 12> month_names{"jan", "feb", "mar", "apr", "may", "jun",
                                                       "jul", "aug", "sep", "oct", "nov", "dec"};
constexpr std::array<std::string_view, 7> day_names{"sun", "mon", "tue", "wed", "thu", "fri", "sat"};

struct field {
  std::string_view name;
  unsigned least, most;
  std::span<const std::string_view> names; // for least, least + 1, ...
};

const std::array fields{field{"second", 0, 59, {}},         field{"minute", 0, 59, {}},
                        field{"hour", 0, 23, {}},           field{"day of the month", 1, 31, {}},
                        field{"month", 1, 12, month_names}, field{"day of the week", 0, 7, day_names}};

constexpr std::array<std::pair<std::string_view, std::string_view>, 7> macros{{{"@yearly", "0 0 1 1 *"},
                                                                               {"@annually", "0 0 1 1 *"},
                                                                               {"@monthly", "0 0 1 * *"},
                                                                               {"@weekly", "0 0 * * 0"},
                                                                               {"@daily", "0 0 * * *"},
                                                                               {"@midnight", "0 0 * * *"},
                                                                               {"@hourly", "0 * * * *"}}};

std::int64_t floor_div(std::int64_t a, std::int64_t b) { return a / b - (a % b < 0 ? 1 : 0); }

std::optional<unsigned> number(std::string_view text) {
  unsigned value = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || rest != text.data() + text.size())
    return std::nullopt;
  return value;
}

std::optional<unsigned> value(const field& f, std::string_view text) {
  const auto named = std::find(f.names.begin(), f.names.end(), text);
  if (named != f.names.end())
    return f.least + static_cast<unsigned>(named - f.names.begin());
  const auto n = number(text);
  return n && *n >= f.least && *n <= f.most ? n : std::nullopt;
}

// Sets what one part of a list names; false: it is none.
bool take(const field& f, std::string_view part, std::bitset<64>& out) {
  unsigned step = 1;
  const auto slash = part.find('/');
  if (slash != std::string_view::npos) {
    const auto given = number(part.substr(slash + 1));
    if (!given || *given == 0 || *given > f.most)
      return false;
    step = *given;
    part = part.substr(0, slash);
  }
  unsigned from = f.least, to = f.most;
  if (part != "*") {
    const auto dash = part.find('-');
    const auto first = value(f, part.substr(0, dash));
    if (!first)
      return false;
    from = *first;
    if (dash != std::string_view::npos) {
      const auto last = value(f, part.substr(dash + 1));
      if (!last || *last < from)
        return false;
      to = *last;
    } else if (slash == std::string_view::npos)
      to = from;
  } else if (f.names.size() == 7)
    to = 6; // the 7 is Sunday again: */2 must not take it for a day of its own
  for (auto i = from; i <= to; i += step)
    out.set(i);
  return true;
}

// The moment at which it is `local` in that zone: the first of two; if there is none, the shift that leaves it out.
std::int64_t moment(std::int64_t local, const zone& in) {
  const auto early = local - day_s, late = local + day_s;
  const auto before = in.offset(early), behind = in.offset(late);
  const auto a = local - std::max(before, behind), b = local - std::min(before, behind);
  if (a + in.offset(a) == local)
    return a;
  if (b + in.offset(b) == local)
    return b;
  auto low = early, high = late; // the offset at low is the old one, at high the new one
  while (high - low > 1) {
    const auto middle = low + (high - low) / 2;
    (in.offset(middle) == before ? low : high) = middle;
  }
  return high;
}

} // namespace

result<cron> cron::parse(std::string_view text) {
  std::string low(text);
  std::transform(low.begin(), low.end(), low.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  for (const auto& [name, meaning] : macros)
    if (low == name)
      low = meaning;
  const std::string_view all = low;
  std::vector<std::string_view> parts;
  for (std::size_t at = 0; (at = all.find_first_not_of(" \t", at)) != std::string_view::npos;) {
    const auto end = std::min(all.find_first_of(" \t", at), all.size());
    parts.push_back(all.substr(at, end - at));
    at = end;
  }
  if (parts.size() == 5)
    parts.insert(parts.begin(), "0");
  if (parts.size() != fields.size())
    return fail(ec::bad_argument, fmt::format("it has {} fields, not five or six", parts.size()));
  std::array<std::bitset<64>, 6> sets;
  for (std::size_t i = 0; i < fields.size(); ++i) {
    auto rest = parts[i];
    for (bool more = true; more;) {
      const auto comma = rest.find(',');
      if (!take(fields[i], rest.substr(0, comma), sets[i]))
        return fail(ec::bad_argument,
                    fmt::format("'{}' is no {} ({} to {})", parts[i], fields[i].name, fields[i].least, fields[i].most));
      more = comma != std::string_view::npos;
      rest.remove_prefix(more ? comma + 1 : rest.size());
    }
  }
  if (sets[5][7])
    sets[5].set(0);
  cron out;
  const auto copy = [](const auto& from, auto& to) {
    for (std::size_t i = 0; i < to.size(); ++i)
      to[i] = from[i];
  };
  copy(sets[0], out.seconds_);
  copy(sets[1], out.minutes_);
  copy(sets[2], out.hours_);
  copy(sets[3], out.days_);
  copy(sets[4], out.months_);
  copy(sets[5], out.weekdays_);
  out.any_day_ = parts[3].front() == '*';
  out.any_weekday_ = parts[5].front() == '*';
  if (!out.next_local(0))
    return fail(ec::bad_argument, "it names a day that never comes");
  return out;
}

bool cron::day_matches(std::int64_t day) const {
  const std::chrono::sys_days at{std::chrono::days{day}};
  const std::chrono::year_month_day date{at};
  if (!months_[static_cast<unsigned>(date.month())])
    return false;
  const bool by_day = days_[static_cast<unsigned>(date.day())];
  const bool by_weekday = weekdays_[std::chrono::weekday{at}.c_encoding()];
  return any_day_ || any_weekday_ ? by_day && by_weekday : by_day || by_weekday;
}

std::optional<std::int64_t> cron::next_local(std::int64_t after_s) const {
  const auto from = after_s + 1;
  const auto first = floor_div(from, day_s);
  for (auto day = first; day < first + most_days; ++day) {
    if (!day_matches(day))
      continue;
    const auto least = day == first ? from - day * day_s : 0;
    for (auto hour = least / 3'600; hour < 24; ++hour) {
      if (!hours_[static_cast<std::size_t>(hour)])
        continue;
      for (std::int64_t minute = 0; minute < 60; ++minute) {
        const auto start = hour * 3'600 + minute * 60;
        if (!minutes_[static_cast<std::size_t>(minute)] || start + 59 < least)
          continue;
        for (std::int64_t second = 0; second < 60; ++second)
          if (seconds_[static_cast<std::size_t>(second)] && start + second >= least)
            return day * day_s + start + second;
      }
    }
  }
  return std::nullopt;
}

std::int64_t cron::next(std::int64_t after_ms, const zone& in) const {
  const auto after = floor_div(after_ms, 1'000);
  // Moments never go back as local times go on, so none before this one can be the answer; of those that follow,
  // repeated and left out ones may be over already.
  auto local = next_local(after + in.offset(after));
  while (local && moment(*local, in) <= after)
    local = next_local(*local);
  // parse() saw a day that matches, and none is rarer than most_days.
  return local ? moment(*local, in) * 1'000 : INT64_MAX;
}

} // namespace weir::batch
