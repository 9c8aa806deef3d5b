// The newest entries of a `log` table in memory, in order of arrival. Not thread-safe. Bounded by number, bytes and,
// where asked, age.
#pragma once

#include "proto/change_set.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <vector>

namespace weir::table {

// One packed entry as stored; record i has version first + i.
struct loaded_batch {
  version first;
  std::vector<log_entry> entries;
};

// The newest entries of one partition as read from Redis.
struct log_load {
  partition_id partition;
  version after;                     // entries at or below it are in the ring already; 0: nothing is
  version upto;                      // entries above it will come as change sets
  version floor;                     // entries at or below it may be missing
  std::vector<loaded_batch> batches; // in any order
};

struct ring_limits {
  std::size_t entries = 100'000;
  std::size_t bytes = 64 << 20;
  std::int64_t age_ms = 0; // by event time; 0: no bound
};

class log_ring {
public:
  explicit log_ring(ring_limits limits = {}) : limits_(limits) {}

  struct entry {
    version at;
    version running_max; // of all versions that arrived up to here
    version complete;    // the table's watermark when it arrived: nothing at or below arrives later
    partition_id partition;
    weir::offset offset;
    std::int64_t time_ms = 0;
    shared_bytes value;
  };

  void apply(partition_id partition, const change_set& changes, version watermark);
  // True: entries between what was in the ring and what was read are missing, so who follows the ring has lost some.
  [[nodiscard]] bool load(std::span<const log_load> loads, version watermark);
  void trim(std::int64_t now_ms);
  // Drops a partition's entries; the others arrive anew, so nobody can go on from an earlier cursor.
  void forget(partition_id partition);

  arrival head() const { return head_; }
  // Of the oldest entry that is there; above head() where there is none.
  arrival first() const { return arrival{head_.value + 1 - entries_.size()}; }
  bool holds(arrival from) const { return from.value + entries_.size() >= head_.value && from <= head_; }
  // As keyed_view::cursor_for.
  std::optional<arrival> cursor_for(version seen) const;
  version floor() const { return floor_; }

  // The entry that arrived as number `at`; head() - size() < at <= head().
  const entry& at(arrival a) const { return entries_[entries_.size() - 1 - (head_.value - a.value)]; }
  // The newest `most` by (version, partition, place), oldest first.
  std::vector<const entry*> newest(std::size_t most) const;

  std::size_t size() const { return entries_.size(); }
  std::size_t bytes() const { return bytes_; }

private:
  void append(entry e);
  void arrive_anew();
  void drop_first();

  ring_limits limits_;
  std::deque<entry> entries_; // arrivals (head - size, head]
  arrival head_;
  version running_max_, floor_;
  std::size_t bytes_ = 0;
};

} // namespace weir::table
