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

// `stored`: by table, no_position where it has none. `lost_state_possible`: Redis knows nothing of this partition
// although weir commits to Kafka as it goes, so a commit of the group is a witness that state was lost.
// `forgetful_broker`: the embedded one; a position that it does not hold is no alarm.
start_decision decide_start(const std::vector<offset>& stored, const kafka::partition_range& range, start_at start,
                            bool lost_state_possible, bool forgetful_broker);

} // namespace weir::redis
