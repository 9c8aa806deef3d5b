// The batch reducer actor: a share of one execution's input, read in chunks and reduced to a partial result.
//
// Duty: of a log, one partition's window; of a keyed table, every n-th bucket through all partitions (so that the parts
// of a row meet in one reducer). Asks Redis for one chunk at a time, each small enough to be read whole. Ends with its
// partial result or the first error; its execution then fails as a whole and is run again at its next fire time.
#pragma once

#include "actors/context.hpp"
#include "actors/handles.hpp"
#include "runtime/batch/reduce.hpp"

#include <caf/actor_system.hpp>

namespace weir::actors {

struct bucket_read {
  std::size_t partition = 0;
  result<std::vector<redis::stored_row>> rows;
};

struct log_read {
  result<std::vector<redis::stored_batch>> batches;
};

// A share's partial result.
struct reducer_done {
  std::string job;
  std::uint64_t run = 0;
  std::size_t share = 0;
  result<std::shared_ptr<batch::reducer>> partial;
};

struct batch_reducer_config {
  context_ptr node;
  job_config job;
  table_config table;
  table_ref ref;
  std::vector<partition_key> partitions; // of the table
  std::uint64_t run = 0;
  std::size_t share = 0, shares = 1;
  std::optional<std::int64_t> from_ms; // log: records with event time at or after this, and before to_ms
  std::int64_t to_ms = 0;
  version cut; // what was committed later does not count
  scheduler_actor report_to;
};

batch_reducer_actor spawn_batch_reducer(caf::actor_system& system, batch_reducer_config config);

} // namespace weir::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(weir::actors::bucket_read)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(weir::actors::log_read)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(weir::actors::reducer_done)
