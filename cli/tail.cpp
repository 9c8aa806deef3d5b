#include "cli/commands.hpp"
#include "cli/token.hpp"
#include "runtime/core/backoff.hpp"
#include "runtime/core/json.hpp"
#include "runtime/http/client.hpp"

#include <iostream>
#include <nlohmann/json.hpp>
#include <thread>

namespace weir::cli {
namespace {

using json = nlohmann::ordered_json;
using namespace std::chrono_literals;

constexpr auto deadline = 5s;
constexpr auto silence = 40s; // the server pings every 25 s

enum class outcome { again, done, failed };

// One table over the client protocol, as a browser's SDK would follow it; keeps its position over connections.
class follower {
public:
  explicit follower(const tail_options& options) : options_(options) {
    base_ = options.url;
    while (base_.ends_with('/'))
      base_.pop_back();
    client_.ca_file = options.ca_file;
  }

  int run() {
    backoff retry{200ms, 5s};
    bool ever = false;
    for (;;) {
      const auto [what, code] = connected(ever, retry);
      if (what != outcome::again)
        return code;
      ever = true;
      std::this_thread::sleep_for(retry.next()); // backoff between connections
    }
  }

private:
  std::pair<outcome, int> refuse(int code, const std::string& why) {
    fmt::print(stderr, "weir: {}\n", why);
    return {outcome::failed, code};
  }

  std::pair<outcome, int> lost(bool ever, const error& why) {
    // Before the first success a wrong address is the likely cause: say so instead of waiting for ever.
    if (!ever)
      return refuse(why.code == ec::bad_argument ? exit_usage : exit_unavailable, why.message);
    fmt::print(stderr, "weir: connection lost ({}), trying again\n", why.message);
    return {outcome::again, 0};
  }

  std::pair<outcome, int> connected(bool ever, backoff& retry) {
    const auto token = read_token(options_.token_file);
    if (!token)
      return ever ? lost(ever, token.error()) : refuse(exit_usage, token.error().message);
    if (const auto used = use_token(options_.token_file, client_); !used)
      return lost(ever, used.error());
    const auto tables = http::http_get(base_ + "/api/v1/tables", deadline, client_);
    if (!tables)
      return lost(ever, tables.error());
    if (tables->status == 401 || tables->status == 403) {
      const auto body = json::parse(tables->body, nullptr, false);
      return refuse(exit_unavailable,
                    fmt::format("{}: status {}: {}", base_, tables->status,
                                body.is_object() && body.contains("error") ? body["error"].value("message", "") : ""));
    }
    const auto listed = json::parse(tables->body, nullptr, false);
    if (tables->status != 200 || !listed.is_object() || !listed.contains("tables"))
      return ever || tables->status == 503 ? std::pair{outcome::again, 0}
                                           : refuse(exit_data, fmt::format("{} is no weir node", base_));
    std::string kind, known;
    for (const auto& t : listed["tables"]) {
      known += (known.empty() ? "" : ", ") + t.value("name", "");
      if (t.value("name", "") == options_.table)
        kind = t.value("kind", "");
    }
    if (kind.empty())
      return refuse(exit_usage, fmt::format("there is no table '{}'; there are: {}", options_.table, known));
    map_ = kind != "log";
    auto socket = http::ws_client::connect(base_ + "/connection/websocket", deadline, client_);
    if (!socket)
      return lost(ever, socket.error());
    auto& ws = *socket;
    next_id_ = 2;
    json hello{{"connect", {{"name", "weir-tail"}}}, {"id", 1}};
    if (!token->empty())
      hello["connect"]["token"] = *token;
    auto sent = ws.send(hello.dump() + "\n" + subscribe_command({}), deadline);
    while (sent) {
      const auto message = ws.receive(silence);
      if (!message && message.error().code == ec::stopped)
        return ws.close_code() >= 3500 && ws.close_code() < 4000
                   ? refuse(exit_unavailable,
                            fmt::format("the server closed with {}: {}", ws.close_code(), ws.close_reason()))
                   : lost(true, message.error());
      if (!message)
        return lost(true, message.error());
      std::size_t at = 0;
      while (at < message->size()) {
        const auto end = std::min(message->find('\n', at), message->size());
        const auto frame = json::parse(message->begin() + static_cast<std::ptrdiff_t>(at),
                                       message->begin() + static_cast<std::ptrdiff_t>(end), nullptr, false);
        at = end + 1;
        if (!frame.is_object())
          return refuse(exit_data, "the server sent something that is not JSON");
        if (frame.empty()) {
          sent = ws.send("{}", deadline);
          continue;
        }
        std::string answer;
        if (const auto [what, code] = on_frame(frame, answer); what != outcome::again)
          return {what, code};
        if (!answer.empty())
          sent = ws.send(answer, deadline);
        retry.reset();
      }
      std::cout.flush();
      if (!std::cout)
        return {outcome::done, exit_ok}; // the reader went away
    }
    return lost(true, sent.error());
  }

