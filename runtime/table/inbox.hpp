// The publisher's inbox: writers put committed change sets in and never wait; the publisher takes all at once (I6).
// Bounded in bytes: what does not fit is dropped with all that waits, and the publisher loads the table anew (I7).
#pragma once

#include "proto/change_set.hpp"

#include <cstddef>
#include <mutex>
#include <vector>

namespace weir::table {

class change_inbox {
public:
  explicit change_inbox(std::size_t most_bytes = 32 << 20) : most_bytes_(most_bytes) {}

  // Any thread. True: the first since the last take(), so the publisher has to be woken; a burst costs one message.
  [[nodiscard]] bool put(change_set_ptr changes);

  struct content {
    std::vector<change_set_ptr> changes; // in the order they were put
    bool gap = false;                    // something before `changes` was dropped
  };
  // Any thread; meant for one taker.
  content take();

  std::size_t bytes() const;

private:
  const std::size_t most_bytes_;
  mutable std::mutex mutex_; // guards all below
  std::vector<change_set_ptr> waiting_;
  std::size_t bytes_ = 0;
  bool gap_ = false;
  bool woken_ = false;
};

// Approximate memory of a change set.
std::size_t bytes_of(const change_set& changes);

} // namespace weir::table
