// The loop, and how sessions are opened and lost.
#include "load.hpp"
#include "wire.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace fanout {

using namespace std::chrono_literals;

load::load(settings s) : settings_(std::move(s)), epoll_(::epoll_create1(EPOLL_CLOEXEC)), buffer_(1 << 20) {
  epoll_event e{};
  e.events = EPOLLIN;
  e.data.u64 = stdin_mark;
  ::epoll_ctl(epoll_, EPOLL_CTL_ADD, STDIN_FILENO, &e);
  make_publisher();
  // The publisher's threads are there and keep their priority. The rows that this one makes come later instead, which
  // is no part of what is measured.
  if (settings_.arrivals)
    ::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), 10);
}

void load::serve() {
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

void load::make_publisher() {
  const auto& how = settings_.publish;
  // As weir's own publications of a map look, so that the sockets get the same bytes.
  const std::string before =
      settings_.raw ? R"({"push":{"channel":")" + settings_.channel + R"(","pub":{"key":"#","data":)" : "";
  const std::string after = settings_.raw ? R"(,"offset":1795390325831512}}})" : "";
  if (how.starts_with("kafka:")) {
    const auto slash = how.rfind('/');
    publisher_ = publish_to_kafka(how.substr(6, slash - 6), how.substr(slash + 1), settings_.partitions);
  } else if (how.starts_with("tcp:")) {
    publisher_ = publish_to_peer(static_cast<std::uint16_t>(std::stoi(how.substr(4))), nullptr, before, after);
  } else if (how.starts_with("ws:")) {
    const auto slash = how.find('/');
    const auto path = how.substr(slash);
    publisher_ = publish_to_peer(static_cast<std::uint16_t>(std::stoi(how.substr(3, slash - 3))), &path, before, after);
  } else {
    die("--publish wants kafka:BROKERS/TOPIC, tcp:PORT or ws:PORT/PATH");
  }
}

void load::turn(steady::duration most) {
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

void load::read_commands() {
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

void load::due(std::size_t who) {
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

void load::open(std::size_t who) {
  auto& s = sessions_[who];
  s.fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (s.fd < 0)
    die(std::string("no socket: ") + std::strerror(errno));
  const int on = 1, small = 4096;
  ::setsockopt(s.fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
  ::setsockopt(s.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (settings_.arrivals)
    ::setsockopt(s.fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on);
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

void load::connected(std::size_t who) {
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

std::string load::greeting(const session& s) const { return "{\"id\":1,\"connect\":{}}\n" + subscribe(s); }

std::string load::subscribe(const session& s) const {
  std::string text = R"({"id":2,"subscribe":{"channel":")" + settings_.channel + "\"";
  if (settings_.flag != 0)
    text += ",\"flag\":" + std::to_string(settings_.flag);
  if (settings_.map && s.offset > 0 && !epoch_.empty())
    text +=
        R"(,"type":1,"phase":1,"recover":true,"offset":)" + std::to_string(s.offset) + R"(,"epoch":")" + epoch_ + "\"";
  else if (settings_.map)
    text += R"(,"type":1,"phase":2)";
  return text + "}}";
}

void load::lost(std::size_t who) {
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
  if (!s.went) {
    s.went = true;
    ++went_;
  }
  // centrifuge-js: utils.backoff(step, 500, 20000), full jitter.
  const double bound = std::min(20.0, 0.5 * std::pow(2.0, std::min<std::uint32_t>(s.attempts, 31)));
  ++s.attempts;
  timers_.emplace(steady::now() + seconds_of(std::min(20.0, 0.5 + bound * chance_(random_))), who);
}

steady::duration load::seconds_of(double s) {
  return std::chrono::duration_cast<steady::duration>(std::chrono::duration<double>(s));
}

} // namespace fanout
