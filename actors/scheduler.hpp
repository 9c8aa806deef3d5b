// The scheduler actor: fires jobs and follows their executions.
//
// Duty: knows when each job is due (interval, or on demand), splits an execution's input among batch reducers, merges
// what they found in a fixed order, hands the rows to the job's writer and, where asked, to a Kafka topic, and keeps
// the last runs on the status board. Promise: runs of one job never overlap; fire times are multiples of the interval.
// A restart forgets executions under way; their fire time is over and the next one runs.
#pragma once

#include "actors/batch_reducer.hpp"
#include "actors/job_writer.hpp"

namespace weir::actors {

struct scheduled_job {
  job_config config;
  table_config input;
  table_ref input_ref;
  job_writer_actor writer; // null: writes no table
};

struct scheduler_config {
  context_ptr node;
  std::vector<scheduled_job> jobs;
  std::size_t most_reducers = 8;                                // of one execution, at a time
  std::chrono::milliseconds deadline{std::chrono::minutes{10}}; // of an execution
};

scheduler_actor spawn_scheduler(caf::actor_system& system, scheduler_config config);

} // namespace weir::actors
