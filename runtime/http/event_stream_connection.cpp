#include "runtime/http/event_stream_connection.hpp"

#include "runtime/core/log.hpp"
#include "runtime/http/event_client.hpp"
#include "runtime/http/frame_forms.hpp"
#include "runtime/http/outbox_writer.hpp"
#include "runtime/http/wire.hpp"

#include <array>
#include <random>

namespace weir::http {
namespace {

// Clients that lost their stream come back after 1 to 3 s, not all at once.
std::uint32_t retry_hint() {
  thread_local std::minstd_rand random{std::random_device{}()};
  return std::uniform_int_distribution<std::uint32_t>(1'000, 3'000)(random);
}

std::string_view code_of(unsigned status) {
  switch (status) {
  case 401: return "unauthorized";
  case 403: return "forbidden";
  case 404: return to_string(ec::no_such_thing);
  case 400: return to_string(ec::bad_argument);
  case 429: return to_string(ec::overloaded);
  case 503: return "not_ready";
  default: return to_string(ec::internal);
  }
}

// A response without a length that ends with its connection, so that frames are the same bytes for every client.
template <class Stream>
class event_stream_connection final : public outbox_writer<Stream> {
  using base = outbox_writer<Stream>;
  using base::arm_deadline, base::dead, base::ended, base::handler, base::make_dirty, base::opened, base::outbox_,
      base::seal, base::sealed, base::shared_from_this, base::shard_, base::socket, base::transport;

public:
  event_stream_connection(std::shared_ptr<shard> home, std::unique_ptr<Stream> stream, event_request request,
                          std::string origin, std::string path, slot counted, peer_info peer)
      : base(*stream, std::move(home), std::move(counted), std::move(peer)), stream_(std::move(stream)),
        client_(std::move(request), retry_hint()), origin_(std::move(origin)), path_(std::move(path)) {}

  void start() {
    opened();
    make_dirty(); // the first commands
  }

  // From the session.

  void reply(std::string payload) override {
    if (sealed() || dead())
      return;
    client_.on_reply(payload);
    take_over();
  }

  void close(std::uint16_t code, std::string_view reason) override {
    if (sealed() || dead())
      return;
    client_.on_close(code, reason);
    take_over();
  }

  // At the end of a round: what the session was called for must not come back into it at once.
  void flush() override {
    // The handler is there as long as this is not dead; a command may end it.
    while (!dead() && !sealed() && handler()) {
      const auto commands = client_.take_commands(outbox_.reply_bytes() <= outbox::reply_bytes_bound);
      if (commands.empty())
        break;
      try {
        handler()->on_message(commands);
      } catch (const std::exception& e) {
        log::error("http", "a session failed at a message", {{"what", e.what()}, {"peer", this->peer().address}});
        close(1011, "internal error");
      }
    }
    base::flush();
  }

private:
  // What the client made of a reply goes into the outbox, behind the head of the response.
  void take_over() {
    if (client_.started()) {
      if (!std::exchange(answered_, true))
        answer(200, response_head(success(), false));
      outbox_.add(client_.take_events());
    } else if (client_.ended()) {
      auto r = error_response(client_.refused_status(), code_of(client_.refused_status()), client_.refusal(), path_);
      allow_origin(r);
      if (r.status == 401)
        r.headers.emplace_back("WWW-Authenticate", "Bearer");
      if (r.status == 429 || r.status == 503)
        r.headers.emplace_back("Retry-After", retry_after());
      answer(r.status, response_head(r, false) + r.body);
    }
    if (client_.ended())
      seal();
    make_dirty();
  }

  void answer(unsigned status, std::string bytes) {
    if (shard_->common->handlers.answered)
      shard_->common->handlers.answered(status);
    outbox_.add(std::move(bytes));
  }

  response success() const {
    response r;
    r.content_type = "text/event-stream";
    r.unbounded = true;
    r.headers.emplace_back("X-Accel-Buffering", "no"); // nginx would gather events
    allow_origin(r);
    return r;
  }

  void allow_origin(response& r) const {
    if (origin_.empty())
      return;
    r.headers.emplace_back("Access-Control-Allow-Origin", origin_);
    r.headers.emplace_back("Vary", "Origin");
  }

  const frame_ptr& form_of(const frame_ptr& f) override {
    static const frame_ptr none;
    if (!f->forms)
      return none;
    return f->forms->events([&] { return client_.events_of(f->payload()); });
  }

  void pushed(const frame& form) override {
    if (form.header == 0)
      return;
    const auto offset = std::string_view(form.bytes).substr(form.header);
    client_.passed(offset.substr(0, offset.find('\n')));
  }

  void read_next() override {
    // Nothing more is expected; what comes is read so that the end is seen, and bounded.
    transport().async_read_some(boost::asio::buffer(ignored_),
                                [this, alive = shared_from_this()](error_code failed, std::size_t n) {
                                  read_ += n;
                                  if (failed || read_ > most_ignored)
                                    ended();
                                  else
                                    read_next();
                                });
  }

  void all_written() override {
    if (!sealed()) {
      if (client_.wants_room())
        make_dirty();
      return;
    }
    error_code ignored;
    if constexpr (std::is_same_v<Stream, tcp_socket>)
      socket().shutdown(tcp_socket::shutdown_send, ignored);
    else
      transport().async_shutdown([alive = shared_from_this()](error_code) { alive->kill(); });
  }

  static constexpr std::size_t most_ignored = 64 << 10;

  std::unique_ptr<Stream> stream_;
  event_client client_;
  std::string origin_, path_;
  std::array<char, 64> ignored_;
  std::size_t read_ = 0;
  bool answered_ = false;
};

} // namespace

template <class Stream>
void accept_event_stream(std::shared_ptr<shard> home, std::unique_ptr<Stream> stream, event_request request,
                         std::string origin, std::string path, slot counted, peer_info peer) {
  std::make_shared<event_stream_connection<Stream>>(std::move(home), std::move(stream), std::move(request),
                                                    std::move(origin), std::move(path), std::move(counted),
                                                    std::move(peer))
      ->start();
}

template void accept_event_stream<tcp_socket>(std::shared_ptr<shard>, std::unique_ptr<tcp_socket>, event_request,
                                              std::string, std::string, slot, peer_info);
template void accept_event_stream<tls_stream>(std::shared_ptr<shard>, std::unique_ptr<tls_stream>, event_request,
                                              std::string, std::string, slot, peer_info);

} // namespace weir::http
