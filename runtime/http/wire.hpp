// Texts that go on the wire: response heads, WebSocket frames. Pure; used inside runtime/http.
#pragma once

#include "runtime/http/server.hpp"

#include <string>
#include <string_view>

namespace weir::http {

// Status line and headers up to the empty line. Adds Content-Length, Connection, Cache-Control and the security headers
// unless the response brings its own. Line breaks in what the response brings are replaced, so that no header can
// smuggle in another one.
std::string response_head(const response& r, bool keep_alive);

// 204 and 304 have none, whatever the response says.
bool has_body(unsigned status);

// A server's frame that is not masked. opcode: 1 text, 8 close.
std::string frame_header(unsigned opcode, std::size_t payload_bytes);
// Text messages, one for each line of the payload.
std::string message_for_each_line(std::string_view payload);
// Reads back what frame_header() wrote.
struct frame_lengths {
  std::size_t header_bytes = 0, payload_bytes = 0;
};
frame_lengths frame_header_of(std::string_view frame);
// `reason` is cut at 123 bytes, between characters.
std::string close_frame(std::uint16_t code, std::string_view reason);

} // namespace weir::http
