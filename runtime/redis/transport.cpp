#include "runtime/redis/transport.hpp"

#include <boost/asio/connect.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/write.hpp>
#include <fmt/format.h>

namespace weir::redis {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

template <class Stream>
class base : public transport {
public:
  void read_some(asio::mutable_buffer into, completion done) override {
    stream_.async_read_some(into, std::move(done));
  }
  void write(std::vector<asio::const_buffer> what, completion done) override {
    asio::async_write(stream_, std::move(what), std::move(done));
  }

protected:
  template <class... Args>
  explicit base(Args&&... args) : stream_(std::forward<Args>(args)...) {}
  Stream stream_;
};

class unix_transport final : public base<asio::local::stream_protocol::socket> {
public:
  unix_transport(asio::io_context& context, std::string path) : base(context), path_(std::move(path)) {}
  void open(std::function<void(error_code)> done) override {
    stream_.async_connect(asio::local::stream_protocol::endpoint(path_), std::move(done));
  }
  void close() override {
    error_code ignored;
    stream_.close(ignored);
  }

private:
  std::string path_;
};

// Shared by tcp and tls: the handlers run after close() too, so they only use what they hold.
void connect_tcp(tcp::resolver& resolver, tcp::socket& socket, const server_url& url,
                 std::function<void(error_code)> done) {
  resolver.async_resolve(url.host, std::to_string(url.port),
                         [&socket, done = std::move(done)](error_code e, tcp::resolver::results_type found) {
                           if (e)
                             return done(e);
                           asio::async_connect(socket, found, [&socket, done](error_code failed, const tcp::endpoint&) {
                             if (!failed) {
                               error_code ignored;
                               socket.set_option(tcp::no_delay(true), ignored);
                               socket.set_option(asio::socket_base::keep_alive(true), ignored);
                             }
                             done(failed);
                           });
                         });
}

class tcp_transport final : public base<tcp::socket> {
public:
  tcp_transport(asio::io_context& context, server_url url) : base(context), resolver_(context), url_(std::move(url)) {}
  void open(std::function<void(error_code)> done) override { connect_tcp(resolver_, stream_, url_, std::move(done)); }
  void close() override {
    resolver_.cancel();
    error_code ignored;
    stream_.close(ignored);
  }

private:
  tcp::resolver resolver_;
  server_url url_;
};

class tls_transport final : public base<asio::ssl::stream<tcp::socket>> {
public:
  tls_transport(asio::io_context& context, server_url url, std::shared_ptr<asio::ssl::context> tls)
      : base(context, *tls), tls_(std::move(tls)), resolver_(context), url_(std::move(url)) {}

  void open(std::function<void(error_code)> done) override {
    error_code e;
    stream_.set_verify_mode(asio::ssl::verify_peer, e);
    if (!e)
      stream_.set_verify_callback(asio::ssl::host_name_verification(url_.host), e);
    error_code no_address;
    asio::ip::make_address(url_.host, no_address);
    // The name goes into the handshake only if it is one: addresses are not allowed there.
    if (!e && no_address && !SSL_set_tlsext_host_name(stream_.native_handle(), url_.host.c_str()))
      e = error_code(static_cast<int>(ERR_get_error()), asio::error::get_ssl_category());
    if (e) {
      asio::post(stream_.get_executor(), [done = std::move(done), e] { done(e); });
      return;
    }
    connect_tcp(resolver_, stream_.next_layer(), url_, [this, done = std::move(done)](error_code failed) {
      if (failed)
        return done(failed);
      stream_.async_handshake(asio::ssl::stream_base::client, done);
    });
  }
  void close() override {
    resolver_.cancel();
    error_code ignored;
    stream_.next_layer().close(ignored);
  }

private:
  std::shared_ptr<asio::ssl::context> tls_;
  tcp::resolver resolver_;
  server_url url_;
};

} // namespace

result<std::shared_ptr<asio::ssl::context>> make_tls(const server_url& url, const std::string& ca_file) {
  if (url.kind != server_url::scheme::tls)
    return nullptr;
  auto tls = std::make_shared<asio::ssl::context>(asio::ssl::context::tls_client);
  tls->set_options(asio::ssl::context::default_workarounds | asio::ssl::context::no_sslv2 |
                   asio::ssl::context::no_sslv3 | asio::ssl::context::no_tlsv1 | asio::ssl::context::no_tlsv1_1);
  error_code e;
  if (ca_file.empty())
    tls->set_default_verify_paths(e);
  else
    tls->load_verify_file(ca_file, e);
  if (e)
    return fail(ec::io, fmt::format("cannot read the certificates of {}: {}", ca_file.empty() ? "the system" : ca_file,
                                    e.message()));
  return tls;
}

std::unique_ptr<transport> make_transport(asio::io_context& context, const server_url& url,
                                          std::shared_ptr<asio::ssl::context> tls) {
  switch (url.kind) {
  case server_url::scheme::unix_socket: return std::make_unique<unix_transport>(context, url.path);
  case server_url::scheme::tcp: return std::make_unique<tcp_transport>(context, url);
  case server_url::scheme::tls: break;
  }
  return std::make_unique<tls_transport>(context, url, std::move(tls));
}

} // namespace weir::redis
