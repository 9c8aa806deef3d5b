// The producer over librdkafka: idempotent, acks=all, linger 5 ms, no compression unless the topology's properties say
// otherwise.
#pragma once

#include "proto/topology.hpp"
#include "runtime/kafka/producer.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace weir::kafka {

struct producer_options {
  std::string client_id = "weir";
  std::uint64_t queue_bytes =
      32ull << 20; // local queue; send() beyond it is ec::overloaded; half of it is the most for one message
  std::uint32_t queue_messages = 100'000;              // likewise
  std::chrono::milliseconds delivery_deadline{30'000}; // a message that no broker took by then fails
  // Called on the producer's thread for connection trouble; may be empty.
  std::function<void(error, bool fatal)> failed = {};
};

// `kafka.brokers` must be addresses. Fails with bad_topology if librdkafka refuses a property. Does not wait for the
// brokers. The destructor gives what is queued up to a second, then drops it: call flush() before.
result<std::unique_ptr<producer>> make_producer(const kafka_config& kafka, producer_options options = {});

} // namespace weir::kafka
