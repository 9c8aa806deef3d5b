// A client that writes exactly the bytes a test wants and reads what comes back; every wait has a deadline.
#pragma once

#include <arpa/inet.h>
#include <chrono>
#include <cstdint>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <optional>
#include <poll.h>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>

namespace weir::http::test {

struct answer {
  unsigned status = 0; // 0: the connection ended without one
  std::string head, body;

  // Value of a header, matched without regard to case; nothing when absent.
  std::optional<std::string> header(std::string_view name) const {
    const auto lower = [](std::string s) {
      for (auto& c : s)
        c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
      return s;
    };
    const auto wanted = "\r\n" + lower(std::string(name)) + ": ";
    const auto at = lower(head).find(wanted);
    if (at == std::string::npos)
      return {};
    const auto from = at + wanted.size();
    return head.substr(from, head.find("\r\n", from) - from);
  }
};

struct ws_frame {
  unsigned opcode = 0;
  bool fin = false;
  bool compressed = false; // RSV1
  std::string payload;

  std::uint16_t close_code() const {
    return payload.size() < 2 ? 0
                              : static_cast<std::uint16_t>(static_cast<unsigned char>(payload[0]) << 8 |
                                                           static_cast<unsigned char>(payload[1]));
  }
  std::string close_reason() const { return payload.size() < 2 ? std::string{} : payload.substr(2); }
};

class raw_client {
public:
  using milliseconds = std::chrono::milliseconds;

  explicit raw_client(std::uint16_t port, int receive_buffer = 0, const char* from = nullptr)
      : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
    if (from) {
      sockaddr_in own{};
      own.sin_family = AF_INET;
      ::inet_pton(AF_INET, from, &own.sin_addr);
      EXPECT_EQ(::bind(fd_, reinterpret_cast<const sockaddr*>(&own), sizeof own), 0);
    }
    if (receive_buffer > 0)
      ::setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    const int on = 1;
    ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_port = htons(port);
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = ::connect(fd_, reinterpret_cast<const sockaddr*>(&at), sizeof at) == 0;
  }
  raw_client(raw_client&& o) noexcept
      : fd_(std::exchange(o.fd_, -1)), connected_(o.connected_), received_(std::move(o.received_)) {}
  raw_client& operator=(raw_client&&) = delete;
  ~raw_client() { close(); }

  bool connected() const { return connected_; }

  void close() {
    if (fd_ >= 0)
      ::close(std::exchange(fd_, -1));
  }

  void finish_sending() { ::shutdown(fd_, SHUT_WR); }

  // Ends with a reset instead of a goodbye.
  void reset() {
    const linger none{1, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &none, sizeof none);
    close();
  }

