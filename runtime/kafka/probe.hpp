// Asks the brokers whether they can be reached as the topology says and have the topics it names: for `weir check
// --connect` and readiness.
#pragma once

#include "proto/topology.hpp"
#include "runtime/core/error.hpp"

#include <chrono>
#include <string>
#include <vector>

namespace weir::kafka {

// Waits, up to the deadline. Gives lines for people: the cluster with its id and brokers, then each topic with its
// partitions. Errors say what to do: kafka_unreachable, kafka_refused (authentication, TLS), kafka_no_topic (names all
// that are missing).
result<std::vector<std::string>> probe_kafka(const kafka_config& kafka, const std::vector<std::string>& topics,
                                             std::chrono::milliseconds deadline);

} // namespace weir::kafka
