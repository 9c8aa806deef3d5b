#include "cli/answers.hpp"
#include "cli/commands.hpp"
#include "cli/token.hpp"
#include "runtime/http/client.hpp"

#include <nlohmann/json.hpp>
#include <thread>

namespace weir::cli {
namespace {

using json = nlohmann::ordered_json;
using namespace std::chrono_literals;

constexpr auto deadline = 5s;

std::string text(const json& value) { return value.is_string() ? value.get<std::string>() : value.dump(); }

std::string render(const json& nodes, const json& tables, const json& jobs) {
  std::string out;
  for (const auto& node : nodes.at("nodes")) {
    out += fmt::format("node {}  weir {}  topology {}  up {} s  {}  {:.1f} MB  {:.1f} % cpu  {} sessions\n",
                       text(node.at("name")), text(node.at("version")), text(node.at("topology")),
                       text(node.at("uptime_s")), node.at("ready").get<bool>() ? "ready" : "NOT READY",
                       node.at("memory_bytes").get<double>() / 1e6, node.at("cpu_percent").get<double>(),
                       text(node.at("sessions")));
    for (const auto& why : node.at("waiting"))
      out += "  waits: " + text(why) + "\n";
    const auto state = [&](const char* part) {
      return node.at(part).value("connected", true) ? "connected" : "NOT CONNECTED";
    };
    out += fmt::format("redis {}  kafka {}\n", state("redis"), state("kafka"));
    for (const auto& s : node.at("sources"))
      if (const auto said = s.value("message", std::string{}); !said.empty())
        out += fmt::format("  {} ({}): {}\n", text(s.at("name")), text(s.at("state")), said);
    out += "\n";
    std::vector<std::vector<std::string>> rows;
    for (const auto& s : node.at("sources"))
      for (const auto& p : s.at("partitions"))
        rows.push_back({text(s.at("name")), text(s.at("topic")), text(p.at("partition")), text(p.at("state")),
                        text(p.at("position")), text(p.at("lag")),
                        fmt::format("{:.1f}", s.at("records_per_s").get<double>()), text(s.at("dead_letters"))});
    print_table(out, {"SOURCE", "TOPIC", "PARTITION", "STATE", "POSITION", "LAG", "RECORDS/S", "DEAD"}, rows);
    out += "\n";
  }
  std::vector<std::vector<std::string>> rows;
  for (const auto& t : tables.at("tables"))
    rows.push_back({text(t.at("name")), text(t.at("kind")), text(t.at("from")), text(t.at("rows")), text(t.at("epoch")),
                    text(t.at("offset"))});
  print_table(out, {"TABLE", "KIND", "FROM", "ROWS", "EPOCH", "OFFSET"}, rows);
  if (jobs.at("jobs").empty())
    return out;
  rows.clear();
  for (const auto& j : jobs.at("jobs")) {
    const auto& last = j.at("last");
    const auto every = text(j.at("every"));
    rows.push_back(
        {text(j.at("name")), every.empty() ? "on demand" : every, j.at("running").get<bool>() ? "running" : "idle",
         text(j.at("runs")), last.is_null() ? "-" : text(last.at("status")),
         last.is_null() ? "-" : text(last.at("read")), last.is_null() ? "-" : text(last.at("written")),
         last.is_null() ? "-" : text(last.at("duration_ms")), last.is_null() ? "" : text(last.at("message"))});
  }
  out += "\n";
  print_table(out, {"JOB", "EVERY", "STATE", "RUNS", "LAST", "READ", "WRITTEN", "MS", "MESSAGE"}, rows);
  return out;
}

} // namespace

int status(const status_options& options) {
  auto base = options.url;
  while (base.ends_with('/'))
    base.pop_back();
  http::client_options client;
  client.ca_file = options.ca_file;
  for (;;) {
    if (const auto token = use_token(options.token_file, client); !token) {
      fmt::print(stderr, "weir: {}\n", token.error().message);
      return exit_usage;
    }
    json parts[3];
    const char* paths[] = {"/api/v1/nodes", "/api/v1/tables", "/api/v1/jobs"};
    bool reached = true;
    for (int i = 0; i < 3; ++i) {
      const auto answer = http::http_get(base + paths[i], deadline, client);
      if (!answer || answer->status != 200) {
        fmt::print(stderr, "weir: {}{}: {}\n", base, paths[i],
                   !answer ? answer.error().message
                   : answer->status == 401 || answer->status == 403
                       ? fmt::format("status {}: {}", answer->status, said(*answer))
                       : fmt::format("status {}", answer->status));
        if (!answer && answer.error().code == ec::bad_argument)
          return exit_usage;
        reached = false;
        break;
      }
      parts[i] = json::parse(answer->body, nullptr, false);
      if (parts[i].is_discarded()) {
        fmt::print(stderr, "weir: {}{} is not JSON: is it a weir node?\n", base, paths[i]);
        return exit_data;
      }
    }
    if (!reached && !options.watch)
      return exit_unavailable;
    if (reached) {
      try {
        if (options.json) {
          json all = parts[0];
          all.update(parts[1]);
          all.update(parts[2]);
          fmt::print("{}\n", all.dump());
        } else {
          fmt::print("{}{}", options.watch ? "\x1b[H\x1b[2J" : "", render(parts[0], parts[1], parts[2]));
        }
      } catch (const json::exception& e) {
        fmt::print(stderr, "weir: {}: an answer is not as expected: {}\n", base, e.what());
        return exit_data;
      }
      std::fflush(stdout);
    }
    if (!options.watch)
      return exit_ok;
    std::this_thread::sleep_for(1s); // the refresh interval
  }
}

} // namespace weir::cli
