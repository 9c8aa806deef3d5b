// The store over real Redis connections: `config.connections` writer links; one connection for reads and claims, so
// that reads never delay writes; one for what jobs read, so that neither waits for that; and one for the scheduler's
// lease, whose answer would else come behind a job's checkpoints, tens of megabytes, which take longer than a short
// lease.
#pragma once

#include "proto/topology.hpp"
#include "runtime/redis/store.hpp"

#include <chrono>
#include <memory>
#include <vector>

namespace weir {
class reactor;
}

namespace weir::redis {

struct store_options {
  std::chrono::milliseconds deadline{
      5000}; // of every command, from its call on; a connection that misses one is dropped
  std::chrono::milliseconds connect_deadline{3000};            // resolve, connect, handshake and sign-in together
  std::chrono::milliseconds first_retry{25}, most_retry{2000}; // backoff between connection attempts
  std::size_t in_flight_bytes = 16u << 20;                     // written and not answered, per connection; more waits
  std::size_t waiting_bytes = 64u << 20;   // waiting beyond that, per connection; more is refused: ec::overloaded
  std::size_t change_log_bytes = 4u << 20; // keys kept in a table's change log in one partition
  std::string client_name = "weir";        // CLIENT SETNAME; the link's number is appended
  std::string log_component = "redis";
};

// Connects in the background and reconnects by itself. `scanning` is the reactor of the connection that jobs read over;
// without it there are no jobs, or they and the lease share the connection for reads. The reactors are started and
// outlive the store; call close() (or destroy the store) while they still run. A read called while the first connection
// attempt is under way waits for it; while Redis is away it fails at once. Errors: ec::bad_argument (URL), ec::io (CA
// file). "embedded" is no URL: start runtime/embedded/redis_server first and put its url() in.
result<std::unique_ptr<store>> make_redis_store(const redis_config& config, std::vector<reactor*> reactors,
                                                store_options options = {}, reactor* scanning = nullptr);

} // namespace weir::redis
