#include "runtime/http/client.hpp"

#include "runtime/http/uri.hpp"

#include <algorithm>
#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/error.hpp>
#include <boost/asio/ssl/host_name_verification.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/beast/core/buffers_to_string.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <boost/beast/websocket/ssl.hpp>
#include <boost/beast/websocket/stream.hpp>
#include <fcntl.h>
#include <fmt/format.h>
#include <optional>

namespace weir::http {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace websocket = boost::beast::websocket;
using tcp = asio::ip::tcp;
using boost::system::error_code;
using clock = std::chrono::steady_clock;
using tls_socket = asio::ssl::stream<tcp::socket>;

tcp::socket& lowest(tcp::socket& s) { return s; }
tcp::socket& lowest(tls_socket& s) { return s.next_layer(); }

// An asynchronous operation seen from a blocking caller. On the heap: an operation that did not end in time ends later.
struct outcome {
  bool done = false;
  error_code failed;
};

// A context with the life of its connection; only the caller's thread runs it.
struct loop {
  asio::io_context context{1};
  asio::executor_work_guard<asio::io_context::executor_type> work{context.get_executor()};
  std::optional<asio::posix::stream_descriptor> stop;
  bool stopped = false;

  // stop_fd: see client_options.
  explicit loop(int stop_fd) {
    if (stop_fd < 0)
      return;
    stop.emplace(context);
    error_code failed;
    if (const int own = ::fcntl(stop_fd, F_DUPFD_CLOEXEC, 0); own >= 0)
      stop->assign(own, failed);
    if (stop->is_open())
      stop->async_wait(asio::posix::stream_descriptor::wait_read, [this](error_code ended) { stopped = !ended; });
  }

  // Why something that did not complete did not.
  result<void> incomplete(std::string_view what) const {
    return stopped ? fail(ec::stopped, "interrupted") : fail(ec::timeout, fmt::format("{}: no answer in time", what));
  }

  // False: the time is over first, or it is stopped.
  bool run(const bool& done, clock::time_point until) {
    while (!done && !stopped)
      if (context.run_one_until(until) == 0 && clock::now() >= until)
        return done;
    return done;
  }

