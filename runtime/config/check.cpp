#include "runtime/config/check.hpp"

#include "runtime/config/condition_reader.hpp"
#include "runtime/config/values.hpp"
#include "runtime/core/utf8.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <fstream>

namespace weir::config {

void checker::report(const node& n, const std::string& pointer, std::string what, std::string remedy) {
  problems_.push_back(
      {pointer, n.at.line, n.at.column, std::move(what), std::move(remedy), n.place.empty() ? file_ : n.place});
}

void checker::report_name(const member& m, const std::string& pointer, std::string what, std::string remedy) {
  problems_.push_back(
      {pointer, m.at.line, m.at.column, std::move(what), std::move(remedy), m.place.empty() ? file_ : m.place});
}

void checker::missing(const spot& s, std::string_view name, std::string_view example) {
  report(s, fmt::format("'{}' is missing", name), fmt::format("add \"{}\": {}", name, example));
}

std::string checker::near(std::string_view word, std::span<const std::string_view> candidates,
                          std::string_view otherwise) const {
  if (const auto found = nearest(word, candidates))
    return fmt::format("did you mean '{}'?", *found);
  return std::string(otherwise);
}

bool checker::object(const spot& s, std::string_view what) {
  if (s.value->is(node::type::object))
    return true;
  report(s, fmt::format("{} is an object, not {}", what, kind_name(*s.value)), "write { ... }");
  return false;
}

void checker::each(const spot& s, std::span<const key> keys, const std::function<void(std::string_view, spot)>& f) {
  for (auto& m : s.value->members) {
    spot inner{&m.value, s.pointer + '/' + pointer_token(m.name)};
    const auto known = std::find_if(keys.begin(), keys.end(), [&](const key& k) { return k.name == m.name; });
    if (known == keys.end()) {
      std::vector<std::string_view> names;
      for (const auto& k : keys)
        names.push_back(k.name);
      report_name(m, inner.pointer, fmt::format("unknown key '{}'", m.name),
                  near(m.name, names, fmt::format("there are: {}", fmt::join(names, ", "))));
      continue;
    }
    if (!known->later.empty())
      later(inner, std::string(known->later));
    f(known->name, std::move(inner));
  }
}

void checker::each_named(const spot& s, const std::function<void(member&, spot)>& f) {
  for (auto& m : s.value->members)
    f(m, {&m.value, s.pointer + '/' + pointer_token(m.name)});
}

std::optional<std::string> checker::text(const spot& s) {
  auto& n = *s.value;
  if (n.is(node::type::string))
    return n.text;
  if (n.loose) { // --set topology=42
    n.kind = node::type::string;
    return n.text;
  }
  if (n.is(node::type::object) && n.find("file"))
    report(
        s, "a string is wanted, not an object",
        R"({"file": ...} may stand only for redis.url, redis.username, redis.password, values of kafka.properties, and secret and public_key of http.auth.jwt.keys)");
  else
    report(s, fmt::format("a string is wanted, not {}", kind_name(n)),
           n.scalar() && !n.is(node::type::null) ? "put it in double quotes" : "");
  return std::nullopt;
}

std::optional<std::string> checker::secret(const spot& s) {
  auto& n = *s.value;
  if (!n.is(node::type::object))
    return text(s);
  n.secret = true;
  spot path;
  each(s, secret_file_keys, [&](std::string_view, spot inner) { path = std::move(inner); });
  if (!path) {
    missing(s, "file", "\"path\"");
    return std::nullopt;
  }
  const auto name = text(path);
  if (!name)
    return std::nullopt;
  const auto full = options_.base / *name;
  std::error_code error;
  if (std::filesystem::is_directory(full, error)) {
    report(path, fmt::format("'{}' is a folder", full.string()), "name a file");
    return std::nullopt;
  }
  errno = 0;
  std::ifstream in(full, std::ios::binary);
  if (!in) {
    report(path, fmt::format("can't read '{}': {}", full.string(), std::strerror(errno)),
           "relative paths start at the topology file's folder");
    return std::nullopt;
  }
  std::string content(secret_file_limit + 1, '\0');
  in.read(content.data(), static_cast<std::streamsize>(content.size()));
  content.resize(static_cast<std::size_t>(in.gcount()));
  if (content.size() > secret_file_limit) {
    report(path, fmt::format("'{}' has more than {} bytes", full.string(), secret_file_limit), "is it the right file?");
    return std::nullopt;
  }
  if (content.ends_with('\n'))
    content.pop_back();
  if (content.ends_with('\r'))
    content.pop_back();
  if (content.find('\0') != std::string::npos || !is_utf8(content)) {
    report(path, fmt::format("'{}' is no text in UTF-8", full.string()), "is it the right file?");
    return std::nullopt;
  }
  if (content.empty()) {
    report(path, fmt::format("'{}' is empty", full.string()), "is it the right file?");
    return std::nullopt;
  }
  return content;
}

std::optional<std::string> checker::file_path(const spot& s) {
  const auto name = text(s);
  if (!name)
    return std::nullopt;
  const auto full = options_.base / *name;
  std::error_code error;
  errno = 0;
  if (name->empty() || std::filesystem::is_directory(full, error) || !std::ifstream(full)) {
    report(s,
           fmt::format("can't read '{}'{}", full.string(), errno == 0 ? "" : fmt::format(": {}", std::strerror(errno))),
           "relative paths start at the topology file's folder");
    return std::nullopt;
  }
  return full.string();
}

std::optional<std::uint64_t> checker::whole(const spot& s, std::uint64_t least, std::uint64_t most) {
  auto& n = *s.value;
  if (n.is(node::type::string) && n.whole_name) {
    std::uint64_t value = 0;
    const auto* end = n.text.data() + n.text.size();
    const auto [rest, error] = std::from_chars(n.text.data(), end, value);
    if (error == std::errc{} && rest == end) {
      n.kind = node::type::natural;
      n.natural = value;
    }
  }
  if (n.is(node::type::natural) && n.natural >= least && n.natural <= most)
    return n.natural;
  report(s, fmt::format("a whole number from {} to {} is wanted", least, most),
         n.is(node::type::string) && !n.whole_name ? "write it without quotes" : "");
  return std::nullopt;
}

std::optional<bool> checker::truth(const spot& s) {
  auto& n = *s.value;
  if (n.is(node::type::string) && n.whole_name && (n.text == "true" || n.text == "false")) {
    n.kind = node::type::boolean;
    n.truth = n.text == "true";
  }
  if (n.is(node::type::boolean))
    return n.truth;
  report(s, fmt::format("true or false is wanted, not {}", kind_name(n)));
  return std::nullopt;
}

std::optional<duration> checker::time_span(const spot& s, duration least) {
  auto& n = *s.value;
  if (n.is(node::type::natural)) {
    report(s, "a duration is a string with a unit", fmt::format("did you mean \"{}s\"?", n.natural));
    return std::nullopt;
  }
  const auto written = text(s);
  if (!written)
    return std::nullopt;
  const auto value = parse_duration(*written);
  if (!value) {
    report(s, fmt::format("'{}' is no duration", *written),
           "write a whole number and one of ms s m h d, such as 250ms, 10s, 5m, 1h, 7d");
    return std::nullopt;
  }
  if (*value < least) {
    report(s, fmt::format("'{}' is too short", *written), fmt::format("at least {}ms", least.count()));
    return std::nullopt;
  }
  return value;
}

std::optional<std::uint64_t> checker::size(const spot& s, std::uint64_t least, std::uint64_t most) {
  auto& n = *s.value;
  std::optional<std::uint64_t> value;
  std::string written = "the value";
  if (n.is(node::type::natural)) {
    value = n.natural;
  } else if (n.is(node::type::string)) {
    value = parse_size(n.text);
    written = fmt::format("'{}'", n.text);
  }
  if (!value) {
    report(s, fmt::format("{} is no size", written),
           "write a whole number of bytes, or with KiB MiB GiB, such as \"64KiB\"");
    return std::nullopt;
  }
  if (*value < least || *value > most) {
    report(s, fmt::format("a size from {} to {} bytes is wanted", least, most));
    return std::nullopt;
  }
  return value;
}

std::optional<std::string> checker::pointer(const spot& s, bool whole_record) {
  const auto written = text(s);
  if (!written)
    return std::nullopt;
  if (!is_pointer(*written)) {
    report(s, fmt::format("'{}' is no JSON Pointer", *written),
           written->starts_with('/') ? "'~' is written '~0', and '/' in a name '~1'"
                                     : fmt::format("did you mean '/{}'?", *written));
    return std::nullopt;
  }
  if (written->empty() && !whole_record) {
    report(s, "an empty pointer is the whole record, which has no place here", "name a field, such as '/id'");
    return std::nullopt;
  }
  return written;
}

std::optional<std::string> checker::topic(const spot& s) {
  const auto written = text(s);
  if (!written)
    return std::nullopt;
  if (!is_topic(*written)) {
    report(s, fmt::format("'{}' is no name of a topic", *written),
           "Kafka allows letters, digits and . _ - in it, at most 249");
    return std::nullopt;
  }
  return written;
}

std::optional<std::size_t> checker::choice(const spot& s, std::string_view what,
                                           std::span<const std::string_view> choices) {
  const auto written = text(s);
  if (!written)
    return std::nullopt;
  const auto found = std::find(choices.begin(), choices.end(), *written);
  if (found != choices.end())
    return static_cast<std::size_t>(found - choices.begin());
  report(s, fmt::format("unknown {} '{}'", what, *written),
         near(*written, choices,
              choices.size() == 1 ? fmt::format("there is: {}", choices.front())
                                  : fmt::format("there are: {}", fmt::join(choices, ", "))));
  return std::nullopt;
}

condition checker::where(const spot& s, const std::map<std::string, scalar>* parameters) {
  condition_reader reader(
      [this](position at, const std::string& place, const std::string& pointer, std::string what, std::string remedy) {
        problems_.push_back(
            {pointer, at.line, at.column, std::move(what), std::move(remedy), place.empty() ? file_ : place});
      },
      false, parameters);
  return reader.read(*s.value, s.pointer);
}

void checker::run(node& root) {
  const spot top{&root, ""};
  if (!object(top, "a topology"))
    return;
  bool named = false;
  const auto all_of = [&](const spot& s, std::string_view what, void (checker::*one)(const member&, const spot&)) {
    if (object(s, what))
      each_named(s, [&](member& m, spot inner) { (this->*one)(m, inner); });
  };
  each(top, topology_keys, [&](std::string_view name, spot s) {
    if (name == "$schema") {
      (void)text(s);
    } else if (name == "topology") {
      named = true;
      if (const auto value = text(s)) {
        if (is_name(*value))
          out_.name = *value;
        else
          report(s, fmt::format("'{}' is no name of a topology", *value),
                 "use letters, digits and . _ - in it, at most 128");
      }
    } else if (name == "kafka") {
      kafka(s);
    } else if (name == "redis") {
      redis(s);
    } else if (name == "http") {
      http(s);
    } else if (name == "sources") {
      all_of(s, "'sources'", &checker::source);
    } else if (name == "tables") {
      all_of(s, "'tables'", &checker::table);
    } else if (name == "jobs") {
      all_of(s, "'jobs'", &checker::job);
    } else if (name == "scheduler" && object(s, "'scheduler'")) {
      each(s, scheduler_keys, [&](std::string_view, spot inner) {
        if (const auto value = time_span(inner, duration{500}))
          out_.scheduler.lease = *value;
      });
    }
  });
  if (!named)
    missing(top, "topology", "\"a name\" (it names the keys in Redis and the consumer group)");
  if (out_.kafka.group.empty())
    out_.kafka.group = out_.name;
  references();
}

} // namespace weir::config
