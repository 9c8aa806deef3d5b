// The sessions of one reactor that are in one lane of a table: a frame comes to the reactor once and is handed to each.
#pragma once

#include "runtime/table/publication.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace weir::http {

class session_policy;

class lane_port {
public:
  // Frames on their way to the reactor; beyond, they are left out, and the sessions catch up when the reactor has come
  // that far.
  static constexpr std::uint32_t most_under_way = 64;

  // Any thread. False: leave the frame out.
  bool offer() {
    if (under_way_ >= most_under_way) {
      left_out_ = true;
      // Whoever delivers the last one looks at left_out_ after it has counted down, so one of the two sees the other.
      if (under_way_ > 0)
        return false;
    }
    ++under_way_;
    return true;
  }

  // All below on the reactor's thread only.

  // How many sessions took the frame. `owed`: it was offered.
  std::size_t deliver(const table::fan_out& changes, std::int64_t now_ms, bool owed = true);
  // The lane ends: the sessions make their clients subscribe anew.
  void reset();

  // Gives the member's index, for leave().
  std::size_t join(session_policy& who, std::uint32_t generation);
  void leave(std::size_t index);
  std::size_t size() const { return members_.size(); }

private:
  struct member {
    session_policy* who;
    std::uint32_t generation;
  };
  std::vector<member> members_;
  std::atomic<std::uint32_t> under_way_{0};
  std::atomic<bool> left_out_{false};
};

} // namespace weir::http
