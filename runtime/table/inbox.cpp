#include "runtime/table/inbox.hpp"

#include <utility>

namespace weir::table {

std::size_t bytes_of(const change_set& changes) {
  std::size_t n = sizeof(change_set) + changes.table.size();
  for (const auto& row : changes.rows)
    n += sizeof(row) + row.key.size() + (row.value ? row.value->size() : 0);
  for (const auto& entry : changes.entries)
    n += sizeof(entry) + (entry.value ? entry.value->size() : 0);
  return n;
}

bool change_inbox::put(change_set_ptr changes) {
  const auto size = bytes_of(*changes);
  std::vector<change_set_ptr> dropped; // freed outside the lock
  const std::lock_guard lock(mutex_);
  if (bytes_ + size > most_bytes_) {
    dropped.swap(waiting_);
    bytes_ = 0;
    gap_ = true;
  }
  // One that is too large by itself is left out too: the gap stands for it.
  if (size <= most_bytes_) {
    waiting_.push_back(std::move(changes));
    bytes_ += size;
  }
  return !std::exchange(woken_, true);
}

change_inbox::content change_inbox::take() {
  const std::lock_guard lock(mutex_);
  content out{std::move(waiting_), gap_};
  waiting_.clear();
  bytes_ = 0;
  gap_ = false;
  woken_ = false;
  return out;
}

std::size_t change_inbox::bytes() const {
  const std::lock_guard lock(mutex_);
  return bytes_;
}

} // namespace weir::table
