// When an interval job fires. Pure: the caller brings the time, so it runs under virtual time as well.
//
// Fire times are the multiples of `every` since 1970, the same on every node and after every restart. Runs of a job
// never overlap. What becomes of fire times that pass while the job is running, or while nobody looked, is the job's
// `missed`: once, of several only the newest fires, and one that passed while it was running is skipped; all, each of
// them, the oldest first, but no more than the newest `most_missed`; skip, none that passed before this schedule was
// made. No fire time comes twice or goes back, also if the clock does: then the job rests until the clock has caught
// up.
#pragma once

#include "proto/topology.hpp"

#include <cstdint>
#include <optional>

namespace weir::batch {

inline constexpr std::int64_t most_missed = 1'000;

class interval_schedule {
public:
  // nullopt: on demand only. Fire times up to `last_fire_ms` (the last one written by an earlier owner) are over.
  explicit interval_schedule(std::optional<duration> every, std::int64_t now_ms,
                             std::optional<std::int64_t> last_fire_ms = {}, missed_policy missed = missed_policy::skip);

  // When poll() is worth a call; nullopt: never (on demand only, or running: then when finished() was called).
  std::optional<std::int64_t> wake_at() const;
  // The fire time to run now, if one is due and nothing is running; the job counts as running from here on.
  std::optional<std::int64_t> poll(std::int64_t now_ms);
  // A run on demand: its fire time is now (later than all before); nullopt if the job is running.
  std::optional<std::int64_t> demand(std::int64_t now_ms);
  // A run for that fire time goes on, or begins again, that was begun elsewhere.
  void taken(std::int64_t fire_ms);
  // The run ended, well or not.
  void finished(std::int64_t now_ms);

  bool running() const { return running_; }
  std::uint64_t skipped() const { return skipped_; } // fire times passed over

private:
  std::optional<std::int64_t> every_ms_;
  bool all_ = false;
  std::int64_t last_ = 0; // the newest fire time run or passed over
  bool running_ = false;
  std::uint64_t skipped_ = 0;
};

} // namespace weir::batch
