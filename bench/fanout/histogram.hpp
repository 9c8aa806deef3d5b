#pragma once

#include <algorithm>
#include <array>
#include <cinttypes>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <string>

namespace fanout {

// Counts of microseconds, to within 1/64.
class histogram {
public:
  void add(std::int64_t us, std::uint64_t times = 1) {
    const auto v = static_cast<std::uint64_t>(us < 0 ? 0 : us);
    counts_[slot(v)] += times;
    total_ += times;
    most_ = std::max(most_, v);
  }
  std::uint64_t total() const { return total_; }
  double ms(double share) const {
    const auto wanted = static_cast<std::uint64_t>(std::ceil(static_cast<double>(total_) * share));
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < counts_.size(); ++i)
      if ((seen += counts_[i]) >= wanted && seen > 0)
        return static_cast<double>(value(i)) / 1000;
    return 0;
  }
  std::string json() const {
    if (total_ == 0)
      return "null";
    char text[160];
    std::snprintf(text, sizeof text, R"({"count":%)" PRIu64 R"(,"p50":%.3f,"p90":%.3f,"p99":%.3f,"max":%.3f})", total_,
                  ms(0.5), ms(0.9), ms(0.99), static_cast<double>(most_) / 1000);
    return text;
  }
  void clear() { *this = histogram{}; }

private:
  static std::size_t slot(std::uint64_t v) {
    if (v < 128)
      return v;
    const auto power = static_cast<std::size_t>(63 - __builtin_clzll(v)) - 6;
    return std::min<std::size_t>(128 + (power - 1) * 64 + ((v >> power) - 64), 128 + 40 * 64 - 1);
  }
  static std::uint64_t value(std::size_t i) {
    if (i < 128)
      return i;
    const auto power = (i - 128) / 64 + 1;
    return (64 + (i - 128) % 64) << power;
  }
  std::array<std::uint64_t, 128 + 40 * 64> counts_{};
  std::uint64_t total_ = 0, most_ = 0;
};

} // namespace fanout
