// Where each table of a partition starts to read: what Redis says, held against what Kafka still has. Pure.
#pragma once

#include "proto/topology.hpp"
#include "runtime/kafka/consumer.hpp"
#include "runtime/redis/transaction.hpp"

#include <string>
#include <vector>

namespace weir::redis {

struct start_decision {
  std::vector<offset> positions;     // by table
  std::vector<std::string> warnings; // for people; reading goes on
  std::string problem;               // not empty: the partition is blocked, this says why and what to do
};

// What is known of a partition of which Redis knows nothing: no transaction was ever applied, as far as it says.
enum class witness {
  none,      // Redis knows the partition, or nobody could tell
  committed, // weir commits to Kafka as it goes: a commit of the group means that state was lost
  owner,     // this owner had transactions acknowledged: state was lost
};

// `stored`: by table, no_position where it has none. `began`: by table, where this owner itself let it begin, else
// no_position; what was lost is read from there again. Empty: nothing is known.
// `forgetful_broker`: the embedded one; a position that it does not hold is no alarm.
start_decision decide_start(const std::vector<offset>& stored, const kafka::partition_range& range, start_at start,
                            witness lost, bool forgetful_broker, const std::vector<offset>& began = {});

} // namespace weir::redis
