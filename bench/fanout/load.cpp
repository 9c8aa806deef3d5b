// Many WebSocket sessions of one process and one thread, the publisher of what they get, and the judge of whether each
// got everything. Driven by standard input, one command a line; each is answered by one line of JSON.
//
//   bench_fanout_load --connect PORT[/PATH] --protocol map|stream|raw --channel C --publish HOW [--row-bytes 200]
//                     [--keys 256] [--partitions 1] [--flag 1] [--stalled-for 35]
//
//   HOW: kafka:BROKERS/TOPIC   a record per row; the node under test reads the topic
//        tcp:PORT              a line per publication to a peer's control port
//        ws:PORT/PATH          the same as text messages of a WebSocket, one a batch
//   map, stream: the centrifuge protocol in JSON, subscribed to a channel of this kind; raw: whatever comes.
//
//   connect N       opens N more sessions, from 127.1.0.1 upwards, a hundred an address; returns when all are live
//   stall N         opens N more that subscribe and never read; each is replaced after --stalled-for seconds
//   one S           for S seconds: a row, the next when every session has it
//   burst S K       K rows at a time, of distinct keys, the next when every session has all
//   rate S R        R rows a second by the clock
//   publish         one row, returns when every session has it
//   fill            one row of each key, the same
//   storm S         to be given when the server has ended: waits S seconds at most until every session has lost its
//                   connection, publishes each key anew, and waits until all are back with the newest of every key.
//                   Reconnects as the SDK does: 0.5 s to 20 s with full jitter.
//   quit
//
// Each session counts what it gets and adds up a hash of every row's number, so what is lost, left out, or comes twice
// shows. Latencies are from the row's making to a session's read, and from the publication's offset (weir: Redis' time
// at the commit) where it has one.
#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cinttypes>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <librdkafka/rdkafka.h>
#include <memory>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <optional>
#include <queue>
#include <random>
#include <string>
#include <string_view>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <vector>

