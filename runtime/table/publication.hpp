// What passes between a table's publisher and its subscribers' sessions, and how changes are written in the client
// protocol (docs/client-protocol.md). Plain data; frames are immutable and shared between threads.
#pragma once

#include "proto/change_set.hpp"
#include "runtime/http/web_socket.hpp"
#include "runtime/table/selection.hpp"

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
  std::uint32_t publications = 0; // in the frame
  std::uint64_t conflated = 0;    // changes in the range that are not in it, since a newer one of the same key is
  std::int64_t newest_ms = 0;     // Kafka timestamp of the newest record in it; 0: not known
};

// A lane: all who are sent the same frames, since they see the same rows, written alike, at the same pace.
struct lane_id_tag;
using lane_id = strong<lane_id_tag, std::uint32_t>; // 0: none

struct lane_spec {
  selection_spec rows;
  std::uint32_t interval_ms = 0; // least time between two frames; 0: each round
  bool short_id = false;         // pushes name the channel by its number
  bool tags = false;             // publications say their record's time and age, frames what was conflated
  bool delta = false;            // `data` is a string: the row, or a Fossil delta to the key's last one
  bool events = false;           // Server-Sent Events instead of pushes
};

struct lane_frames {
  lane_id lane;
  std::vector<fan_out> frames; // each starts where the one before ends
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
  lane_spec lane;
};

struct subscribe_reply {
  int code = 0; // 0: `body` holds; else an error of the client protocol
  bool temporary = false;
  std::string message;
  std::string body; // JSON object for `subscribe` of the reply
  bool live =
      false;  // changes after `at` are to be sent from now on; else a page of state, the client will ask for the next
  arrival at; // the session's cursor
  bool more = false;             // `at` is not the newest yet: the session catches up from it at once
  lane_id lane;                  // live: whose frames it gets from now on
  std::uint32_t interval_ms = 0; // of the lane
  bool exact = false;            // the lane's frames fit only where the one before ended
};

// `history` of a log.
struct history_request {
  std::int64_t limit = 0; // entries; 0: only the position; below 0: as many as are given at once
  bool since = false;     // offset and epoch are given
  version offset;
  std::string epoch;
  bool reverse = false; // newest first
};

struct history_reply {
  int code = 0; // 0: `body` holds
  bool temporary = false;
  std::string message;
  std::string body; // JSON object for `history` of the reply
};

// How publications are written.
struct publication_style {
  bool tags = false;
  bool strings = false;    // `data` as a JSON string
  std::int64_t now_ms = 0; // for the age, with tags
};

// A row's change. `value` null: removed. `offset` 0: none.
struct row_publication {
  std::string_view key;
  const std::string* value = nullptr;
  version at;
  std::int64_t time_ms = 0;            // Kafka timestamp; 0: not known
  const std::string* before = nullptr; // with strings: what who gets this has of the key
};

// `{"key":...,"data":...,"offset":N}` or, removed, `{"key":...,"removed":true,"data":{},"offset":N}`; with tags
// `"tags":{"t":"...","age":"..."}` before the offset.
void append_row_publication(std::string& out, const row_publication& row, version offset,
                            const publication_style& style = {});

struct log_publication {
  partition_id partition;
  weir::offset at;
  const std::string* value = nullptr;
  std::int64_t time_ms = 0; // event time
};

// `{"data":...,"tags":{"p":"0","o":"17"},"offset":N}`; with tags "t" and "age" among them.
void append_log_publication(std::string& out, const log_publication& entry, version offset,
                            const publication_style& style = {});

} // namespace weir::table
