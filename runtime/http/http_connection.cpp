// One connection while it speaks HTTP/1.1: reads requests one after the other, has them answered, hands WebSockets
// over.
//
// Each phase has one deadline: the TLS handshake and a request's whole head `handshake_ms` (a client that drips bytes
// gains nothing), its body and its answer `request_ms`, the wait for the next one `idle_ms`. Bytes of a next request
// that come early wait in the kernel and in a buffer of bounded size until the present one is answered.
#include "runtime/core/log.hpp"
#include "runtime/http/event_stream_connection.hpp"
#include "runtime/http/shard.hpp"
#include "runtime/http/uri.hpp"
#include "runtime/http/web_socket_connection.hpp"
#include "runtime/http/wire.hpp"

#include <algorithm>
#include <array>
#include <boost/asio/ssl/error.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/buffers_to_string.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/rfc7230.hpp>
#include <boost/beast/websocket/error.hpp>
#include <optional>

namespace weir::http {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
using field = beast::http::field;

constexpr std::string_view web_socket_path = "/connection/websocket";
constexpr std::size_t buffer_beyond_head = 16 << 10; // for body chunks and early requests
constexpr std::uint32_t lingering_ms = 2'000;
constexpr std::size_t lingering_bytes = 256 << 10;
constexpr std::size_t slowest_reader = 16 << 10; // bytes a second an answer's reader has to manage beyond request_ms

bool same_text(beast::string_view a, beast::string_view b) { return beast::iequals(a, b); }

std::string_view view_of(beast::string_view s) { return {s.data(), s.size()}; }

template <class Stream>
class http_connection final : public connection {
public:
  http_connection(std::shared_ptr<shard> home, std::unique_ptr<Stream> stream, peer_info peer, std::uint64_t address,
                  refusal refused)
      : shard_(std::move(home)), stream_(std::move(stream)),
        counted_(slot(shard_->common, refused != refusal::none, address)),
        peer_(std::move(peer)), listed_(shard_, this), deadline_(shard_->home.context()),
        buffer_(shard_->common->limits.header_bytes + buffer_beyond_head), refused_(refused) {}

  void start() {
    if constexpr (std::is_same_v<Stream, tls_stream>) {
      phase_ = phase::handshake;
      arm(limits().handshake_ms);
      stream_->async_handshake(asio::ssl::stream_base::server, bound([](http_connection& c, error_code failed) {
                                 if (failed)
                                   c.kill();
                                 else
                                   c.next_request(true);
                               }));
    } else {
      next_request(true);
    }
  }

  void finish() override {
    finishing_ = true;
    if (phase_ == phase::idle || phase_ == phase::handshake)
      kill();
  }

  void kill() override {
    phase_ = phase::done;
    deadline_.cancel();
    if (stream_) {
      error_code ignored;
      lowest(*stream_).close(ignored);
    }
  }

  void flush() override {}

private:
  enum class phase { handshake, idle, head, body, handling, writing, lingering, done };
  using parser = beast::http::request_parser<beast::http::string_body>;

  const server_limits& limits() const { return shard_->common->limits; }

  // A completion that keeps the connection alive and does nothing once it is done.
  template <class F>
  auto bound(F f) {
    return [self = std::static_pointer_cast<http_connection>(shared_from_this()), f](error_code failed, auto... more) {
      if (self->phase_ != phase::done)
        f(*self, failed, more...);
    };
  }

  void arm(std::uint64_t ms) {
    deadline_.expires_after(std::chrono::milliseconds(ms));
    // The deadline keeps the connection: while a request is being handled nothing else does.
    deadline_.async_wait(bound([](http_connection& c, error_code cancelled) {
      // Expired but re-armed before this ran: not ours any more.
      if (!cancelled && c.deadline_.expiry() <= clock::now())
        c.on_deadline();
    }));
  }

  void on_deadline() {
    error_code ignored;
    switch (phase_) {
    case phase::head: shard_->common->refused("handshake"); [[fallthrough]];
    case phase::body: // the pending read ends and answers 408
      timed_out_ = true;
      lowest(*stream_).cancel(ignored);
      return;
    case phase::handling: {
      ++request_number_;
      respond(error_response(504, to_string(ec::timeout), "no answer in time", view_of(parser_->get().target())),
              false);
      return;
    }
    case phase::handshake: shard_->common->refused("handshake"); [[fallthrough]];
    case phase::idle:
    case phase::writing:
    case phase::lingering: kill(); return;
    case phase::done: return;
    }
  }

  // ---- reading

