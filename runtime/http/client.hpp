// Blocking HTTP and WebSocket clients for the command line tools. Every call has a deadline; nothing here is for use on
// a reactor.
//
//   auto r = http::http_get("http://127.0.0.1:8080/api/v1/nodes", 5s);
//   auto ws = http::ws_client::connect("http://127.0.0.1:8080/connection/websocket", 5s);
//   (*ws).send(R"({"connect":{},"id":1})"); auto text = (*ws).receive(1s);
#pragma once

#include "runtime/core/error.hpp"

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace weir::http {

struct client_options {
  std::vector<std::pair<std::string, std::string>> headers; // further ones
  std::string ca_file;                                      // PEM; empty: the system's
  bool verify = true;                                       // of the server's certificate and name
  std::size_t body_bytes = 64 << 20;                        // of an answer, or of a WebSocket message
  int stop_fd = -1; // once it is readable, what waits ends with ec::stopped; not owned; -1: none
};

struct client_response {
  unsigned status = 0;
  std::map<std::string, std::string> headers; // names in lower case
  std::string body;
};

// ec::bad_argument: no URL; ec::timeout: not done in time; ec::stopped: by stop_fd; ec::io: anything else of the
// network or TLS. A status is no error.
result<client_response> http_get(std::string_view url, std::chrono::milliseconds deadline,
                                 const client_options& options = {});
result<client_response> http_post(std::string_view url, std::string body, std::chrono::milliseconds deadline,
                                  const client_options& options = {});

// One connection, one thread.
class ws_client {
public:
  // http and https mean ws and wss. A refused upgrade is ec::io with the status in the message.
  static result<ws_client> connect(std::string_view url, std::chrono::milliseconds deadline,
                                   const client_options& options = {});
  ws_client(ws_client&&) noexcept;
  ws_client& operator=(ws_client&&) noexcept;
  ~ws_client(); // without a closing handshake

  // One text message.
  result<void> send(std::string_view text, std::chrono::milliseconds deadline = std::chrono::seconds{10});
  // The next text message. ec::timeout: none came, the connection is as before; ec::stopped: closed by the server, see
  // close_code(), or by stop_fd; ec::io: lost.
  result<std::string> receive(std::chrono::milliseconds deadline);
  // Closing handshake, at most `deadline`.
  void close(std::uint16_t code = 1000, std::chrono::milliseconds deadline = std::chrono::seconds{1});

  std::uint16_t close_code() const; // 0: not closed by the server
  const std::string& close_reason() const;

  struct impl; // the insides, by kind of transport

private:
  explicit ws_client(std::unique_ptr<impl> i);
  std::unique_ptr<impl> impl_;
};

} // namespace weir::http
