#include "proto/ids.hpp"

#include <charconv>
#include <fmt/format.h>

namespace weir {

std::string to_string(const batch_id& id) { return fmt::format("{}.{}", id.epoch.value, id.n); }

batch_id parse_batch_id(std::string_view text) {
  batch_id id;
  const auto* end = text.data() + text.size();
  auto [dot, error] = std::from_chars(text.data(), end, id.epoch.value);
  if (error != std::errc{} || dot == end || *dot != '.')
    return {};
  auto [rest, error2] = std::from_chars(dot + 1, end, id.n);
  if (error2 != std::errc{} || rest != end)
    return {};
  return id;
}

std::string partition_key::prefix() const { return fmt::format("{{{}:{}:{}}}", topology, source, partition.value); }

std::string table_ref::text() const { return fmt::format("{}@{}", name, generation); }

} // namespace weir
