// The source actor: one per source of the topology.
//
// Duty: owns the Kafka consumer; makes sure that the topic is the one that the state in Redis was built from; spawns a
// partition actor for each partition that the group gives it and retires those it takes back. Supervises them: one that
// ends by itself is spawned again after a backoff and claims its partition anew, which is the same as a crash. Promise:
// reading starts only where Redis says (I3).
#pragma once

#include "actors/context.hpp"
#include "actors/feed.hpp"

#include <caf/actor_system.hpp>

namespace weir::actors {

// A table fed by the source, and where its changes go.
struct source_table {
  table_config config;
  table_ref ref;
  std::shared_ptr<table::change_inbox> inbox;
  publisher_actor publisher;
};

struct partition_limits {
  std::size_t batch_records =
      50'000; // a batch is closed at these bounds, or as soon as there is no more at hand and nothing in flight
  std::size_t batch_bytes = 4 << 20;
  std::size_t drain_records = 4'000;           // taken per message handled, so that other actors get their turn
  std::size_t cached_states = 100'000;         // aggregate states kept in memory, all tables together
  std::chrono::milliseconds maintenance{1000}; // expiry and trimming
};

struct source_actor_config {
  context_ptr node;
  source_config source;
  std::vector<source_table> tables;
  std::vector<redis_writer_actor> writers; // partition p writes through writers[p % size]
  partition_limits limits{};
};

// What it is called in the log, and what it waits for on the status board.
std::string source_label(const std::string& source);

source_actor spawn_source(caf::actor_system& system, source_actor_config config);

} // namespace weir::actors
