// Commands of the client protocol, as they come in one WebSocket text message: JSON objects joined by new lines.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace weir {

enum class command_kind : std::uint8_t {
  pong, // {}
  connect,
  subscribe,
  unsubscribe,
  publish,
  presence,
  presence_stats,
  history,
  ping,
  send,
  rpc,
  refresh,
  sub_refresh,
  unknown, // an id and no method that is known
};

struct connect_command {
  std::string token; // a secret
  std::string name, version;
};

struct subscribe_command {
  std::string channel;
  std::uint32_t type = 0;  // 0 stream, 1 map; others are not spoken
  std::uint32_t phase = 0; // map: 2 state, 1 catch-up, 0 live
  std::uint32_t limit = 0;
  std::uint32_t flag = 0; // 1: short channel ids offered; 2: reject a recovery that fails
  std::uint64_t offset = 0;
  bool recover = false;
  bool has_tags_filter = false; // `tf`
  bool delta = false;           // `delta` is "fossil"; others are not spoken and not agreed
  std::string cursor, epoch, token;
  // Members of `data`.
  std::string where;    // raw JSON; empty: none
  std::string max_rate; // as written
  bool tags = false;
  std::string data_problem; // not empty: what is wrong with `data`
};

struct history_command {
  std::string channel;
  std::int64_t limit = 0;
  bool has_since = false;
  std::uint64_t offset = 0;
  std::string epoch;
  bool reverse = false;
};

struct client_command {
  std::uint32_t id = 0; // 0 only for pong and send
  command_kind kind = command_kind::pong;
  connect_command connect; // of refresh too: its token
  subscribe_command subscribe;
  history_command history;
  std::string channel; // unsubscribe and the others that name one
};

struct command_limits {
  std::size_t commands = 512; // in one message
  std::size_t depth = 32;     // of nesting
  std::size_t channel = 255;  // bytes
  std::size_t text = 4096;    // bytes of cursor, epoch, name, version; a token may have four times as many
};

struct parsed_commands {
  std::vector<client_command> commands;
  std::string_view
      problem; // not empty: the message is a bad request from there on (static text); `commands` holds what came before
};

// Any thread. Unknown members are ignored; known ones of the wrong type are a problem.
parsed_commands parse_commands(std::string_view text, const command_limits& limits = {});

} // namespace weir
