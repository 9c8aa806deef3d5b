// How fast an execution reads its input: a throttle that its reducers share.
#pragma once

#include <algorithm>
#include <cstdint>
#include <mutex>

namespace weir::batch {

// Gives those who read chunks of one input their turns, so that together they read no more rows a second than they may,
// and spread over the second: chunks that are due at the same moment would keep Redis and the cores from everybody else
// for as long as all of them take. Who reads reserves a turn for about as many rows as come, waits for it, reads, and
// says how many there were.
//
// The rate goes down to a tenth while the readers' threads wait for processors: on a machine that has none to spare,
// each row that is read makes somebody else wait, and a job can wait best. Thread-safe.
class pace {
public:
  // 0: as fast as it goes.
  explicit pace(std::uint64_t rows_per_s) : rows_per_s_(rows_per_s) {}

  // The moment of the turn, in the clock of `now_ms` (milliseconds); may be in the past. What follows is only due when
  // these rows have had their time.
  std::int64_t reserve(std::int64_t now_ms, std::uint64_t rows) {
    if (rows_per_s_ == 0)
      return now_ms;
    std::lock_guard lock(mutex_);
    free_us_ = std::max(free_us_, (now_ms - late_ms) * 1000);
    const auto turn = free_us_;
    free_us_ += time_of(rows);
    return turn / 1000;
  }

  // Of a turn that was reserved.
  void found(std::uint64_t reserved, std::uint64_t rows) {
    if (rows_per_s_ == 0)
      return;
    std::lock_guard lock(mutex_);
    free_us_ += time_of(rows) - time_of(reserved);
  }

  // Of the threads that read, since each of them last said so: how long they ran, and how long they waited for a
  // processor (nanoseconds).
  void fared(std::uint64_t ran_ns, std::uint64_t waited_ns) {
    if (rows_per_s_ == 0)
      return;
    std::lock_guard lock(mutex_);
    ran_ns_ += ran_ns;
    waited_ns_ += waited_ns;
    if (ran_ns_ < judged_ns)
      return;
    slower_ = std::clamp(static_cast<double>(waited_ns_) / static_cast<double>(ran_ns_) / idle_wait, 1.0, most_slower);
    if (ran_ns_ > 10 * judged_ns) { // what is past counts less and less
      ran_ns_ /= 2;
      waited_ns_ /= 2;
    }
  }

  // How many times slower than the throttle it is, 1 to 10.
  double slower() {
    std::lock_guard lock(mutex_);
    return slower_;
  }

private:
  // Timers and threads are this late, and what is lost by it may be made up for; whoever is later has had other
  // reasons.
  static constexpr std::int64_t late_ms = 10;

  // Where processors are to spare a thread waits for one this much of the time that it runs, or less.
  static constexpr double idle_wait = 0.2;
  static constexpr double most_slower = 10;
  static constexpr std::uint64_t judged_ns = 2'000'000; // of running; less tells nothing

  std::int64_t time_of(std::uint64_t rows) const {
    return static_cast<std::int64_t>(static_cast<double>(rows) / static_cast<double>(rows_per_s_) * 1e6 * slower_);
  }

  const std::uint64_t rows_per_s_;
  std::mutex mutex_;
  std::int64_t free_us_ = 0;                 // microseconds: when nobody's turn is
  std::uint64_t ran_ns_ = 0, waited_ns_ = 0; // of late
  double slower_ = 1;
};

} // namespace weir::batch
