// The port through which actors reach Redis. Real: redis_store over links on reactors. In tests: memory_store
// (tests/support).
//
// All calls return at once and are thread-safe. Callbacks run on a reactor's thread: they hand over to an actor and
// never block. Every call ends in exactly one callback, by its deadline at the latest (ec::timeout,
// ec::redis_unreachable).
#pragma once

#include "runtime/core/error.hpp"
#include "runtime/redis/job_store.hpp"
#include "runtime/redis/transaction.hpp"

#include <functional>
#include <map>
#include <memory>
#include <string_view>

namespace weir::redis {

struct claim_request {
  partition_key partition;
  std::string owner; // the node's incarnation: unique to this run of the process
  std::int32_t generation =
      -1; // of the consumer group; -1: none. A lower one than stored (by another owner) is refused: ec::fenced
  version hint;
};

struct table_state {
  offset next = no_position;
  version changed;           // of the last transaction that touched the table
  std::uint64_t records = 0; // log: kept at present in this partition
};

// A partition's stored head. Keys of `tables` are table_ref::text().
struct partition_state {
  bool fresh = false; // nothing was stored before
  owner_epoch epoch;
  std::string owner;
  batch_id batch; // the last transaction applied; a new owner's first one follows it
  version last;
  stream_epoch stream;
  std::map<std::string, table_state> tables;
  std::optional<record_mark> mark;
  std::string run_id; // of the Redis server that answered
  // Claims only: another server process answered than the claims before, and the claimer is another one than the stored
  // owner, so nobody can know what was lost. The claim has renewed `stream` already.
  bool server_changed = false;
};

// A row as stored: `value` is JSON (latest: the row; aggregate: the part's state).
struct stored_row {
  std::string key;
  std::string value;
  std::int64_t time_ms = 0;
  offset at;
};

// One packed entry of a log. Record i has version first + i.
struct stored_batch {
  version first;
  std::vector<log_entry> entries;
};

// One record of a packed entry, a view into it.
struct packed_record {
  std::int64_t time_ms = 0;
  offset at;
  std::string_view value; // JSON, without CR or LF
};

// One packed entry as Redis has it.
struct packed_batch {
  version first;
  std::uint64_t records = 0;
  std::string_view packed; // see next_record()
};

// Takes the first record off `packed`, which has at least one. False: it is damaged.
bool next_record(std::string_view& packed, packed_record& out);

// Packed entries as they came, for readers of many that take them apart on their own thread.
struct packed_log {
  std::vector<packed_batch> batches;
  std::shared_ptr<const void> bytes; // what the batches look into
};

// A packed entry's head, without the records.
struct batch_head {
  version first;
  std::uint64_t records = 0;
  std::int64_t oldest_ms = 0, newest_ms = 0; // event times
};

// One entry of a table's change log.
struct change_log_entry {
  version at;
  std::vector<std::string> keys; // changed or removed: the rows themselves tell which
};

struct change_log {
  version floor;                         // changes at or below this may have been dropped from the log
  std::vector<change_log_entry> entries; // oldest first
};

enum class link_state { down, up };

// One writer connection. Transactions are answered in the order they were submitted.
class writer_link {
public:
  virtual ~writer_link() = default;

  // While the link is down, and for all that was sent when it went down: ec::redis_unreachable (it may have been
  // applied or not: read_head tells). An error reply (OOM, READONLY, LOADING, a failed script) is an error with its
  // code; nothing was applied.
  virtual void submit(transaction_ptr tx, callback<tx_result> done) = 0;
  // Reads a partition's head behind all submitted before it on this link.
  virtual void read_head(partition_key partition, callback<partition_state> done) = 0;
  // `changed` is told every change of state, first the present one. One listener; set before use; called on the link's
  // reactor.
  virtual void on_state(std::function<void(link_state)> changed) = 0;
};

class store {
public:
  virtual ~store() = default;

  virtual std::size_t writers() const = 0;
  virtual writer_link& writer(std::size_t i) = 0;

  // Raises the epoch, stores the owner and lifts `last` to TIME, in one script that also reads the head. Creates the
  // stream epoch of a fresh partition.
  virtual void claim(claim_request request, callback<partition_state> done) = 0;
  virtual void read_head(partition_key partition, callback<partition_state> done) = 0;

  // Rows by key, absent ones as nullopt, in the keys' order.
  virtual void load_rows(partition_key partition, table_ref table, std::uint32_t buckets, std::vector<std::string> keys,
                         callback<std::vector<std::optional<stored_row>>> done) = 0;
  virtual void load_bucket(partition_key partition, table_ref table, std::uint32_t bucket,
                           callback<std::vector<stored_row>> done) = 0;
  virtual void count_rows(partition_key partition, table_ref table, std::uint32_t buckets,
                          callback<std::uint64_t> done) = 0;

  // Packed entries with id in [from, to], oldest first, at most `most` (newest first with `reverse`).
  virtual void load_log(partition_key partition, table_ref table, version from, version to, std::uint32_t most,
                        bool reverse, callback<std::vector<stored_batch>> done) = 0;
  virtual void log_heads(partition_key partition, table_ref table, std::uint32_t most,
                         callback<std::vector<batch_head>> done) = 0;

  // What jobs read, for minutes on end: over a connection of their own, whose answers are taken apart on a thread that
  // gives way to others (runtime/core/priority.hpp), so that commits do not wait behind them. scan_log leaves the
  // entries packed, oldest first.
  virtual void scan_bucket(partition_key partition, table_ref table, std::uint32_t bucket,
                           callback<std::vector<stored_row>> done) = 0;
  virtual void scan_log(partition_key partition, table_ref table, version from, version to, std::uint32_t most,
                        callback<packed_log> done) = 0;

  virtual void load_changes(partition_key partition, table_ref table, version after, callback<change_log> done) = 0;
  // Keys whose expiry index is <= now, oldest first, at most `most`.
  virtual void expired(partition_key partition, table_ref table, std::int64_t now_ms, std::uint32_t most,
                       callback<std::vector<stored_row>> done) = 0;

  // The topology's own hash `{topology}:meta`: layout, identities of sources, definitions of tables.
  virtual void load_meta(std::string topology, callback<std::map<std::string, std::string>> done) = 0;
  // Stores `value` if the field is absent; gives what is stored afterwards.
  virtual void meta_once(std::string topology, std::string field, std::string value, callback<std::string> done) = 0;
  // Replaces `expect` by `value`; false if another value was stored.
  virtual void meta_swap(std::string topology, std::string field, std::string expect, std::string value,
                         callback<bool> done) = 0;

  // INFO-based suitability: role master, noeviction, AOF. Gives warnings for people; an error if it can't be used.
  virtual void examine(callback<std::vector<std::string>> done) = 0;

  // The job repository lies in the same Redis.
  virtual job_store& jobs() = 0;

  // Ends all links; calls still under way are answered with ec::stopped.
  virtual void close() = 0;
};

// The bucket of a key; stable for ever (it is in the stored layout). `buckets` is a power of two.
std::uint32_t bucket_of(std::string_view key, std::uint32_t buckets);
// A power of two such that a bucket holds about 1,000 rows of `expected_rows` spread over `partitions` partitions.
std::uint32_t bucket_count(std::uint64_t expected_rows, std::uint32_t partitions);
// Of a table in each of its partitions. Always as if there were eight partitions: the number must not change when a
// topic grows.
inline std::uint32_t table_buckets(std::uint64_t expected_rows) { return bucket_count(expected_rows, 8); }

} // namespace weir::redis