  std::string subscribe_command(const std::string& cursor) {
    json s{{"channel", options_.table}};
    if (map_) {
      s["type"] = 1;
      s["phase"] = epoch_.empty() || !cursor.empty() || paging_ ? 2 : 1;
    }
    if (!epoch_.empty()) {
      s["offset"] = offset_;
      s["epoch"] = epoch_;
      if (!paging_ && cursor.empty())
        s["recover"] = true;
    }
    if (!cursor.empty())
      s["cursor"] = cursor;
    return json{{"subscribe", s}, {"id", next_id_++}}.dump();
  }

  std::pair<outcome, int> on_frame(const json& frame, std::string& answer) {
    if (frame.contains("error")) {
      const auto& e = frame["error"];
      const auto code = e.value("code", 0);
      if (code == 112 || e.value("temporary", false)) {
        if (code == 112)
          start_over("the position is too old");
        answer = subscribe_command({});
        if (e.value("temporary", false))
          std::this_thread::sleep_for(200ms); // the server asked to come again
        return {outcome::again, 0};
      }
      return refuse(exit_unavailable, fmt::format("error {}: {}", code, e.value("message", "")));
    }
    if (frame.contains("subscribe"))
      return on_subscribed(frame["subscribe"], answer);
    if (!frame.contains("push"))
      return {outcome::again, 0};
    const auto& push = frame["push"];
    if (push.contains("unsubscribe")) {
      answer = subscribe_command({});
      return {outcome::again, 0};
    }
    return push.contains("pub") ? print(push["pub"]) : std::pair{outcome::again, 0};
  }

  std::pair<outcome, int> on_subscribed(const json& s, std::string& answer) {
    const bool page = s.value("phase", 0) == 2;
    if (!map_ && s.value("was_recovering", false) && !s.value("recovered", false))
      fmt::print(stderr, "weir: some entries were missed: the server no longer has them\n");
    for (const auto& row : s.value("state", json::array()))
      if (const auto r = print(row, false); r.first != outcome::again)
        return r;
    for (const auto& pub : s.value("publications", json::array()))
      if (const auto r = print(pub, false); r.first != outcome::again)
        return r;
    const auto epoch = s.value("epoch", "");
    if (!paging_ || epoch_.empty())
      offset_ = std::max(epoch == epoch_ ? offset_ : 0, s.value("offset", std::uint64_t{0}));
    epoch_ = epoch;
    paging_ = page;
    if (page)
      answer = subscribe_command(s.value("cursor", ""));
    else
      offset_ = std::max(offset_, s.value("offset", std::uint64_t{0}));
    return {outcome::again, 0};
  }

  void start_over(const char* why) {
    fmt::print(stderr, "weir: {}: starting again from the table's state\n", why);
    epoch_.clear();
    offset_ = 0;
    paging_ = false;
  }

  std::pair<outcome, int> print(const json& pub, bool moves = true) {
    if (moves)
      if (const auto offset = pub.value("offset", std::uint64_t{0}); offset > 0)
        offset_ = offset;
    const bool removed = pub.value("removed", false);
    if (options_.json) {
      json line;
      if (pub.contains("key"))
        line["key"] = pub["key"];
      if (removed)
        line["removed"] = true;
      else
        line["data"] = pub.value("data", json(nullptr));
      if (pub.contains("tags"))
        line["tags"] = pub["tags"];
      std::cout << line.dump() << '\n';
    } else if (pub.contains("key")) {
      std::cout << pub["key"].get<std::string>() << '\t'
                << (removed ? "(removed)" : pub.value("data", json(nullptr)).dump()) << '\n';
    } else {
      std::cout << pub.value("data", json(nullptr)).dump() << '\n';
    }
    if (options_.count > 0 && ++printed_ >= options_.count) {
      std::cout.flush();
      return {outcome::done, exit_ok};
    }
    return {outcome::again, 0};
  }

  const tail_options& options_;
  std::string base_;
  http::client_options client_;
  bool map_ = true, paging_ = false;
  std::string epoch_;
  std::uint64_t offset_ = 0, printed_ = 0;
  std::uint32_t next_id_ = 2;
};

} // namespace

int tail(const tail_options& options) { return follower{options}.run(); }

} // namespace weir::cli
