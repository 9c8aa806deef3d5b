// A WebSocket client's side of the wire.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace fanout {

inline std::string upgrade_request(std::uint16_t port, const std::string& path) {
  return "GET " + path + " HTTP/1.1\r\nHost: 127.0.0.1:" + std::to_string(port) +
         "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
         "Sec-WebSocket-Version: 13\r\n\r\n";
}

// A client's frame: masked, by zeros, which changes nothing.
inline std::string client_frame(unsigned opcode, std::string_view payload) {
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

} // namespace fanout
