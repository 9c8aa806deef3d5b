// One list of error codes for the whole program; numbers are fixed (they are in logs, metrics and REST answers).
#pragma once

#include <string>
#include <string_view>
#include <tl/expected.hpp>

namespace weir {

enum class ec : int {
  none = 0,
  // 1xx: what the user wrote
  bad_topology = 100,  // the topology file has problems; exit code 78
  bad_argument = 101,  // a command line or request argument is wrong
  not_available = 102, // a part that this version does not have yet
  no_such_thing = 103, // a table, row, job or key that does not exist
  // 2xx: Redis
  redis_unreachable = 200,  // connection refused, lost, or timed out; retried
  redis_refused = 201,      // authentication or permission; not retried by itself
  redis_busy = 202,         // LOADING, BUSY, TRYAGAIN, MASTERDOWN: retried
  redis_cannot_write = 203, // READONLY, OOM, MISCONF: retried, alarm
  redis_protocol = 204,     // a reply that makes no sense
  redis_script = 205,       // a script failed
  redis_unsuitable = 206,   // settings that lose data, or a newer layout
  // 3xx: Kafka
  kafka_unreachable = 300,
  kafka_refused = 301, // authentication, authorisation
  kafka_no_topic = 302,
  kafka_out_of_range = 303, // the position is not in the log any more
  kafka_fatal = 304,
  kafka_failed = 305,
  // 4xx: ownership and identity
  fenced = 400,     // another owner claimed the partition
  mismatch = 401,   // the stored chain is not the one this owner knows
  identity = 402,   // Redis holds the state of another Kafka cluster, topic or topology
  definition = 403, // a table's definition is not the stored one
  layout = 404,     // Redis holds another layout version
  // 5xx: the process
  timeout = 500,
  overloaded = 501, // a bound was reached
  stopped = 502,    // shutting down
  io = 503,         // files, sockets, child processes
  internal = 504,
  // 6xx: custom steps of jobs
  step_failed = 600,
  step_unavailable = 601, // passes by itself, so the step says
};

// The code's name as written above.
std::string_view to_string(ec code);

struct error {
  ec code = ec::internal;
  std::string message; // for people: what, where, what to do. Never contains a secret.
};

template <class T>
using result = tl::expected<T, error>;

inline tl::unexpected<error> fail(ec code, std::string message) {
  return tl::unexpected(error{code, std::move(message)});
}

} // namespace weir
