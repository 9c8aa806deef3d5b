#include "runtime/redis/start_position.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace weir::redis {

start_decision decide_start(const std::vector<offset>& stored, const kafka::partition_range& range, start_at start,
                            witness lost, bool forgetful_broker, const std::vector<offset>& began) {
  start_decision decided;
  auto begin = start == start_at::earliest ? range.low : range.high;
  // What Redis held is gone. `latest` would skip what it stood for.
  if (lost == witness::owner) {
    decided.warnings.emplace_back("Redis has no position any more: its state was lost. Building it anew from Kafka");
    begin = range.low;
  } else if (lost == witness::committed && range.committed) {
    decided.warnings.push_back(fmt::format(
        "Redis has no position although the group committed offset {}: its state was lost. Building it anew "
        "from the oldest record",
        range.committed->value));
    begin = range.low;
  }
  for (std::size_t i = 0; i < stored.size(); ++i) {
    const auto at = stored[i];
    if (at == no_position) {
      const bool known = lost == witness::owner && i < began.size() && began[i] != no_position;
      decided.positions.push_back(known ? std::clamp(began[i], range.low, range.high) : begin);
    } else if (at < range.low || at > range.high) {
      const bool made_anew = at > range.high;
      if (forgetful_broker) {
        decided.warnings.push_back(
            fmt::format("position {} is not in the embedded broker's log {} to {}: going on from its oldest record",
                        at.value, range.low.value, range.high.value));
        decided.positions.push_back(range.low);
      } else {
        decided.positions.push_back(at);
        decided.problem = made_anew ? fmt::format("position {} is beyond the end of the log, {}: the topic was made "
                                                  "anew, or lost records. Delete this source's "
                                                  "state in Redis to read the new log from its start",
                                                  at.value, range.high.value)
                                    : fmt::format("position {} is below the oldest record, {}: records were deleted "
                                                  "before they were read. Delete this source's "
                                                  "state in Redis to accept the loss and build the tables anew",
                                                  at.value, range.low.value);
      }
    } else {
      decided.positions.push_back(at);
    }
  }
  return decided;
}

} // namespace weir::redis
