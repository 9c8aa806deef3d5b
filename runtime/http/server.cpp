#include "runtime/http/server.hpp"

#include "runtime/core/backoff.hpp"
#include "runtime/core/log.hpp"
#include "runtime/http/shard.hpp"

#include <algorithm>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <random>
#include <sys/socket.h>
#include <unistd.h>

namespace weir::http {
namespace {

namespace asio = boost::asio;
using tcp = asio::ip::tcp;

// Connections that are being told 503, by reactor; beyond it they are closed without a word.
constexpr std::size_t refusals_bound = 256;

// Not 0. A client with IPv6 usually has a /64 to itself. No global prefix begins with 0000.
std::uint64_t counted_as(const asio::ip::address& address) {
  if (address.is_v4())
    return 0xFFFF'0000'0000ull | address.to_v4().to_uint();
  std::uint64_t prefix = 0;
  const auto bytes = address.to_v6().to_bytes();
  for (std::size_t i = 0; i < 8; ++i)
    prefix = prefix << 8 | bytes[i];
  return prefix == 0 ? 1 : prefix; // ::1
}

// Accepts on one shard until its acceptor is closed. When the process runs out of descriptors or memory it pauses, so
// that the loop does not burn a core, and says so once.
class acceptor_loop : public std::enable_shared_from_this<acceptor_loop> {
public:
  explicit acceptor_loop(std::shared_ptr<shard> s) : shard_(std::move(s)) {
    std::lock_guard lock(shard_->common->mutex);
    ++shard_->common->accepting;
  }
  ~acceptor_loop() {
    std::lock_guard lock(shard_->common->mutex);
    --shard_->common->accepting;
    shard_->common->gone.notify_all();
  }
  acceptor_loop(const acceptor_loop&) = delete;
  acceptor_loop& operator=(const acceptor_loop&) = delete;

  void next() {
    shard_->acceptor.async_accept([self = shared_from_this()](error_code failed, tcp_socket socket) {
      if (!self->shard_->acceptor.is_open())
        return;
      if (!failed)
        self->accepted(std::move(socket));
      else if (failed != asio::error::connection_aborted && failed != asio::error::operation_aborted)
        return self->pause(failed);
      self->next();
    });
  }

private:
  void accepted(tcp_socket socket) {
    if (std::exchange(failing_, false)) {
      wait_.reset();
      log::info("http", "connections are accepted again");
    }
    error_code failed;
    const auto from = socket.remote_endpoint(failed);
    if (failed)
      return; // gone already
    socket.set_option(tcp::no_delay(true), failed);
    auto& common = *shard_->common;
    auto address = from.address();
    if (address.is_v6() && address.to_v6().is_v4_mapped()) // of a listener on [::]
      address = asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6());
    auto refused = common.serving.load() >= common.limits.connections ? refusal::full : refusal::none;
    std::uint64_t counted = 0;
    if (refused == refusal::none && common.limits.connections_per_address > 0) {
      counted = counted_as(address);
      if (!common.admit_address(counted)) {
        counted = 0;
        refused = refusal::address;
      }
    }
    if (refused != refusal::none) {
      common.refused(refused == refusal::full ? "connections" : "address");
      if (common.refusing.load() >= refusals_bound)
        return;
    }
    start_connection(shard_, std::move(socket), peer_info{address.to_string(), from.port(), common.tls != nullptr},
                     counted, refused);
  }

  void pause(error_code why) {
    if (!std::exchange(failing_, true))
      log::error("http", "connections can't be accepted; trying again", {{"why", why.message()}});
    shard_->pause.expires_after(wait_.next());
    shard_->pause.async_wait([self = shared_from_this()](error_code cancelled) {
      if (!cancelled && self->shard_->acceptor.is_open())
        self->next();
    });
  }

