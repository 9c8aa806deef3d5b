#include "runtime/config/values.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <vector>

namespace weir {

namespace {

constexpr std::size_t name_limit = 128;

bool lower(char c) { return c >= 'a' && c <= 'z'; }
bool digit(char c) { return c >= '0' && c <= '9'; }
bool plain(char c) { return lower(c) || (c >= 'A' && c <= 'Z') || digit(c) || c == '.' || c == '_' || c == '-'; }

std::string lowered(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return out;
}

// Insertions, deletions, replacements and swaps of neighbours.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before, last(b.size() + 1), now(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j)
    last[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    now[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      now[j] = std::min({last[j] + 1, now[j - 1] + 1, last[j - 1] + (a[i - 1] != b[j - 1])});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        now[j] = std::min(now[j], before[j - 2] + 1);
    }
    before = last;
    std::swap(last, now);
  }
  return last[b.size()];
}

} // namespace

std::optional<duration> parse_rate(std::string_view text) {
  struct unit {
    std::string_view name;
    std::uint64_t factor;
  };
  constexpr std::array units{unit{"/s", 1000}, unit{"/m", 60'000}, unit{"/h", 3'600'000}};
  double events = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), events, std::chars_format::fixed);
  if (error != std::errc{} || !std::isfinite(events) || events <= 0)
    return std::nullopt;
  const auto per = text.substr(static_cast<std::size_t>(rest - text.data()));
  const auto* found = std::find_if(units.begin(), units.end(), [&](const unit& u) { return u.name == per; });
  if (found == units.end())
    return std::nullopt;
  // The remainder of a division that does not come out even, as in 0.1/s, is no millisecond.
  const auto apart = std::ceil(static_cast<double>(found->factor) / events - 1e-6);
  if (events > static_cast<double>(found->factor) || apart > 86'400'000)
    return std::nullopt;
  return duration{static_cast<std::int64_t>(apart)};
}

std::optional<std::uint64_t> parse_throttle(std::string_view text) {
  if (text == "none")
    return 0;
  std::uint64_t rows = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), rows);
  if (error != std::errc{} || rows == 0 || std::string_view(rest, text.data() + text.size()) != "/s")
    return std::nullopt;
  return rows;
}

bool is_table_name(std::string_view text) {
  const auto inner = [](char c) { return plain(c) && !(c >= 'A' && c <= 'Z'); };
  return !text.empty() && text.size() <= name_limit && lower(text.front()) &&
         std::all_of(text.begin(), text.end(), inner);
}

bool is_name(std::string_view text) {
  return !text.empty() && text.size() <= name_limit && std::all_of(text.begin(), text.end(), plain);
}

bool is_topic(std::string_view text) {
  return !text.empty() && text.size() <= 249 && text != "." && text != ".." &&
         std::all_of(text.begin(), text.end(), plain);
}

std::optional<std::string_view> nearest(std::string_view word, std::span<const std::string_view> candidates) {
  // Long words would cost time and never be a slip of the hand.
  if (word.empty() || word.size() > 64)
    return std::nullopt;
  const auto wanted = lowered(word);
  std::optional<std::string_view> best;
  std::size_t least = std::numeric_limits<std::size_t>::max();
  for (const auto candidate : candidates) {
    if (candidate.empty() || candidate.size() > 64)
      continue;
    const auto other = lowered(candidate);
    auto d = distance(wanted, other);
    const auto limit = word.size() <= 2 ? 1u : word.size() <= 5 ? 2u : 3u;
    if (wanted.size() >= 3 && other.starts_with(wanted))
      d = std::min<std::size_t>(d, 2); // an abbreviation
    if (d <= limit && 2 * d <= std::max(wanted.size(), other.size()) && d < least) {
      best = candidate;
      least = d;
    }
  }
  return best;
}

} // namespace weir
