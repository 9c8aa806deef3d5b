#include "runtime/config/cron.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <fmt/format.h>
#include <span>
#include <vector>

namespace weir::config {

namespace {

constexpr std::array<std::string_view, 12> months{"jan", "feb", "mar", "apr", "may", "jun",
                                                  "jul", "aug", "sep", "oct", "nov", "dec"};
constexpr std::array<std::string_view, 7> days{"sun", "mon", "tue", "wed", "thu", "fri", "sat"};

struct field {
  std::string_view name;
  unsigned least, most;
  std::span<const std::string_view> names; // for least, least + 1, ...
};

const std::array fields{field{"minute", 0, 59, {}}, field{"hour", 0, 23, {}}, field{"day of the month", 1, 31, {}},
                        field{"month", 1, 12, months}, field{"day of the week", 0, 7, days}};

std::optional<unsigned> number(std::string_view text) {
  unsigned value = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || rest != text.data() + text.size())
    return std::nullopt;
  return value;
}

std::optional<unsigned> value(const field& f, std::string_view text) {
  std::string low(text);
  std::transform(low.begin(), low.end(), low.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  const auto named = std::find(f.names.begin(), f.names.end(), low);
  if (named != f.names.end())
    return f.least + static_cast<unsigned>(named - f.names.begin());
  const auto n = number(text);
  return n && *n >= f.least && *n <= f.most ? n : std::nullopt;
}

bool good_part(const field& f, std::string_view part) {
  if (const auto slash = part.find('/'); slash != std::string_view::npos) {
    const auto step = number(part.substr(slash + 1));
    if (!step || *step == 0 || *step > f.most)
      return false;
    part = part.substr(0, slash);
  }
  if (part == "*")
    return true;
  const auto dash = part.find('-');
  const auto from = value(f, part.substr(0, dash));
  if (!from || dash == std::string_view::npos)
    return from.has_value();
  const auto to = value(f, part.substr(dash + 1));
  return to && *from <= *to;
}

} // namespace

std::optional<std::string> cron_fault(std::string_view text) {
  std::vector<std::string_view> parts;
  for (std::size_t at = 0; (at = text.find_first_not_of(" \t", at)) != std::string_view::npos;) {
    const auto end = std::min(text.find_first_of(" \t", at), text.size());
    parts.push_back(text.substr(at, end - at));
    at = end;
  }
  if (parts.size() != fields.size())
    return fmt::format("it has {} fields, not {}", parts.size(), fields.size());
  for (std::size_t i = 0; i < fields.size(); ++i) {
    auto rest = parts[i];
    for (bool more = true; more;) {
      const auto comma = rest.find(',');
      if (!good_part(fields[i], rest.substr(0, comma)))
        return fmt::format("'{}' is no {} ({} to {})", parts[i], fields[i].name, fields[i].least, fields[i].most);
      more = comma != std::string_view::npos;
      rest.remove_prefix(more ? comma + 1 : rest.size());
    }
  }
  return std::nullopt;
}

} // namespace weir::config
