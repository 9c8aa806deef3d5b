// What the jobs of one scheduler share. Lives in the scheduler's state, and is touched by that actor alone.
#pragma once

#include "actors/scheduler.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>

namespace weir::actors {

class job_runner;

inline constexpr std::chrono::milliseconds scheduler_tick{100};
inline constexpr std::size_t kept_runs = 20; // on the board, per job

struct scheduling {
  scheduler_config config;
  std::function<scheduler_actor()> me;
  caf::actor_system* system = nullptr;
  redis::fence_token token;   // of the lease that this node has, or had last
  redis::fence_token too_low; // a token that a job has seen
  // Another scheduler is at work.
  std::function<void(const std::string& why)> step_down;
  std::function<const job_runner*(const std::string& job)> find;

  std::int64_t now_ms() const { return config.node->wall_ms(); }
  redis::job_store& repository() const { return config.node->store->jobs(); }
  metrics::registry& metrics() const { return *config.node->metrics; }
};

} // namespace weir::actors
