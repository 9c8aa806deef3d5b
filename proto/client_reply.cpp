#include "proto/client_reply.hpp"

namespace weir {
namespace {

void append_ttl(std::string& out, std::uint32_t seconds) {
  out += ",\"expires\":true,\"ttl\":" + std::to_string(seconds);
}

} // namespace

void append_json_string(std::string& out, std::string_view text) {
  static constexpr char hex[] = "0123456789abcdef";
  out += '"';
  std::size_t plain = 0; // start of what needs no escape and is not copied yet
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c >= 0x20 && c != '"' && c != '\\')
      continue;
    out.append(text, plain, i - plain);
    plain = i + 1;
    switch (c) {
    case '"': out += "\\\""; break;
    case '\\': out += "\\\\"; break;
    case '\n': out += "\\n"; break;
    case '\r': out += "\\r"; break;
    case '\t': out += "\\t"; break;
    default:
      out += "\\u00";
      out += hex[c >> 4];
      out += hex[c & 15];
    }
  }
  out.append(text, plain);
  out += '"';
}

std::string error_reply(std::uint32_t id, int code, std::string_view message, bool temporary) {
  std::string out = "{\"id\":" + std::to_string(id) + ",\"error\":{\"code\":" + std::to_string(code) + ",\"message\":";
  append_json_string(out, message);
  if (temporary)
    out += ",\"temporary\":true";
  return out += "}}";
}

std::string connect_reply(std::uint32_t id, std::string_view client, std::string_view version,
                          std::uint32_t ping_seconds, std::optional<std::uint32_t> ttl) {
  std::string out = "{\"id\":" + std::to_string(id) + ",\"connect\":{\"client\":";
  append_json_string(out, client);
  out += ",\"version\":";
  append_json_string(out, version);
  if (ttl)
    append_ttl(out, *ttl);
  out += ",\"ping\":" + std::to_string(ping_seconds);
  return out += ",\"pong\":true}}";
}

std::string refresh_reply(std::uint32_t id, std::string_view client, std::string_view version, std::uint32_t ttl) {
  std::string out = "{\"id\":" + std::to_string(id) + ",\"refresh\":{\"client\":";
  append_json_string(out, client);
  out += ",\"version\":";
  append_json_string(out, version);
  append_ttl(out, ttl);
  return out += "}}";
}

std::string reply_text(std::uint32_t id, std::string_view method, std::string_view body) {
  std::string out;
  out.reserve(body.size() + method.size() + 30);
  out += "{\"id\":" + std::to_string(id) + ",\"";
  out += method;
  out += "\":";
  out += body;
  return out += '}';
}

std::string subscribe_reply_text(std::uint32_t id, std::string_view body) { return reply_text(id, "subscribe", body); }

std::string empty_reply(std::uint32_t id, std::string_view method) { return reply_text(id, method, "{}"); }

std::string unsubscribe_push(std::string_view channel, std::uint32_t code, std::string_view reason) {
  std::string out = "{\"push\":{\"channel\":";
  append_json_string(out, channel);
  out += ",\"unsubscribe\":{\"code\":" + std::to_string(code) + ",\"reason\":";
  append_json_string(out, reason);
  return out += "}}}";
}

} // namespace weir
