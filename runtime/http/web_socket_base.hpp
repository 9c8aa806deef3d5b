// The part of a WebSocket connection that does not depend on its transport: outbox, closing, hand-over to the session.
//
// One owner of the write side: session frames and the bytes of the WebSocket library itself (handshake, pong, close) go
// through the outbox, and only write_outbox() touches the socket. Nothing is written after a close frame, whoever made
// it.
#pragma once

#include "runtime/http/outbox.hpp"
#include "runtime/http/shard.hpp"

#include <memory>
#include <string>

namespace weir::http {

// A completion that waits for the outbox.
struct waiter {
  virtual ~waiter() = default;
  virtual void run() = 0;
};

class web_socket_base : public web_socket, public flushed_connection {
public:
  // The socket has to live as long as this.
  web_socket_base(tcp_socket& socket, std::shared_ptr<shard> home, slot counted, peer_info peer);

  bool push(const frame_ptr& f) final;
  void reply(std::string payload) override;
  void close(std::uint16_t code, std::string_view reason) override;
  std::uint64_t stalled_ms() const final;
  const peer_info& peer() const final { return peer_; }
  reactor& home() final { return shard_->home; }

  void finish() final;
  void kill() final;
  void flush() override;

  // For the layer under the WebSocket stream.
  void take_protocol_bytes(std::string bytes);
  bool has_reply_room() const { return dead_ || outbox_.reply_bytes() <= outbox::reply_bytes_bound; }
  bool is_written() const { return dead_ || outbox_.empty(); }
  void wait_reply_room(std::unique_ptr<waiter> w) { room_waiter_ = std::move(w); }
  // Both close frames are exchanged: only the end of the connection is awaited.
  void shorten_closing();
  void wait_written(std::unique_ptr<waiter> w) { written_waiter_ = std::move(w); }

protected:
  // Writes from the outbox until it is empty (drained) or the socket takes no more (begin_busy); then goes on by itself
  // when it does.
  virtual void write_outbox() = 0;
  virtual void read_next() = 0; // calls received() or ended()
  // What this session is sent in the place of `f`, shared by all like it. Null: nothing, and it counts as sent.
  virtual const frame_ptr& form_of(const frame_ptr& f);
  // That form of a frame is in the outbox.
  virtual void pushed(const frame&) {}
  // The outbox is empty; for good, if sealed().
  virtual void all_written() {}

  void opened(); // after the handshake
  void received(bool text, std::string_view message);
  void ended(); // no read is pending any more and none will be
  void begin_busy();
  void progressed(std::size_t bytes);
  void drained();
  void broken(); // the socket failed; ended() follows
  void arm_deadline(std::uint32_t ms);
  bool dead() const { return dead_; }
  bool sealed() const { return sealed_; }
  tcp_socket& socket() { return socket_; }
  void seal(); // a close frame or its like is in the outbox: nothing more goes in
  web_socket_handler* handler() { return handler_.get(); }
  // The client takes messages one at a time, so several objects may share one. Else each object is a message of its
  // own: SDKs outside browsers hand over all messages of one read at once, and centrifuge-js 5.6 to 5.8 then handles
  // the objects of neighbouring messages in turns, out of order.
  void join_objects() { joins_ = true; }
  // permessage-deflate was agreed on, with a window of 15 bits for what we send.
  void deflate_output() { deflates_ = true; }

  outbox outbox_;

private:
  // What limits.session_bytes_per_second asks for.
  struct throttle {
    throttle(double bytes_per_second, web_socket_base& owner)
        : bucket(bytes_per_second, bytes_per_second, steady_ms()),
          wake([](void* self) { static_cast<web_socket_base*>(self)->throttle_ended(); }, &owner) {}
    token_bucket bucket;
    timer_wheel::entry wake; // waits: pushes are refused until then
  };

  bool held_back(); // by the throttle
  void throttle_ended();
  void tell_writable();
  void read_on();
  void run_waiters();
  std::shared_ptr<web_socket_base> self() { return std::static_pointer_cast<web_socket_base>(shared_from_this()); }

  void close_socket();

  // Each delivery looks at these, so they lie beside the outbox.
  tcp_socket& socket_;
  bool open_ = false; // handshake done
  bool joins_ = false;
  bool deflates_ = false;
  bool sealed_ = false;
  bool dead_ = false;    // the socket is closed
  bool ended_ = false;   // the session was told
  bool busy_ = false;    // a write waits for the socket
  bool reading_ = false; // a read is pending
  std::unique_ptr<waiter> room_waiter_, written_waiter_;
  std::unique_ptr<throttle> throttle_;
  // Itself while reading waits for replies to be written, as no pending read keeps it alive then.
  std::shared_ptr<web_socket_base> paused_;

  slot counted_;
  peer_info peer_;
  enlisted listed_;
  std::unique_ptr<web_socket_handler> handler_;
  timer_wheel::entry deadline_;
  clock::time_point last_progress_{}; // while it is busy
};

} // namespace weir::http
