#include "runtime/http/wire.hpp"

#include "runtime/http/frame_forms.hpp"

#include <algorithm>
#include <boost/beast/http/status.hpp>
#include <nlohmann/json.hpp>

namespace weir::http {
namespace {

std::string json_text(std::string_view text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

bool same_name(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, [](char x, char y) {
    return std::tolower(static_cast<unsigned char>(x)) == std::tolower(static_cast<unsigned char>(y));
  });
}

bool brings(const response& r, std::string_view name) {
  return std::ranges::any_of(r.headers, [&](const auto& h) { return same_name(h.first, name); });
}

void append_line(std::string& out, std::string_view name, std::string_view value) {
  const auto append = [&out](std::string_view text) {
    for (const char c : text)
      out += static_cast<unsigned char>(c) < 0x20 && c != '\t' ? ' ' : c;
  };
  append(name);
  out += ": ";
  append(value);
  out += "\r\n";
}

// Only what the dashboard needs: its own files, its own WebSocket. Charts set styles on elements.
constexpr std::string_view page_policy =
    "default-src 'self'; connect-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; "
    "object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

} // namespace

response error_response(unsigned status, std::string_view code, std::string_view message, std::string_view at) {
  response r;
  r.status = status;
  r.body = "{\"error\":{\"code\":" + json_text(code) + ",\"message\":" + json_text(message);
  if (!at.empty())
    r.body += ",\"at\":" + json_text(at);
  r.body += "}}";
  return r;
}

bool has_body(unsigned status) { return status >= 200 && status != 204 && status != 304; }

std::string response_head(const response& r, bool keep_alive) {
  std::string out = "HTTP/1.1 " + std::to_string(r.status) + ' ';
  out += std::string_view(boost::beast::http::obsolete_reason(boost::beast::http::int_to_status(r.status)));
  out += "\r\n";
  append_line(out, "Server", "weir");
  if (has_body(r.status)) {
    append_line(out, "Content-Type", r.content_type);
    if (!r.unbounded)
      append_line(out, "Content-Length", std::to_string(r.body.size()));
  }
  const auto standard = [&](std::string_view name, std::string_view value) {
    if (!brings(r, name))
      append_line(out, name, value);
  };
  standard("Connection", keep_alive ? "keep-alive" : "close");
  standard("Cache-Control", "no-store");
  standard("X-Content-Type-Options", "nosniff");
  standard("Referrer-Policy", "no-referrer");
  standard("Cross-Origin-Resource-Policy", "same-origin");
  if (r.content_type.starts_with("text/html")) {
    standard("Content-Security-Policy", page_policy);
    standard("X-Frame-Options", "DENY");
  }
  for (const auto& [name, value] : r.headers)
    append_line(out, name, value);
  out += "\r\n";
  return out;
}

std::string frame_header(unsigned opcode, std::size_t payload_bytes) {
  std::string out;
  out += static_cast<char>(0x80 | opcode);
  if (payload_bytes < 126) {
    out += static_cast<char>(payload_bytes);
    return out;
  }
  const int width = payload_bytes < 0x10000 ? 2 : 8;
  out += static_cast<char>(width == 2 ? 126 : 127);
  for (int i = width - 1; i >= 0; --i)
    out += static_cast<char>(static_cast<std::uint64_t>(payload_bytes) >> (8 * i) & 0xFF);
  return out;
}

frame_lengths frame_header_of(std::string_view frame) {
  const auto byte = [&](std::size_t i) { return static_cast<std::size_t>(static_cast<unsigned char>(frame[i])); };
  const std::size_t length = byte(1) & 0x7F, width = length == 126 ? 2 : length == 127 ? 8 : 0;
  frame_lengths out{2 + width, length};
  if (width > 0)
    out.payload_bytes = 0;
  for (std::size_t i = 0; i < width; ++i)
    out.payload_bytes = out.payload_bytes << 8 | byte(2 + i);
  return out;
}

std::string close_frame(std::uint16_t code, std::string_view reason) {
  std::size_t n = std::min<std::size_t>(reason.size(), 123);
  if (n < reason.size())
    while (n > 0 && (static_cast<unsigned char>(reason[n]) & 0xC0) == 0x80)
      --n;
  std::string out = frame_header(8, 2 + n);
  out += static_cast<char>(code >> 8);
  out += static_cast<char>(code & 0xFF);
  out += reason.substr(0, n);
  return out;
}

std::string message_for_each_line(std::string_view payload) {
  std::string out;
  out.reserve(payload.size() + payload.size() / 64 + 16);
  while (!payload.empty()) {
    const auto end = std::min(payload.find('\n'), payload.size());
    out += frame_header(1, end);
    out += payload.substr(0, end);
    payload.remove_prefix(std::min(end + 1, payload.size()));
  }
  return out;
}

frame_ptr make_text_frame(std::string_view payload) {
  auto f = std::make_shared<frame>();
  f->bytes = frame_header(1, payload.size());
  f->header = f->bytes.size();
  f->bytes += payload;
  f->forms = std::make_shared<frame_forms>();
  if (payload.find('\n') != std::string_view::npos)
    f->apart = std::make_shared<const frame>(frame{message_for_each_line(payload), 0, nullptr, std::make_shared<frame_forms>()});
  return f;
}

} // namespace weir::http
