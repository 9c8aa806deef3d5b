#include "cli/commands.hpp"
#include "cli/token.hpp"
#include "runtime/core/backoff.hpp"
#include "runtime/core/json.hpp"
#include "runtime/http/client.hpp"
#include "runtime/http/follower.hpp"

#include <iostream>
#include <nlohmann/json.hpp>
#include <thread>

namespace weir::cli {
namespace {

using json = nlohmann::ordered_json;
using namespace std::chrono_literals;

constexpr auto deadline = 5s;
constexpr auto silence = 40s; // the server pings every 25 s

int complain(int code, const std::string& why) {
  fmt::print(stderr, "weir: {}\n", why);
  return code;
}

std::string without_slash(std::string url) {
  while (url.ends_with('/'))
    url.pop_back();
  return url;
}

// The table's kind, or the exit code for why there is none. A node that is starting is waited for.
tl::expected<std::string, int> kind_of(const tail_options& options, const std::string& base,
                                       const http::client_options& client) {
  backoff retry{200ms, 5s};
  for (;;) {
    const auto answer = http::http_get(base + "/api/v1/tables", deadline, client);
    if (!answer)
      return tl::unexpected(
          complain(answer.error().code == ec::bad_argument ? exit_usage : exit_unavailable, answer.error().message));
    if (answer->status == 503) {
      std::this_thread::sleep_for(retry.next()); // backoff between requests
      continue;
    }
    const auto listed = json::parse(answer->body, nullptr, false);
    if (answer->status == 401 || answer->status == 403)
      return tl::unexpected(complain(
          exit_unavailable, fmt::format("{}: status {}: {}", base, answer->status,
                                        listed.is_object() && listed.contains("error") ? listed["error"].value("message", "") : "")));
    if (answer->status != 200 || !listed.is_object() || !listed.contains("tables"))
      return tl::unexpected(complain(exit_data, fmt::format("{} is no weir node", base)));
    std::string known;
    for (const auto& t : listed["tables"]) {
      if (t.value("name", "") == options.table)
        return t.value("kind", "");
      known += (known.empty() ? "" : ", ") + t.value("name", "");
    }
    return tl::unexpected(
        complain(exit_usage, fmt::format("there is no table '{}'; there are: {}", options.table, known)));
  }
}

// Prints lines up to the wanted number.
class printer {
public:
  explicit printer(const tail_options& options) : options_(options) {}

  // False: that was the last one, or nobody reads any more.
  bool print(const std::vector<http::followed>& lines) {
    for (const auto& line : lines) {
      if (line.what == http::followed::kind::gap) {
        gap(line);
        continue;
      }
      std::cout << (options_.json ? as_json(line) : as_text(line)) << '\n';
      if (options_.count > 0 && ++printed_ >= options_.count) {
        std::cout.flush();
        return false;
      }
    }
    std::cout.flush();
    return static_cast<bool>(std::cout);
  }

private:
  // Scripts find it between the lines, people beside them.
  void gap(const http::followed& line) {
    if (options_.json)
      std::cout << "{\"gap\":" << json_quote(line.text) << "}\n";
    std::cout.flush();
    fmt::print(stderr, "weir: gap: {}\n", line.text);
  }

  static std::string as_text(const http::followed& line) {
    switch (line.what) {
    case http::followed::kind::row: return line.key + '\t' + line.data;
    case http::followed::kind::removed: return line.key + "\t(removed)";
    case http::followed::kind::entry:
    case http::followed::kind::gap: break;
    }
    return line.data;
  }

  static std::string as_json(const http::followed& line) {
    std::string out = "{";
    if (line.what != http::followed::kind::entry)
      out += "\"key\":" + json_quote(line.key) + ',';
    out += line.what == http::followed::kind::removed ? "\"removed\":true" : "\"data\":" + line.data;
    if (!line.tags.empty())
      out += ",\"tags\":" + line.tags;
    return out + '}';
  }

  const tail_options& options_;
  std::uint64_t printed_ = 0;
};

} // namespace

int tail(const tail_options& options) {
  const auto where = options.where.empty() ? json::object() : json::parse(options.where, nullptr, false);
  if (!where.is_object())
    return complain(exit_usage, "--where has to be a JSON object, as '{\"/site\":\"north\"}'");
  const auto base = without_slash(options.url);
  http::client_options client;
  client.ca_file = options.ca_file;
  if (const auto used = use_token(options.token_file, client); !used)
    return complain(exit_usage, used.error().message);
  const auto kind = kind_of(options, base, client);
  if (!kind)
    return kind.error();
  const bool map = *kind != "log";
  if (!map && options.key)
    return complain(exit_usage,
                    fmt::format("--key is for tables with keyed rows; '{}' is a log: use --where", options.table));

  http::follower table({options.table, map, options.key, options.where, options.rate});
  printer out(options);
  using next = http::follow_step::next;
  for (;;) {
    http::follow_step step;
    // Whoever renews the token writes its file.
    const auto token = read_token(options.token_file);
    auto socket = token ? http::ws_client::connect(base + "/connection/websocket", deadline, client)
                        : tl::unexpected(token.error());
    if (socket)
      step.send = table.opened(*token);
    else
      step = table.on_lost(socket.error());
    for (;;) {
      const bool wanted = out.print(step.lines);
      for (const auto& note : step.notes)
        fmt::print(stderr, "weir: {}\n", note);
      if (!wanted)
        return exit_ok;
      if (step.then != next::go_on)
        break;
      std::this_thread::sleep_for(step.wait); // the backoff of a request that is to be made again
      if (!step.send.empty())
        if (const auto sent = socket->send(step.send, deadline); !sent) {
          step = table.on_lost(sent.error(), socket->close_code());
          continue;
        }
      const auto message = socket->receive(silence);
      step = message ? table.on_message(*message) : table.on_lost(message.error(), socket->close_code());
    }
    if (step.then == next::end)
      return complain(step.failed.code == ec::bad_argument ? exit_usage : exit_unavailable, step.failed.message);
    std::this_thread::sleep_for(step.wait); // backoff between connections
  }
}

} // namespace weir::cli
