// What the connections of one reactor share. Used inside runtime/http only; all of a shard on its reactor's thread.
#pragma once

#include "proto/topology.hpp"
#include "runtime/core/reactor.hpp"
#include "runtime/core/reactor_post.hpp"
#include "runtime/core/token_bucket.hpp"
#include "runtime/http/origin.hpp"
#include "runtime/http/server.hpp"

#include <algorithm>
#include <atomic>
#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

namespace weir::http {

using error_code = boost::system::error_code;
using clock = std::chrono::steady_clock;
// Concrete executors: no type erasure, no strand; one thread runs the io_context.
using executor = boost::asio::io_context::executor_type;
using tcp_socket = boost::asio::basic_stream_socket<boost::asio::ip::tcp, executor>;
using tcp_acceptor = boost::asio::basic_socket_acceptor<boost::asio::ip::tcp, executor>;
using tls_stream = boost::asio::ssl::stream<tcp_socket>;
using timer = boost::asio::basic_waitable_timer<clock, boost::asio::wait_traits<clock>, executor>;

// What all reactors share. Read-only but for the counts.
struct common_state {
  common_state(server_limits l, server_handlers h, origin_policy p)
      : limits(l), handlers(std::move(h)), policy(std::move(p)),
        upgrades_(l.upgrades_per_second, 2.0 * l.upgrades_per_second, steady_ms()) {}

  void refused(std::string_view reason) const {
    if (handlers.refused)
      handlers.refused(reason);
  }
  // A session more: false if too many came lately.
  bool admit_session();
  // A connection more of this address: false if it has too many. Each true wants a forget_address().
  bool admit_address(std::uint64_t address);
  void forget_address(std::uint64_t address);

  const server_limits limits;
  const server_handlers handlers;
  const origin_policy policy;
  std::unique_ptr<boost::asio::ssl::context> tls; // none: plain
  std::atomic<std::size_t> serving{0};            // counted against the limit
  std::atomic<std::size_t> refusing{0};           // being told 503
  std::mutex mutex;
  std::condition_variable gone; // a connection ended, or a loop that accepts them
  std::size_t accepting = 0;    // such loops; guarded by mutex

private:
  std::mutex admission_; // guards all below
  token_bucket upgrades_;
  std::unordered_map<std::uint64_t, std::size_t> addresses_;
};

// Why a connection's first request is refused.
enum class refusal : std::uint8_t { none, full, address };

// Seconds for Retry-After, chosen at random so that those who were refused together do not come back together.
std::string retry_after();

// Counts a connection as long as it lives, also while it is handed from HTTP to WebSocket.
class slot {
public:
  // `address`: admitted before; 0: not counted.
  slot(std::shared_ptr<common_state> common, bool refusing, std::uint64_t address = 0)
      : common_(std::move(common)), address_(address), refusing_(refusing) {
    ++count();
  }
  slot(slot&& other) noexcept = default;
  slot& operator=(slot&&) = delete;
  ~slot() {
    if (!common_)
      return;
    if (address_ != 0)
      common_->forget_address(address_);
    --count();
    std::lock_guard lock(common_->mutex);
    common_->gone.notify_all();
  }

private:
  std::atomic<std::size_t>& count() { return refusing_ ? common_->refusing : common_->serving; }
  std::shared_ptr<common_state> common_;
  std::uint64_t address_;
  bool refusing_;
};

class connection : public std::enable_shared_from_this<connection> {
public:
  virtual ~connection() = default;
  // Ends politely: what is under way is answered, a WebSocket is closed with 3001.
  virtual void finish() = 0;
  // Ends now.
  virtual void kill() = 0;
  // Writes what gathered in this round.
  virtual void flush() = 0;
};

struct shard;

// Waits for the end of the round, when flush() is called; not any more once it is destroyed.
class flushed_connection : public connection {
public:
  ~flushed_connection() override;

protected:
  explicit flushed_connection(std::shared_ptr<shard> home) : shard_(std::move(home)) {}
  void make_dirty();
  std::shared_ptr<shard> shard_;

private:
  friend struct shard;
  bool dirty_ = false;
};

struct shard : std::enable_shared_from_this<shard> {
  shard(reactor& r, std::shared_ptr<common_state> c)
      : home(r), common(std::move(c)), acceptor(r.context()), pause(r.context()) {}

  // One hook for all that became dirty in a round.
  void mark_dirty(flushed_connection* c) {
    dirty.push_back(c);
    if (dirty.size() == 1)
      home.at_round_end([self = shared_from_this()] { self->flush(); });
  }

  void flush() {
    flushing.swap(dirty);
    for (std::size_t i = 0; i < flushing.size(); ++i) {
      if (i + 1 < flushing.size())
        fetch_ahead(flushing[i + 1]);
      if (auto* c = std::exchange(flushing[i], nullptr)) {
        c->dirty_ = false;
        c->flush();
      }
    }
    flushing.clear();
    if (sent > 0 && common->handlers.sent)
      common->handlers.sent(std::exchange(sent, 0));
  }

  void forget_dirty(const flushed_connection* c) {
    std::replace(dirty.begin(), dirty.end(), const_cast<flushed_connection*>(c),
                 static_cast<flushed_connection*>(nullptr));
    std::replace(flushing.begin(), flushing.end(), const_cast<flushed_connection*>(c),
                 static_cast<flushed_connection*>(nullptr));
  }

  // Connections lie all over memory, and what the kernel does for one send pushes the next connection out of the
  // nearest caches: it is brought back meanwhile.
  static void fetch_ahead(const flushed_connection* c) {
    for (std::size_t at = 0; at < hot_bytes; at += 64)
      __builtin_prefetch(reinterpret_cast<const char*>(c) + at);
  }
  static constexpr std::size_t hot_bytes = 256; // of a connection, which a flush touches

  reactor& home;
  std::shared_ptr<common_state> common;
  tcp_acceptor acceptor;
  timer pause; // after a failed accept
  bool accepting = false;
  bool finishing = false;
  std::unordered_set<connection*> open;
  // Not owned: a connection takes itself out when it ends, so that a delivery costs no counting of references.
  std::vector<flushed_connection*> dirty, flushing;
  std::uint64_t sent = 0; // bytes to sessions, since they were told
};

inline flushed_connection::~flushed_connection() {
  if (dirty_)
    shard_->forget_dirty(this);
}

inline void flushed_connection::make_dirty() {
  if (!std::exchange(dirty_, true))
    shard_->mark_dirty(this);
}

// Takes part in the shard's list as long as it lives.
class enlisted {
public:
  enlisted(std::shared_ptr<shard> s, connection* c) : shard_(std::move(s)), connection_(c) { shard_->open.insert(c); }
  enlisted(const enlisted&) = delete;
  enlisted& operator=(const enlisted&) = delete;
  ~enlisted() { shard_->open.erase(connection_); }

private:
  std::shared_ptr<shard> shard_;
  connection* connection_;
};

inline tcp_socket& lowest(tcp_socket& s) { return s; }
inline tcp_socket& lowest(tls_stream& s) { return s.next_layer(); }

// Starts to serve a socket; refused: its first request is answered 503 or 429. `address`: counted, see slot.
void start_connection(std::shared_ptr<shard> home, tcp_socket socket, peer_info peer, std::uint64_t address,
                      refusal refused);

} // namespace weir::http
