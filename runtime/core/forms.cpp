#include "runtime/core/forms.hpp"

#include <algorithm>
#include <array>
#include <charconv>

namespace weir {

namespace {

struct amount {
  std::uint64_t value;
  std::string_view unit;
};

std::optional<amount> split(std::string_view text) {
  std::uint64_t value = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{})
    return std::nullopt;
  return amount{value, text.substr(static_cast<std::size_t>(rest - text.data()))};
}

struct unit {
  std::string_view name;
  std::uint64_t factor;
};

template <std::size_t N>
std::optional<std::uint64_t> scaled(std::string_view text, const std::array<unit, N>& units, std::uint64_t most) {
  const auto a = split(text);
  if (!a)
    return std::nullopt;
  const auto found = std::find_if(units.begin(), units.end(), [&](const unit& u) { return u.name == a->unit; });
  if (found == units.end() || a->value > most / found->factor)
    return std::nullopt;
  return a->value * found->factor;
}

} // namespace

std::optional<duration> parse_duration(std::string_view text) {
  constexpr std::array units{unit{"ms", 1}, unit{"s", 1000}, unit{"m", 60'000}, unit{"h", 3'600'000},
                             unit{"d", 86'400'000}};
  const auto ms = scaled(text, units, 36'525ull * 86'400'000);
  if (!ms)
    return std::nullopt;
  return duration{static_cast<std::int64_t>(*ms)};
}

std::optional<std::uint64_t> parse_size(std::string_view text) {
  constexpr std::array units{unit{"", 1}, unit{"B", 1}, unit{"KiB", 1ull << 10}, unit{"MiB", 1ull << 20},
                             unit{"GiB", 1ull << 30}};
  return scaled(text, units, 1ull << 53);
}

bool is_pointer(std::string_view text) {
  if (text.empty())
    return true;
  if (text.front() != '/')
    return false;
  for (std::size_t i = 0; i < text.size(); ++i)
    if (text[i] == '~' && (i + 1 == text.size() || (text[i + 1] != '0' && text[i + 1] != '1')))
      return false;
  return true;
}

std::string pointer_token(std::string_view name) {
  std::string out;
  for (const char c : name) {
    if (c == '~')
      out += "~0";
    else if (c == '/')
      out += "~1";
    else
      out += c;
  }
  return out;
}

} // namespace weir
