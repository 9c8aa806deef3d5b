// Reads one partition of a table from Redis for its view: head, change log, rows bucket by bucket (or the newest log
// entries), then the head again: if Redis lost writes in between, all of it is read anew.
#pragma once

#include "proto/topology.hpp"
#include "runtime/redis/store.hpp"
#include "runtime/table/channel.hpp"

namespace weir::actors {

struct view_load_limits {
  std::uint32_t buckets_at_once = 8;
  std::size_t log_entries = 100'000; // records of a log that are wanted, newest first
  int tries = 3;
};

struct loaded_partition {
  table::partition_load part;
  batch_id batch; // the transaction that was the partition's last one
};

// Runs on the store's callbacks. `done` is called exactly once, on a reactor's thread.
void load_partition(redis::store& store, const table_config& table, const table_ref& ref,
                    const partition_key& partition, const view_load_limits& limits,
                    redis::callback<loaded_partition> done);

} // namespace weir::actors
