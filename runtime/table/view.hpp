// Rows of a `latest` or `aggregate` table in memory, in the order in which their last changes arrived. A cursor is an
// arrival number: what changed since is everything behind it. Removed rows stay as tombstones until age or number drops
// them, which raises the floor. Not thread-safe. Bounds: rows by the caller (bytes()), tombstones by view_limits.
#pragma once

#include "proto/change_set.hpp"
#include "proto/topology.hpp"

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace weir::table {

struct part;

// Names the keys that one transaction changed or removed; from the change log in Redis.
struct logged_change {
  version at;
  std::vector<std::string> keys;
};

// A partition of a keyed table as read from Redis. Rows may be newer than `last`: what they include is applied once
// more without harm.
struct rows_load {
  partition_id partition;
  version after;      // what the view knew of the partition so far; 0: nothing, or nothing that counts any more
  bool first = false; // the view has no row of the partition yet
  std::vector<row_change> rows;
  version floor;                      // changes at or below it may be missing in `changes`
  std::vector<logged_change> changes; // oldest first
};

struct view_limits {
  std::int64_t tombstone_ms = 600'000;
  std::size_t tombstones = 100'000;
};

class keyed_view {
public:
  explicit keyed_view(const table_config& table, view_limits limits = {});
  ~keyed_view();
  keyed_view(const keyed_view&) = delete;
  keyed_view& operator=(const keyed_view&) = delete;

  struct row {
    std::string_view key;
    shared_bytes value; // null: a tombstone
    version at;         // greatest of its parts' versions; never goes back
    arrival place;
    stamp of;                 // of the part that is shown
    std::int64_t time_ms = 0; // Kafka timestamp of the newest record in the last change; 0: not known
    std::int64_t removed_ms = 0;
    std::unique_ptr<std::vector<part>>
        parts;            // aggregates, and rows that several partitions have; else the row is its only part
    std::size_t slot = 0; // in places_
  };

  // A change set that the chain accepted.
  void apply(const change_set& changes, std::int64_t now_ms);
  // Whole partitions: brings the rows to what was read, as changes in order of version. Rows that differ in nothing
  // stay where they are.
  void load(std::span<const rows_load> loads, std::int64_t now_ms);
  // Drops tombstones that are too old or too many, never ones above the watermark unless there are four times too many.
  void drop_tombstones(std::int64_t now_ms, version watermark);

  const row* find(std::string_view key) const; // null: absent or removed

  arrival head() const { return head_; }
  // Whether every change after `from` is still known.
  bool holds(arrival from) const { return from >= dropped_ && from <= head_; }
  // A cursor from which a client that has seen everything up to `seen` misses nothing (it may get some rows again).
  // Nothing: below the floor.
  std::optional<arrival> cursor_for(version seen) const;
  version floor() const { return floor_; }
  version newest() const { return running_max_; } // of all changes so far

  // Calls visit(const row&) -> bool for rows and tombstones with place > from, in order of arrival, until it answers
  // false.
  template <class Visit>
  void walk(arrival from, Visit&& visit) const {
    for (std::size_t i = first_after(from); i < places_.size(); ++i)
      if (places_[i].who && !visit(*places_[i].who))
        return;
  }

  std::size_t rows() const { return rows_.size() - tombstone_count_; }
  std::size_t tombstones() const { return tombstone_count_; }
  std::size_t bytes() const { return bytes_; }

private:
  // One entry for each change ever, without the ones that were overtaken (null) once they are cleared away.
  struct place {
    row* who;
    arrival at;
    version running_max; // of all versions that arrived up to here
  };

  void change(std::string_view key, partition_id partition, const stamp& of, const shared_bytes& value, version at,
              std::int64_t now_ms);
  bool has_part(const row& r, partition_id partition) const;
  bool same_part(const row& r, partition_id partition, const row_change& stored) const;
  shared_bytes merged(row& r, partition_id partition, const stamp& of, const shared_bytes& value) const;
  void move_to_end(row& r, version at);
  std::size_t first_after(arrival from) const;
  void compact();
  std::size_t cost(const row& r) const;

  const table_config table_;
  const view_limits limits_;
  struct text_hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const noexcept { return std::hash<std::string_view>{}(text); }
  };
  std::unordered_map<std::string, row, text_hash, std::equal_to<>> rows_;
  std::vector<place> places_;
  std::size_t holes_ = 0;
  arrival head_, dropped_;
  version running_max_, floor_;
  struct grave {
    row* who;
    arrival at;
  };
  std::deque<grave> graves_; // in order of arrival; an entry whose row moved on is void
  std::size_t tombstone_count_ = 0;
  std::size_t bytes_ = 0;
};

} // namespace weir::table
