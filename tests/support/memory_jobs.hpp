// What Redis holds of jobs and their schedulers, in memory, with the rules of the scripts lease, adopt_job, change_job
// and job_history, and of apply's guard. Data alone: no callbacks, no faults, no lock. memory_store adds those.
#pragma once

#include "runtime/redis/job_store.hpp"

#include <map>
#include <string>
#include <utility>
#include <vector>

namespace weir::support {

class memory_jobs {
public:
  // `now_us` is Redis' TIME in microseconds.
  result<redis::lease> take_lease(const std::string& topology, const std::string& owner, std::int64_t hold_ms,
                                  redis::fence_token low, std::uint64_t now_us);
  redis::lease drop_lease(const std::string& topology, const std::string& owner);
  redis::job_answer adopt(const partition_key& job, redis::fence_token token);
  redis::job_answer change(const redis::job_change& change);
  std::vector<std::string> history(const partition_key& job, std::uint32_t most) const;
  redis::job_state read(const partition_key& job) const;

  // Of a transaction's guard: whether the execution takes this chunk now; and that it was written.
  bool takes(const partition_key& job, const redis::chunk_guard& chunk) const;
  void wrote(const partition_key& job, const redis::chunk_guard& chunk);

private:
  struct entry {
    redis::job_state now;
    std::map<std::string, std::pair<std::int64_t, std::string>> history; // by id: when it ended, run
  };
  struct held_lease {
    std::string owner;
    std::uint64_t token = 0;
    std::int64_t until_ms = 0;
  };

  std::map<partition_key, entry> jobs_;
  std::map<std::string, held_lease> leases_; // by topology
};

} // namespace weir::support
