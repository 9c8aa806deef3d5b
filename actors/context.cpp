#include "actors/context.hpp"

namespace weir::actors {

std::vector<partition_key> node_context::partitions_of(const table_config& table) const {
  if (table.from_job())
    return {{topo.name, table.from, partition_id{0}}};
  std::vector<partition_key> keys;
  const auto count = partition_counts.find(table.from);
  for (std::int32_t p = 0; count != partition_counts.end() && p < count->second; ++p)
    keys.push_back({topo.name, table.from, partition_id{p}});
  return keys;
}

} // namespace weir::actors
