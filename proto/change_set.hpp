// What one committed transaction changed in one table: goes from the redis writer to the table's publisher.
#pragma once

#include "proto/ids.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace weir {

// Immutable bytes shared between a transaction, a view and the frames made of it.
using shared_bytes = std::shared_ptr<const std::string>;

// A row of a `latest` or `aggregate` table as one partition knows it (its part).
struct row_change {
  std::string key;
  shared_bytes
      value; // `latest`: the row as JSON. `aggregate`: the part's mergeable state as JSON. Null: the part is removed.
  stamp at;
};

// A record of a `log` table.
struct log_entry {
  std::int64_t time_ms = 0; // event time: the table's `time` pointer, else Kafka's timestamp
  offset at;
  shared_bytes value; // JSON, without CR or LF
};

// Entry i of `entries` has version first + i; every row has version `last`. last = first + max(1, entries.size()) - 1
// at least.
struct change_set {
  std::string table;
  partition_key source;
  stream_epoch epoch;
  version previous; // version of the last transaction on this partition that touched this table; a receiver that knows
                    // another one has a gap
  version first;
  version last;
  std::vector<row_change> rows;
  std::vector<log_entry> entries;
  std::int64_t newest_record_ms = 0; // Kafka timestamp of the newest record in it, for freshness; 0: none
};

using change_set_ptr = std::shared_ptr<const change_set>;

} // namespace weir
