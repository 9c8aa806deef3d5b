// The port through which actors read Kafka. Real: librdkafka. In tests: memory_log (tests/support).
#pragma once

#include "proto/ids.hpp"
#include "runtime/core/error.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

namespace weir::kafka {

// Valid during the call that gets it.
struct record {
  offset at;
  std::int64_t time_ms = 0; // milliseconds since 1970; -1: the record has none
  std::optional<std::string_view> key;
  std::optional<std::string_view> value; // none: a tombstone
};

// One assigned partition's own queue. Not draining it is the backpressure: librdkafka's limits bound its memory.
// Used by one thread at a time (the partition actor's). Destroy before the partition is unassigned.
class partition_queue {
public:
  virtual ~partition_queue() = default;

  // Hands over what is there, at most `most` records, until `take` says false (that record counts as taken). Gives the
  // number taken. Errors of the partition come as a result: kafka_out_of_range, kafka_failed, ...
  virtual result<std::size_t> drain(std::size_t most, const std::function<bool(const record&)>& take) = 0;
  // Called from a librdkafka thread whenever the queue goes from empty to not empty; may be called once too often.
  virtual void on_ready(std::function<void()> ready) = 0;
  // End of the log as last heard from the broker: the offset after the newest record; -1: not known yet. Does not
  // block.
  virtual std::int64_t high_watermark() const = 0;
};

struct partition_start {
  partition_id partition;
  offset at;
};

struct topic_facts {
  std::string cluster_id;
  std::int32_t partitions = 0;
};

struct partition_range {
  offset low, high;                // of the log at present; high is the offset after the newest record
  std::optional<offset> committed; // by the source's group
};

class consumer {
public:
  virtual ~consumer() = default;

  struct handlers {
    // Partitions came; answer with assign() once their start offsets are known. `generation` of the group, -1: assigned
    // by hand.
    std::function<void(std::vector<partition_id>, std::int32_t generation)> assigned;
    // Partitions go: stop using their queues, then answer with unassign(). `lost`: they may already have another owner.
    std::function<void(std::vector<partition_id>, bool lost)> revoked;
    std::function<void(error, bool fatal)> failed; // connection trouble and the like; librdkafka retries unless fatal
  };

  // Joins the group (or, for the embedded broker, takes all partitions by hand). Handlers run on the consumer's own
  // thread.
  virtual void start(handlers h) = 0;
  virtual result<std::vector<std::pair<partition_id, std::unique_ptr<partition_queue>>>>
  assign(std::vector<partition_start> starts) = 0;
  virtual void unassign(std::vector<partition_id> partitions) = 0;
  // Moves one assigned partition's reading to another offset; its queue is made anew (the old one must be destroyed
  // before).
  virtual result<std::unique_ptr<partition_queue>> restart(partition_start start) = 0;
  // Advisory commit for lag tools; never ahead of Redis (I3). Does not wait.
  virtual void commit(std::vector<partition_start> positions) = 0;

  // Questions to the brokers; answered on the consumer's helper thread within the deadline.
  virtual void describe(std::chrono::milliseconds deadline, std::function<void(result<topic_facts>)> done) = 0;
  virtual void range(partition_id partition, std::chrono::milliseconds deadline,
                     std::function<void(result<partition_range>)> done) = 0;
  // The record at exactly `at`, for comparing it with the stored mark: its timestamp and CRC-32 of key and value;
  // nullopt: not there any more.
  struct record_print {
    std::int64_t time_ms = 0;
    std::uint32_t checksum = 0;
  };
  virtual void fingerprint(partition_id partition, offset at, std::chrono::milliseconds deadline,
                           std::function<void(result<std::optional<record_print>>)> done) = 0;

  // Leaves the group and ends the threads, by the deadline at the latest.
  virtual void close(std::chrono::milliseconds deadline) = 0;
};

// CRC-32 (zlib's) of a record's key and value, as kept in record_mark.
std::uint32_t record_checksum(const std::optional<std::string_view>& key, const std::optional<std::string_view>& value);

} // namespace weir::kafka
