// One execution of a job as the job repository keeps it, in Spring Batch's words: a job instance is the job with its
// fire time, an execution is one try at it. Pure.
//
//   STARTING -> STARTED -> COMPLETED
//                  |-----> FAILED     (may be started again: a new execution of the same instance, from its
//                  checkpoints)
//                  |-----> STOPPING -> STOPPED     (the same)
//   STARTING, STARTED and STOPPING may become ABANDONED, and so may FAILED and STOPPED: never started again.
//
// A killed node's execution keeps its status; whoever schedules next goes on with it (`takeovers` counts that).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace weir::batch {

enum class execution_status { starting, started, completed, failed, stopping, stopped, abandoned };

std::string_view to_string(execution_status status); // "STARTING", ...
std::optional<execution_status> parse_execution_status(std::string_view text);
bool is_over(execution_status status);     // neither runs nor will go on by itself
bool may_restart(execution_status status); // failed or stopped
// Which statuses may become `to`.
std::vector<execution_status> before(execution_status to);

struct execution {
  std::string job, id;
  std::int64_t fire_ms = 0;
  execution_status status = execution_status::starting;
  std::int64_t started_ms = 0, ended_ms = 0; // 0: not yet
  std::string node;                          // that ran it last
  std::uint32_t shares = 0;                  // the input is divided in so many; 0: not decided
  std::uint32_t takeovers = 0, retried = 0;
  std::uint32_t stuck = 0; // takeovers since it last got on
  // Of the job as the execution began with it: checkpoints and chunks mean nothing to another one.
  std::string definition;  // job_config::fingerprint
  std::uint32_t chunk = 0; // rows of the result in a transaction
  bool replace = false;
  std::uint64_t read = 0, filtered = 0, skipped = 0;
  std::uint64_t total = 0;                // rows to read, as far as known; 0: not known
  std::uint64_t written = 0, commits = 0; // rows and transactions of the result
  std::string message;                    // why it failed
  // Why it began, so that the same does not begin another one: the executions of other jobs that it comes after, by
  // job; and how far its table was.
  std::map<std::string, std::string> seen;
  std::uint64_t input_version = 0, input_positions = 0;
  std::map<std::string, std::string> parameters; // of this run (runtime/batch/parameters.hpp)
};

// "<fire time>.<number of the try>": unique for the job, orders by time.
std::string execution_id(std::int64_t fire_ms, std::uint32_t number);
std::uint32_t number_of(std::string_view execution_id); // 0: no such id

std::string to_json(const execution& e);
// What to_json() gave, perhaps by another version: unknown members are left alone. Nothing: no execution.
std::optional<execution> parse_execution(std::string_view json);

} // namespace weir::batch
