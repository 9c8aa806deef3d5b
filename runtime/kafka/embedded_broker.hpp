// An in-process Kafka for trying things out and for tests: librdkafka's mock cluster, one broker on a loopback port.
//
// Limits, all of them the mock's:
// - about 5 MiB or 100,000 message sets a partition, whichever comes first; older ones are dropped without a word;
// - nothing is kept: it starts empty and ends with this object;
// - transactions are not real (aborted records are seen), no compaction, no TLS, no authentication;
// - a fetch gives one message set a partition: fine for trying things out, useless for measuring.
// - a group's first join takes 3 s: consumers of weir take its partitions by hand (consumer_options::assign_by_hand).
#pragma once

#include "runtime/core/error.hpp"

#include <cstdint>
#include <map>
#include <memory>
#include <string>

namespace weir::kafka {

class embedded_broker {
public:
  static constexpr std::int32_t default_partitions = 4;

  // Topics with their partition counts; 0 means default_partitions. Any other topic comes into being, with
  // default_partitions, when somebody asks for it or writes to it.
  static result<std::unique_ptr<embedded_broker>> start(const std::map<std::string, std::int32_t>& topics);
  ~embedded_broker();
  embedded_broker(const embedded_broker&) = delete;
  embedded_broker& operator=(const embedded_broker&) = delete;

  // "127.0.0.1:port", for kafka_config::brokers.
  const std::string& bootstrap() const;
  result<void> add_topic(const std::string& topic, std::int32_t partitions = default_partitions);

  // For tests: the broker refuses connections and drops those it has, or takes them again.
  void set_down(bool down);
  // For tests: the topic is as if it did not exist, or is back.
  void set_missing(const std::string& topic, bool missing);
  // For tests: the next produce requests are refused as too large.
  void refuse_size(int times);

private:
  struct impl;
  explicit embedded_broker(std::unique_ptr<impl> i);
  std::unique_ptr<impl> impl_;
};

} // namespace weir::kafka
