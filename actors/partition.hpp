// The partition actor: one per assigned partition of a source.
//
// Duty: claims the partition in Redis, drains the partition's own Kafka queue, folds batches of records into table
// updates and submits them as transactions, at most two in flight. Sends expiry, trimming and heartbeats down the same
// chain. Promise: every record is applied once to each table, in order; what cannot be read is in the dead letter topic
// before the position passes it (I8). Not draining the queue is the backpressure. After any refused or failed
// transaction it drops its caches and queued batches and claims again; so does a restart.
#pragma once

#include "actors/source.hpp"

namespace weir::actors {

struct partition_config {
  context_ptr node;
  source_config source;
  std::vector<source_table> tables;
  partition_id partition;
  std::int32_t partitions = 1; // of the topic
  std::int32_t generation = -1;
  std::uint64_t life = 0;
  redis_writer_actor writer;
  source_actor owner;
  std::shared_ptr<kafka::consumer> consumer;
  std::shared_ptr<feed_progress> progress;
  std::shared_ptr<std::atomic<std::int64_t>> position; // after the last applied record, for advisory commits; -1: none
  partition_limits limits;
};

// What it is called in the log, and what it waits for on the status board.
std::string partition_label(const std::string& source, partition_id partition);

partition_actor spawn_partition(caf::actor_system& system, partition_config config);

} // namespace weir::actors
