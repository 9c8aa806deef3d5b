#include "runtime/http/web_socket_connection.hpp"

#include "runtime/http/outbox_writer.hpp"

#include <boost/asio/post.hpp>
#include <boost/beast/core/bind_handler.hpp>
#include <boost/beast/core/buffers_to_string.hpp>
#include <boost/beast/http/rfc7230.hpp>
#include <boost/beast/websocket/rfc6455.hpp>
#include <boost/beast/websocket/stream.hpp>
#include <netinet/tcp.h>

namespace weir::http {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace websocket = boost::beast::websocket;

// How much the kernel may hold unsent: with its own default (megabytes a socket) a slow client would be served from a
// stale queue out of our sight.
constexpr int unsent_bytes = 128 << 10;
// Of what clients compress, where they let us choose: 1 KiB a session instead of 32.
constexpr int client_window_bits = 10;

// What a handler waits with until the outbox lets it go on.
template <class Bound>
struct posting_waiter final : waiter {
  posting_waiter(executor e, Bound b) : where(e), bound(std::move(b)) {}
  void run() override { asio::post(where, std::move(bound)); }
  executor where;
  Bound bound;
};

template <class Bound>
std::unique_ptr<waiter> make_waiter(executor e, Bound b) {
  return std::make_unique<posting_waiter<Bound>>(e, std::move(b));
}

// The layer under the WebSocket stream: reads pass through, writes go to the outbox.
template <class Stream>
class outbox_layer {
public:
  using next_layer_type = Stream;
  using executor_type = executor;

  outbox_layer(std::unique_ptr<Stream> stream, web_socket_base& owner, std::string early)
      : stream_(std::move(stream)), owner_(&owner), early_(std::move(early)) {}

  executor_type get_executor() noexcept { return lowest(*stream_).get_executor(); }
  next_layer_type& next_layer() noexcept { return *stream_; }
  const next_layer_type& next_layer() const noexcept { return *stream_; }
  web_socket_base& owner() { return *owner_; }

  template <class Buffers, class Handler>
  void async_read_some(const Buffers& buffers, Handler&& handler) {
    if (early_.empty()) {
      stream_->async_read_some(buffers, std::forward<Handler>(handler));
      return;
    }
    const auto n = asio::buffer_copy(buffers, asio::buffer(early_));
    early_.erase(0, n);
    asio::post(get_executor(), beast::bind_front_handler(std::forward<Handler>(handler), error_code{}, n));
  }

  template <class Buffers, class Handler>
  void async_write_some(const Buffers& buffers, Handler&& handler) {
    auto bytes = beast::buffers_to_string(buffers);
    const auto n = bytes.size();
    owner_->take_protocol_bytes(std::move(bytes));
    auto bound = beast::bind_front_handler(std::forward<Handler>(handler), error_code{}, n);
    // The stream reads on when its pong is taken, so a client that pings and never reads is bounded here.
    if (owner_->has_reply_room())
      asio::post(get_executor(), std::move(bound));
    else
      owner_->wait_reply_room(make_waiter(get_executor(), std::move(bound)));
  }

private:
  std::unique_ptr<Stream> stream_;
  web_socket_base* owner_;
  std::string early_; // read by the HTTP side already
};

void teardown_stream(tcp_socket& s, auto handler) {
  // Says that nothing more comes, then reads what does, so that no reset overtakes the close frame. Bounded by the
  // closing deadline.
  websocket::async_teardown(beast::role_type::server, s, std::move(handler));
}

void teardown_stream(tls_stream& s, auto handler) { s.async_shutdown(std::move(handler)); }

// Found by the WebSocket stream when a closing handshake is over: the last bytes are still in the outbox then.
template <class Stream, class Handler>
void async_teardown(beast::role_type, outbox_layer<Stream>& layer, Handler&& handler) {
  auto go_on = [&layer, h = std::forward<Handler>(handler)]() mutable {
    layer.owner().shorten_closing();
    teardown_stream(layer.next_layer(), std::move(h));
  };
  if (layer.owner().is_written())
    go_on();
  else
    layer.owner().wait_written(make_waiter(layer.get_executor(), std::move(go_on)));
}

template <class Stream>
class web_socket_connection final : public outbox_writer<Stream> {
  using base = outbox_writer<Stream>;
  using base::arm_deadline, base::dead, base::deflate_output, base::ended, base::join_objects, base::opened,
      base::received, base::shared_from_this, base::shard_, base::socket;

public:
  web_socket_connection(std::shared_ptr<shard> home, std::unique_ptr<Stream> stream, std::string early,
                        parsed_request request, slot counted, peer_info peer)
      : base(*stream, std::move(home), std::move(counted), std::move(peer)),
        request_(std::make_unique<parsed_request>(std::move(request))),
        stream_(std::move(stream), *this, std::move(early)) {}

