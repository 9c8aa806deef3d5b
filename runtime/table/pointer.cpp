#include "runtime/table/pointer.hpp"

#include <algorithm>
#include <charconv>

namespace weir::table {

namespace {

std::string undo_escapes(std::string_view text) {
  std::string name;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '~' && i + 1 < text.size() && (text[i + 1] == '0' || text[i + 1] == '1'))
      name += text[++i] == '0' ? '~' : '/';
    else
      name += text[i];
  }
  return name;
}

std::optional<std::uint32_t> array_index(std::string_view text) {
  if (text.empty() || (text.size() > 1 && text[0] == '0') ||
      !std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; }))
    return {};
  std::uint32_t index = 0;
  const auto [end, bad] = std::from_chars(text.data(), text.data() + text.size(), index);
  return bad == std::errc{} ? std::optional(index) : std::nullopt;
}

} // namespace

pointer::pointer(std::string_view text) {
  if (text.empty())
    return;
  if (text[0] == '/')
    text.remove_prefix(1);
  for (;;) {
    const auto end = std::min(text.find('/'), text.size());
    tokens.push_back({undo_escapes(text.substr(0, end)), array_index(text.substr(0, end))});
    if (end == text.size())
      return;
    text.remove_prefix(end + 1);
  }
}

} // namespace weir::table
