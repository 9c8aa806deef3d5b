// The ceiling: a server that does nothing but write what it is given to every WebSocket, by one thread, one send a
// socket for all that came at once. No rows, no positions, no catching up, no slow clients (what does not fit waits).
//
//   bench_fanout_writer [BROKERS TOPIC]
//
// Prints {"port","control"}: WebSockets connect to the one, whoever publishes writes lines to the other. The lines that
// are there when it looks go out joined by line breaks, as one text message. Ends with its standard input. With a topic
// it writes the values of its records, from the end on: the ceiling of a server that gets its rows from Kafka, with the
// broker beside it on the same cores.
#include "basics.hpp"
#include "publisher.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <librdkafka/rdkafka.h>
#include <memory>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <string>
#include <string_view>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>
#include <utility>
#include <vector>

namespace {

[[noreturn]] void die(const char* what) {
  std::fprintf(stderr, "bench_fanout_writer: %s: %s\n", what, std::strerror(errno));
  std::exit(1);
}

int listen_on_any(std::uint16_t& port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof at;
  if (fd < 0 || ::bind(fd, reinterpret_cast<sockaddr*>(&at), sizeof at) != 0 || ::listen(fd, 4096) != 0 ||
      ::getsockname(fd, reinterpret_cast<sockaddr*>(&at), &size) != 0)
    die("listening");
  port = ntohs(at.sin_port);
  return fd;
}

// RFC 6455, 4.2.2.
std::string accept_of(const std::string& key) {
  const auto text = key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  EVP_Digest(text.data(), text.size(), digest.data(), &size, EVP_sha1(), nullptr);
  std::array<unsigned char, 64> out{};
  EVP_EncodeBlock(out.data(), digest.data(), static_cast<int>(size));
  return reinterpret_cast<const char*>(out.data());
}

struct client {
  int fd = -1;
  bool open = false;
  std::string head, waiting;
};

class writer {
public:
  writer() : epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
    listener_ = listen_on_any(port_);
    control_listener_ = listen_on_any(control_port_);
    for (const int fd : {STDIN_FILENO, listener_, control_listener_})
      watch(fd, EPOLLIN);
    std::printf("{\"port\":%u,\"control\":%u}\n", port_, control_port_);
    std::fflush(stdout);
  }

  std::uint16_t control_port() const { return control_port_; }

  void serve() {
    std::array<epoll_event, 512> events;
    for (;;) {
      const int n = ::epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), -1);
      for (int i = 0; i < n; ++i) {
        const int fd = events[static_cast<std::size_t>(i)].data.fd;
        char ignored[256];
        if (fd == STDIN_FILENO) {
          if (::read(fd, ignored, sizeof ignored) <= 0)
            return;
        } else if (fd == listener_ || fd == control_listener_) {
          accept_all(fd);
        } else if (fd == control_) {
          control();
        } else {
          serve_client(fd, events[static_cast<std::size_t>(i)].events);
        }
      }
    }
  }

