// The job writer actor: one per job that writes a table.
//
// Duty: owns the pseudo-partition `job:<name>` behind the table, with the same claim, chain and heartbeats as a Kafka
// partition; its position is the fire time of the last result written. Promise: a result whose fire time is not later
// than the stored one is refused, so it is written once, whoever computed it (I9). A failed write is tried again as a
// whole after a new claim: rows are absolute, so that is safe.
#pragma once

#include "actors/context.hpp"
#include "actors/feed.hpp"

#include <caf/actor_system.hpp>

namespace weir::actors {

struct write_rows {
  std::string job;
  std::uint64_t run = 0;
  std::int64_t fire_ms = 0;
  std::shared_ptr<const std::vector<std::pair<std::string, std::string>>> rows; // key, JSON
  scheduler_actor report_to;
};

struct rows_written {
  std::string job;
  std::uint64_t run = 0;
  result<std::size_t> written;
  bool topic = false; // it is Kafka that has them
};

struct job_writer_config {
  context_ptr node;
  table_config table;
  table_ref ref;
  std::shared_ptr<table::change_inbox> inbox;
  publisher_actor publisher;
  redis_writer_actor writer;
  std::size_t rows_per_transaction = 5'000;
};

job_writer_actor spawn_job_writer(caf::actor_system& system, job_writer_config config);

} // namespace weir::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(weir::actors::write_rows)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(weir::actors::rows_written)
