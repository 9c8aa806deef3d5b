// The node's own picture of itself for REST, readiness and the dashboard. Actors write their part, the API reads all of
// it. Thread-safe.
#pragma once

#include "proto/ids.hpp"

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace weir {

struct partition_status {
  std::string state = "claiming"; // claiming, running, blocked, retired
  std::int64_t position = -1;     // offset after the last applied record; -1: none yet
  std::int64_t end = -1;          // of the log as last heard; -1: not known
  std::string message;            // why it is blocked or waits
  std::int64_t lag() const { return position < 0 || end < 0 ? -1 : end > position ? end - position : 0; }
};

struct source_status {
  std::string topic;
  std::string state = "starting"; // starting, running, waiting (has no partition at present), blocked
  std::string message;
  bool connected = false; // the brokers answered when they were asked last
  double records_per_s = 0;
  std::uint64_t records = 0, dead_letters = 0, duplicates = 0;
  std::map<std::int32_t, partition_status> partitions;
};

struct job_run_status {
  std::uint64_t number = 0; // of this scheduler's life, from 1; 0: of another's
  std::string id;           // of the execution, in the job repository
  std::string status;       // batch/execution.hpp
  std::int64_t fire_ms = 0, started_ms = 0, ended_ms = 0;
  std::uint64_t read = 0, filtered = 0, skipped = 0, written = 0;
  std::uint64_t commits = 0;                // transactions of the result
  std::uint32_t retried = 0, takeovers = 0; // how often it was tried again, and gone on with by another scheduler
  std::string message;
  std::uint64_t total = 0; // rows to read, as far as known when it began; 0: not known
};

struct job_status {
  bool running = false;
  std::int64_t next_fire_ms = 0; // 0: on demand only
  std::uint64_t runs = 0;
  job_run_status present;           // while it is running
  std::vector<job_run_status> last; // newest first, a bounded number
};

class status_board {
public:
  // Something the node waits for before it is ready; an empty reason clears it. Who spawns an actor that will say so
  // says it first: the actor itself speaks only once it runs, and until then the node must not look ready.
  void waiting(const std::string& what, const std::string& reason);
  void ready(const std::string& what) { waiting(what, {}); }
  std::map<std::string, std::string> waits() const;

  // `change` runs under the lock: keep it short.
  template <class Change>
  void source(const std::string& name, Change&& change) {
    std::lock_guard lock(mutex_);
    change(sources_[name]);
  }
  template <class Change>
  void job(const std::string& name, Change&& change) {
    std::lock_guard lock(mutex_);
    change(jobs_[name]);
  }
  void link(std::size_t i, bool up);

  std::map<std::string, source_status> sources() const;
  std::map<std::string, job_status> jobs() const;
  std::vector<bool> links() const;

private:
  mutable std::mutex mutex_;
  std::map<std::string, std::string> waits_;
  std::map<std::string, source_status> sources_;
  std::map<std::string, job_status> jobs_;
  std::vector<bool> links_;
};

} // namespace weir