  void start() {
    const int fd = socket().native_handle();
    ::setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent_bytes, sizeof unsent_bytes);
    const auto& limits = shard_->common->limits;
    stream_.read_message_max(limits.message_bytes);
    stream_.auto_fragment(false);
    stream_.set_option(
        websocket::stream_base::timeout{websocket::stream_base::none(), websocket::stream_base::none(), false});
    const bool offers_json = offers_json_protocol();
    // Only browsers send it, and all of them do.
    if (request_->find(beast::http::field::origin) != request_->end())
      join_objects();
    if (limits.compression) {
      // Nothing is kept from one message to the next, so that our frames can be shared and inflating needs little.
      websocket::permessage_deflate deflate;
      deflate.server_enable = true;
      deflate.server_no_context_takeover = true;
      deflate.client_no_context_takeover = true;
      deflate.client_max_window_bits = client_window_bits;
      stream_.set_option(deflate);
    }
    stream_.set_option(websocket::stream_base::decorator([this, offers_json](websocket::response_type& r) {
      const auto agreed = std::string_view(r[beast::http::field::sec_websocket_extensions]);
      // A client that wants a smaller window of us gets its messages plain: ours are compressed for all alike.
      if (agreed.find("permessage-deflate") != agreed.npos && agreed.find("server_max_window_bits") == agreed.npos)
        deflate_output();
      r.set(beast::http::field::server, "weir");
      if (offers_json)
        r.set(beast::http::field::sec_websocket_protocol, "centrifuge-json");
    }));
    arm_deadline(limits.handshake_ms);
    stream_.async_accept(*request_, [this, alive = shared_from_this()](error_code failed) {
      request_.reset();
      if (failed || dead()) {
        ended();
        return;
      }
      if (shard_->common->handlers.answered)
        shard_->common->handlers.answered(101);
      opened();
    });
  }

private:
  bool offers_json_protocol() const {
    for (auto [it, end] = request_->equal_range(beast::http::field::sec_websocket_protocol); it != end; ++it)
      if (beast::http::token_list(it->value()).exists("centrifuge-json"))
        return true;
    return false;
  }

  void read_next() override {
    // A connection that is idle most of the time should not keep the room of a message.
    message_.clear();
    if (message_.capacity() > most_kept)
      message_.shrink_to_fit();
    read_some();
  }

  void read_some() {
    const auto had = message_.size();
    // Most of what clients say is short. Beast's own read of a whole message would hold 1.5 KiB for it all the time.
    message_.resize(had + (had == 0 ? first_bytes : further_bytes));
    stream_.async_read_some(asio::buffer(message_.data() + had, message_.size() - had),
                            [this, had, alive = shared_from_this()](error_code failed, std::size_t n) {
                              if (failed) {
                                ended();
                                return;
                              }
                              message_.resize(had + n);
                              if (stream_.is_message_done())
                                received(stream_.got_text(), message_);
                              else
                                read_some();
                            });
  }

  static constexpr std::size_t first_bytes = 240, further_bytes = 16 << 10, most_kept = 1 << 10;

  std::unique_ptr<parsed_request> request_; // until the handshake is done
  websocket::stream<outbox_layer<Stream>, true> stream_;
  std::string message_; // being read
};

} // namespace

template <class Stream>
void accept_web_socket(std::shared_ptr<shard> home, std::unique_ptr<Stream> stream, std::string early,
                       parsed_request request, slot counted, peer_info peer) {
  std::make_shared<web_socket_connection<Stream>>(std::move(home), std::move(stream), std::move(early),
                                                  std::move(request), std::move(counted), std::move(peer))
      ->start();
}

template void accept_web_socket<tcp_socket>(std::shared_ptr<shard>, std::unique_ptr<tcp_socket>, std::string,
                                            parsed_request, slot, peer_info);
template void accept_web_socket<tls_stream>(std::shared_ptr<shard>, std::unique_ptr<tls_stream>, std::string,
                                            parsed_request, slot, peer_info);

} // namespace weir::http
