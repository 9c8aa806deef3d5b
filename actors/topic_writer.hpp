// The topic writer actor: brings the result of one execution into the job's topic as one Kafka transaction.
//
// Owned by the execution. Tells the scheduler with rows_written when the topic has the result, or the error, and ends.
// Keeps nothing: whoever takes the execution over asks Kafka whether the transaction was committed.
#pragma once

#include "actors/context.hpp"
#include "actors/handles.hpp"

#include <atomic>
#include <caf/actor_system.hpp>
#include <cstdint>
#include <memory>
#include <string>

namespace weir::actors {

struct topic_writer_config {
  context_ptr node;
  std::string job;
  std::uint64_t run = 0;
  kafka::transaction what;
  std::shared_ptr<const std::atomic<bool>> wanted; // false: the execution is over, the transaction is to be aborted
  scheduler_actor report_to;
};

// On a thread of its own, for it waits for the brokers. The actor ends by itself.
void spawn_topic_writer(caf::actor_system& system, topic_writer_config config);

} // namespace weir::actors