namespace {

using namespace std::chrono_literals;
using steady = std::chrono::steady_clock;

[[noreturn]] void die(const std::string& what) {
  std::fprintf(stderr, "bench_fanout_load: %s\n", what.c_str());
  std::exit(1);
}

std::int64_t wall_us() {
  return std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

std::uint64_t mix(std::uint64_t x) { // splitmix64's finalizer
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

// Counts of microseconds, to within 1/64.
class histogram {
public:
  void add(std::int64_t us, std::uint64_t times = 1) {
    const auto v = static_cast<std::uint64_t>(us < 0 ? 0 : us);
    counts_[slot(v)] += times;
    total_ += times;
    most_ = std::max(most_, v);
  }
  std::uint64_t total() const { return total_; }
  double ms(double share) const {
    const auto wanted = static_cast<std::uint64_t>(std::ceil(static_cast<double>(total_) * share));
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < counts_.size(); ++i)
      if ((seen += counts_[i]) >= wanted && seen > 0)
        return static_cast<double>(value(i)) / 1000;
    return 0;
  }
  std::string json() const {
    if (total_ == 0)
      return "null";
    char text[160];
    std::snprintf(text, sizeof text, R"({"count":%)" PRIu64 R"(,"p50":%.3f,"p90":%.3f,"p99":%.3f,"max":%.3f})", total_,
                  ms(0.5), ms(0.9), ms(0.99), static_cast<double>(most_) / 1000);
    return text;
  }
  void clear() { *this = histogram{}; }

private:
  static std::size_t slot(std::uint64_t v) {
    if (v < 128)
      return v;
    const auto power = static_cast<std::size_t>(63 - __builtin_clzll(v)) - 6;
    return std::min<std::size_t>(128 + (power - 1) * 64 + ((v >> power) - 64), 128 + 40 * 64 - 1);
  }
  static std::uint64_t value(std::size_t i) {
    if (i < 128)
      return i;
    const auto power = (i - 128) / 64 + 1;
    return (64 + (i - 128) % 64) << power;
  }
  std::array<std::uint64_t, 128 + 40 * 64> counts_{};
  std::uint64_t total_ = 0, most_ = 0;
};

struct settings {
  std::uint16_t port = 0;
  std::string path = "/";
  bool raw = false, map = false;
  std::string channel = "rows", publish;
  std::size_t row_bytes = 200, keys = 256;
  int partitions = 1, flag = 1;
  double stalled_for = 35;
};

// ---- rows

struct row_seen {
  std::uint32_t key;
  std::uint64_t number;
  std::int64_t made_us;
};

// The number of a marker's value after `at`; moves `at` behind it. Rows have no quotes but their own.
bool number_after(std::string_view text, std::size_t& at, std::string_view marker, std::int64_t& value) {
  const auto* found =
      static_cast<const char*>(memmem(text.data() + at, text.size() - at, marker.data(), marker.size()));
  if (!found)
    return false;
  const auto* begin = found + marker.size();
  const auto [end, failed] = std::from_chars(begin, text.data() + text.size(), value);
  if (failed != std::errc{})
    return false;
  at = static_cast<std::size_t>(end - text.data());
  return true;
}

void rows_in(std::string_view line, std::vector<row_seen>& rows) {
  std::size_t at = 0;
  std::int64_t key = 0, number = 0, made = 0;
  while (number_after(line, at, R"(,"k":)", key) && number_after(line, at, R"("n":)", number) &&
         number_after(line, at, R"("t":)", made))
    rows.push_back({static_cast<std::uint32_t>(key), static_cast<std::uint64_t>(number), made});
}

// ---- publishing

class publisher {
public:
  virtual ~publisher() = default;
  virtual void send(const std::vector<std::pair<std::uint32_t, std::string>>& rows) = 0; // keys and rows
};

class kafka_publisher final : public publisher {
public:
  kafka_publisher(const std::string& brokers, std::string topic, int partitions)
      : topic_(std::move(topic)), partitions_(partitions) {
    char why[512];
    auto* conf = rd_kafka_conf_new();
    const auto set = [&](const char* name, const char* value) {
      if (rd_kafka_conf_set(conf, name, value, why, sizeof why) != RD_KAFKA_CONF_OK)
        die(why);
    };
    set("bootstrap.servers", brokers.c_str());
    set("linger.ms", "0");
    set("socket.nagle.disable", "true");
    handle_ = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
    if (!handle_)
      die(why);
  }
  ~kafka_publisher() override {
    rd_kafka_flush(handle_, 10'000);
    rd_kafka_destroy(handle_);
  }
  void send(const std::vector<std::pair<std::uint32_t, std::string>>& rows) override {
    for (const auto& [number, row] : rows) {
      const auto key = "k" + std::to_string(number);
      const auto failed = rd_kafka_producev(
          handle_, RD_KAFKA_V_TOPIC(topic_.c_str()), RD_KAFKA_V_PARTITION(static_cast<int>(number) % partitions_),
          RD_KAFKA_V_KEY(key.data(), key.size()), RD_KAFKA_V_VALUE(const_cast<char*>(row.data()), row.size()),
          RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END);
      if (failed)
        die(std::string("Kafka: ") + rd_kafka_err2str(failed));
    }
    rd_kafka_poll(handle_, 0);
  }

private:
  std::string topic_;
  int partitions_;
  rd_kafka_t* handle_ = nullptr;
};

int connect_blocking(std::uint16_t port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (fd < 0 || ::connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0)
    die("no connection to port " + std::to_string(port) + ": " + std::strerror(errno));
  return fd;
}

void write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const auto n = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n < 0 && errno != EINTR)
      die(std::string("control connection: ") + std::strerror(errno));
    if (n > 0)
      bytes.remove_prefix(static_cast<std::size_t>(n));
  }
}

std::string upgrade_request(std::uint16_t port, const std::string& path) {
  return "GET " + path + " HTTP/1.1\r\nHost: 127.0.0.1:" + std::to_string(port) +
         "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
         "Sec-WebSocket-Version: 13\r\n\r\n";
}

// A client's frame: masked, by zeros, which changes nothing.
std::string client_frame(unsigned opcode, std::string_view payload) {
  std::string f(1, static_cast<char>(0x80 | opcode));
  const auto n = payload.size();
  if (n < 126) {
    f += static_cast<char>(0x80 | n);
  } else if (n < 65536) {
    f += static_cast<char>(0x80 | 126);
    f += static_cast<char>(n >> 8);
    f += static_cast<char>(n);
  } else {
    f += static_cast<char>(0x80 | 127);
    for (int shift = 56; shift >= 0; shift -= 8)
      f += static_cast<char>(n >> shift);
  }
  f.append(4, '\0');
  f += payload;
  return f;
}

// A peer without Kafka is given the very text that weir would send; one that makes the envelope itself, the row.
class control_publisher final : public publisher {
public:
  control_publisher(std::uint16_t port, std::optional<std::string> path, std::string before, std::string after)
      : fd_(connect_blocking(port)), web_socket_(path), before_(std::move(before)), after_(std::move(after)) {
    if (!path)
      return;
    write_all(fd_, upgrade_request(port, *path));
    std::string head;
    char c = 0;
    while (!head.ends_with("\r\n\r\n") && ::recv(fd_, &c, 1, 0) == 1)
      head += c;
    if (!head.starts_with("HTTP/1.1 101"))
      die("no WebSocket to publish by: " + head.substr(0, 60));
  }
  ~control_publisher() override { ::close(fd_); }
  void send(const std::vector<std::pair<std::uint32_t, std::string>>& rows) override {
    std::string lines;
    for (const auto& [key, row] : rows) {
      std::string text = before_;
      if (const auto at = text.find('#'); at != std::string::npos)
        text.replace(at, 1, "k" + std::to_string(key));
      lines += text + row + after_ + "\n";
    }
    if (web_socket_) {
      lines.pop_back();
      lines = client_frame(1, lines);
    }
    write_all(fd_, lines);
  }

private:
  int fd_;
  bool web_socket_;
  std::string before_, after_;
};

