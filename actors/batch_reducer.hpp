// The batch reducer actor: a share of one execution's input, read in chunks and reduced to a partial result.
//
// Duty: of a log, one partition's window; of a keyed table, every n-th bucket through all partitions (so that the parts
// of a row meet in one reducer); of a custom reader, one of its shares. Asks Redis for one chunk ahead of the one it
// works on, each small enough to be read whole. Tells the scheduler how far it is, and now and then a checkpoint: what
// another reducer needs to go on from there. Rows that can't be used go to the job's dead letter topic, at least once;
// with many on their way it reads no further, nor when it is not its turn (batch::pace). Runs on a thread of its own
// that gives way to those that clients and sources wait for. Ends with its partial result or the first error.
#pragma once

#include "actors/context.hpp"
#include "actors/handles.hpp"
#include "runtime/batch/pace.hpp"
#include "runtime/batch/reduce.hpp"

#include <caf/actor_system.hpp>

namespace weir::actors {

struct bucket_read {
  std::size_t partition = 0;
  std::uint64_t asked = 0; // which question this answers, where several may be under way
  result<std::vector<redis::stored_row>> rows;
};

struct log_read {
  result<redis::packed_log> log;
};

// A skipped row is in the dead letter topic, or could not be brought there.
struct letter_sent {
  result<void> sent;
};

// How far a share is.
struct share_progress {
  std::string job;
  std::uint64_t run = 0;
  std::size_t share = 0;
  batch::reduce_counts counts;
  std::string checkpoint; // empty: none this time
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
  std::string execution; // id
  std::size_t share = 0, shares = 1;
  std::shared_ptr<batch::pace> pace;   // of all shares
  std::uint64_t first_chunk_rows = 0;  // about; 0: not known
  std::optional<std::int64_t> from_ms; // log: records with event time at or after this, and before to_ms
  std::int64_t to_ms = 0;
  version cut;            // what was committed later does not count
  std::string checkpoint; // of an earlier reducer of this share; empty: from the start
  std::chrono::milliseconds checkpoint_every{1'000};
  scheduler_actor report_to;
  std::int64_t fire_ms = 0; // for custom steps
};

// The checkpoint of a share that is done, so that nobody reads it again.
std::string final_checkpoint(const batch::reducer& partial);
// Whether a checkpoint is one of those.
bool is_final_checkpoint(std::string_view checkpoint);

batch_reducer_actor spawn_batch_reducer(caf::actor_system& system, batch_reducer_config config);

} // namespace weir::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(weir::actors::bucket_read)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(weir::actors::log_read)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(weir::actors::letter_sent)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(weir::actors::share_progress)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(weir::actors::reducer_done)
