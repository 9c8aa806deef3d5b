#include "runtime/batch/schedule.hpp"

#include <algorithm>

namespace weir::batch {

namespace {

std::int64_t multiple_up_to(std::int64_t now, std::int64_t every) {
  const auto rest = now % every;
  return now - (rest < 0 ? rest + every : rest);
}

} // namespace

interval_schedule::interval_schedule(std::optional<duration> every, std::int64_t now_ms,
                                     std::optional<std::int64_t> last_fire_ms, missed_policy missed)
    : all_(missed == missed_policy::all) {
  if (every)
    every_ms_ = std::max<std::int64_t>(1, every->count());
  // The first run waits for the next multiple: a start in the middle is no fire time.
  last_ = std::max(now_ms, last_fire_ms.value_or(now_ms));
  if (last_fire_ms && missed != missed_policy::skip)
    last_ = *last_fire_ms;
  if (every_ms_ && all_ && (now_ms - last_) / *every_ms_ > most_missed) {
    const auto from = multiple_up_to(now_ms, *every_ms_) - most_missed * *every_ms_;
    skipped_ += static_cast<std::uint64_t>((from - multiple_up_to(last_, *every_ms_)) / *every_ms_);
    last_ = from;
  }
}

std::optional<std::int64_t> interval_schedule::wake_at() const {
  if (!every_ms_ || running_)
    return {};
  return multiple_up_to(last_, *every_ms_) + *every_ms_;
}

std::optional<std::int64_t> interval_schedule::poll(std::int64_t now_ms) {
  const auto due = wake_at();
  if (!due || now_ms < *due)
    return {};
  const auto fire = all_ ? *due : multiple_up_to(now_ms, *every_ms_);
  skipped_ += static_cast<std::uint64_t>((fire - *due) / *every_ms_);
  last_ = fire;
  running_ = true;
  return fire;
}

std::optional<std::int64_t> interval_schedule::demand(std::int64_t now_ms) {
  if (running_)
    return {};
  last_ = std::max(now_ms, last_ + 1);
  running_ = true;
  return last_;
}

void interval_schedule::taken(std::int64_t fire_ms) {
  last_ = std::max(last_, fire_ms);
  running_ = true;
}

void interval_schedule::finished(std::int64_t now_ms) {
  running_ = false;
  if (!every_ms_ || now_ms <= last_ || all_)
    return;
  const auto passed = multiple_up_to(now_ms, *every_ms_);
  const auto next = multiple_up_to(last_, *every_ms_) + *every_ms_;
  if (passed >= next) {
    skipped_ += static_cast<std::uint64_t>((passed - next) / *every_ms_ + 1);
    last_ = passed;
  }
}

} // namespace weir::batch
