// Which part of a log an execution reads.
#pragma once

#include "proto/topology.hpp"

#include <cstdint>
#include <optional>

namespace weir::batch {

struct event_window {
  std::int64_t from_ms = 0, to_ms = 0; // event times in [from, to), milliseconds since 1970
};

// Of the execution with that fire time; nothing: all of the table. `last` ends at the fire time; of the windows aligned
// to 1970, it is the newest that ended `lateness` before it, at the latest.
inline std::optional<event_window> window_of(const job_config& job, std::int64_t fire_ms) {
  if (job.last)
    return event_window{fire_ms - job.last->count(), fire_ms};
  if (!job.window || job.window->count() <= 0)
    return std::nullopt;
  const auto length = job.window->count(), upto = fire_ms - job.lateness.count();
  const auto rest = upto % length;
  const auto end = upto - (rest < 0 ? rest + length : rest);
  return event_window{end - length, end};
}

} // namespace weir::batch
