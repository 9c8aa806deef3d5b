// The redis writer actor: one per writer connection to Redis.
//
// Duty: keeps its link's pipeline full with transactions of its partitions, in the order they were submitted, and
// bounded; hands every answer back and every committed change on to the publishers. Promise: a transaction whose fate a
// lost connection left open is looked up in the partition's head after the reconnect; what was applied is published,
// the rest is sent again (safe by I2) or refused. A restart of this actor loses what is in flight; its partitions then
// claim again, which is the same as a crash.
#pragma once

#include "actors/context.hpp"
#include "actors/feed.hpp"

#include <caf/actor_system.hpp>

namespace weir::actors {

struct redis_writer_config {
  context_ptr node;
  std::size_t link = 0; // index of the store's writer link
  std::size_t most_in_flight_bytes =
      16 << 20; // bound of the pipeline; more waits here, and each partition has at most two transactions
};

redis_writer_actor spawn_redis_writer(caf::actor_system& system, redis_writer_config config);

} // namespace weir::actors
