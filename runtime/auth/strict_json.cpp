#include "runtime/auth/strict_json.hpp"

#include <algorithm>
#include <vector>

namespace weir::auth {
namespace {

using simdjson::dom::element;

bool names_are_unique(const element& e) {
  if (simdjson::dom::array items; e.get(items) == simdjson::SUCCESS) {
    return std::all_of(items.begin(), items.end(), [](const element& item) { return names_are_unique(item); });
  }
  simdjson::dom::object members;
  if (e.get(members) != simdjson::SUCCESS)
    return true;
  std::vector<std::string_view> names;
  for (const auto& [name, value] : members) {
    if (!names_are_unique(value))
      return false;
    names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return std::adjacent_find(names.begin(), names.end()) == names.end();
}

} // namespace

std::optional<element> parse_strict(std::string_view text) {
  thread_local simdjson::dom::parser parser;
  // Grown here, since a parser that grows by itself falls back to its own depth.
  const auto wanted = text.size() + simdjson::SIMDJSON_PADDING;
  if (wanted > parser.capacity() || parser.max_depth() != json_depth_limit)
    if (parser.allocate(std::max<std::size_t>(wanted, 16 << 10), json_depth_limit) != simdjson::SUCCESS)
      return std::nullopt;
  element root;
  if (parser.parse(text.data(), text.size()).get(root) != simdjson::SUCCESS || !names_are_unique(root))
    return std::nullopt;
  return root;
}

} // namespace weir::auth
