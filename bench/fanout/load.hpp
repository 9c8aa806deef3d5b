// The sessions, what they got, and the commands: see the head of load.cpp.
#pragma once

#include "basics.hpp"
#include "histogram.hpp"
#include "publisher.hpp"
#include "rows.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <queue>
#include <random>
#include <string>
#include <string_view>
#include <sys/resource.h>
#include <sys/types.h>
#include <utility>
#include <vector>

namespace fanout {

struct settings {
  std::uint16_t port = 0;
  std::string path = "/";
  bool raw = false, map = false;
  std::string channel = "rows", publish;
  std::size_t row_bytes = 200, keys = 256;
  int partitions = 1, flag = 1;
  double stalled_for = 35;
  bool storms = false;   // sessions remember the newest row of each key
  bool arrivals = false; // the kernel says when bytes came, and reading them gives way to the server
};

enum class phase { away, upgrading, subscribing, live };

struct session {
  int fd = -1;
  phase at = phase::away;
  bool stalled = false;
  bool went = false;       // has lost a connection since the last brace
  bool live_again = false; // and was subscribed again
  bool had_all = false;    // in a storm: full state since
  std::uint32_t attempts = 0;
  std::uint64_t count = 0, hash = 0; // of rows pushed since it was opened
  std::uint32_t fresh = 0;           // in a storm: keys of the newest batch
  std::string rest;                  // of an unfinished frame or head
  std::uint64_t offset = 0;
  std::vector<std::uint64_t> newest; // of each key, in a storm
};

struct totals {
  std::uint64_t deliveries = 0, bytes = 0, reads = 0, messages = 0;
};

// One thread.
class load {
public:
  explicit load(settings s);
  // Until the command quit, or the end of standard input.
  void serve();

private:
  static constexpr std::uint64_t stdin_mark = ~std::uint64_t{0};
  static constexpr std::uint32_t openings_bound = 256; // handshakes under way
  void make_publisher();

  // the loop: load_sessions.cpp
  void turn(steady::duration most);
  template <class Condition>
  bool pump(steady::time_point until, Condition done) {
    while (!done()) {
      const auto now = steady::now();
      if (now >= until || quit_)
        return false;
      turn(std::min<steady::duration>(until - now, std::chrono::seconds{1}));
    }
    return true;
  }
  void read_commands();
  void due(std::size_t who);

  // opening: load_sessions.cpp
  void open(std::size_t who);
  void connected(std::size_t who);
  std::string greeting(const session& s) const;
  std::string subscribe(const session& s) const;
  void lost(std::size_t who);
  static steady::duration seconds_of(double s);

  // reading: load_reading.cpp
  void readable(std::size_t who);
  ssize_t receive(int fd, char* to, std::size_t room);
  bool upgraded(std::size_t who, std::string_view& bytes);
  void now_live(session& s);
  void say(std::size_t who, std::string_view payload, unsigned opcode = 1);
  bool take_frame(std::size_t who, std::string_view& bytes);
  void message(std::size_t who, std::string_view payload);
  void reply(std::size_t who, std::string_view line);
  static std::uint64_t own_offset(std::string_view line);
  const parsed& parse(std::string_view payload);
  void pushed(session& s, const parsed& p);

  // storms: load_reading.cpp
  void newest(session& s, const row_seen& r);
  void judge(session& s);

  // commands: load_commands.cpp
  struct words {
    std::string name;
    std::vector<double> numbers;
  };
  static words split(const std::string& line);
  void obey(const std::string& line);
  void connect(std::size_t count, bool stalled);
  std::string make_row(std::size_t key);
  void send_rows(std::size_t count);
  std::size_t readers() const;
  void begin();
  void waves(double seconds, std::size_t rows);
  void paced(double seconds, double per_second);
  std::string tally(steady::duration took);
  void brace();
  void storm(double seconds);
  void answer(steady::time_point began, const std::string& more);

  settings settings_;
  int epoll_;
  std::vector<char> buffer_;
  std::vector<session> sessions_;
  std::vector<bool> sent_; // the upgrade request is out
  std::array<parsed, 256> seen_;
  std::vector<row_seen> rows_;
  std::unique_ptr<publisher> publisher_;
  std::vector<std::pair<std::uint32_t, std::string>> rows_out_;
  using timer = std::pair<steady::time_point, std::size_t>;
  std::priority_queue<timer, std::vector<timer>, std::greater<>> timers_;
  std::string input_;
  std::deque<std::string> commands_;
  std::string epoch_;
  std::array<std::uint64_t, 65536> closes_{};
  std::mt19937_64 random_{std::random_device{}()};
  std::uniform_real_distribution<double> chance_{0, 1};
  std::size_t live_ = 0, opening_ = 0, behind_ = 0, next_key_ = 0;
  std::uint64_t made_ = 0, made_before_ = 0, wanted_ = 0, wanted_hash_ = 0;
  std::uint64_t losses_ = 0, went_ = 0, refused_ = 0, again_ = 0, backwards_ = 0, storm_from_ = 0;
  std::int64_t now_us_ = 0, arrived_us_ = 0; // of what is being taken apart
  steady::time_point storm_began_, braced_at_;
  totals sum_;
  histogram from_made_, from_offset_, offset_to_arrival_, made_to_arrival_, back_, live_again_;
  rusage used_{};
  bool quit_ = false;
};

} // namespace fanout
