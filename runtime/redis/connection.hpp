// One connection to Redis on a reactor: full duplex, pipelined, reconnecting by itself.
//
// What gathered in a round of the reactor is written at its end as one gathering write. Bounds: bytes written and not
// answered, bytes waiting beyond that. Every request ends in exactly one call of its `done`, on the reactor's thread
// (ec::stopped may come from the thread that calls in after the reactor was stopped): with all its replies, or with an
// error when the connection fails, misses the deadline, or is closed. Error replies to single commands are replies
// here; only NOSCRIPT counts as the end of the connection (the server was restarted or failed over, so what was sent
// behind it must not be trusted to stand on what was sent before): scripts are loaded on every connect.
#pragma once

#include "runtime/redis/command.hpp"
#include "runtime/redis/redis_store.hpp"
#include "runtime/redis/transport.hpp"

#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <deque>
#include <mutex>
#include <optional>

struct redisReader;

namespace weir {
class reactor;
class backoff;
} // namespace weir

namespace weir::redis {

using replies = std::vector<reply_ptr>;

class connection : public std::enable_shared_from_this<connection> {
public:
  struct settings {
    server_url url;
    std::shared_ptr<boost::asio::ssl::context> tls;
    store_options limits;
    std::string name;    // CLIENT SETNAME
    bool wait_for_first; // requests made while a connection attempt is under way wait for it; otherwise they fail at
                         // once
  };
  using done = std::function<void(result<replies>)>;
  // One connected life: `number` counts them (0: down), `run_id` is the server's. Requests may name the life they were
  // made for.
  struct life {
    std::uint64_t number = 0;
    std::string run_id;
  };

  connection(reactor& on, settings s);
  ~connection();
  void start(); // connects; the first call on a new object

  // From any thread. `count` commands in `data`. With `only_in`, fails unless the connection is still in that life.
  void send(command_writer::bytes data, std::size_t count, done then, std::optional<std::uint64_t> only_in = {});
  // For a command that needs the server's run id: made when it is written. One command.
  void send_late(std::function<command_writer::bytes(const std::string& run_id)> make, done then);
  // Runs `t` on the reactor, behind what was sent before. If the reactor was stopped: at once.
  void post(std::function<void()> t);
  life present() const;
  void on_state(std::function<void(link_state)> changed);
  void close();

private:
  struct request;
  using request_ptr = std::unique_ptr<request>;
  enum class phase { resting, connecting, signing_in, up, closed };
  using time_point = std::chrono::steady_clock::time_point;

  void connect();
  void sign_in();
  void signed_in(result<replies> answers);
  void check_deadlines();
  error why_down() const;
  void accept(request_ptr r);
  void want_flush();
  void flush();
  void read();
  bool take_replies(); // false: the connection was dropped
  void drop(error why);
  void end_all(const error& why);
  void arm_deadline();
  void set_state(link_state s);

  reactor& reactor_;
  settings settings_;
  std::string label_;
  phase phase_ = phase::resting;
  std::uint64_t attempt_ = 0;            // tells handlers of an earlier transport from those of the present one
  std::shared_ptr<transport> transport_; // shared with its own completions
  std::unique_ptr<redisReader, void (*)(redisReader*)> reader_;
  std::unique_ptr<backoff> retry_;
  boost::asio::steady_timer retry_timer_, deadline_timer_;
  time_point attempt_deadline_{};
  time_point armed_for_ = time_point::max();
  bool flush_wanted_ = false, writing_ = false;
  std::vector<char> in_;
  std::deque<request_ptr> waiting_, outstanding_;
  std::size_t waiting_bytes_ = 0, in_flight_bytes_ = 0;
  error last_error_;
  std::uint64_t lives_ = 0;
  std::function<void(link_state)> changed_;
  link_state told_ = link_state::down;
  ec logged_ = ec::none;
  mutable std::mutex mutex_; // guards life_
  life life_;
};

} // namespace weir::redis
