// Folds the records of one source partition into changes of the tables that read from it. No I/O, no threads; one per
// partition actor.
//
// Life of a batch: add() ... add(), then missing_states() -> load -> supply_state() for aggregates, then close() ->
// submit. Records may be added while states are being loaded and while earlier batches are in flight. When a batch's
// transaction was applied, say committed(); when it was not (anything but applied or already), restart() with the
// positions claimed anew.
//
// Each table has its own position and ignores records below it. A record below all positions is ignored as a whole.
//
// A record's value has to be one JSON object of at most max_record_bytes, else it is a dead letter. It is read once,
// for all tables. A table whose `where` does not match ignores it. A table that finds no key in it misses it: one dead
// letter "no key", however many tables miss it; the others take it. A record that an older table already made a dead
// letter of is none again when a table added later reads it.
//
// `latest`: within a partition the log's order decides: the record with the highest offset is the part's candidate,
// whatever its timestamp (so compaction never changes a result). Its stamp is its own timestamp, partition and offset;
// between partitions the greatest stamp wins (merge.hpp). A negative timestamp ("none") counts as 0.
//
// A tombstone removes the row of its record key from `latest` tables keyed by it; it is a dead letter only if they
// can't use its key.
//
// The row is the record as it is, without white space around it; minified if it has CR or LF.
#pragma once

#include "proto/change_set.hpp"
#include "proto/ids.hpp"
#include "proto/topology.hpp"
#include "runtime/core/error.hpp"
#include "runtime/redis/transaction.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace weir::table {

struct fold_table {
  table_config config;
  table_ref ref;
  std::uint32_t buckets = 1;
};

struct fold_options {
  std::uint64_t max_record_bytes = 1 << 20;
  // Aggregate states kept in memory, over all tables. Those of batches that are not committed yet are kept beyond it.
  std::size_t cached_states = 100'000;
};

// Of one record. `dead_letter` is static text; empty: none. Neither taken nor a dead letter: skipped (position,
// `where`, tombstone).
struct verdict {
  bool taken = false; // some table took it; may be, although it is a dead letter for another one
  std::string_view dead_letter;
};

struct missing_state {
  std::size_t table = 0; // index into the tables given to the constructor
  std::vector<std::string> keys;
};

struct batch {
  std::uint64_t number = 0;                    // from 1
  std::size_t records = 0;                     // seen, taken or not
  std::vector<redis::position_move> positions; // tables whose position moves, whether anything changed or not
  std::vector<redis::table_write> tables;      // tables that changed; `changes` without epoch, previous, first, last
  std::vector<std::size_t> table_indexes;      // of tables[i], in the constructor's list
  std::optional<redis::record_mark> mark;      // the last record seen
  std::size_t bytes = 0;                       // of keys and values in `tables`
  std::int64_t newest_record_ms = 0;           // greatest timestamp of a record seen; 0: none

  bool empty() const { return positions.empty(); }
};

class partition_fold {
public:
  // `positions[i]` is where tables[i] goes on: it takes records at or above; redis::no_position takes all.
  partition_fold(partition_key source, std::vector<fold_table> tables, std::vector<offset> positions,
                 fold_options options = {});
  ~partition_fold();
  partition_fold(const partition_fold&) = delete;
  partition_fold& operator=(const partition_fold&) = delete;

  // The arguments need to be valid during the call only. No key and no value (a tombstone) are nullopt.
  verdict add(offset at, std::int64_t time_ms, const std::optional<std::string_view>& key,
              const std::optional<std::string_view>& value);

  // Of the open batch: records seen, and approximate bytes held for it. The caller bounds both.
  std::size_t records() const;
  std::size_t bytes() const;

  // Aggregate keys whose stored state is needed and was not asked for yet. Each key is handed out once, until
  // restart().
  std::vector<missing_state> missing_states();
  // What is stored for a key (nullopt: nothing). Its records so far are folded in, in their order. An error: the stored
  // text is no state. A key that nobody waits for (after restart()) is ignored.
  result<void> supply_state(std::size_t table, std::string_view key, const std::optional<std::string_view>& stored);
  // Keys still waited for, asked for or not. close() needs it to be 0.
  std::size_t awaited_states() const;

  // Ends the open batch and begins the next; empty() if no record was seen. Throws std::logic_error if states are
  // awaited.
  batch close();
  // The batch of that number and all before it are stored: their states may leave the cache now.
  void committed(std::uint64_t number);
  // Drops the open batch and all states, and goes on from other positions.
  void restart(std::vector<offset> positions);
  // Drops the states of committed batches (memory is short); they are loaded again when needed.
  void drop_cache();

  // Where tables[i] goes on after the records added so far; the lowest of all is where reading has to start.
  offset position(std::size_t table) const;
  offset lowest_position() const;
  std::size_t cached_states() const;

private:
  struct impl;
  std::unique_ptr<impl> impl_;
};

} // namespace weir::table
