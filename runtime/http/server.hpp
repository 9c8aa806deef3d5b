// HTTP and WebSocket on one port. Requests and sessions are answered by whoever gave the handlers (actors/).
#pragma once

#include "proto/topology.hpp"
#include "runtime/core/error.hpp"
#include "runtime/http/event_request.hpp"
#include "runtime/http/web_socket.hpp"

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace weir {
class reactor;
}

namespace weir::http {

struct request {
  std::string method;                         // "GET", "POST", ...
  std::string path;                           // as sent, without the query; still percent-encoded
  std::vector<std::string> segments;          // of the path, percent-decoded
  std::map<std::string, std::string> query;   // decoded; the last of equal names counts
  std::map<std::string, std::string> headers; // names in lower case
  std::string body;
  peer_info peer;
};

struct response {
  unsigned status = 200;
  std::string content_type = "application/json";
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers;
  bool unbounded = false; // no Content-Length: the body ends with the connection
  // Instead of a body: Server-Sent Events of a table, by a session of server_handlers::session. The status is the
  // session's then.
  std::optional<event_request> events = {};
};

// {"error":{"code","message","at"}}
response error_response(unsigned status, std::string_view code, std::string_view message, std::string_view at = {});

// Answers one request: call once, from any thread; a request never answered gets 504 after its deadline.
using responder = std::function<void(response)>;

struct server_handlers {
  std::function<void(request, responder)> request;
  // Called on the connection's reactor after the handshake.
  std::function<std::unique_ptr<web_socket_handler>(web_socket&)> session;
  // For metrics: the status of every answer, those included that never reached `request`. On a reactor's thread; may be
  // empty.
  std::function<void(unsigned status)> answered = {};
  // For metrics: a limit was met. connections, address, upgrades, handshake, head, body, message. On a reactor's thread;
  // may be empty.
  std::function<void(std::string_view reason)> refused = {};
  // For metrics: bytes that sockets of sessions took since the last call, once a round. May be empty.
  std::function<void(std::uint64_t bytes)> sent = {};
};

struct server_limits {
  std::size_t message_bytes = 64 << 10; // of a client's WebSocket message
  std::size_t header_bytes = 8 << 10;
  std::size_t body_bytes = 64 << 10;
  std::uint32_t handshake_ms = 10'000; // whole request head, and TLS
  std::uint32_t request_ms = 30'000;
  std::uint32_t idle_ms = 60'000; // keep-alive between requests
  std::size_t connections = 16'000;
  std::size_t connections_per_address = 0;        // of an IPv4 address or an IPv6 /64; 0: no limit
  std::uint32_t upgrades_per_second = 2'000;      // new sessions, by all reactors; twice as many at once; 0: no limit
  std::uint64_t session_bytes_per_second = 0;     // pushed to one session, a second's worth at once; 0: no limit
  bool compression = false;                       // permessage-deflate for those who offer it
};

// What a topology says of them.
server_limits limits_of(const http_config& config);

class server {
public:
  virtual ~server() = default;
  // The port in use (config.port 0: chosen by the system).
  virtual std::uint16_t port() const = 0;
  virtual std::size_t connections() const = 0;
  // Stops accepting; requests under way go on.
  virtual void stop_accepting() = 0;
  // Closes what is left. Blocks until done or the deadline. Not on a reactor.
  virtual void close(std::uint32_t deadline_ms) = 0;
};

// Listens on every reactor (SO_REUSEPORT). Fails with ec::io where the address is in use or the certificate can't be
// read.
result<std::unique_ptr<server>> listen(const http_config& config, const server_limits& limits,
                                       std::vector<reactor*> reactors, server_handlers handlers);

} // namespace weir::http
