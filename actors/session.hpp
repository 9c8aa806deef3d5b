// The session actor: one per WebSocket, on its connection's reactor.
//
// Duty: speaks the client protocol (runtime/http/session_policy.hpp decides) between one socket and the publishers.
// Promise: holds a cursor per subscription and at most what the socket's outbox holds, however slow the client is. Ends
// with its connection; nothing is restarted, clients come back by themselves.
#pragma once

#include "actors/context.hpp"
#include "actors/publisher.hpp"
#include "runtime/http/session_policy.hpp"

#include <caf/actor_system.hpp>
#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <set>

namespace weir::actors {

class session;

// All sessions of the node. Sessions of one reactor are touched on its thread only; the numbers may be read from
// anywhere.
class session_registry {
public:
  void add(reactor& home, session* s);
  void remove(reactor& home, session* s);
  std::size_t size() const;

  // Closes all, each on its own reactor, at moments chosen at random within `over`: clients come back in the same order,
  // and a node that takes them in may refuse those that come all at once.
  void shut_down(std::chrono::milliseconds over);

private:
  mutable std::mutex mutex_;
  std::map<reactor*, std::set<session*>> sessions_;
};

// Takes frames for all sessions of a reactor. Made before the server listens, destroyed after the reactor has stopped.
class fan_out_hub {
public:
  fan_out_hub(const context_ptr& node, caf::actor_system& system, reactor& home);
  ~fan_out_hub();
  fan_out_home home() const;

private:
  struct impl;
  std::unique_ptr<impl> impl_;
};

struct session_config {
  context_ptr node;
  caf::actor_system* system = nullptr;
  std::shared_ptr<const http::table_directory> tables;
  std::map<std::string, publisher_actor> publishers;
  std::shared_ptr<session_registry> registry;
  std::map<const reactor*, std::unique_ptr<fan_out_hub>> hubs;               // one for each of the server's reactors
  std::map<std::string, std::shared_ptr<const delivery_metrics>> deliveries; // by table
  http::session_limits limits;
  std::shared_ptr<const auth::gate> gate; // null: everybody is let in
};

// For server_handlers::session; called on the connection's reactor.
std::unique_ptr<http::web_socket_handler> make_session(const std::shared_ptr<const session_config>& config,
                                                       http::web_socket& socket);

} // namespace weir::actors
