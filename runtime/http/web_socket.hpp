// The seam between a WebSocket connection (runtime/http, on a reactor) and the session actor that speaks the client
// protocol over it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace weir {
class reactor;
}

namespace weir::http {

class frame_forms;

// A ready-made WebSocket text message: server frames are not masked, so header and payload are the same bytes for every
// session.
struct frame {
  std::string bytes;      // header + payload
  std::size_t header = 0; // length of the header
  // The same with a message for each line of the payload, where it has several.
  std::shared_ptr<const frame> apart = nullptr;
  // The same in other forms, made when first needed; null: has none.
  std::shared_ptr<frame_forms> forms = nullptr;
  std::string_view payload() const { return std::string_view{bytes}.substr(header); }
};

using frame_ptr = std::shared_ptr<const frame>;

// One message of the whole payload. Lines of a payload are JSON objects of the client protocol.
frame_ptr make_text_frame(std::string_view payload);

struct peer_info {
  std::string address; // IP
  std::uint16_t port = 0;
  bool tls = false;
};

// One connection. All methods on its reactor's thread only.
class web_socket {
public:
  virtual ~web_socket() = default;

  // A frame that may be skipped: taken if the outbox has room (one flush in flight and one waiting), else false; then
  // on_writable() will come.
  virtual bool push(const frame_ptr& f) = 0;
  // An answer to a command: always taken. While answers beyond a bound wait, the connection does not read further
  // commands.
  virtual void reply(std::string payload) = 0;
  // Several replies and pushes of one round go out in one system call, as one or more messages.
  virtual void close(std::uint16_t code, std::string_view reason) = 0;
  // Milliseconds since the oldest byte in the outbox was handed over without any progress of the socket; 0: nothing
  // waits.
  virtual std::uint64_t stalled_ms() const = 0;
  virtual const peer_info& peer() const = 0;
  virtual reactor& home() = 0;
};

// What the connection tells its session; all on the reactor's thread.
class web_socket_handler {
public:
  virtual ~web_socket_handler() = default;
  virtual void on_message(std::string_view text) = 0; // one whole text message, valid UTF-8
  // One whole binary message. False: not spoken by this session; the connection is closed with 3501.
  virtual bool on_binary(std::string_view) { return false; }
  virtual void on_writable() = 0; // a refused push may be tried again
  virtual void on_closed() = 0;   // last call; the web_socket is gone afterwards
};

} // namespace weir::http
