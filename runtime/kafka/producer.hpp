// The port through which dead letters, job output and demo records go to Kafka.
#pragma once

#include "runtime/core/error.hpp"

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace weir::kafka {

struct message {
  std::string topic;
  std::optional<std::string> key, value;
  std::vector<std::pair<std::string, std::string>> headers;
  std::int32_t partition = -1; // -1: by key
  std::int64_t time_ms = 0;    // 0: now
  // If it is too large for the topic or the local queue, it goes without its value, with a header "weir.truncated" that
  // has the value's size: for dead letters, which must never hold up what they tell of.
  bool value_may_go = false;
};

class producer {
public:
  virtual ~producer() = default;
  // Thread-safe, does not wait. `done` runs on the producer's own thread, once the brokers have it (acks=all,
  // idempotent) or the delivery failed for good. A full local queue is ec::overloaded at once, from the calling thread.
  virtual void send(message m, std::function<void(result<void>)> done) = 0;
  // Waits until all is delivered or the deadline passed. False: something is left.
  virtual bool flush(std::chrono::milliseconds deadline) = 0;
};

} // namespace weir::kafka
