// The scheduler actor: fires jobs and follows their executions.
//
// Duty: keeps asking for the cluster's lease (runtime/batch/lease_keeper). While it has it: knows when each job is due,
// writes every step of an execution into the job repository (runtime/redis/job_store), splits its input among batch
// reducers and stores their checkpoints, merges what they found in a fixed order, hands the rows to the job's writer
// and, where asked, to a Kafka topic.
//
// Promise: executions of one job never overlap; one that a dead scheduler left is gone on with from its checkpoints, as
// soon as the lease has run out, by whoever has it next. Everything it changes carries the lease's token, so what a
// scheduler that was taken over still does is refused.
//
// A job and its executions are plain classes of this actor: actors/job_runner, actors/execution_run.
//
// An execution: begin (STARTING) -> start (STARTED) -> reducers -> the shares' last checkpoints, where the result takes
// more than one transaction or goes to a topic -> the job's writer -> topic -> end. A restart of this actor is a
// takeover.
#pragma once

#include "actors/batch_reducer.hpp"
#include "actors/input_watch.hpp"
#include "actors/job_writer.hpp"

namespace weir::actors {

struct scheduled_job {
  job_config config;
  table_config input; // of no meaning where the job has a custom reader
  table_ref input_ref;
  job_writer_actor writer; // null: writes no table
};

struct scheduler_config {
  context_ptr node;
  std::vector<scheduled_job> jobs;
  std::size_t most_reducers = 8; // of one execution, at a time
  std::uint32_t keep_executions = 100;
  std::chrono::milliseconds keep_for{std::chrono::hours{24 * 7}};
  std::chrono::milliseconds checkpoint_every{1'000};
};

struct lease_answered {
  std::uint64_t question = 0;
  result<redis::lease> lease;
};

enum class job_step { adopt, begin, start, checkpoint, stop, end, left, history };

struct job_answered {
  std::string job;
  std::uint64_t run = 0; // of this scheduler's life; 0: none
  job_step step = job_step::adopt;
  std::uint64_t token = 0;
  std::uint32_t share = 0;
  result<redis::job_answer> answer;
  std::vector<std::string> history;
};

// How far the table of a job that runs on changes has got.
struct input_read {
  std::string job;
  result<input_state> state;
};

// How many rows an execution is to read.
struct input_counted {
  std::string job;
  std::uint64_t run = 0;
  result<std::uint64_t> total;
};

enum class job_verb { stop, restart, abandon };

struct control_job {
  std::string job;
  job_verb verb = job_verb::stop;
  http::responder respond;
  bool wait = true; // restart: as for run_job
};

scheduler_actor spawn_scheduler(caf::actor_system& system, scheduler_config config);

} // namespace weir::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(weir::actors::lease_answered)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(weir::actors::job_answered)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(weir::actors::input_read)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(weir::actors::input_counted)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(weir::actors::control_job)
