// The port through which a job's result goes to a topic exactly once, for those who read committed records only.
//
// A result is one Kafka transaction. In it, the group `writer` gets the result's time as its committed offset, and the
// result's id beside it: whoever goes on with an execution ends the transaction that a dead node left open, and then
// finds out by these whether the result is there already. (Kafka's KIP-98; what sinks with a progress topic do, with
// a consumer group's offset in place of the topic.)
#pragma once

#include "runtime/core/error.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace weir::kafka {

struct transaction {
  std::string writer; // transactional id, and group of the mark: one for each job. Two at a time fence each other
  std::string topic;
  std::string id;                                                               // of the result
  std::int64_t time_ms = 0;                                                     // of the result, not negative
  std::vector<std::pair<std::string, std::string>> headers;                     // of each record
  std::shared_ptr<const std::vector<std::pair<std::string, std::string>>> rows; // key, value
};

class transactions {
public:
  virtual ~transactions() = default;
  // Waits until the topic has all rows, or none of them counts. True: written; false: the newest committed transaction
  // of this writer is that of the same id. Errors: fenced where another one began a transaction of this writer
  // meanwhile, stopped where `goes_on` said no, else as a producer's. After an error the transaction may be there
  // nevertheless: asking again tells.
  // Thread-safe; `goes_on` is asked from the calling thread every half a second or more often.
  virtual result<bool> write(const transaction& what, const std::function<bool()>& goes_on) = 0;
};

} // namespace weir::kafka
