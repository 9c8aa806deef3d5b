// What /api/v1/tables/T says of a table.
#pragma once

#include "actors/context.hpp"
#include "runtime/table/channel.hpp"

#include <functional>
#include <string>
#include <vector>

namespace weir::actors {

// JSON. No rows: it is not known how many.
std::string table_description(const table_config& table, std::optional<std::uint64_t> rows, version watermark,
                              const std::string& epoch);

// The same of a table that nobody looks at, which is not loaded only to be counted: from Redis. Rows that have parts in
// several partitions are counted by part. `respond` is called once, here or on a reactor's thread.
void describe_stored(const node_context& node, const table_config& table, const table_ref& ref,
                     const std::vector<partition_key>& partitions, std::function<void(table::rest_reply)> respond);

} // namespace weir::actors
