// Where rows go in: weir's Kafka topic, or a peer's control port.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace fanout {

class publisher {
public:
  virtual ~publisher() = default;
  virtual void send(const std::vector<std::pair<std::uint32_t, std::string>>& rows) = 0; // keys and rows
};

// By Kafka: topics of so many partitions; a row's partition is its key's number modulo that.
std::unique_ptr<publisher> publish_to_kafka(const std::string& brokers, std::string topic, int partitions);
// By a control port. `path`: as messages of a WebSocket; null: as lines. Each row is put between `before`, in which #
// stands for the key, and `after`.
std::unique_ptr<publisher> publish_to_peer(std::uint16_t port, const std::string* path, std::string before,
                                           std::string after);

} // namespace fanout
