// The job writer actor: one per job that writes a table.
//
// Duty: owns the pseudo-partition `job:<name>` behind the table, with the same claim, chain and heartbeats as a Kafka
// partition, while its node schedules; its position is the fire time of the last result written. Promise: a result is
// written in chunks, each once and in order, and only while its execution is the job's and its scheduler has not been
// taken over: Redis looks at that in the transaction of each chunk (I9). A result whose fire time is not later than the
// stored one is refused. After a refusal or a lost answer it asks which chunks are there and goes on behind them.
#pragma once

#include "actors/batch_reducer.hpp"
#include "actors/context.hpp"
#include "actors/feed.hpp"

#include <caf/actor_system.hpp>

namespace weir::actors {

struct write_rows {
  std::string job;
  std::uint64_t run = 0;
  std::int64_t fire_ms = 0;
  std::uint64_t token = 0;  // of the scheduler
  std::string execution;    // id
  std::uint64_t chunks = 0; // that are written already
  std::uint32_t chunk_rows = 5'000;
  bool replace = false;                                                         // of all rows, in one transaction
  std::shared_ptr<const std::vector<std::pair<std::string, std::string>>> rows; // key, JSON
  scheduler_actor report_to;
};

// Nothing more of this run is to be written, and nothing is answered.
struct forget_rows {
  std::uint64_t run = 0;
};

// Whether this node schedules, and so writes the tables of jobs.
struct lead {
  bool here = false;
  std::uint64_t token = 0;
};

// INTERNAL: what the job repository says of the job.
struct job_read {
  std::uint64_t run = 0;
  result<redis::job_state> state;
};

enum class written_to { table, custom, topic };

struct rows_written {
  std::string job;
  std::uint64_t run = 0;
  result<std::size_t> written; // rows; all of them are there. ec::fenced: another scheduler has taken over
  written_to where = written_to::table;
};

struct job_writer_config {
  context_ptr node;
  table_config table;
  table_ref ref;
  std::shared_ptr<table::change_inbox> inbox;
  publisher_actor publisher;
  redis_writer_actor writer;
};

inline constexpr std::size_t most_replaced_rows = 50'000; // of one result, and of the table before it

job_writer_actor spawn_job_writer(caf::actor_system& system, job_writer_config config);

} // namespace weir::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(weir::actors::write_rows)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(weir::actors::forget_rows)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(weir::actors::lead)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(weir::actors::job_read)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(weir::actors::rows_written)
