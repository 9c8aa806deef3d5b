// Jittered exponential backoff ("full jitter"): every retry in the program waits by one of these.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <random>

namespace weir {

class backoff {
public:
  using milliseconds = std::chrono::milliseconds;

  explicit backoff(milliseconds first = milliseconds{50}, milliseconds most = milliseconds{5000},
                   std::uint64_t seed = std::random_device{}())
      : first_(first), most_(most), random_(seed) {}

  // The wait before the next try: between half and all of first * 2^tries, at most `most`.
  milliseconds next() {
    const auto shift = std::min<unsigned>(tries_++, 20);
    const auto full = std::min<std::int64_t>(most_.count(), first_.count() << shift);
    return milliseconds{std::uniform_int_distribution<std::int64_t>(full / 2, full)(random_)};
  }

  void reset() { tries_ = 0; }
  unsigned tries() const { return tries_; }

private:
  milliseconds first_, most_;
  unsigned tries_ = 0;
  std::minstd_rand random_;
};

} // namespace weir
