// A transaction on one source partition's state: what the one apply script does, atomically, or refuses as a whole (I1,
// I2).
#pragma once

#include "proto/change_set.hpp"
#include "proto/ids.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace weir::redis {

// The position of a table that has none yet.
inline constexpr offset no_position{-1};

// Moves a table's position: applied only if the stored one is `expect`.
struct position_move {
  table_ref table;
  offset expect = no_position;
  offset next;
};

// The last record applied, to tell another log behind the same offset (a topic made anew).
struct record_mark {
  offset at;
  std::int64_t time_ms = 0;
  std::uint32_t checksum = 0; // CRC-32 of key and value
  auto operator<=>(const record_mark&) const = default;
};

// What one transaction does to one table. `changes` is filled by the owner but for epoch, previous, first, last (the
// reply gives them).
struct table_write {
  table_ref table;
  std::uint32_t buckets = 1;          // rows lie in this many hashes by key
  std::optional<std::int64_t> ttl_ms; // rows are indexed by at.time_ms + ttl_ms
  std::shared_ptr<change_set>
      changes; // rows to put (value) or remove (null), or entries to append as one packed stream entry
  std::optional<std::int64_t>
      expire_up_to_ms; // expiry: remove those of changes->rows (null values) whose index is still <= this; others stay
  std::optional<version> trim_below; // log: drop packed entries whose id is below this
  std::uint64_t trimmed = 0;         // log: the number of records in those
};

// A chunk of a job's result: applied only while this execution is the job's, by the scheduler that runs it, and once.
struct chunk_guard {
  std::uint64_t token = 0; // fence_token of job_store.hpp
  std::string execution;
  std::uint64_t chunk = 0; // from 0; stored as written by the same transaction
};

struct transaction {
  partition_key partition;
  batch_id follows, id; // the chain: applied only on top of exactly `follows`; "already" if `id` is stored
  version hint;         // the highest version this node has seen from anybody
  std::optional<stream_epoch> renew_epoch; // set in the first transaction after a detected rollback
  std::vector<position_move> positions;
  std::vector<table_write> tables; // empty, with no positions: a heartbeat
  std::optional<record_mark> mark;
  std::optional<chunk_guard> guard; // of a job's pseudo-partition; refused by it: tx_status::outdated
  std::size_t bytes = 0;            // approximate size of rows and entries, for the pipeline's bound
};

using transaction_ptr = std::shared_ptr<const transaction>;

enum class tx_status { applied, already, mismatch, fenced, outdated };

struct tx_result {
  tx_status status = tx_status::applied;
  version first, last;           // of this commit; for `already` both are the stored last
  std::vector<version> previous; // by tables[i]: version of the last transaction before this that touched it
  std::vector<std::vector<std::uint32_t>> kept; // expiry: by tables[i], indexes of rows that were not removed after all
  stream_epoch epoch;                           // as stored now
};

} // namespace weir::redis
