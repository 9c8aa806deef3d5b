// One table followed over the client protocol, from the client's side, for the command line: what to send, what came,
// when to come back. No sockets and no clock in it.
//
// A break costs nothing where the position is still good: the next connection goes on from it. Where it is not, there
// is a gap and it is told as one: entries of a log may be missing, a map is sent anew.
#pragma once

#include "runtime/core/backoff.hpp"
#include "runtime/core/error.hpp"

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace weir::http {

// So many connections are tried before the first subscription stands.
inline constexpr unsigned first_tries = 5;

struct follow_request {
  std::string table;
  bool map = true;                // false: a log
  std::optional<std::string> key; // of a map: this row alone
  std::string where;              // a JSON object as text; empty: all
  std::string max_rate;           // as "2/s"; empty: as it comes
};

// Something to show, in the order in which it came.
struct followed {
  enum class kind {
    row,     // of a map: key, data
    removed, // of a map: key
    entry,   // of a log: data, tags
    gap,     // text: what may be missing, and what follows
  };
  kind what = kind::row;
  std::string key;
  std::string data; // JSON
  std::string tags; // JSON object; empty: none came
  std::string text;
};

struct follow_step {
  enum class next {
    go_on,     // wait for the next message
    reconnect, // after `wait`
    end,       // `failed` says why
  };
  next then = next::go_on;
  std::vector<followed> lines;
  std::vector<std::string> notes; // for people, about the connection
  std::chrono::milliseconds wait{0};
  std::string send;    // after `wait`; empty: nothing
  std::string refused; // a temporary error: what the server said; it is asked again
  error failed;        // ec::bad_argument: the request is wrong; else the server or the network
};

class follower {
public:
  // `request.where` has to be a JSON object or empty.
  explicit follower(follow_request request,
                    backoff retry = backoff{std::chrono::milliseconds{200}, std::chrono::milliseconds{5000}});
  ~follower();

  // A connection is open: what is to be sent first. token: to be shown; empty: none.
  std::string opened(std::string_view token = {});
  // A text message of the server.
  follow_step on_message(std::string_view text);
  // The connection could not be made, or ended. `close_code`: the server's, 0: none. Ends where the server wants so,
  // and where not even the first subscription stood after first_tries connections.
  follow_step on_lost(const error& why, std::uint16_t close_code = 0);

  // A subscription stood at least once.
  bool ever() const { return ever_; }
  // A place to resume from is known.
  bool positioned() const { return positioned_; }

private:
  struct frame; // a parsed object, which keeps the parser out of here

  std::string subscribe();
  void on_frame(const frame& f, follow_step& step);
  void on_error(const frame& f, follow_step& step);
  void on_subscribed(const frame& f, follow_step& step);
  void on_publication(const frame& f, follow_step& step);
  void restart();

  follow_request request_;
  std::string channel_;
  backoff retry_;
  bool ever_ = false;       // subscribed once
  bool live_ = false;       // subscribed on this connection
  bool positioned_ = false; // epoch_ and offset_ are a complete position
  std::string epoch_, cursor_;
  std::uint64_t offset_ = 0;
  std::uint32_t next_id_ = 2;
  // The last Kafka offset of each partition: a log comes at least once, and is shown once. Bounded by the partitions.
  std::map<std::int64_t, std::int64_t> seen_;
};

} // namespace weir::http
