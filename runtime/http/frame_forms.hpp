// Other forms of a shared frame: made by the first session that needs one, then shared like the frame itself.
#pragma once

#include "runtime/http/web_socket.hpp"

#include <mutex>
#include <string>
#include <string_view>

namespace weir::http {

// Messages shorter than this are not worth compressing.
inline constexpr std::size_t least_deflated_bytes = 128;

// WebSocket text messages (one frame each, not masked) with those compressed that become shorter: raw deflate, RSV1 set
// (RFC 7692), nothing referred to from outside the message. Empty: none became shorter.
std::string deflate_messages(std::string_view messages);

// Any thread.
class frame_forms {
public:
  // For sessions with permessage-deflate; null: the frame itself.
  const frame_ptr& deflated(const frame& f) {
    std::call_once(deflated_once_, [&] {
      if (auto bytes = deflate_messages(f.bytes); !bytes.empty())
        deflated_ = std::make_shared<const frame>(frame{std::move(bytes), 0});
    });
    return deflated_;
  }

  // For Server-Sent Events; `make` gives the frame's text as events. `header` of the result is where the last id's
  // offset begins, 0: there is none. Null: no events.
  template <class Make>
  const frame_ptr& events(Make make) {
    std::call_once(events_once_, [&] {
      if (std::string bytes = make(); !bytes.empty()) {
        const auto id = bytes.rfind("\nid: ");
        const auto offset = id == bytes.npos ? 0 : bytes.find(':', id + 4) + 1;
        events_ = std::make_shared<const frame>(frame{std::move(bytes), offset});
      }
    });
    return events_;
  }

private:
  std::once_flag deflated_once_, events_once_;
  frame_ptr deflated_, events_;
};

} // namespace weir::http
