#include "cli/answers.hpp"
#include "cli/commands.hpp"
#include "cli/interruption.hpp"
#include "cli/token.hpp"
#include "runtime/core/backoff.hpp"
#include "runtime/core/json.hpp"
#include "runtime/http/client.hpp"
#include "runtime/http/follower.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace weir::cli {
namespace {

using json = nlohmann::ordered_json;
using namespace std::chrono_literals;

constexpr auto deadline = 5s;
constexpr std::chrono::milliseconds silence = 40s; // the server pings every 25 s

int complain(int code, const std::string& why) {
  fmt::print(stderr, "weir: {}\n", why);
  return code;
}

std::string without_slash(std::string url) {
  while (url.ends_with('/'))
    url.pop_back();
  return url;
}

// Where a tail connects to and by which means.
struct tail_target {
  std::string base;
  http::client_options client;
};

// A node that answers may not be able to serve yet: it is waited for, but not without end, and not without a word.
class start_of_node {
public:
  start_of_node(const tail_target& target, std::chrono::seconds most)
      : target_(target), most_(most), until_(clock::now() + most) {}

  bool over() const { return clock::now() > until_; }
  std::chrono::milliseconds left() const {
    return std::max(std::chrono::milliseconds{0}, std::chrono::ceil<std::chrono::milliseconds>(until_ - clock::now()));
  }

  // Says what the node waits for, each thing once. `refused`: what it said itself.
  void tell(const std::string& refused) {
    const auto ready = http::http_get(target_.base + "/readyz", deadline, target_.client);
    auto now = ready && ready->status == 503 ? waited_for(*ready) : refused;
    if (now == waits_)
      return;
    waits_ = std::move(now);
    fmt::print(stderr, "weir: {} is not ready: {}\n", target_.base, waits_);
  }

  int give_up() const {
    return complain(exit_unavailable, fmt::format("{} did not get ready within {} s{}{}", target_.base, most_.count(),
                                                  waits_.empty() ? "" : ": ", waits_));
  }

private:
  using clock = std::chrono::steady_clock;
  const tail_target& target_;
  std::chrono::seconds most_;
  clock::time_point until_;
  std::string waits_;
};

// The list of tables, or the exit code for why there is none. A node that is starting is waited for.
tl::expected<json, int> tables_of(const tail_target& target, start_of_node& start, const interruption& end) {
  backoff retry{200ms, 5s};
  unsigned refused = 0;
  for (;;) {
    const auto answer = http::http_get(target.base + "/api/v1/tables", deadline, target.client);
    if (end.happened())
      return tl::unexpected(exit_ok);
    std::chrono::milliseconds wait{0};
    if (!answer) {
      if (answer.error().code == ec::bad_argument)
        return tl::unexpected(complain(exit_usage, answer.error().message));
      if (++refused >= http::first_tries)
        return tl::unexpected(
            complain(exit_unavailable, fmt::format("{}; tried {} times", answer.error().message, refused)));
      wait = retry.next();
      fmt::print(stderr, "weir: {}, trying again in {:.1f} s\n", answer.error().message,
                 static_cast<double>(wait.count()) / 1000);
    } else if (answer->status == 503) {
      start.tell(said(*answer));
      if (start.over())
        return tl::unexpected(start.give_up());
      wait = retry.next();
    } else if (answer->status == 401 || answer->status == 403) {
      return tl::unexpected(
          complain(exit_unavailable, fmt::format("{}: status {}: {}", target.base, answer->status, said(*answer))));
    } else {
      const auto body = json::parse(answer->body, nullptr, false);
      if (const auto list = body.find("tables"); answer->status == 200 && list != body.end() && list->is_array())
        return *list;
      return tl::unexpected(complain(exit_data, fmt::format("{} is no weir node", target.base)));
    }
    if (!end.sleep(wait)) // backoff between requests
      return tl::unexpected(exit_ok);
  }
}

// The table's kind, or the exit code for why there is none.
tl::expected<std::string, int> kind_of(const std::string& table, const tail_target& target, start_of_node& start,
                                       const interruption& end) {
  const auto tables = tables_of(target, start, end);
  if (!tables)
    return tl::unexpected(tables.error());
  std::string known;
  for (const auto& t : *tables) {
    const auto name = text_member(t, "name"), kind = text_member(t, "kind");
    if (name.empty() || kind.empty())
      return tl::unexpected(
          complain(exit_data, fmt::format("{}: a table of the list has no name or no kind", target.base)));
    if (name == table)
      return kind;
    known += (known.empty() ? "" : ", ") + name;
  }
  return tl::unexpected(complain(exit_usage, fmt::format("there is no table '{}'; there are: {}", table, known)));
}

// Prints lines up to the wanted number.
class printer {
public:
  printer(const tail_options& options, const interruption& end) : options_(options), end_(end) {}

