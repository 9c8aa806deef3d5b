// The node actor: starts everything a topology asks for, watches over it, and ends it in order.
//
// Duty: makes sure that the state in Redis has our layout and that its tables have our definitions; then starts
// writers, sources, job writers and the scheduler. Publishers and HTTP are there from the first moment, so that health
// can be asked for. Supervision: a source that dies is started again after a backoff; anything else that dies by itself
// ends the node with exit code 70, since what it held is rebuilt from Redis and Kafka by the next start. Drain
// (SIGTERM): sources retire their partitions and wait for what is in flight, then job writers, publishers, and sessions
// (close code 3001); all of it within the deadline.
#pragma once

#include "actors/context.hpp"
#include "actors/handles.hpp"
#include "runtime/http/server.hpp"
#include "runtime/http/static_files.hpp"

#include <caf/actor_system.hpp>

namespace weir::actors {

struct meta_answered {
  std::string field;
  result<std::string> stored;
};

struct redis_examined {
  result<std::vector<std::string>> warnings;
};

struct node_config {
  std::shared_ptr<node_context> node;
  std::vector<reactor*> reactors;
  std::span<const http::asset> assets;
  std::chrono::milliseconds drain_deadline{10'000};
  std::function<void(int exit_code)>
      on_end; // called once, from an actor's thread: nothing is running any more but HTTP
};

struct running_node {
  node_actor actor;
  std::shared_ptr<http::server> server;
};

// Fails where HTTP cannot listen.
result<running_node> start_node(caf::actor_system& system, node_config config);

} // namespace weir::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(weir::actors::meta_answered)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(weir::actors::redis_examined)