// ---- sessions

enum class phase { away, upgrading, subscribing, live };

struct session {
  int fd = -1;
  phase at = phase::away;
  bool stalled = false;
  bool had_all = false; // in a storm: full state since
  std::uint32_t attempts = 0;
  std::uint64_t count = 0, hash = 0; // of rows pushed since it was opened
  std::uint32_t fresh = 0;           // in a storm: keys of the newest batch
  std::string rest;                  // of an unfinished frame or head
  std::uint64_t offset = 0;
  std::vector<std::uint64_t> newest; // of each key, in a storm
};

// What was read in one message of publications. All sessions get the same bytes, so it is read once.
struct parsed {
  std::string payload;
  std::vector<row_seen> rows;
  std::uint64_t hash = 0;
  std::int64_t offset = 0; // 0: none
};

struct totals {
  std::uint64_t deliveries = 0, bytes = 0, reads = 0, messages = 0;
};

class load {
public:
  explicit load(settings s) : settings_(std::move(s)), epoll_(::epoll_create1(EPOLL_CLOEXEC)), buffer_(1 << 20) {
    epoll_event e{};
    e.events = EPOLLIN;
    e.data.u64 = stdin_mark;
    ::epoll_ctl(epoll_, EPOLL_CTL_ADD, STDIN_FILENO, &e);
    make_publisher();
  }

  void serve() {
    std::printf("{\"ready\":true}\n");
    std::fflush(stdout);
    while (!quit_) {
      turn(1000ms);
      while (!commands_.empty() && !quit_) {
        const auto line = commands_.front();
        commands_.pop_front();
        obey(line);
      }
    }
  }

private:
  static constexpr std::uint64_t stdin_mark = ~std::uint64_t{0};
  static constexpr std::uint32_t openings_bound = 256; // handshakes under way

  void make_publisher() {
    const auto& how = settings_.publish;
    // As weir's own publications of a map look, so that the sockets get the same bytes.
    const std::string before =
        settings_.raw ? R"({"push":{"channel":")" + settings_.channel + R"(","pub":{"key":"#","data":)" : "";
    const std::string after = settings_.raw ? R"(,"offset":1795390325831512}}})" : "";
    if (how.starts_with("kafka:")) {
      const auto slash = how.rfind('/');
      publisher_ =
          std::make_unique<kafka_publisher>(how.substr(6, slash - 6), how.substr(slash + 1), settings_.partitions);
    } else if (how.starts_with("tcp:")) {
      publisher_ = std::make_unique<control_publisher>(static_cast<std::uint16_t>(std::stoi(how.substr(4))),
                                                       std::nullopt, before, after);
    } else if (how.starts_with("ws:")) {
      const auto slash = how.find('/');
      publisher_ = std::make_unique<control_publisher>(static_cast<std::uint16_t>(std::stoi(how.substr(3, slash - 3))),
                                                       how.substr(slash), before, after);
    } else {
      die("--publish wants kafka:BROKERS/TOPIC, tcp:PORT or ws:PORT/PATH");
    }
  }

  // ---- the loop

  void turn(steady::duration most) {
    auto until = steady::now() + most;
    if (!timers_.empty())
      until = std::min(until, timers_.top().first);
    // Microseconds: a pace of many a second has to be kept.
    const auto left =
        std::max<std::int64_t>(0, std::chrono::duration_cast<std::chrono::nanoseconds>(until - steady::now()).count());
    const timespec wait{left / 1'000'000'000, left % 1'000'000'000};
    std::array<epoll_event, 512> events;
    const int n = ::epoll_pwait2(epoll_, events.data(), static_cast<int>(events.size()), &wait, nullptr);
    for (int i = 0; i < n; ++i) {
      if (events[static_cast<std::size_t>(i)].data.u64 == stdin_mark)
        read_commands();
      else
        readable(events[static_cast<std::size_t>(i)].data.u64);
    }
    while (!timers_.empty() && timers_.top().first <= steady::now()) {
      const auto who = timers_.top().second;
      timers_.pop();
      due(who);
    }
  }

  template <class Condition>
  bool pump(steady::time_point until, Condition done) {
    while (!done()) {
      const auto now = steady::now();
      if (now >= until || quit_)
        return false;
      turn(std::min<steady::duration>(until - now, 1s));
    }
    return true;
  }