  // False: that was the last one, or nobody reads any more. ec::io: see interruption::write.
  result<bool> print(const std::vector<http::followed>& lines) {
    std::string out;
    for (const auto& line : lines) {
      if (line.what == http::followed::kind::gap) {
        // Scripts find it between the lines, people beside them.
        if (options_.json)
          out += "{\"gap\":" + json_quote(line.text) + "}\n";
        fmt::print(stderr, "weir: gap: {}\n", line.text);
        continue;
      }
      out += options_.json ? as_json(line) : as_text(line);
      out += '\n';
      if (options_.count > 0 && ++printed_ >= options_.count) {
        const auto written = end_.write(out);
        return written ? result<bool>(false) : written;
      }
    }
    return end_.write(out);
  }

private:
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
  const interruption& end_;
  std::uint64_t printed_ = 0;
};

// The next message. Before the first subscription stands, a node that keeps silent is asked what it waits for.
result<std::string> next_message(http::ws_client& socket, const http::follower& table, start_of_node& start) {
  if (table.ever())
    return socket.receive(silence);
  auto message = socket.receive(std::min<std::chrono::milliseconds>(1s, start.left()));
  if (message || message.error().code != ec::timeout)
    return message;
  start.tell("the table is not subscribed yet");
  return socket.receive(std::min(silence, start.left()));
}

// One connection after the other until the server, the reader or a signal ends it. The exit code.
int follow(const tail_options& options, const tail_target& target, start_of_node& start, http::follower& table,
           const interruption& end) {
  printer out(options, end);
  using next = http::follow_step::next;
  for (;;) {
    http::follow_step step;
    // Whoever renews the token writes its file.
    const auto token = read_token(options.token_file);
    auto socket = token ? http::ws_client::connect(target.base + "/connection/websocket", deadline, target.client)
                        : tl::unexpected(token.error());
    if (end.happened())
      return exit_ok;
    if (socket)
      step.send = table.opened(*token);
    else
      step = table.on_lost(socket.error());
    for (;;) {
      const auto wanted = out.print(step.lines);
      if (!wanted)
        return complain(exit_os, wanted.error().message);
      for (const auto& note : step.notes)
        fmt::print(stderr, "weir: {}\n", note);
      if (!*wanted)
        return exit_ok;
      if (!table.ever() && !step.refused.empty())
        start.tell(step.refused);
      if (!table.ever() && start.over() && step.then != next::end)
        return start.give_up();
      if (step.then != next::go_on)
        break;
      if (!end.sleep(step.wait)) // the backoff of a request that is to be made again
        return exit_ok;
      auto done = step.send.empty() ? result<void>() : socket->send(step.send, deadline);
      auto message = done ? next_message(*socket, table, start) : tl::unexpected(done.error());
      if (end.happened())
        return exit_ok;
      if (!message && !table.ever() && start.over())
        return start.give_up();
      step = message ? table.on_message(*message) : table.on_lost(message.error(), socket->close_code());
    }
    if (step.then == next::end)
      return complain(step.failed.code == ec::bad_argument ? exit_usage : exit_unavailable, step.failed.message);
    if (!end.sleep(step.wait)) // backoff between connections
      return exit_ok;
  }
}

} // namespace

int tail(const tail_options& options) {
  const auto where = options.where.empty() ? json::object() : json::parse(options.where, nullptr, false);
  if (!where.is_object())
    return complain(exit_usage, "--where has to be a JSON object, as '{\"/site\":\"north\"}'");
  const interruption end;
  tail_target target{without_slash(options.url), {}};
  target.client.ca_file = options.ca_file;
  target.client.stop_fd = end.fd();
  if (const auto used = use_token(options.token_file, target.client); !used)
    return complain(exit_usage, used.error().message);
  start_of_node start(target, options.start_time);
  const auto kind = kind_of(options.table, target, start, end);
  if (!kind)
    return kind.error();
  const bool map = *kind != "log";
  if (!map && options.key)
    return complain(exit_usage,
                    fmt::format("--key is for tables with keyed rows; '{}' is a log: use --where", options.table));
  http::follower table({options.table, map, options.key, options.where, options.rate});
  return follow(options, target, start, table, end);
}

} // namespace weir::cli
