// Replies and pushes of the client protocol as text.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace weir {

// Error codes in replies.
namespace client_error {
inline constexpr int internal = 100, unauthorized = 101, unknown_channel = 102, permission_denied = 103,
                     method_not_found = 104, already_subscribed = 105, limit_exceeded = 106, bad_request = 107,
                     token_expired = 109, too_many_requests = 111, unrecoverable = 112;
}

// Close codes of the WebSocket. 3000-3499 and 4000-4499: the client connects again; 3500-3999 and 4500-4999: it does
// not.
namespace client_close {
inline constexpr std::uint16_t shutdown = 3001, expired = 3005, slow = 3008, no_pong = 3012, invalid_token = 3500,
                               bad_request = 3501, stale = 3502, permission_denied = 3507, too_many_requests = 3509;
}

// Unsubscribe codes: from 2500 on the client subscribes again by itself.
namespace client_unsubscribe {
inline constexpr std::uint32_t permission_lost = 2000, insufficient_state = 2500;
}

// Appends a JSON string with its quotes.
void append_json_string(std::string& out, std::string_view text);

std::string error_reply(std::uint32_t id, int code, std::string_view message, bool temporary = false);
// ttl: seconds until the client is to send a new token; none: never.
std::string connect_reply(std::uint32_t id, std::string_view client, std::string_view version,
                          std::uint32_t ping_seconds, std::optional<std::uint32_t> ttl = {});
std::string refresh_reply(std::uint32_t id, std::string_view client, std::string_view version, std::uint32_t ttl);
// `body` is the JSON object for `subscribe`.
std::string subscribe_reply_text(std::uint32_t id, std::string_view body);
// {"id":N,"<method>":body}
std::string reply_text(std::uint32_t id, std::string_view method, std::string_view body);
// {"id":N,"<method>":{}}
std::string empty_reply(std::uint32_t id, std::string_view method);
std::string unsubscribe_push(std::string_view channel, std::uint32_t code, std::string_view reason);

} // namespace weir
