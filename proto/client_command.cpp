#include "proto/client_command.hpp"

#include <algorithm>
#include <limits>
#include <simdjson.h>

namespace weir {
namespace {

using simdjson::dom::element;

// Readers of one member: false if it has the wrong type or is out of bounds. A null stands for a member that is not
// there.
bool read(const element& from, std::string& to, std::size_t most) {
  std::string_view text;
  if (from.is_null())
    return true;
  if (from.get(text) != simdjson::SUCCESS || text.size() > most)
    return false;
  to = text;
  return true;
}

bool read(const element& from, std::uint64_t& to) { return from.is_null() || from.get(to) == simdjson::SUCCESS; }

bool read(const element& from, std::uint32_t& to) {
  std::uint64_t wide = to;
  if (!read(from, wide) || wide > std::numeric_limits<std::uint32_t>::max())
    return false;
  to = static_cast<std::uint32_t>(wide);
  return true;
}

bool read(const element& from, bool& to) { return from.is_null() || from.get(to) == simdjson::SUCCESS; }

bool read_connect(const element& from, connect_command& to, const command_limits& limits) {
  simdjson::dom::object members;
  if (from.get(members) != simdjson::SUCCESS)
    return false;
  for (const auto& [name, value] : members) {
    const bool good = name == "token"     ? read(value, to.token, 4 * limits.text)
                      : name == "name"    ? read(value, to.name, limits.text)
                      : name == "version" ? read(value, to.version, limits.text)
                                          : true;
    if (!good)
      return false;
  }
  return true;
}

void look_into_data(const element& data, subscribe_command& to) {
  simdjson::dom::object members;
  if (data.get(members) != simdjson::SUCCESS) {
    to.data_problem = "data has to be an object";
    return;
  }
  for (const auto& [name, value] : members) {
    if (value.is_null())
      continue;
    std::string_view text;
    if (name == "where") {
      to.where = simdjson::minify(value);
    } else if (name == "max_rate") {
      if (value.get(text) != simdjson::SUCCESS)
        to.data_problem = "max_rate has to be a string such as \"2/s\"";
      to.max_rate = text;
    } else if (name == "tags") {
      if (value.get(to.tags) != simdjson::SUCCESS)
        to.data_problem = "tags has to be true or false";
    } else {
      to.data_problem = "unknown member '" + std::string(name) + "' in data; there are: where max_rate tags";
    }
  }
}

bool read_subscribe(const element& from, subscribe_command& to, const command_limits& limits) {
  simdjson::dom::object members;
  if (from.get(members) != simdjson::SUCCESS)
    return false;
  for (const auto& [name, value] : members) {
    bool good = true;
    if (name == "channel")
      good = read(value, to.channel, limits.channel);
    else if (name == "type")
      good = read(value, to.type);
    else if (name == "phase")
      good = read(value, to.phase);
    else if (name == "limit")
      good = read(value, to.limit);
    else if (name == "flag")
      good = read(value, to.flag);
    else if (name == "offset")
      good = read(value, to.offset);
    else if (name == "recover")
      good = read(value, to.recover);
    else if (name == "cursor")
      good = read(value, to.cursor, limits.text);
    else if (name == "epoch")
      good = read(value, to.epoch, limits.text);
    else if (name == "token")
      good = read(value, to.token, 4 * limits.text);
    else if (name == "tf")
      to.has_tags_filter = !value.is_null();
    else if (name == "delta") {
      std::string text;
      good = read(value, text, limits.text);
      to.delta = text == "fossil";
    } else if (name == "data" && !value.is_null())
      look_into_data(value, to);
    if (!good)
      return false;
  }
  return !to.channel.empty();
}

bool read(const element& from, std::int64_t& to) { return from.is_null() || from.get(to) == simdjson::SUCCESS; }

bool read_since(const element& from, history_command& to, const command_limits& limits) {
  if (from.is_null())
    return true;
  simdjson::dom::object members;
  if (from.get(members) != simdjson::SUCCESS)
    return false;
  to.has_since = true;
  for (const auto& [name, value] : members)
    if ((name == "offset" && !read(value, to.offset)) || (name == "epoch" && !read(value, to.epoch, limits.text)))
      return false;
  return true;
}

bool read_history(const element& from, history_command& to, const command_limits& limits) {
  simdjson::dom::object members;
  if (from.get(members) != simdjson::SUCCESS)
    return false;
  for (const auto& [name, value] : members) {
    const bool good = name == "channel"   ? read(value, to.channel, limits.channel)
                      : name == "limit"   ? read(value, to.limit)
                      : name == "reverse" ? read(value, to.reverse)
                      : name == "since"   ? read_since(value, to, limits)
                                          : true;
    if (!good)
      return false;
  }
  return !to.channel.empty();
}

bool read_channel(const element& from, std::string& to, bool needed, const command_limits& limits) {
  simdjson::dom::object members;
  if (from.get(members) != simdjson::SUCCESS)
    return false;
  for (const auto& [name, value] : members)
    if (name == "channel" && !read(value, to, limits.channel))
      return false;
  return !needed || !to.empty();
}

constexpr std::pair<std::string_view, command_kind> methods[] = {
    {"connect", command_kind::connect},
    {"subscribe", command_kind::subscribe},
    {"unsubscribe", command_kind::unsubscribe},
    {"publish", command_kind::publish},
    {"presence", command_kind::presence},
    {"presence_stats", command_kind::presence_stats},
    {"history", command_kind::history},
    {"ping", command_kind::ping},
    {"send", command_kind::send},
    {"rpc", command_kind::rpc},
    {"refresh", command_kind::refresh},
    {"sub_refresh", command_kind::sub_refresh},
};

// Empty: the command is good.
std::string_view read_command(const element& root, client_command& to, const command_limits& limits) {
  simdjson::dom::object members;
  if (root.get(members) != simdjson::SUCCESS)
    return "a command has to be an object";
  bool any = false, named = false;
  for (const auto& [name, value] : members) {
    any = true;
    if (name == "id") {
      if (!read(value, to.id))
        return "an id has to be a number of 32 bits";
      continue;
    }
    const auto* method =
        std::find_if(std::begin(methods), std::end(methods), [&n = name](const auto& m) { return m.first == n; });
    if (method == std::end(methods) || value.is_null())
      continue;
    if (named)
      return "a command has one method";
    named = true;
    to.kind = method->second;
    bool good = true;
    if (to.kind == command_kind::connect || to.kind == command_kind::refresh)
      good = read_connect(value, to.connect, limits);
    else if (to.kind == command_kind::subscribe)
      good = read_subscribe(value, to.subscribe, limits);
    else if (to.kind == command_kind::history)
      good = read_history(value, to.history, limits);
    else if (to.kind == command_kind::unsubscribe)
      good = read_channel(value, to.channel, true, limits);
    else
      good = value.is_object();
    if (!good)
      return "a member of the command has the wrong type or size, or is missing";
  }
  if (!any)
    return {};
  if (!named)
    to.kind = command_kind::unknown;
  if (to.id == 0 && to.kind != command_kind::send)
    return "a command needs an id above 0";
  return {};
}

} // namespace

parsed_commands parse_commands(std::string_view text, const command_limits& limits) {
  // One parser a thread: its buffers are reused.
  thread_local simdjson::dom::parser parser;
  parsed_commands out;
  bool any = false;
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    const auto line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.find_first_not_of(" \t\r") == std::string_view::npos)
      continue;
    any = true;
    if (out.commands.size() >= limits.commands) {
      out.problem = "too many commands in one message";
      return out;
    }
    // Grown here, since a parser that grows by itself falls back to its own depth.
    if (line.size() + simdjson::SIMDJSON_PADDING > parser.capacity() || parser.max_depth() != limits.depth)
      if (parser.allocate(std::max<std::size_t>(line.size() + simdjson::SIMDJSON_PADDING, 16 << 10), limits.depth) !=
          simdjson::SUCCESS) {
        out.problem = "message too large";
        return out;
      }
    element root;
    if (parser.parse(line.data(), line.size()).get(root) != simdjson::SUCCESS) {
      out.problem = "not JSON, or nested too deeply";
      return out;
    }
    client_command command;
    if (const auto problem = read_command(root, command, limits); !problem.empty()) {
      out.problem = problem;
      return out;
    }
    out.commands.push_back(std::move(command));
  }
  if (!any)
    out.problem = "empty message";
  return out;
}

} // namespace weir
