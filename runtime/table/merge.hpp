// A row has a part in each source partition that ever saw its key; what people see is the merge of the parts. Used by
// views, REST and jobs alike. Pure; any thread.
#pragma once

#include "proto/change_set.hpp"
#include "proto/ids.hpp"
#include "proto/topology.hpp"

#include <span>

namespace weir::table {

// One partition's part of a row, as stored and as carried by row_change.
struct part {
  partition_id partition;
  stamp at;
  shared_bytes value; // `latest`: the row. `aggregate`: mergeable state (aggregate.hpp). Null: removed there.
};

// The visible row as one JSON object without CR or LF; null: no part has a value, the row is removed.
// `latest`: the value of the part with the greatest stamp, not copied. `aggregate`: states merged in ascending
// partition number (the order of `parts` does not matter), so that sums of doubles have the same bits everywhere. A
// state that can't be read is left out of the merge.
shared_bytes visible_row(const table_config& table, std::span<const part> parts);

// `visible_row` of a row that has one part, without a vector around it.
inline shared_bytes visible_row(const table_config& table, const part& only) {
  return visible_row(table, std::span(&only, 1));
}

} // namespace weir::table