  // False: the other side is gone, or takes nothing for too long.
  bool send(std::string_view bytes, milliseconds patience = milliseconds{10'000}) {
    while (!bytes.empty()) {
      const auto n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (n > 0) {
        bytes.remove_prefix(static_cast<std::size_t>(n));
        continue;
      }
      pollfd p{fd_, POLLOUT, 0};
      if (errno != EAGAIN || ::poll(&p, 1, static_cast<int>(patience.count())) <= 0)
        return false;
    }
    return true;
  }

  // Reads once; false: the end, an error, or nothing in time.
  bool receive_some(milliseconds patience = milliseconds{10'000}, std::size_t most = 65536) {
    pollfd p{fd_, POLLIN, 0};
    if (::poll(&p, 1, static_cast<int>(patience.count())) <= 0)
      return false;
    std::string part(most, '\0');
    const auto n = ::recv(fd_, part.data(), part.size(), 0);
    if (n <= 0) {
      ended_ = true;
      reset_ = n < 0;
      return false;
    }
    received_.append(part, 0, static_cast<std::size_t>(n));
    return true;
  }

  // The connection ends within the time, whatever still comes before.
  bool ends(milliseconds within = milliseconds{10'000}) {
    const auto until = std::chrono::steady_clock::now() + within;
    while (!ended_ && std::chrono::steady_clock::now() < until)
      receive_some(milliseconds{50});
    return ended_;
  }

  // One answer with its body by Content-Length. `head_only`: of a HEAD request.
  answer read_answer(bool head_only = false) {
    answer a;
    std::size_t end;
    while ((end = received_.find("\r\n\r\n")) == std::string::npos)
      if (!receive_some())
        return a;
    a.head = received_.substr(0, end + 2);
    received_.erase(0, end + 4);
    a.status = static_cast<unsigned>(std::atoi(a.head.c_str() + 9));
    const auto length = a.header("content-length");
    const std::size_t wanted = length && !head_only ? std::stoul(*length) : 0;
    while (received_.size() < wanted)
      if (!receive_some())
        return a;
    a.body = received_.substr(0, wanted);
    received_.erase(0, wanted);
    return a;
  }

  answer ask(std::string_view bytes) {
    send(bytes);
    return read_answer();
  }

  answer get(std::string_view target, std::string_view further_headers = {}) {
    return ask("GET " + std::string(target) + " HTTP/1.1\r\nHost: localhost\r\n" + std::string(further_headers) +
               "\r\n");
  }

  // ---- WebSocket

  answer upgrade(std::string_view further_headers = {}, std::string_view path = "/connection/websocket",
                 std::string_view after = {}) {
    send("GET " + std::string(path) +
         " HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: keep-alive, "
         "Upgrade\r\nSec-WebSocket-Version: 13\r\n"
         "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" +
         std::string(further_headers) + "\r\n" + std::string(after));
    return read_answer();
  }

  static std::string frame(unsigned opcode, std::string_view payload, bool fin = true, bool masked = true,
                           unsigned reserved = 0) {
    std::string out;
    out += static_cast<char>((fin ? 0x80u : 0u) | reserved << 4 | opcode);
    const unsigned bit = masked ? 0x80 : 0;
    if (payload.size() < 126) {
      out += static_cast<char>(bit | payload.size());
    } else if (payload.size() < 65536) {
      out += static_cast<char>(bit | 126);
      out += static_cast<char>(payload.size() >> 8);
      out += static_cast<char>(payload.size());
    } else {
      out += static_cast<char>(bit | 127);
      for (int i = 7; i >= 0; --i)
        out += static_cast<char>(payload.size() >> (8 * i));
    }
    if (!masked)
      return out.append(payload);
    const std::string mask = "\x11\x22\x33\x44";
    out += mask;
    for (std::size_t i = 0; i < payload.size(); ++i)
      out += static_cast<char>(payload[i] ^ mask[i % 4]);
    return out;
  }

  static std::string close_frame(std::uint16_t code, std::string_view reason = {}) {
    std::string payload;
    payload += static_cast<char>(code >> 8);
    payload += static_cast<char>(code);
    return frame(8, payload.append(reason));
  }

  bool send_text(std::string_view text) { return send(frame(1, text)); }

  // The next frame, of whatever kind; nothing: the connection ended or nothing came in time.
  std::optional<ws_frame> read_frame(milliseconds patience = milliseconds{10'000}) {
    const auto have = [&](std::size_t n) {
      while (received_.size() < n)
        if (!receive_some(patience))
          return false;
      return true;
    };
    if (!have(2))
      return {};
    const auto at = [&](std::size_t i) { return static_cast<unsigned char>(received_[i]); };
    ws_frame f;
    f.fin = (at(0) & 0x80) != 0;
    f.opcode = at(0) & 0x0F;
    f.compressed = (at(0) & 0x40) != 0;
    EXPECT_EQ(at(1) & 0x80, 0) << "a server's frame must not be masked";
    std::size_t size = at(1) & 0x7F, header = 2;
    if (size >= 126) {
      const std::size_t width = size == 126 ? 2 : 8;
      if (!have(2 + width))
        return {};
      size = 0;
      for (std::size_t i = 0; i < width; ++i)
        size = size << 8 | at(2 + i);
      header += width;
    }
    if (!have(header + size))
      return {};
    f.payload = received_.substr(header, size);
    received_.erase(0, header + size);
    return f;
  }

  std::string read_text() {
    const auto f = read_frame();
    if (!f)
      return "<nothing>";
    return f->opcode == 1 && f->fin ? f->payload : "<opcode " + std::to_string(f->opcode) + ">";
  }

  // It ended by a reset, which on other systems takes unread answers with it.
  bool was_reset() const { return reset_; }

  const std::string& received() const { return received_; }
  std::size_t take_received() {
    const auto n = received_.size();
    received_.clear();
    return n;
  }

private:
  int fd_;
  bool connected_ = false, ended_ = false, reset_ = false;
  std::string received_;
};

} // namespace weir::http::test
