// What passes between a table's publisher and its subscribers' sessions, and how changes are written in the client
// protocol (docs/client-protocol.md). Plain data; frames are immutable and shared between threads.
#pragma once

#include "proto/change_set.hpp"
#include "runtime/http/web_socket.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace weir::table {

// All changes with arrival in (from, to], as one ready WebSocket text message. A session takes it if its own cursor is
// `from`, and has `to` as its cursor then.
struct fan_out {
  http::frame_ptr frame; // null: nothing to send, only the cursor moves
  arrival from, to;
};

// Answer to a session that fell behind.
struct catch_up_reply {
  fan_out part;
  bool more = false; // part.to is not the newest yet: ask again from there
  bool gone = false; // the cursor is older than what is kept: the client has to subscribe anew
};

enum class map_phase : std::uint8_t { live = 0, stream = 1, state = 2 };

struct subscribe_request {
  bool map = false; // else stream
  map_phase phase = map_phase::live;
  bool recover = false;
  bool reject_unrecovered = false; // stream: answer error 112 instead of recovered:false
  bool has_position = false;       // offset and epoch were given (an absent offset is 0)
  std::uint32_t limit = 0;         // rows in a page; 0: the server's choice
  version offset;
  std::string epoch;
  std::string cursor; // of state pages; empty: the first
};

struct subscribe_reply {
  int code = 0; // 0: `body` holds; else an error of the client protocol
  bool temporary = false;
  std::string message;
  std::string body; // JSON object for `subscribe` of the reply
  bool live =
      false;  // changes after `at` are to be sent from now on; else a page of state, the client will ask for the next
  arrival at; // the session's cursor
  bool more = false; // `at` is not the newest yet: the session catches up from it at once
};

// A row's change. `value` null: removed. `offset` 0: none.
struct row_publication {
  std::string_view key;
  const std::string* value = nullptr;
  version at;
};

// `{"key":...,"data":...,"offset":N}` or, removed, `{"key":...,"removed":true,"data":{},"offset":N}`.
void append_row_publication(std::string& out, const row_publication& row, version offset);

struct log_publication {
  partition_id partition;
  weir::offset at;
  const std::string* value = nullptr;
};

// `{"data":...,"tags":{"p":"0","o":"17"},"offset":N}`
void append_log_publication(std::string& out, const log_publication& entry, version offset);

} // namespace weir::table