  // Starts an operation by start(completion) and waits for it. At the deadline `cancel` is called, which has to end it.
  template <class Start, class Cancel>
  result<void> complete(std::string_view what, clock::time_point until, Start start, Cancel cancel) {
    auto o = std::make_shared<outcome>();
    start([o](error_code failed, auto&&...) {
      o->done = true;
      o->failed = failed;
    });
    if (!run(o->done, until)) {
      cancel();
      return incomplete(what);
    }
    if (o->failed)
      return fail(ec::io, fmt::format("{}: {}", what, o->failed.message()));
    return {};
  }
};

std::string place(const url& u) {
  const bool v6 = u.host.find(':') != std::string::npos;
  const bool standard = u.port == (u.tls() ? 443 : 80);
  return (v6 ? "[" + u.host + "]" : u.host) + (standard ? std::string{} : ":" + std::to_string(u.port));
}

result<tcp::socket> connect_tcp(loop& l, const url& u, clock::time_point until) {
  const auto what = "connecting to " + place(u);
  tcp::resolver resolver(l.context);
  auto found = std::make_shared<tcp::resolver::results_type>();
  auto resolved = l.complete(
      what, until,
      [&](auto done) {
        resolver.async_resolve(u.host, std::to_string(u.port),
                               [found, done](error_code failed, tcp::resolver::results_type r) mutable {
                                 *found = std::move(r);
                                 done(failed);
                               });
      },
      [&] { resolver.cancel(); });
  if (!resolved)
    return tl::unexpected(resolved.error());
  tcp::socket socket(l.context);
  auto connected = l.complete(
      what, until, [&](auto done) { asio::async_connect(socket, *found, done); },
      [&] {
        error_code ignored;
        socket.close(ignored);
      });
  if (!connected)
    return tl::unexpected(connected.error());
  error_code ignored;
  socket.set_option(tcp::no_delay(true), ignored);
  return socket;
}

result<std::unique_ptr<tls_socket>> connect_tls(loop& l, asio::ssl::context& context, tcp::socket socket, const url& u,
                                                const client_options& options, clock::time_point until) {
  error_code failed;
  if (!options.verify)
    context.set_verify_mode(asio::ssl::verify_none);
  else {
    context.set_verify_mode(asio::ssl::verify_peer);
    if (options.ca_file.empty())
      context.set_default_verify_paths(failed);
    else
      context.load_verify_file(options.ca_file, failed);
    if (failed)
      return fail(ec::io, fmt::format("the certificates of {} can't be read: {}",
                                      options.ca_file.empty() ? "the system" : options.ca_file, failed.message()));
  }
  auto stream = std::make_unique<tls_socket>(std::move(socket), context);
  if (options.verify)
    stream->set_verify_callback(asio::ssl::host_name_verification(u.host));
  asio::ip::make_address(u.host, failed);
  if (failed) // server name indication is for names
    SSL_set_tlsext_host_name(stream->native_handle(), u.host.c_str());
  auto shaken = l.complete(
      "TLS with " + place(u), until, [&](auto done) { stream->async_handshake(asio::ssl::stream_base::client, done); },
      [&] {
        error_code ignored;
        lowest(*stream).close(ignored);
      });
  if (!shaken)
    return tl::unexpected(shaken.error());
  return stream;
}

template <class Message>
void put_headers(Message& m, const client_options& options) {
  for (const auto& [name, value] : options.headers)
    m.set(name, value);
}

template <class Stream>
result<client_response> exchange(loop& l, Stream& stream, const url& u,
                                 beast::http::request<beast::http::string_body>& message, const client_options& options,
                                 clock::time_point until) {
  const auto cancel = [&] {
    error_code ignored;
    lowest(stream).close(ignored);
    // Ends what was pending before its buffers go.
    l.context.poll();
  };
  const auto what = "asking " + place(u);
  if (auto sent = l.complete(
          what, until, [&](auto done) { beast::http::async_write(stream, message, done); }, cancel);
      !sent)
    return tl::unexpected(sent.error());
  beast::flat_buffer buffer;
  beast::http::response_parser<beast::http::string_body> parser;
  parser.body_limit(options.body_bytes);
  parser.header_limit(64 << 10);
  if (auto read = l.complete(
          what, until, [&](auto done) { beast::http::async_read(stream, buffer, parser, done); }, cancel);
      !read)
    return tl::unexpected(read.error());
  client_response r;
  r.status = parser.get().result_int();
  for (const auto& h : parser.get()) {
    std::string name(h.name_string());
    std::ranges::transform(name, name.begin(),
                           [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    r.headers[std::move(name)] = std::string(h.value());
  }
  r.body = std::move(parser.get().body());
  return r;
}

result<client_response> ask(beast::http::verb verb, std::string_view text, std::string body,
                            std::chrono::milliseconds deadline, const client_options& options) {
  const auto until = clock::now() + deadline;
  const auto u = parse_url(text);
  if (!u)
    return tl::unexpected(u.error());
  beast::http::request<beast::http::string_body> message{verb, u->target, 11};
  message.set(beast::http::field::host, place(*u));
  message.set(beast::http::field::user_agent, "weir/" WEIR_VERSION);
  message.set(beast::http::field::connection, "close");
  if (verb == beast::http::verb::post) {
    message.set(beast::http::field::content_type, "application/json");
    message.body() = std::move(body);
    message.prepare_payload();
  }
  put_headers(message, options);
  asio::ssl::context tls(asio::ssl::context::tls_client);
  loop l(options.stop_fd);
  auto socket = connect_tcp(l, *u, until);
  if (!socket)
    return tl::unexpected(socket.error());
  if (!u->tls())
    return exchange(l, *socket, *u, message, options, until);
  auto stream = connect_tls(l, tls, std::move(*socket), *u, options, until);
  if (!stream)
    return tl::unexpected(stream.error());
  return exchange(l, **stream, *u, message, options, until);
}

} // namespace

result<client_response> http_get(std::string_view url, std::chrono::milliseconds deadline,
                                 const client_options& options) {
  return ask(beast::http::verb::get, url, {}, deadline, options);
}

result<client_response> http_post(std::string_view url, std::string body, std::chrono::milliseconds deadline,
                                  const client_options& options) {
  return ask(beast::http::verb::post, url, std::move(body), deadline, options);
}

struct ws_client::impl {
  virtual ~impl() = default;
  virtual result<void> send(std::string_view text, std::chrono::milliseconds deadline) = 0;
  virtual result<std::string> receive(std::chrono::milliseconds deadline) = 0;
  virtual void close(std::uint16_t code, std::chrono::milliseconds deadline) = 0;
  std::uint16_t code = 0;
  std::string reason;
};

namespace {

template <class Stream>
struct ws_link final : ws_client::impl {
  ws_link(std::unique_ptr<asio::ssl::context> t, std::shared_ptr<loop> l, std::unique_ptr<Stream> s)
      : tls(std::move(t)), run(std::move(l)), socket(std::move(s)), stream(*socket) {}

  ~ws_link() override { drop(); }

  void drop() {
    error_code ignored;
    lowest(*socket).close(ignored);
    run->context.restart();
    run->context.poll(); // ends what is pending while its buffers are still there
  }

  result<void> handshake(const url& u, const client_options& options, clock::time_point until) {
    stream.read_message_max(options.body_bytes);
    stream.set_option(websocket::stream_base::decorator([&](websocket::request_type& r) {
      r.set(beast::http::field::user_agent, "weir/" WEIR_VERSION);
      put_headers(r, options);
    }));
    websocket::response_type answer;
    auto done = run->complete(
        "connecting to " + place(u), until,
        [&](auto completion) { stream.async_handshake(answer, place(u), u.target, completion); }, [this] { drop(); });
    if (!done && done.error().code == ec::io && answer.result_int() != 0 &&
        answer.result() != beast::http::status::switching_protocols)
      return fail(ec::io, fmt::format("connecting to {}: the server answered {} {}", place(u), answer.result_int(),
                                      answer.body()));
    stream.set_option(websocket::stream_base::decorator([](websocket::request_type&) {}));
    return done;
  }

  result<void> send(std::string_view text, std::chrono::milliseconds deadline) override {
    if (ended)
      return fail(ended->code, ended->message);
    stream.text(true);
    const std::string bytes(text);
    return run->complete(
        "sending", clock::now() + deadline, [&](auto done) { stream.async_write(asio::buffer(bytes), done); },
        [this] { drop(); });
  }

  result<std::string> receive(std::chrono::milliseconds deadline) override {
    const auto until = clock::now() + deadline;
    if (!reading && !ended)
      start_read();
    if (reading)
      run->run(idle, until);
    if (reading)
      return run->stopped ? fail(ec::stopped, "interrupted") : fail(ec::timeout, "no message in time");
    if (ended)
      return fail(ended->code, ended->message);
    auto message = beast::buffers_to_string(buffer.data());
    buffer.consume(buffer.size());
    return message;
  }

  void close(std::uint16_t with, std::chrono::milliseconds deadline) override {
    if (ended)
      return;
    const auto until = clock::now() + deadline;
    // A pending read takes part in the closing handshake; one that has a message ready is dropped.
    [[maybe_unused]] const auto done = run->complete(
        "closing", until, [&](auto completion) { stream.async_close(websocket::close_code(with), completion); },
        [this] { drop(); });
    if (!ended)
      ended = error{ec::stopped, "closed"};
    drop();
  }

private:
  void start_read() {
    reading = true;
    idle = false;
    stream.async_read(buffer, [this](error_code failed, std::size_t) {
      reading = false;
      idle = true;
      if (!failed)
        return;
      code = stream.reason().code;
      reason.assign(stream.reason().reason.data(), stream.reason().reason.size());
      // A server in a hurry may be gone before our half of the closing handshake reaches it; its reason counts all the
      // same.
      if (failed == websocket::error::closed || code != 0)
        ended = error{ec::stopped, fmt::format("the server closed the connection: {} {}", code, reason)};
      else
        ended = error{ec::io, "the connection was lost: " + failed.message()};
    });
  }

  std::unique_ptr<asio::ssl::context> tls;
  std::shared_ptr<loop> run;
  std::unique_ptr<Stream> socket;
  websocket::stream<Stream&> stream;
  beast::flat_buffer buffer;
  bool reading = false, idle = true;
  std::optional<error> ended;
};

} // namespace

ws_client::ws_client(std::unique_ptr<impl> i) : impl_(std::move(i)) {}
ws_client::ws_client(ws_client&&) noexcept = default;
ws_client& ws_client::operator=(ws_client&&) noexcept = default;
ws_client::~ws_client() = default;

result<ws_client> ws_client::connect(std::string_view text, std::chrono::milliseconds deadline,
                                     const client_options& options) {
  const auto until = clock::now() + deadline;
  const auto u = parse_url(text);
  if (!u)
    return tl::unexpected(u.error());
  auto l = std::make_shared<loop>(options.stop_fd); // outlives the sockets below also where the handshake fails
  auto socket = connect_tcp(*l, *u, until);
  if (!socket)
    return tl::unexpected(socket.error());
  const auto finish = [&](auto link) -> result<ws_client> {
    if (auto done = link->handshake(*u, options, until); !done)
      return tl::unexpected(done.error());
    return ws_client(std::move(link));
  };
  if (!u->tls())
    return finish(
        std::make_unique<ws_link<tcp::socket>>(nullptr, l, std::make_unique<tcp::socket>(std::move(*socket))));
  auto tls = std::make_unique<asio::ssl::context>(asio::ssl::context::tls_client);
  auto stream = connect_tls(*l, *tls, std::move(*socket), *u, options, until);
  if (!stream)
    return tl::unexpected(stream.error());
  return finish(std::make_unique<ws_link<tls_socket>>(std::move(tls), l, std::move(*stream)));
}

result<void> ws_client::send(std::string_view text, std::chrono::milliseconds deadline) {
  return impl_->send(text, deadline);
}
result<std::string> ws_client::receive(std::chrono::milliseconds deadline) { return impl_->receive(deadline); }
void ws_client::close(std::uint16_t code, std::chrono::milliseconds deadline) { impl_->close(code, deadline); }
std::uint16_t ws_client::close_code() const { return impl_->code; }
const std::string& ws_client::close_reason() const { return impl_->reason; }

} // namespace weir::http