  void next_request(bool first) {
    parser_.emplace();
    parser_->header_limit(static_cast<std::uint32_t>(limits().header_bytes));
    parser_->body_limit(limits().body_bytes);
    if (buffer_.size() > 0) {
      read_head(false);
      return;
    }
    phase_ = phase::idle;
    arm(first ? limits().handshake_ms : limits().idle_ms);
    stream_->async_read_some(buffer_.prepare(1024),
                             bound([first](http_connection& c, error_code failed, std::size_t n) {
                               if (failed) {
                                 c.kill();
                                 return;
                               }
                               c.buffer_.commit(n);
                               c.read_head(first);
                             }));
  }

  void read_head(bool first) {
    phase_ = phase::head;
    if (!first) // the first one's time runs since the connection began
      arm(limits().handshake_ms);
    beast::http::async_read_header(*stream_, buffer_, *parser_,
                                   bound([](http_connection& c, error_code failed, std::size_t) {
                                     if (failed)
                                       c.refuse_read(failed);
                                     else
                                       c.on_head();
                                   }));
  }

  // What could not be read gets an answer if it is the client's fault, and its connection ends: where its next request
  // begins is unknown.
  void refuse_read(error_code failed) {
    using beast::http::error;
    const auto bad = to_string(ec::bad_argument);
    if (timed_out_) {
      respond(error_response(408, to_string(ec::timeout), "the request did not arrive in time"), false);
    } else if (failed == error::header_limit || failed == error::buffer_overflow) {
      shard_->common->refused("head");
      respond(
          error_response(431, bad,
                         "the request's headers are larger than " + std::to_string(limits().header_bytes) + " bytes"),
          false);
    } else if (failed == error::body_limit) {
      shard_->common->refused("body");
      respond(error_response(413, bad,
                             "the request's body is larger than " + std::to_string(limits().body_bytes) + " bytes"),
              false);
    } else if (failed == error::end_of_stream) {
      kill();
    } else if (failed.category() == beast::http::make_error_code(error::bad_method).category()) {
      respond(error_response(400, bad, "not a request of HTTP/1.1: " + failed.message()), false);
    } else {
      kill(); // the network's
    }
  }

  void on_head() {
    const auto& head = parser_->get();
    const auto refuse = [&](unsigned status, std::string_view message,
                            std::vector<std::pair<std::string, std::string>> headers = {}, ec code = ec::bad_argument) {
      auto r = error_response(status, to_string(code), message, view_of(head.target()));
      r.headers = std::move(headers);
      respond(std::move(r), false);
    };
    if (refused_ == refusal::full)
      return refuse(503, "too many connections; try again later", {{"Retry-After", retry_after()}}, ec::overloaded);
    if (refused_ == refusal::address)
      return refuse(429, "too many connections from this address; close some, or try again later",
                    {{"Retry-After", retry_after()}}, ec::overloaded);

    std::optional<std::string_view> host, origin;
    unsigned hosts = 0, origins = 0;
    for (const auto& h : head) {
      if (h.name() == field::host && ++hosts == 1)
        host = view_of(h.value());
      if (h.name() == field::origin && ++origins == 1)
        origin = view_of(h.value());
    }
    if (hosts > 1 || origins > 1 || (hosts == 0 && head.version() >= 11))
      return refuse(400, hosts == 0 ? "the Host header is missing" : "Host and Origin may be given once");
    const auto coding = head[field::transfer_encoding];
    if (!coding.empty() && !same_text(coding, "chunked"))
      return refuse(501, "of transfer codings only chunked is understood");
    const auto verb = view_of(head.method_string());
    if (verb == "CONNECT" || verb == "TRACE")
      return refuse(405, "this method is not offered", {{"Allow", "GET, HEAD, POST"}});
    target_ = parse_target(view_of(head.target()));
    if (!target_)
      return refuse(400, "the path or the query is not valid: percent-encoded UTF-8 is wanted");
    if (!target_->authority.empty())
      host = target_->authority; // RFC 9112, 3.2.2: it wins over the header
    if (auto why = shard_->common->policy.refuse_host(host))
      return refuse(421, *why);

    const bool upgrades = wants_web_socket();
    if (upgrades || (verb != "GET" && verb != "HEAD"))
      if (auto why = shard_->common->policy.refuse_origin(origin, host.value_or("")))
        return refuse(403, *why);
    if (target_->path == web_socket_path) {
      if (!upgrades)
        return refuse(426, "this path speaks WebSocket", {{"Upgrade", "websocket"}, {"Connection", "upgrade, close"}});
      if (auto version = head[field::sec_websocket_version]; version != "13")
        return refuse(426, "WebSocket version 13 is wanted",
                      {{"Upgrade", "websocket"}, {"Connection", "upgrade, close"}, {"Sec-WebSocket-Version", "13"}});
      const auto key = view_of(head[field::sec_websocket_key]);
      if (verb != "GET" || head.version() < 11 || key.size() != 24 || !key.ends_with("=="))
        return refuse(400, "not a WebSocket handshake: GET, HTTP/1.1 and a Sec-WebSocket-Key of 16 bytes are wanted");
      if (!parser_->is_done())
        return refuse(400, "a WebSocket handshake has no body");
      if (finishing_)
        return refuse(503, "shutting down", {{"Retry-After", retry_after()}}, ec::stopped);
      if (!shard_->common->admit_session()) {
        shard_->common->refused("upgrades");
        return refuse(503, "too many clients connect at once; try again later", {{"Retry-After", retry_after()}},
                      ec::overloaded);
      }
      return upgrade();
    }
    if (upgrades)
      return refuse(404, "WebSockets are at " + std::string(web_socket_path), {}, ec::no_such_thing);

    if (const auto expected = head[field::expect]; !expected.empty()) {
      if (!same_text(expected, "100-continue"))
        return refuse(417, "of expectations only 100-continue is understood");
      if (!parser_->is_done() && head.version() >= 11)
        return say_continue();
    }
    read_body();
  }

