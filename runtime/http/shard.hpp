// What the connections of one reactor share. Used inside runtime/http only; all of a shard on its reactor's thread.
#pragma once

#include "proto/topology.hpp"
#include "runtime/core/reactor.hpp"
#include "runtime/http/origin.hpp"
#include "runtime/http/server.hpp"

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
#include <unordered_set>
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
      : limits(l), handlers(std::move(h)), policy(std::move(p)) {}

  const server_limits limits;
  const server_handlers handlers;
  const origin_policy policy;
  std::unique_ptr<boost::asio::ssl::context> tls; // none: plain
  std::atomic<std::size_t> serving{0};            // counted against the limit
  std::atomic<std::size_t> refusing{0};           // being told 503
  std::mutex mutex;
  std::condition_variable gone; // a connection ended
};

// Counts a connection as long as it lives, also while it is handed from HTTP to WebSocket.
class slot {
public:
  slot(std::shared_ptr<common_state> common, bool refusing) : common_(std::move(common)), refusing_(refusing) {
    ++count();
  }
  slot(slot&& other) noexcept = default;
  slot& operator=(slot&&) = delete;
  ~slot() {
    if (!common_)
      return;
    --count();
    std::lock_guard lock(common_->mutex);
    common_->gone.notify_all();
  }

private:
  std::atomic<std::size_t>& count() { return refusing_ ? common_->refusing : common_->serving; }
  std::shared_ptr<common_state> common_;
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

struct shard : std::enable_shared_from_this<shard> {
  shard(reactor& r, std::shared_ptr<common_state> c)
      : home(r), common(std::move(c)), acceptor(r.context()), pause(r.context()) {}

  // One hook for all that became dirty in a round.
  void mark_dirty(std::shared_ptr<connection> c) {
    dirty.push_back(std::move(c));
    if (dirty.size() == 1)
      home.at_round_end([self = shared_from_this()] { self->flush(); });
  }

  void flush() {
    flushing.swap(dirty);
    for (auto& c : flushing)
      c->flush();
    flushing.clear();
  }

  reactor& home;
  std::shared_ptr<common_state> common;
  tcp_acceptor acceptor;
  timer pause; // after a failed accept
  bool accepting = false;
  bool finishing = false;
  std::unordered_set<connection*> open;
  std::vector<std::shared_ptr<connection>> dirty, flushing;
};

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

// Starts to serve a socket; `refuse`: its first request is answered 503.
void start_connection(std::shared_ptr<shard> home, tcp_socket socket, peer_info peer, bool refuse);

} // namespace weir::http
