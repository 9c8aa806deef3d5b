// The table that a job reads: how far it has got, for jobs that run on changes, and how large it is.
#pragma once

#include "proto/topology.hpp"
#include "runtime/redis/store.hpp"

#include <cstdint>
#include <vector>

namespace weir::actors {

struct input_state {
  version changed;             // by the newest transaction that touched the table
  std::uint64_t positions = 0; // of its partitions, together: grows by the records that were applied (and by the gaps
                               // between their offsets)
};

// `done` is called once, on a reactor's thread.
void read_input_state(redis::store& store, const std::vector<partition_key>& partitions, const table_ref& table,
                      redis::callback<input_state> done);

// How many rows (parts of them, where a row has some in several partitions) or entries the table has.
void read_input_total(redis::store& store, const std::vector<partition_key>& partitions, const table_config& table,
                      const table_ref& ref, redis::callback<std::uint64_t> done);

} // namespace weir::actors
