#include "publisher.hpp"

#include "basics.hpp"
#include "wire.hpp"

#include <cerrno>
#include <cstring>
#include <librdkafka/rdkafka.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string_view>
#include <sys/socket.h>
#include <unistd.h>

namespace fanout {
namespace {

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

// A peer without Kafka is given the very text that weir would send; one that makes the envelope itself, the row.
class control_publisher final : public publisher {
public:
  control_publisher(std::uint16_t port, const std::string* path, std::string before, std::string after)
      : fd_(connect_blocking(port)), web_socket_(path != nullptr), before_(std::move(before)),
        after_(std::move(after)) {
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

} // namespace

std::unique_ptr<publisher> publish_to_kafka(const std::string& brokers, std::string topic, int partitions) {
  return std::make_unique<kafka_publisher>(brokers, std::move(topic), partitions);
}

std::unique_ptr<publisher> publish_to_peer(std::uint16_t port, const std::string* path, std::string before,
                                           std::string after) {
  return std::make_unique<control_publisher>(port, path, std::move(before), std::move(after));
}

} // namespace fanout