private:
  void watch(int fd, std::uint32_t what, int how = EPOLL_CTL_ADD) {
    epoll_event e{};
    e.events = what;
    e.data.fd = fd;
    ::epoll_ctl(epoll_, how, fd, &e);
  }

  void accept_all(int from) {
    for (int fd; (fd = ::accept4(from, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
      const int on = 1;
      ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      watch(fd, EPOLLIN);
      if (from == control_listener_) {
        control_ = fd;
        continue;
      }
      if (clients_.size() <= static_cast<std::size_t>(fd))
        clients_.resize(static_cast<std::size_t>(fd) + 1);
      clients_[static_cast<std::size_t>(fd)] = std::make_unique<client>(client{fd, false, {}, {}});
    }
  }

  void serve_client(int fd, std::uint32_t what) {
    auto& c = clients_[static_cast<std::size_t>(fd)];
    if (!c)
      return;
    if (what & EPOLLOUT && !write(*c, {}))
      return;
    if (!(what & (EPOLLIN | EPOLLHUP | EPOLLERR)))
      return;
    char text[4096];
    const auto n = ::recv(fd, text, sizeof text, 0);
    if (n < 0 && errno == EAGAIN)
      return;
    if (n <= 0) {
      drop(fd);
      return;
    }
    if (c->open)
      return; // pongs and the like
    c->head.append(text, static_cast<std::size_t>(n));
    if (!c->head.ends_with("\r\n\r\n"))
      return;
    const std::string_view name = "Sec-WebSocket-Key: ";
    const auto at = c->head.find(name);
    if (at == std::string::npos) {
      drop(fd);
      return;
    }
    const auto key = c->head.substr(at + name.size(), 24);
    std::string().swap(c->head);
    c->open = true;
    write(*c,
          "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " +
              accept_of(key) + "\r\n\r\n");
  }

  void drop(int fd) {
    ::close(fd);
    clients_[static_cast<std::size_t>(fd)].reset();
  }

  bool write(client& c, std::string_view bytes) {
    const bool waited = !c.waiting.empty();
    if (waited) {
      c.waiting += bytes;
      bytes = c.waiting;
    }
    const auto n = ::send(c.fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN) {
      drop(c.fd);
      return false;
    }
    const auto left = bytes.substr(n > 0 ? static_cast<std::size_t>(n) : 0);
    if (left.empty() && waited)
      watch(c.fd, EPOLLIN, EPOLL_CTL_MOD);
    else if (!left.empty() && !waited)
      watch(c.fd, EPOLLIN | EPOLLOUT, EPOLL_CTL_MOD);
    c.waiting = std::string(left);
    return true;
  }

  void control() {
    char text[256 << 10];
    const auto n = ::recv(control_, text, sizeof text, 0);
    if (n < 0 && errno == EAGAIN)
      return;
    if (n <= 0) {
      ::close(control_);
      control_ = -1;
      return;
    }
    lines_.append(text, static_cast<std::size_t>(n));
    const auto end = lines_.rfind('\n');
    if (end == std::string::npos)
      return;
    std::string frame(1, static_cast<char>(0x81));
    if (end < 126) {
      frame += static_cast<char>(end);
    } else if (end < 65536) {
      frame += static_cast<char>(126);
      frame += static_cast<char>(end >> 8);
      frame += static_cast<char>(end);
    } else {
      frame += static_cast<char>(127);
      for (int shift = 56; shift >= 0; shift -= 8)
        frame += static_cast<char>(end >> shift);
    }
    frame.append(lines_, 0, end);
    lines_.erase(0, end + 1);
    for (auto& c : clients_)
      if (c && c->open)
        write(*c, frame);
  }

  int epoll_, listener_ = -1, control_listener_ = -1, control_ = -1;
  std::uint16_t port_ = 0, control_port_ = 0;
  std::vector<std::unique_ptr<client>> clients_; // by descriptor
  std::string lines_;
};

// Hands the values of a topic's new records to the control port, as a publisher would; in a thread of its own.
class feed {
public:
  feed(const char* brokers, const char* topic, std::uint16_t control)
      : to_(fanout::publish_to_peer(control, nullptr, {}, {})) {
    char why[512];
    auto* conf = rd_kafka_conf_new();
    for (const auto& [name, value] : {std::pair("bootstrap.servers", brokers), std::pair("group.id", "writer"),
                                      std::pair("enable.auto.commit", "false")})
      if (rd_kafka_conf_set(conf, name, value, why, sizeof why) != RD_KAFKA_CONF_OK)
        fanout::die(why);
    kafka_ = rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof why);
    if (!kafka_)
      fanout::die(why);
    rd_kafka_poll_set_consumer(kafka_);
    auto* where = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(where, topic, 0)->offset = RD_KAFKA_OFFSET_END;
    if (const auto failed = rd_kafka_assign(kafka_, where))
      fanout::die(rd_kafka_err2str(failed));
    rd_kafka_topic_partition_list_destroy(where);
  }

  // Until the process ends.
  void run() {
    auto* queue = rd_kafka_queue_get_consumer(kafka_);
    std::array<rd_kafka_message_t*, 1'000> got;
    std::vector<std::pair<std::uint32_t, std::string>> rows; // without keys
    for (;;) {
      auto count = std::max<ssize_t>(rd_kafka_consume_batch_queue(queue, 100, got.data(), 1), 0);
      if (count == 1) // what else is there goes along, as with a publisher's rows
        count += std::max<ssize_t>(rd_kafka_consume_batch_queue(queue, 0, got.data() + 1, got.size() - 1), 0);
      rows.clear();
      for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
        const auto& m = *got[i];
        if (m.err && m.err != RD_KAFKA_RESP_ERR__PARTITION_EOF)
          fanout::die(rd_kafka_message_errstr(&m));
        if (!m.err)
          rows.emplace_back(0, std::string(static_cast<const char*>(m.payload), m.len));
        rd_kafka_message_destroy(got[i]);
      }
      if (!rows.empty())
        to_->send(rows);
    }
  }

private:
  std::unique_ptr<fanout::publisher> to_;
  rd_kafka_t* kafka_ = nullptr;
};

} // namespace

int main(int argc, char** argv) {
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  writer w;
  if (argc == 3)
    std::thread([f = feed(argv[1], argv[2], w.control_port())]() mutable { f.run(); }).detach();
  w.serve();
  std::_Exit(0); // the feed has nothing to bring to an end
}
