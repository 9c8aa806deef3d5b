// Waiting in tests: for a condition, never for a time.
#pragma once

#include <chrono>
#include <functional>
#include <thread>

namespace weir::support {

// True as soon as `holds` is, false where it is not within the deadline. `holds` runs in the caller's thread.
inline bool eventually(const std::function<bool()>& holds,
                       std::chrono::milliseconds within = std::chrono::seconds(20)) {
  const auto until = std::chrono::steady_clock::now() + within;
  while (!holds()) {
    if (std::chrono::steady_clock::now() >= until)
      return false;
    // The interval between two looks, so that what is waited for gets the processor. Nothing depends on its length.
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

} // namespace weir::support