  void read_commands() {
    char text[4096];
    const auto n = ::read(STDIN_FILENO, text, sizeof text);
    if (n <= 0) {
      quit_ = true;
      return;
    }
    input_.append(text, static_cast<std::size_t>(n));
    for (std::size_t end; (end = input_.find('\n')) != std::string::npos; input_.erase(0, end + 1))
      commands_.push_back(input_.substr(0, end));
  }

  void due(std::size_t who) {
    auto& s = sessions_[who];
    if (s.stalled && s.fd >= 0) {
      const linger at_once{1, 0};
      ::setsockopt(s.fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
      ::close(s.fd);
      s.fd = -1;
      s.at = phase::away;
    }
    if (s.at == phase::away)
      open(who);
  }

  // ---- opening

  void open(std::size_t who) {
    auto& s = sessions_[who];
    s.fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s.fd < 0)
      die(std::string("no socket: ") + std::strerror(errno));
    const int on = 1, small = 4096;
    ::setsockopt(s.fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    ::setsockopt(s.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (s.stalled)
      ::setsockopt(s.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    sockaddr_in from{}, to{};
    from.sin_family = to.sin_family = AF_INET;
    from.sin_addr.s_addr = htonl(0x7f010001u + static_cast<std::uint32_t>(who / 100));
    to.sin_port = htons(settings_.port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::bind(s.fd, reinterpret_cast<sockaddr*>(&from), sizeof from) != 0)
      die(std::string("a source address could not be bound: ") + std::strerror(errno));
    s.rest.clear();
    sent_[who] = false;
    if (::connect(s.fd, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0 && errno != EINPROGRESS) {
      lost(who);
      return;
    }
    s.at = phase::upgrading;
    ++opening_;
    epoll_event e{};
    e.events = EPOLLOUT;
    e.data.u64 = who;
    ::epoll_ctl(epoll_, EPOLL_CTL_ADD, s.fd, &e);
  }

  void connected(std::size_t who) {
    auto& s = sessions_[who];
    int failed = 0;
    socklen_t size = sizeof failed;
    ::getsockopt(s.fd, SOL_SOCKET, SO_ERROR, &failed, &size);
    auto request = upgrade_request(settings_.port, settings_.path);
    // One that never reads can't wait for the answer either.
    if (s.stalled)
      request += client_frame(1, greeting(s));
    if (failed != 0 ||
        ::send(s.fd, request.data(), request.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(request.size())) {
      lost(who);
      return;
    }
    if (s.stalled) {
      --opening_;
      s.at = phase::live;
      ::epoll_ctl(epoll_, EPOLL_CTL_DEL, s.fd, nullptr);
      timers_.emplace(steady::now() + seconds_of(settings_.stalled_for * (0.9 + 0.2 * chance_(random_))), who);
      return;
    }
    epoll_event e{};
    e.events = EPOLLIN;
    e.data.u64 = who;
    ::epoll_ctl(epoll_, EPOLL_CTL_MOD, s.fd, &e);
  }

  std::string greeting(const session& s) const { return "{\"id\":1,\"connect\":{}}\n" + subscribe(s); }

  std::string subscribe(const session& s) const {
    std::string text = R"({"id":2,"subscribe":{"channel":")" + settings_.channel + "\"";
    if (settings_.flag != 0)
      text += ",\"flag\":" + std::to_string(settings_.flag);
    if (settings_.map && s.offset > 0 && !epoch_.empty())
      text += R"(,"type":1,"phase":1,"recover":true,"offset":)" + std::to_string(s.offset) + R"(,"epoch":")" + epoch_ +
              "\"";
    else if (settings_.map)
      text += R"(,"type":1,"phase":2)";
    return text + "}}";
  }

  void lost(std::size_t who) {
    auto& s = sessions_[who];
    if (s.fd >= 0)
      ::close(s.fd);
    s.fd = -1;
    if (s.at == phase::live)
      --live_;
    if (s.at == phase::upgrading || s.at == phase::subscribing)
      --opening_;
    s.at = phase::away;
    ++losses_;
    // centrifuge-js: utils.backoff(step, 500, 20000), full jitter.
    const double bound = std::min(20.0, 0.5 * std::pow(2.0, std::min<std::uint32_t>(s.attempts, 31)));
    ++s.attempts;
    timers_.emplace(steady::now() + seconds_of(std::min(20.0, 0.5 + bound * chance_(random_))), who);
  }

  static steady::duration seconds_of(double s) {
    return std::chrono::duration_cast<steady::duration>(std::chrono::duration<double>(s));
  }

  // ---- reading

  void readable(std::size_t who) {
    auto& s = sessions_[who];
    if (s.fd < 0)
      return;
    if (s.at == phase::upgrading && s.rest.empty() && !sent_[who]) {
      sent_[who] = true;
      connected(who);
      return;
    }
    std::memcpy(buffer_.data(), s.rest.data(), s.rest.size());
    if (s.rest.size() + 65536 > buffer_.size())
      die("a message of more than a megabyte came");
    const auto n = ::recv(s.fd, buffer_.data() + s.rest.size(), buffer_.size() - s.rest.size(), 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
      return;
    if (n <= 0) {
      lost(who);
      return;
    }
    ++sum_.reads;
    sum_.bytes += static_cast<std::uint64_t>(n);
    std::string_view bytes(buffer_.data(), s.rest.size() + static_cast<std::size_t>(n));
    now_us_ = wall_us();
    if (s.at == phase::upgrading && !upgraded(who, bytes))
      return;
    while (s.fd >= 0 && take_frame(who, bytes)) {
    }
    if (s.fd < 0)
      return;
    if (bytes.empty() && s.rest.capacity() > 4096)
      std::string().swap(s.rest);
    else
      s.rest.assign(bytes);
  }

  bool upgraded(std::size_t who, std::string_view& bytes) {
    auto& s = sessions_[who];
    const auto end = bytes.find("\r\n\r\n");
    if (end == std::string_view::npos) {
      s.rest.assign(bytes);
      return false;
    }
    if (!bytes.starts_with("HTTP/1.1 101")) {
      ++refused_;
      lost(who);
      return false;
    }
    bytes.remove_prefix(end + 4);
    if (settings_.raw) {
      now_live(s);
      return true;
    }
    s.at = phase::subscribing;
    say(who, greeting(s));
    return s.fd >= 0;
  }

  void now_live(session& s) {
    --opening_;
    ++live_;
    s.at = phase::live;
    s.attempts = 0;
  }

  void say(std::size_t who, std::string_view payload, unsigned opcode = 1) {
    const auto f = client_frame(opcode, payload);
    if (::send(sessions_[who].fd, f.data(), f.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(f.size()))
      lost(who);
  }

  // Takes one whole frame off the front. False: there is none.
  bool take_frame(std::size_t who, std::string_view& bytes) {
    if (bytes.size() < 2)
      return false;
    const auto* b = reinterpret_cast<const unsigned char*>(bytes.data());
    std::size_t head = 2, size = b[1] & 127;
    if (size == 126) {
      if (bytes.size() < 4)
        return false;
      head = 4;
      size = static_cast<std::size_t>(b[2]) << 8 | b[3];
    } else if (size == 127) {
      if (bytes.size() < 10)
        return false;
      head = 10;
      size = 0;
      for (int i = 2; i < 10; ++i)
        size = size << 8 | b[i];
    }
    if (bytes.size() < head + size)
      return false;
    const auto payload = bytes.substr(head, size);
    const unsigned first = b[0];
    bytes.remove_prefix(head + size);
    if (first == 0x81) {
      ++sum_.messages;
      message(who, payload);
    } else if (first == 0x89) {
      say(who, payload, 10);
    } else if (first == 0x88) {
      ++closes_[size >= 2 ? static_cast<unsigned char>(payload[0]) * 256 + static_cast<unsigned char>(payload[1])
                          : 1005];
      lost(who);
    } else if (first != 0x8a) {
      die("a frame came that is not understood: its first byte is " + std::to_string(first));
    }
    return true;
  }

  void message(std::size_t who, std::string_view payload) {
    auto& s = sessions_[who];
    if (s.at == phase::live && (settings_.raw || payload.starts_with("{\"push\""))) {
      const auto& p = parse(payload);
      pushed(s, p);
      if (!p.rows.empty())
        return;
    }
    if (settings_.raw)
      return;
    while (!payload.empty() && s.fd >= 0) {
      const auto line = payload.substr(0, payload.find('\n'));
      payload.remove_prefix(std::min(payload.size(), line.size() + 1));
      if (line == "{}") {
        say(who, "{}");
      } else if (line.starts_with("{\"id\":2,")) {
        reply(who, line);
      } else if (line.starts_with("{\"push\"")) {
        if (line.find("\"unsubscribe\":{") != std::string_view::npos) {
          --live_;
          ++opening_;
          s.at = phase::subscribing;
          s.offset = 0;
          say(who, subscribe(s));
        } else if (s.at == phase::live) {
          pushed(s, parse(line));
        }
      } else if (line.find("\"error\"") != std::string_view::npos) {
        die("refused: " + std::string(line.substr(0, 300)));
      }
    }
  }

  void reply(std::size_t who, std::string_view line) {
    auto& s = sessions_[who];
    if (line.find("\"error\":{") != std::string_view::npos) {
      const bool unrecoverable = line.find("\"code\":112") != std::string_view::npos;
      if (!unrecoverable && line.find("\"code\":100") == std::string_view::npos)
        die("not subscribed: " + std::string(line.substr(0, 300)));
      ++again_;
      if (unrecoverable)
        s.offset = 0;
      say(who, subscribe(s));
      return;
    }
    if (line.find("\"cursor\":\"") != std::string_view::npos)
      die("the table has more than a page: use fewer keys");
    std::size_t at = line.find("\"epoch\":\"");
    if (at != std::string_view::npos)
      epoch_ = line.substr(at + 9, line.find('"', at + 9) - at - 9);
    // The reply's own offset: those of rows are inside of lists.
    if (settings_.map && !s.newest.empty()) {
      rows_.clear();
      rows_in(line, rows_);
      for (const auto& r : rows_)
        newest(s, r);
      s.offset = own_offset(line);
    }
    now_live(s);
    judge(s);
  }

  static std::uint64_t own_offset(std::string_view line) {
    // Members of the reply object at depth 2 only.
    int depth = 0;
    bool text = false;
    for (std::size_t i = 0; i < line.size(); ++i) {
      const char c = line[i];
      if (text) {
        if (c == '\\')
          ++i;
        else if (c == '"')
          text = false;
        continue;
      }
      if (c == '"') {
        if (depth == 2 && line.substr(i).starts_with("\"offset\":")) {
          std::uint64_t v = 0;
          std::from_chars(line.data() + i + 9, line.data() + line.size(), v);
          return v;
        }
        text = true;
      } else if (c == '{' || c == '[') {
        ++depth;
      } else if (c == '}' || c == ']') {
        --depth;
      }
    }
    return 0;
  }

  const parsed& parse(std::string_view payload) {
    // Numbers and times are at the end of a row, so the end tells messages apart.
    std::uint64_t h = payload.size();
    for (std::size_t i = payload.size() > 96 ? payload.size() - 96 : 0; i + 8 <= payload.size(); i += 8) {
      std::uint64_t word;
      std::memcpy(&word, payload.data() + i, 8);
      h = (h ^ word) * 0x9e3779b97f4a7c15u;
      h ^= h >> 29;
    }
    auto& p = seen_[h % seen_.size()];
    if (p.payload == payload)
      return p;
    p.payload = payload;
    p.rows.clear();
    p.hash = 0;
    p.offset = 0;
    rows_in(payload, p.rows);
    for (const auto& r : p.rows)
      p.hash += mix(r.number);
    std::size_t at = payload.rfind("\"offset\":");
    std::int64_t offset = 0;
    if (at != std::string_view::npos && number_after(payload, at, "\"offset\":", offset))
      p.offset = offset;
    return p;
  }

  void pushed(session& s, const parsed& p) {
    const bool had = s.count >= wanted_;
    s.count += p.rows.size();
    s.hash += p.hash;
    sum_.deliveries += p.rows.size();
    if (!had && s.count >= wanted_ && behind_ > 0)
      --behind_;
    for (const auto& r : p.rows)
      from_made_.add(now_us_ - r.made_us);
    if (p.offset > 0) {
      s.offset = static_cast<std::uint64_t>(p.offset);
      if (!settings_.raw)
        from_offset_.add(now_us_ - p.offset);
    }
    if (!s.newest.empty()) {
      for (const auto& r : p.rows)
        newest(s, r);
      judge(s);
    }
  }

  // ---- storms

  void newest(session& s, const row_seen& r) {
    if (r.key >= s.newest.size())
      return;
    auto& value = s.newest[r.key];
    if (r.number < value)
      ++backwards_;
    if (value < storm_from_ && r.number >= storm_from_)
      ++s.fresh;
    value = std::max(value, r.number);
  }

  void judge(session& s) {
    if (storm_from_ == 0 || s.had_all || s.at != phase::live || s.fresh < settings_.keys)
      return;
    s.had_all = true;
    back_.add(std::chrono::duration_cast<std::chrono::microseconds>(steady::now() - storm_began_).count());
  }

  // ---- commands

  struct words {
    std::string name;
    std::vector<double> numbers;
  };

  static words split(const std::string& line) {
    words w;
    std::size_t at = line.find(' ');
    w.name = line.substr(0, at);
    while (at != std::string::npos) {
      const auto next = line.find(' ', at + 1);
      w.numbers.push_back(std::strtod(line.substr(at + 1, next - at - 1).c_str(), nullptr));
      at = next;
    }
    return w;
  }

  void obey(const std::string& line) {
    const auto w = split(line);
    const auto number = [&](std::size_t i) {
      if (i >= w.numbers.size())
        die("'" + line + "' lacks a number");
      return w.numbers[i];
    };
    if (w.name == "quit")
      quit_ = true;
    else if (w.name == "connect" || w.name == "stall")
      connect(static_cast<std::size_t>(number(0)), w.name == "stall");
    else if (w.name == "publish")
      waves(0, 1);
    else if (w.name == "fill")
      waves(0, settings_.keys);
    else if (w.name == "one")
      waves(number(0), 1);
    else if (w.name == "burst")
      waves(number(0), static_cast<std::size_t>(number(1)));
    else if (w.name == "rate")
      paced(number(0), number(1));
    else if (w.name == "storm")
      storm(number(0));
    else
      die("unknown command '" + line + "'");
  }

  void connect(std::size_t count, bool stalled) {
    const auto began = steady::now();
    const auto first = sessions_.size();
    sessions_.resize(first + count);
    sent_.resize(first + count);
    const auto wanted = live_ + (stalled ? 0 : count);
    for (auto who = first; who < sessions_.size(); ++who) {
      sessions_[who].stalled = stalled;
      // Late ones have not seen what came before them.
      sessions_[who].count = wanted_;
      sessions_[who].hash = wanted_hash_;
      sessions_[who].newest.assign(storms_ ? settings_.keys : 0, 0);
      open(who);
      if (!pump(steady::now() + 60s, [this] { return opening_ < openings_bound; }))
        die("handshakes are not answered");
    }
    if (!pump(steady::now() + 120s, [&] { return live_ >= wanted && opening_ == 0; }))
      die("only " + std::to_string(live_) + " of " + std::to_string(wanted) + " sessions became live");
    answer(began, "");
  }

  std::string make_row(std::size_t key) {
    const auto number = ++made_;
    char tail[96];
    const auto n =
        std::snprintf(tail, sizeof tail, R"(","k":%zu,"n":%)" PRIu64 R"(,"t":%)" PRId64 "}", key, number, wall_us());
    std::string row = "{\"x\":\"";
    const auto fixed = row.size() + static_cast<std::size_t>(n);
    row.append(settings_.row_bytes > fixed ? settings_.row_bytes - fixed : 1, 'x');
    row.append(tail, static_cast<std::size_t>(n));
    wanted_hash_ += mix(number);
    return row;
  }

  void send_rows(std::size_t count) {
    rows_out_.clear();
    for (std::size_t i = 0; i < count; ++i) {
      next_key_ = (next_key_ + 1) % settings_.keys;
      rows_out_.emplace_back(static_cast<std::uint32_t>(next_key_), make_row(next_key_));
    }
    // Nobody can have them before they are out.
    wanted_ += count;
    behind_ = readers();
    publisher_->send(rows_out_);
  }

  std::size_t readers() const { return live_; }

  void begin() {
    sum_ = {};
    from_made_.clear();
    from_offset_.clear();
    losses_ = refused_ = again_ = 0;
    made_before_ = made_;
    getrusage(RUSAGE_SELF, &used_);
  }

  // Batches, each when all have the one before; at least one.
  void waves(double seconds, std::size_t rows) {
    begin();
    const auto began = steady::now();
    const auto until = began + seconds_of(seconds);
    do {
      send_rows(rows);
      if (!pump(steady::now() + 30s, [this] { return behind_ == 0; }))
        break;
    } while (steady::now() < until);
    answer(began, tally(steady::now() - began));
  }

  void paced(double seconds, double per_second) {
    begin();
    const auto began = steady::now();
    const auto total = static_cast<std::uint64_t>(seconds * per_second);
    for (std::uint64_t i = 0; i < total && !quit_; ++i) {
      const auto turn_of = began + seconds_of(static_cast<double>(i) / per_second);
      pump(turn_of, [] { return false; });
      send_rows(1);
      // Who is behind does not matter until the end.
    }
    const auto complete = [this] {
      for (const auto& s : sessions_)
        if (!s.stalled && s.count < wanted_)
          return false;
      return true;
    };
    auto last = sum_.deliveries;
    // What was left out does not come any more: a second without anything ends the waiting.
    for (int quiet = 0; quiet < 20 && !complete(); ++quiet) {
      pump(steady::now() + 50ms, [] { return false; });
      if (sum_.deliveries != last)
        quiet = 0;
      last = sum_.deliveries;
    }
    answer(began, tally(steady::now() - began));
  }

  std::string tally(steady::duration took) {
    std::uint64_t missing = 0, wrong = 0;
    for (auto& s : sessions_) {
      if (s.stalled)
        continue;
      if (s.count < wanted_)
        missing += wanted_ - s.count;
      else if (s.count > wanted_ || s.hash != wanted_hash_)
        ++wrong;
      s.count = wanted_;
      s.hash = wanted_hash_;
    }
    rusage now{};
    getrusage(RUSAGE_SELF, &now);
    const auto spent = [](const timeval& a, const timeval& b) {
      return static_cast<double>(b.tv_sec - a.tv_sec) + static_cast<double>(b.tv_usec - a.tv_usec) / 1e6;
    };
    char text[900];
    std::snprintf(text, sizeof text,
                  R"(,"published":%)" PRIu64 R"(,"deliveries":%)" PRIu64 R"(,"missing":%)" PRIu64 R"(,"wrong":%)" PRIu64
                  R"(,"per_s":%.0f,"messages":%)" PRIu64 R"(,"reads":%)" PRIu64 R"(,"bytes":%)" PRIu64
                  R"(,"load_cpu_s":%.3f,"losses":%)" PRIu64 R"(,"from_made_ms":%s,"from_offset_ms":%s)",
                  made_ - made_before_, sum_.deliveries, missing, wrong,
                  static_cast<double>(sum_.deliveries) / std::chrono::duration<double>(took).count(), sum_.messages,
                  sum_.reads, sum_.bytes, spent(used_.ru_utime, now.ru_utime) + spent(used_.ru_stime, now.ru_stime),
                  losses_, from_made_.json().c_str(), from_offset_.json().c_str());
    return text;
  }

  void storm(double seconds) {
    begin();
    storm_began_ = steady::now();
    const auto until = storm_began_ + seconds_of(seconds);
    // All have to go first, or somebody who was never away would count.
    const bool all_lost = pump(until, [this] { return losses_ >= sessions_.size(); });
    storm_from_ = made_ + 1;
    backwards_ = 0;
    back_.clear();
    for (auto& s : sessions_) {
      s.had_all = false;
      s.fresh = 0;
    }
    const double lost_s = std::chrono::duration<double>(steady::now() - storm_began_).count();
    send_rows(settings_.keys);
    const bool all_back = all_lost && pump(until, [this] { return back_.total() >= sessions_.size(); });
    char text[400];
    std::snprintf(text, sizeof text,
                  R"(,"all_lost":%s,"lost_s":%.3f,"all_back":%s,"back":%)" PRIu64 R"(,"refused":%)" PRIu64
                  R"(,"told_to_wait_or_start_over":%)" PRIu64 R"(,"backwards":%)" PRIu64 R"(,"back_ms":%s)",
                  all_lost ? "true" : "false", lost_s, all_back ? "true" : "false", back_.total(), refused_, again_,
                  backwards_, back_.json().c_str());
    answer(storm_began_, text);
    storm_from_ = 0;
    for (auto& s : sessions_) {
      s.count = wanted_;
      s.hash = wanted_hash_;
    }
  }

  void answer(steady::time_point began, const std::string& more) {
    std::printf("{\"seconds\":%.4f,\"live\":%zu%s}\n", std::chrono::duration<double>(steady::now() - began).count(),
                live_, more.c_str());
    std::fflush(stdout);
  }

public:
  bool storms_ = false; // sessions remember the newest row of each key

private:
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
  std::uint64_t losses_ = 0, refused_ = 0, again_ = 0, backwards_ = 0, storm_from_ = 0;
  std::int64_t now_us_ = 0;
  steady::time_point storm_began_;
  totals sum_;
  histogram from_made_, from_offset_, back_;
  rusage used_{};
  bool quit_ = false;
};

} // namespace

int main(int argc, char** argv) {
  settings s;
  bool storms = false;
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    if (name == "--storms") {
      storms = true;
      continue;
    }
    if (++i == argc)
      die(name + " lacks its value");
    const std::string value = argv[i];
    if (name == "--connect") {
      const auto slash = value.find('/');
      s.port = static_cast<std::uint16_t>(std::stoi(value.substr(0, slash)));
      if (slash != std::string::npos)
        s.path = value.substr(slash);
    } else if (name == "--protocol") {
      s.raw = value == "raw";
      s.map = value == "map";
    } else if (name == "--channel") {
      s.channel = value;
    } else if (name == "--publish") {
      s.publish = value;
    } else if (name == "--row-bytes") {
      s.row_bytes = std::stoul(value);
    } else if (name == "--keys") {
      s.keys = std::stoul(value);
    } else if (name == "--partitions") {
      s.partitions = std::stoi(value);
    } else if (name == "--flag") {
      s.flag = std::stoi(value);
    } else if (name == "--stalled-for") {
      s.stalled_for = std::stod(value);
    } else {
      die("unknown argument " + name);
    }
  }
  if (s.port == 0 || s.publish.empty())
    die("--connect and --publish are needed; the head of bench/fanout/load.cpp says more");
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  auto made = std::make_unique<load>(std::move(s));
  made->storms_ = storms;
  made->serve();
}
