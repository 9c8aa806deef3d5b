#include "runtime/http/web_socket_base.hpp"

#include "runtime/core/log.hpp"
#include "runtime/http/frame_forms.hpp"
#include "runtime/http/wire.hpp"

#include <boost/asio/post.hpp>

namespace weir::http {
namespace {

// Replies are compressed for one session each.
constexpr std::size_t least_deflated_reply = 1 << 10;
// From a close frame to the end of the socket.
constexpr std::uint32_t closing_ms = 5'000;
// From the end of the closing handshake to the end of the socket.
constexpr std::uint32_t lingering_ms = 1'000;

} // namespace

web_socket_base::web_socket_base(tcp_socket& socket, std::shared_ptr<shard> home, slot counted, peer_info peer)
    : flushed_connection(std::move(home)), socket_(socket), counted_(std::move(counted)), peer_(std::move(peer)),
      listed_(shard_, this), deadline_(
                                 [](void* self) {
                                   auto& expired = *static_cast<web_socket_base*>(self);
                                   const auto alive = expired.shared_from_this();
                                   if (!expired.open_)
                                     expired.shard_->common->refused("handshake");
                                   expired.kill();
                                 },
                                 this) {}

const frame_ptr& web_socket_base::form_of(const frame_ptr& f) {
  const auto& said = joins_ || !f->apart ? f : f->apart;
  if (deflates_ && said->forms)
    if (const auto& shorter = said->forms->deflated(*said))
      return shorter;
  return said;
}

bool web_socket_base::push(const frame_ptr& f) {
  if (sealed_ || dead_ || !open_)
    return false;
  if (throttle_ && held_back()) {
    outbox_.refuse();
    return false;
  }
  const auto& form = form_of(f);
  if (!form)
    return true;
  if (!outbox_.push(form, busy_))
    return false;
  pushed(*form);
  if (throttle_)
    throttle_->bucket.take_on_credit(steady_ms(), static_cast<double>(form->bytes.size()));
  make_dirty();
  return true;
}

bool web_socket_base::held_back() {
  if (throttle_->wake.waits())
    return true;
  const auto now = steady_ms();
  if (!throttle_->bucket.in_debt(now))
    return false;
  shard_->home.timers().set(throttle_->wake, now, throttle_->bucket.ms_until(now));
  return true;
}

void web_socket_base::reply(std::string payload) {
  if (sealed_ || dead_ || !open_)
    return;
  if (joins_ || payload.find('\n') == std::string::npos)
    payload.insert(0, frame_header(1, payload.size()));
  else
    payload = message_for_each_line(payload);
  if (deflates_ && payload.size() >= least_deflated_reply)
    if (auto shorter = deflate_messages(payload); !shorter.empty())
      payload = std::move(shorter);
  outbox_.add(std::move(payload));
  make_dirty();
}

void web_socket_base::close(std::uint16_t code, std::string_view reason) {
  if (sealed_ || dead_ || !open_)
    return;
  outbox_.add(close_frame(code, reason));
  seal();
  make_dirty();
}

std::uint64_t web_socket_base::stalled_ms() const {
  if (!busy_)
    return 0;
  const auto waited = std::chrono::duration_cast<std::chrono::milliseconds>(clock::now() - last_progress_).count();
  return waited > 0 ? static_cast<std::uint64_t>(waited) : 0;
}

void web_socket_base::finish() {
  if (open_)
    close(3001, "shutdown");
  else
    kill();
}

void web_socket_base::kill() {
  if (!dead_)
    broken();
}

void web_socket_base::flush() {
  if (!busy_ && !dead_ && !outbox_.empty())
    write_outbox();
}

void web_socket_base::take_protocol_bytes(std::string bytes) {
  if (sealed_ || dead_)
    return;
  const bool closes = open_ && !bytes.empty() && static_cast<unsigned char>(bytes.front()) == 0x88;
  // Beast's own word for a message that is too large; what its read ends with may be another error by then.
  if (closes && bytes.size() >= 4 && bytes.compare(2, 2, "\x03\xF1") == 0) // 1009
    shard_->common->refused("message");
  outbox_.add(std::move(bytes));
  if (closes)
    seal();
  make_dirty();
}

void web_socket_base::seal() {
  sealed_ = true;
  arm_deadline(closing_ms);
}

void web_socket_base::shorten_closing() {
  if (!dead_)
    arm_deadline(lingering_ms);
}

void web_socket_base::arm_deadline(std::uint32_t ms) { shard_->home.timers().set(deadline_, steady_ms(), ms); }

void web_socket_base::opened() {
  deadline_.cancel();
  open_ = true;
  if (const auto rate = shard_->common->limits.session_bytes_per_second)
    throttle_ = std::make_unique<throttle>(static_cast<double>(rate), *this);
  if (shard_->finishing) {
    close(3001, "shutdown");
  } else {
    try {
      handler_ = shard_->common->handlers.session ? shard_->common->handlers.session(*this) : nullptr;
    } catch (const std::exception& e) {
      log::error("http", "no session for a WebSocket", {{"what", e.what()}, {"peer", peer_.address}});
    }
    if (!handler_)
      close(1011, "no session");
  }
  read_on();
}

void web_socket_base::read_on() {
  if (dead_) {
    ended();
    return;
  }
  reading_ = true;
  read_next();
}

void web_socket_base::received(bool text, std::string_view message) {
  reading_ = false;
  // After a close frame of ours only the other side's is awaited.
  if (!sealed_ && handler_) {
    try {
      if (text)
        handler_->on_message(message);
      else if (!handler_->on_binary(message))
        // 3501 is what the protocol's clients take as final; after 1003 they would come back with the same.
        close(3501, "only text messages are spoken here");
    } catch (const std::exception& e) {
      log::error("http", "a session failed at a message", {{"what", e.what()}, {"peer", peer_.address}});
      close(1011, "internal error");
    }
  }
  if (!sealed_ && !has_reply_room())
    paused_ = self();
  else
    read_on();
}

void web_socket_base::ended() {
  reading_ = false;
  if (ended_)
    return;
  ended_ = true;
  const auto alive = std::exchange(paused_, nullptr);
  if (!dead_) {
    dead_ = true;
    close_socket();
  }
  deadline_.cancel();
  throttle_.reset();
  outbox_.clear();
  busy_ = false;
  run_waiters();
  if (auto handler = std::move(handler_))
    handler->on_closed();
}

void web_socket_base::begin_busy() {
  if (!busy_)
    last_progress_ = clock::now();
  busy_ = true;
}

void web_socket_base::progressed(std::size_t bytes) {
  outbox_.written(bytes);
  shard_->sent += bytes;
  if (busy_)
    last_progress_ = clock::now();
  if (room_waiter_ && has_reply_room())
    std::exchange(room_waiter_, nullptr)->run();
  // Half of the bound, so that reading does not flutter.
  if (paused_ && (sealed_ || outbox_.reply_bytes() <= outbox::reply_bytes_bound / 2)) {
    const auto alive = std::exchange(paused_, nullptr);
    read_on();
  }
}

void web_socket_base::drained() {
  busy_ = false;
  run_waiters();
  all_written();
  if (!throttle_ || !throttle_->wake.waits())
    tell_writable();
}

void web_socket_base::throttle_ended() {
  // Else drained() tells.
  if (!busy_ && outbox_.empty())
    tell_writable();
}

void web_socket_base::tell_writable() {
  if (outbox_.reopen() && handler_ && !sealed_)
    handler_->on_writable();
}

void web_socket_base::close_socket() {
  error_code ignored;
  socket_.close(ignored);
}

void web_socket_base::broken() {
  dead_ = true;
  close_socket();
  run_waiters();
  if (!reading_)
    boost::asio::post(shard_->home.context(), [alive = self()] { alive->ended(); });
}

void web_socket_base::run_waiters() {
  if (room_waiter_)
    std::exchange(room_waiter_, nullptr)->run();
  if (written_waiter_)
    std::exchange(written_waiter_, nullptr)->run();
}

} // namespace weir::http
