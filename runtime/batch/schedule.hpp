// When a job fires. Pure: the caller brings the time (milliseconds since 1970), so it runs under virtual time as well.
#pragma once

#include "proto/topology.hpp"
#include "runtime/batch/cron.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <variant>
#include <vector>

namespace weir::batch {

inline constexpr std::size_t most_missed = 1'000;

// Fire times as such, the same on every node and after every restart: the multiples of an interval since 1970, those of
// a cron expression in a time zone, or none (on demand, on change, after another job).
class timing {
public:
  timing() = default;
  explicit timing(duration every) : when_(every) {}
  timing(cron expression, std::shared_ptr<const zone> in) : when_(cron_times{expression, std::move(in)}) {}
  // Error: ec::bad_argument, an expression or a time zone that `weir check` refuses too.
  static result<timing> of(const job_config& job);

  explicit operator bool() const { return when_.index() != 0; }
  std::optional<std::int64_t> next(std::int64_t after_ms) const;
  // Those in (after, upto], oldest first; of more than most_missed, the newest.
  std::vector<std::int64_t> between(std::int64_t after_ms, std::int64_t upto_ms) const;

private:
  struct cron_times {
    cron expression;
    std::shared_ptr<const zone> in;
  };
  std::variant<std::monostate, duration, cron_times> when_;
};

struct schedule_options {
  // Fire times that pass while nobody looks. once: of several only the newest fires; all: each of them, the oldest
  // first, but no more than the newest most_missed; skip: none that passed before this schedule was made.
  missed_policy missed = missed_policy::skip;
  // Those that pass while the job is running: over, or (queue) as if nobody had looked. With `all` they always count.
  overlap_policy overlap = overlap_policy::skip;
  // Each fire time begins by up to so much later, by chance that is the same on every node.
  duration jitter{0};
  std::uint64_t seed = 0; // of that chance: tells jobs apart
};

// Runs of a job never overlap. No fire time comes twice or goes back, also if the clock does: then the job rests until
// the clock has caught up.
class schedule {
public:
  // Fire times up to `last_fire_ms` (the last one written by an earlier owner) are over.
  schedule(timing when, std::int64_t now_ms, std::optional<std::int64_t> last_fire_ms = {},
           const schedule_options& options = {});

  // When poll() is worth a call; nullopt: never (no fire times, or running: then when finished() was called).
  std::optional<std::int64_t> wake_at() const;
  // The fire time to run now, if one is due and nothing is running; the job counts as running from here on.
  std::optional<std::int64_t> poll(std::int64_t now_ms);
  // A run for another reason: its fire time is that, or later than all before; nullopt if the job is running.
  std::optional<std::int64_t> demand(std::int64_t fire_ms);
  // A run for that fire time goes on, or begins again, that was begun elsewhere.
  void taken(std::int64_t fire_ms);
  // The run ended, well or not.
  void finished(std::int64_t now_ms);

  bool running() const { return running_; }
  std::uint64_t skipped() const { return skipped_; } // fire times passed over; at most most_missed at a time

private:
  std::int64_t delay(std::int64_t fire_ms) const;
  std::vector<std::int64_t> due(std::int64_t now_ms) const;

  timing when_;
  schedule_options options_;
  std::int64_t last_ = 0; // the newest fire time run or passed over
  bool running_ = false;
  std::uint64_t skipped_ = 0;
};

} // namespace weir::batch
