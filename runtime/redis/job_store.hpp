// The job repository's port: who schedules in the cluster, and what became of each job's executions. Part of the store
// (store.hpp says how its calls behave).
//
// Every change names the scheduler's fencing token. A job keeps the highest one it has seen, so a scheduler that lost
// its lease, and does not know it, changes nothing any more, whatever its clock says.
#pragma once

#include "runtime/core/error.hpp"
#include "runtime/redis/transaction.hpp"

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace weir::redis {

// Which scheduler: of two, the one with the greater token took over later.
struct fence_token {
  std::uint64_t value = 0;
  auto operator<=>(const fence_token&) const = default;
};

struct lease {
  bool held = false; // by who asked
  fence_token token; // of the holder
  std::string owner;
  std::int64_t left_ms = 0; // by Redis' clock
};

// The newest execution of a job, as stored.
struct job_state {
  fence_token token;                                // the highest one seen
  std::int64_t fire_ms = -1;                        // of the newest execution; -1: there was none
  std::string id, status, run;                      // of it; `run` is the scheduler's own text (batch/execution.hpp)
  std::uint64_t chunks = 0;                         // of its result, that are written
  std::map<std::uint32_t, std::string> checkpoints; // by share; only as adopt() gives it
};

// An execution begins, goes on, or ends.
struct job_change {
  partition_key job; // its pseudo-partition
  fence_token token;
  std::string id;
  std::vector<std::string> expect; // the stored execution is `id` and has one of these statuses; empty: it begins
  std::int64_t fire_ms = 0;        // where it begins: later than every one before it
  bool again = false; // where it begins: for the fire time of the newest one, which is FAILED or STOPPED, and from its
                      // checkpoints
  std::string status, run;
  std::optional<std::pair<std::uint32_t, std::string>> checkpoint; // of a share; empty text: drops it
  bool ends = false;
  bool keep_checkpoints = false;  // where it ends: it may be started again
  std::uint32_t keep_count = 100; // executions in the history
  std::int64_t keep_since_ms = 0; // and none that ended before this
  std::int64_t ended_ms = 0;
};

enum class job_verdict {
  done,
  already,  // this very execution has begun (an answer was lost)
  fenced,   // another scheduler has taken over
  busy,     // another execution is not at its end
  old,      // its fire time is not later than the newest one's
  mismatch, // the stored execution is another one, or has another status
};

struct job_answer {
  job_verdict verdict = job_verdict::done;
  job_state stored; // before the change, where it was refused; without checkpoints
};

template <class T>
using callback = std::function<void(result<T>)>;

class job_store {
public:
  virtual ~job_store() = default;

  // Takes the lease where nobody holds it, with a token greater than all before; extends it where `owner` does.
  // Also where its token is not above `low`: one that a job has seen, though Redis lost the lease since.
  virtual void take_lease(std::string topology, std::string owner, std::int64_t hold_ms, fence_token low,
                          callback<lease> done) = 0;
  // Gives it back, if `owner` holds it.
  virtual void drop_lease(std::string topology, std::string owner, callback<lease> done) = 0;
  // Raises the job's token and reads its newest execution. A verdict other than done is fenced.
  virtual void adopt_job(partition_key job, fence_token token, callback<job_answer> done) = 0;
  virtual void change_job(job_change change, callback<job_answer> done) = 0;
  // `run` texts of executions that ended, newest first.
  virtual void job_history(partition_key job, std::uint32_t most, callback<std::vector<std::string>> done) = 0;
  // The newest execution; changes nothing, raises no token.
  virtual void read_job(partition_key job, callback<job_state> done) = 0;
};

} // namespace weir::redis