  bool wants_web_socket() const {
    const auto& head = parser_->get();
    return beast::http::token_list(head[field::upgrade]).exists("websocket") &&
           beast::http::token_list(head[field::connection]).exists("upgrade");
  }

  void say_continue() {
    phase_ = phase::writing;
    arm(limits().request_ms);
    head_ = "HTTP/1.1 100 Continue\r\n\r\n";
    asio::async_write(*stream_, asio::buffer(head_), bound([](http_connection& c, error_code failed, std::size_t) {
      if (failed)
        c.kill();
      else
        c.read_body();
    }));
  }

  void read_body() {
    if (parser_->is_done()) {
      dispatch();
      return;
    }
    phase_ = phase::body;
    arm(limits().request_ms);
    beast::http::async_read(*stream_, buffer_, *parser_, bound([](http_connection& c, error_code failed, std::size_t) {
      if (failed)
        c.refuse_read(failed);
      else
        c.dispatch();
    }));
  }

  // ---- answering

  void dispatch() {
    auto& message = parser_->get();
    request r;
    r.method = message.method_string();
    r.path = std::move(target_->path);
    r.segments = std::move(target_->segments);
    r.query = std::move(target_->query);
    for (const auto& h : message) {
      std::string name(h.name_string());
      std::ranges::transform(name, name.begin(),
                             [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
      auto& value = r.headers[std::move(name)];
      if (!value.empty())
        value += ", ";
      value += view_of(h.value());
    }
    r.body = std::move(message.body());
    r.peer = peer_;

    phase_ = phase::handling;
    arm(limits().request_ms);
    const auto number = ++request_number_;
    // Where the connection is gone its reactor may be too, so that is looked at first.
    responder answer = [weak = weak_from_this(), number, home = &shard_->home](response with) {
      if (weak.expired())
        return;
      home->post([weak, number, with = std::move(with)]() mutable {
        const auto alive = weak.lock();
        auto* self = static_cast<http_connection*>(alive.get());
        if (self && self->phase_ == phase::handling && self->request_number_ == number)
          self->respond(std::move(with), self->parser_->get().keep_alive());
      });
    };
    if (!shard_->common->handlers.request) {
      respond(error_response(404, to_string(ec::no_such_thing), "nothing is here", r.path), message.keep_alive());
      return;
    }
    try {
      shard_->common->handlers.request(std::move(r), answer);
    } catch (const std::exception& e) {
      log::error("http", "a request failed", {{"what", e.what()}, {"path", view_of(message.target())}});
      answer(error_response(500, to_string(ec::internal), "internal error"));
    }
  }

  void respond(response r, bool keep_alive) {
    keep_alive = keep_alive && !finishing_ && !shard_->finishing;
    if (r.status < 200 || r.status > 599) {
      log::error("http", "a handler answered with a status that is none", {{"status", r.status}});
      r = error_response(500, to_string(ec::internal), "internal error");
    }
    const bool head_only = parser_->get().method() == beast::http::verb::head;
    if (r.events && head_only) {
      r.content_type = "text/event-stream";
      r.unbounded = true;
    } else if (r.events) {
      if (auto stream = admit_events())
        r = std::move(*stream);
      else
        return begin_events(std::move(*r.events));
    }
    keep_alive = keep_alive && !r.unbounded;
    head_ = response_head(r, keep_alive);
    body_ = head_only || !has_body(r.status) ? std::string{} : std::move(r.body);
    phase_ = phase::writing;
    arm(limits().request_ms + body_.size() * 1000 / slowest_reader);
    if (shard_->common->handlers.answered)
      shard_->common->handlers.answered(r.status);
    const std::array<asio::const_buffer, 2> parts{asio::buffer(head_), asio::buffer(body_)};
    asio::async_write(*stream_, parts, bound([keep_alive](http_connection& c, error_code failed, std::size_t) {
      std::string().swap(c.body_);
      if (failed)
        c.kill();
      else if (!keep_alive)
        c.linger();
      else if (c.finishing_)
        c.kill();
      else
        c.next_request(false);
    }));
  }

  // The page's own origin, or none, or one that the topology lists: else what is answered instead.
  std::optional<response> admit_events() {
    const auto& head = parser_->get();
    const auto origin = head.find(field::origin);
    if (origin != head.end()) {
      const auto host = target_->authority.empty() ? view_of(head[field::host]) : std::string_view(target_->authority);
      if (auto why = shard_->common->policy.refuse_origin(view_of(origin->value()), host))
        return error_response(403, to_string(ec::bad_argument), *why, view_of(head.target()));
    }
    std::optional<response> r;
    if (finishing_ || shard_->finishing) {
      r = error_response(503, to_string(ec::stopped), "shutting down", view_of(head.target()));
    } else if (!shard_->common->admit_session()) {
      shard_->common->refused("upgrades");
      r = error_response(503, to_string(ec::overloaded), "too many clients connect at once; try again later",
                         view_of(head.target()));
    }
    if (r)
      r->headers.emplace_back("Retry-After", retry_after());
    return r;
  }

  void begin_events(event_request request) {
    phase_ = phase::done;
    deadline_.cancel();
    const auto& head = parser_->get();
    accept_event_stream<Stream>(shard_, std::move(stream_), std::move(request), std::string(view_of(head[field::origin])),
                                std::string(view_of(head.target())), std::move(*counted_), peer_);
  }

  // Lets the answer reach a client that is still sending: closing at once would reset the connection, and the answer
  // with it.
  void linger() {
    phase_ = phase::lingering;
    arm(lingering_ms);
    if constexpr (std::is_same_v<Stream, tls_stream>) {
      stream_->async_shutdown(bound([](http_connection& c, error_code) { c.kill(); }));
    } else {
      error_code failed;
      stream_->shutdown(tcp_socket::shutdown_send, failed);
      if (failed)
        kill();
      else
        discard();
    }
  }

  void discard() {
    buffer_.clear();
    stream_->async_read_some(buffer_.prepare(4096), bound([](http_connection& c, error_code failed, std::size_t n) {
                               c.discarded_ += n;
                               if (failed || c.discarded_ > lingering_bytes)
                                 c.kill();
                               else
                                 c.discard();
                             }));
  }

  void upgrade() {
    phase_ = phase::done;
    deadline_.cancel();
    accept_web_socket<Stream>(shard_, std::move(stream_), beast::buffers_to_string(buffer_.data()), parser_->release(),
                              std::move(*counted_), peer_);
  }

  std::shared_ptr<shard> shard_;
  std::unique_ptr<Stream> stream_; // none after an upgrade
  std::optional<slot> counted_;
  peer_info peer_;
  enlisted listed_;
  timer deadline_;
  beast::flat_buffer buffer_;
  std::optional<parser> parser_;
  std::optional<target> target_;
  phase phase_ = phase::idle;
  refusal refused_; // over a limit: the first request is answered so
  bool timed_out_ = false;
  bool finishing_ = false;
  std::uint64_t request_number_ = 0; // an answer that names another one came too late
  std::string head_, body_;          // being written
  std::size_t discarded_ = 0;
};

} // namespace

void start_connection(std::shared_ptr<shard> home, tcp_socket socket, peer_info peer, std::uint64_t address,
                      refusal refused) {
  if (auto* tls = home->common->tls.get()) {
    auto stream = std::make_unique<tls_stream>(std::move(socket), *tls);
    std::make_shared<http_connection<tls_stream>>(std::move(home), std::move(stream), std::move(peer), address, refused)->start();
  } else {
    auto stream = std::make_unique<tcp_socket>(std::move(socket));
    std::make_shared<http_connection<tcp_socket>>(std::move(home), std::move(stream), std::move(peer), address, refused)->start();
  }
}

} // namespace weir::http
