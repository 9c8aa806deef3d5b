// What the programs of this benchmark use.
#pragma once

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

namespace fanout {

using steady = std::chrono::steady_clock;

// Ends the process, which fails the measurement.
[[noreturn]] inline void die(const std::string& what) {
  std::fprintf(stderr, "bench_fanout: %s\n", what.c_str());
  std::exit(1);
}

inline std::int64_t wall_us() {
  return std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

} // namespace fanout
