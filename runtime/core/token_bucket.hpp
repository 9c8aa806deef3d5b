// A rate with a burst: holds up to `burst` tokens and gains `per_second` of them. Not thread-safe.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace weir {

class token_bucket {
public:
  // Full at the beginning. per_second, burst > 0. now_ms, here and below: a steady clock.
  token_bucket(double per_second, double burst, std::int64_t now_ms)
      : per_ms_(per_second / 1000), burst_(burst), level_(burst), at_ms_(now_ms) {}

  // Takes n if there are as many; else nothing.
  bool take(std::int64_t now_ms, double n = 1) {
    refill(now_ms);
    if (level_ < n)
      return false;
    level_ -= n;
    return true;
  }

  // Takes n if there is any, even if that leaves a debt: for what cannot be divided and may be more than the burst.
  bool take_on_credit(std::int64_t now_ms, double n) {
    refill(now_ms);
    if (level_ <= 0)
      return false;
    level_ -= n;
    return true;
  }

  bool in_debt(std::int64_t now_ms) {
    refill(now_ms);
    return level_ <= 0;
  }

  // Milliseconds until the level is above `level`.
  std::int64_t ms_until(std::int64_t now_ms, double level = 0) {
    refill(now_ms);
    return level_ > level ? 0 : static_cast<std::int64_t>(std::floor((level - level_) / per_ms_)) + 1;
  }

private:
  void refill(std::int64_t now_ms) {
    if (now_ms <= at_ms_)
      return;
    level_ = std::min(burst_, level_ + per_ms_ * static_cast<double>(now_ms - at_ms_));
    at_ms_ = now_ms;
  }

  double per_ms_, burst_, level_;
  std::int64_t at_ms_;
};

} // namespace weir