  std::shared_ptr<shard> shard_;
  backoff wait_{std::chrono::milliseconds{20}, std::chrono::milliseconds{1000}};
  bool failing_ = false;
};

error_code set_reuse_port(tcp_acceptor& a) {
  const int on = 1;
  if (::setsockopt(a.native_handle(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0)
    return {errno, boost::system::system_category()};
  return {};
}

error_code open_listener(tcp_acceptor& a, const tcp::endpoint& at, bool share) {
  error_code failed;
  a.open(at.protocol(), failed);
  if (!failed)
    a.set_option(asio::socket_base::reuse_address(true), failed);
  if (!failed && share)
    failed = set_reuse_port(a);
  if (!failed)
    a.bind(at, failed);
  if (!failed)
    a.listen(1024, failed);
  return failed;
}

// Sharing a port among our listeners would also let a second process share it silently; one that may not share finds it
// out. Not a socket of a reactor, whose thread may hold it for a moment after it is closed (epoll looks at it just
// then): the port would be in use by ourselves. It does not listen, so no client gets to it.
error_code probe(const tcp::endpoint& at) {
  if (at.port() == 0)
    return {};
  const int fd = ::socket(at.protocol().family(), SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0)
    return {errno, boost::system::system_category()};
  const int on = 1;
  error_code failed;
  if (::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
      ::bind(fd, at.data(), static_cast<socklen_t>(at.size())) != 0)
    failed = {errno, boost::system::system_category()};
  ::close(fd);
  return failed;
}

std::string tls_message() {
  char text[256] = "unknown";
  if (const auto code = ERR_get_error(); code != 0)
    ERR_error_string_n(code, text, sizeof text);
  ERR_clear_error();
  return text;
}

result<std::unique_ptr<asio::ssl::context>> make_tls(const http_config& config) {
  auto context = std::make_unique<asio::ssl::context>(asio::ssl::context::tls_server);
  auto* native = context->native_handle();
  SSL_CTX_set_min_proto_version(native, TLS1_2_VERSION);
  SSL_CTX_set_options(native, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
  // An idle session's buffers go back: 34 KiB a connection.
  SSL_CTX_set_mode(native, SSL_MODE_RELEASE_BUFFERS);
  ERR_clear_error();
  if (SSL_CTX_use_certificate_chain_file(native, config.certificate_file.c_str()) != 1)
    return fail(ec::io,
                fmt::format("http.tls: the certificate {} can't be used: {}", config.certificate_file, tls_message()));
  if (SSL_CTX_use_PrivateKey_file(native, config.key_file.c_str(), SSL_FILETYPE_PEM) != 1 ||
      SSL_CTX_check_private_key(native) != 1)
    return fail(ec::io, fmt::format("http.tls: the key {} can't be used: {}", config.key_file, tls_message()));
  return context;
}

class listening_server final : public server {
public:
  listening_server(std::shared_ptr<common_state> common, std::vector<std::shared_ptr<shard>> shards, std::uint16_t port)
      : common_(std::move(common)), shards_(std::move(shards)), port_(port) {}

  ~listening_server() override { close(0); }

  std::uint16_t port() const override { return port_; }
  std::size_t connections() const override { return common_->serving.load(); }

  void stop_accepting() override {
    on_each([](shard& s) { stop(s); });
  }

  void close(std::uint32_t deadline_ms) override {
    const auto until = clock::now() + std::chrono::milliseconds(deadline_ms);
    // The last fifth is for those that did not end when asked.
    const auto polite = clock::now() + std::chrono::milliseconds(deadline_ms - deadline_ms / 5);
    const bool heard = on_each([](shard& s) {
      stop(s);
      s.finishing = true;
      each_connection(s, [](connection& c) { c.finish(); });
    });
    // What accepts holds the handlers, and all that they hold, until its reactor has run it to its end. Callers stop
    // the reactors next, so that has to be now. It takes a round.
    if (heard)
      wait_no_more_accepted(clock::now() + std::chrono::seconds(1));
    if (wait_gone(polite))
      return;
    on_each([](shard& s) { each_connection(s, [](connection& c) { c.kill(); }); });
    // What is killed ends in the reactors' next round; a moment is granted even if the deadline has passed.
    if (!wait_gone(std::max(until, clock::now() + std::chrono::milliseconds(250))))
      log::warn("http", "connections were left at the end", {{"left", common_->serving.load()}});
  }

private:
  static void stop(shard& s) {
    error_code ignored;
    s.acceptor.close(ignored);
    s.pause.cancel();
  }

  template <class F>
  static void each_connection(shard& s, F f) {
    std::vector<std::shared_ptr<connection>> open;
    open.reserve(s.open.size());
    for (auto* c : s.open)
      if (auto alive = c->weak_from_this().lock())
        open.push_back(std::static_pointer_cast<connection>(alive));
    for (auto& c : open)
      f(*c);
  }

  // Gives whether all reactors run.
  template <class F>
  bool on_each(F f) {
    bool all = true;
    for (auto& s : shards_) {
      // A stopped reactor runs nothing any more, so this thread is alone with the shard.
      if (s->home.post([s, f] { f(*s); }))
        continue;
      f(*s);
      all = false;
    }
    return all;
  }

  void wait_no_more_accepted(clock::time_point until) {
    std::unique_lock lock(common_->mutex);
    if (!common_->gone.wait_until(lock, until, [this] { return common_->accepting == 0; }))
      log::warn("http", "a listener was left at the end");
  }

  bool wait_gone(clock::time_point until) {
    std::unique_lock lock(common_->mutex);
    return common_->gone.wait_until(lock, until,
                                    [this] { return common_->serving.load() + common_->refusing.load() == 0; });
  }

  std::shared_ptr<common_state> common_;
  std::vector<std::shared_ptr<shard>> shards_;
  std::uint16_t port_;
};

} // namespace

bool common_state::admit_session() {
  if (limits.upgrades_per_second == 0)
    return true;
  std::lock_guard lock(admission_);
  return upgrades_.take(steady_ms());
}

bool common_state::admit_address(std::uint64_t address) {
  std::lock_guard lock(admission_);
  auto& n = addresses_[address];
  if (n >= limits.connections_per_address)
    return false;
  ++n;
  return true;
}

void common_state::forget_address(std::uint64_t address) {
  std::lock_guard lock(admission_);
  const auto at = addresses_.find(address);
  if (--at->second == 0)
    addresses_.erase(at);
}

std::string retry_after() {
  thread_local std::minstd_rand random{std::random_device{}()};
  return std::to_string(std::uniform_int_distribution<int>(1, 10)(random));
}

server_limits limits_of(const http_config& config) {
  const auto& said = config.limits;
  server_limits l;
  l.message_bytes = said.message_bytes;
  l.handshake_ms = static_cast<std::uint32_t>(said.handshake.count());
  l.connections = said.connections;
  l.connections_per_address = said.connections_per_address;
  l.upgrades_per_second = said.upgrades_per_second;
  l.session_bytes_per_second = said.session_bytes_per_second;
  l.compression = config.compression;
  return l;
}

result<std::unique_ptr<server>> listen(const http_config& config, const server_limits& limits,
                                       std::vector<reactor*> reactors, server_handlers handlers) {
  if (reactors.empty())
    return fail(ec::internal, "an HTTP listener needs a reactor");
  error_code failed;
  std::string host = config.host;
  if (host.size() > 2 && host.front() == '[' && host.back() == ']')
    host = host.substr(1, host.size() - 2);
  auto address = asio::ip::make_address(host, failed);
  if (failed) {
    tcp::resolver resolver(reactors.front()->context());
    const auto found = resolver.resolve(host, std::to_string(config.port), tcp::resolver::passive, failed);
    if (failed || found.empty())
      return fail(ec::io,
                  fmt::format("http.listen: '{}' is no address of this machine: {}", config.host, failed.message()));
    // "localhost" often is ::1 first, and is asked for by those who mean 127.0.0.1.
    const auto v4 = std::ranges::find_if(found, [](const auto& e) { return e.endpoint().address().is_v4(); });
    address = (v4 != found.end() ? v4 : found.begin())->endpoint().address();
  }
  tcp::endpoint at(address, config.port);

  auto common = std::make_shared<common_state>(limits, std::move(handlers),
                                               origin_policy(config.origins, config.tls(), address.is_loopback()));
  if (config.tls()) {
    auto context = make_tls(config);
    if (!context)
      return tl::unexpected(context.error());
    common->tls = std::move(*context);
  }

  failed = probe(at);
  std::vector<std::shared_ptr<shard>> shards;
  for (auto* r : reactors) {
    if (failed)
      break;
    auto s = std::make_shared<shard>(*r, common);
    failed = open_listener(s->acceptor, at, reactors.size() > 1);
    if (!failed && at.port() == 0)
      at.port(s->acceptor.local_endpoint(failed).port());
    shards.push_back(std::move(s));
  }
  if (failed)
    return fail(ec::io,
                fmt::format("http.listen: {}:{} can't be listened on: {}", config.host, config.port, failed.message()));
  for (auto& s : shards)
    s->home.post([loop = std::make_shared<acceptor_loop>(s)] { loop->next(); });
  return std::make_unique<listening_server>(std::move(common), std::move(shards), at.port());
}

} // namespace weir::http
