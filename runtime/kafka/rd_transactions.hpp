// Transactions over librdkafka: a producer of its own for each, so that nothing of an earlier one is left in it.
#pragma once

#include "proto/topology.hpp"
#include "runtime/kafka/transactions.hpp"

namespace weir::kafka {

struct transactions_options {
  std::string client_id = "weir";
  std::uint64_t queue_bytes =
      32ull << 20;                        // local queue; write() waits at the bound; half of it is the most for one row
  std::uint32_t queue_messages = 100'000; // likewise
  std::chrono::milliseconds deadline{120'000};  // of a whole write()
  std::chrono::milliseconds abandoned{180'000}; // after so long the brokers end a transaction whose writer went silent
};

// `kafka.brokers` must be addresses. Fails with bad_topology if librdkafka refuses a property. Does not wait for the
// brokers.
result<std::unique_ptr<transactions>> make_transactions(const kafka_config& kafka, transactions_options options = {});

} // namespace weir::kafka
