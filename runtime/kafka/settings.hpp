// Private to runtime/kafka: librdkafka's configuration for each use.
#pragma once

#include "proto/topology.hpp"
#include "runtime/kafka/rd_handle.hpp"

#include <cstddef>
#include <cstdint>

namespace weir::kafka {

// What may be fetched ahead for each partition; see rd_consumer.hpp.
struct queue_limits {
  std::uint64_t kbytes = 0;
  std::uint64_t messages = 0;
};

queue_limits divide_budget(std::uint64_t queue_bytes, std::int32_t partitions);

// Notices when a queue that was full, so that librdkafka stopped fetching it, has room again. Lengths in messages, as
// they are at the time.
class fill_watch {
public:
  explicit fill_watch(queue_limits limits) : limits_(limits) {}
  void before_drain(std::size_t length);
  // True: librdkafka should look again. Once for each time that the queue was full.
  bool after_drain(std::size_t taken, std::size_t payload_bytes, std::size_t length);

private:
  double fill(std::size_t length) const; // 1: at one of the limits
  queue_limits limits_;
  double mean_bytes_ = 256; // of recent records' payloads
  bool was_full_ = false;
};

// Values of properties whose names say that they are secret.
std::unique_ptr<context> make_context(const kafka_config& kafka, std::string component);

// Reads a source; fetches ahead within `limits`. `by_hand`: the embedded broker.
result<conf_ptr> consumer_conf(const kafka_config& kafka, const std::string& group, const std::string& client_id,
                               queue_limits limits, bool by_hand);
// Asks questions and reads single records.
result<conf_ptr> asker_conf(const kafka_config& kafka, const std::string& group, const std::string& client_id);
result<conf_ptr> producer_conf(const kafka_config& kafka, const std::string& client_id, std::uint64_t queue_bytes,
                               std::uint32_t queue_messages, std::int64_t delivery_ms);
// Neither reads nor writes.
result<conf_ptr> probe_conf(const kafka_config& kafka);

// True if this librdkafka fetches again soon after its queues were full by itself.
bool refetches_by_itself();

} // namespace weir::kafka
