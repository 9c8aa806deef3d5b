// weir jobs: the batch side of a node from a terminal.
#include "cli/answers.hpp"
#include "cli/commands.hpp"
#include "cli/token.hpp"
#include "runtime/http/client.hpp"
#include "runtime/http/uri.hpp"

#include <ctime>
#include <functional>
#include <future>
#include <nlohmann/json.hpp>
#include <thread>
#include <unistd.h>
#include <utility>

namespace weir::cli {
namespace {

using json = nlohmann::ordered_json;
using namespace std::chrono_literals;

constexpr auto deadline = 15s; // a node answers a request for a run after 10 s at the latest
constexpr auto look_again = 500ms;
constexpr int most_failures = 20; // in a row, of asking how far an execution is

std::string text(const json& value) { return value.is_string() ? value.get<std::string>() : value.dump(); }

std::string when(const json& ms) {
  const auto value = ms.is_number_integer() ? ms.get<std::int64_t>() : 0;
  if (value <= 0)
    return "-";
  const auto seconds = static_cast<std::time_t>(value / 1000);
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  char out[32];
  std::strftime(out, sizeof out, "%Y-%m-%dT%H:%M:%SZ", &utc);
  return out;
}

// A node's answer, or the exit code that its failure means; what is wrong was said.
class node {
public:
  explicit node(const jobs_options& options) : options_(options), base_(options.url) {
    while (base_.ends_with('/'))
      base_.pop_back();
    client_.ca_file = options.ca_file;
    if (options.no_wait)
      client_.headers.emplace_back("Prefer", "respond-async"); // RFC 7240
  }

  std::string path(const std::string& more = {}) const {
    return base_ + "/api/v1/jobs" + (options_.job.empty() ? "" : "/" + http::percent_encode(options_.job)) + more;
  }

  struct reply {
    int code = exit_ok;
    json body;
  };

  reply get(const std::string& url, bool quiet = false) {
    return judge(url, token() ? http::http_get(url, deadline, client_) : no_token(), quiet);
  }
  // `meanwhile` is called every so often until the answer is there, and may ask the node other things.
  result<http::client_response> post(const std::string& url, const std::function<void()>& meanwhile) {
    if (!token())
      return no_token();
    auto answer =
        std::async(std::launch::async, [url, client = client_] { return http::http_post(url, "", deadline, client); });
    while (answer.wait_for(look_again) == std::future_status::timeout)
      meanwhile();
    return answer.get();
  }

  static reply judge(const std::string& url, const result<http::client_response>& answer, bool quiet) {
    const auto fault = [&](int code, const std::string& what) {
      if (!quiet)
        fmt::print(stderr, "weir: {}: {}\n", url, what);
      return reply{code, {}};
    };
    if (!answer)
      return fault(answer.error().code == ec::bad_argument ? exit_usage : exit_unavailable, answer.error().message);
    auto body = json::parse(answer->body, nullptr, false);
    if (answer->status == 500 && body.is_object() && body.contains("status")) // an execution that failed
      return {exit_ok, std::move(body)};
    if (answer->status >= 300) {
      const auto why = said(*answer);
      return fault(answer->status == 404 || answer->status == 400 ? exit_usage : exit_unavailable,
                   why.empty() ? fmt::format("status {}", answer->status) : why);
    }
    if (!body.is_object())
      return fault(exit_data, "the answer is not JSON: is it a weir node?");
    return {exit_ok, std::move(body)};
  }

private:
  bool token() {
    token_ = use_token(options_.token_file, client_);
    return token_.has_value();
  }
  result<http::client_response> no_token() const { return tl::unexpected(token_.error()); }

  const jobs_options& options_;
  std::string base_;
  http::client_options client_;
  result<void> token_;
};

int list(node& to, bool as_json) {
  auto all = to.get(to.path());
  if (all.code != exit_ok)
    return all.code;
  if (as_json) {
    fmt::print("{}\n", all.body.dump());
    return exit_ok;
  }
  std::vector<std::vector<std::string>> rows;
  for (const auto& j : all.body.at("jobs")) {
    const auto& last = j.at("last");
    rows.push_back({text(j.at("name")), text(j.at("trigger")), j.at("running").get<bool>() ? "running" : "idle",
                    last.is_null() ? "-" : text(last.at("status")), last.is_null() ? "-" : when(last.at("ended")),
                    when(j.at("next_fire")), last.is_null() ? "" : text(last.at("message"))});
  }
  std::string out;
  print_table(out, {"JOB", "TRIGGER", "STATE", "LAST", "ENDED", "NEXT", "MESSAGE"}, rows);
  fmt::print("{}", out);
  return exit_ok;
}

int show(node& to, bool as_json) {
  auto job = to.get(to.path());
  if (job.code != exit_ok)
    return job.code;
  if (as_json) {
    fmt::print("{}\n", job.body.dump());
    return exit_ok;
  }
  const auto& j = job.body;
  const auto& write = j.at("write");
  std::string read = text(j.at("read")), written = text(write.at("table"));
  if (read.empty())
    read = j.value("reader", "");
  for (const auto& other : {write.value("custom", ""), text(write.at("topic"))})
    if (!other.empty())
      written += (written.empty() ? "" : " ") + other;
  fmt::print("job {}  {}  reads {}  writes {}\n", text(j.at("name")), text(j.at("trigger")), read, written);
  const auto describe = [](const char* what, const json& e) {
    fmt::print("{}: execution {}  {}  fire time {}", what, text(e.at("execution")), text(e.at("status")),
               when(e.at("fire")));
    for (const char* count : {"read", "filtered", "skipped", "written", "commits", "retried", "takeovers"})
      if (const auto at = e.find(count); at != e.end()) // an older node has fewer
        fmt::print("  {} {}", count, text(*at));
    fmt::print("{}\n", text(e.at("message")).empty() ? "" : "  " + text(e.at("message")));
  };
  if (!j.at("present").is_null())
    describe("now ", j.at("present"));
  if (!j.at("last").is_null())
    describe("last", j.at("last"));
  fmt::print("next: {}\n", when(j.at("next_fire")));
  return exit_ok;
}

int history(node& to, const jobs_options& options) {
  auto all = to.get(to.path(fmt::format("/executions?limit={}", options.limit)));
  if (all.code != exit_ok)
    return all.code;
  if (options.json) {
    fmt::print("{}\n", all.body.dump());
    return exit_ok;
  }
  std::vector<std::vector<std::string>> rows;
  for (const auto& e : all.body.at("executions")) {
    const auto ended = e.at("ended").get<std::int64_t>(), started = e.at("started").get<std::int64_t>();
    rows.push_back({text(e.at("id")), text(e.at("status")), when(e.at("fire")), when(e.at("started")),
                    ended > 0 ? std::to_string(ended - started) : "-", text(e.at("read")), text(e.at("skipped")),
                    text(e.at("written")), text(e.at("takeovers")), text(e.at("node")), text(e.at("message"))});
  }
  std::string out;
  print_table(out,
              {"EXECUTION", "STATUS", "FIRE TIME", "STARTED", "MS", "READ", "SKIPPED", "WRITTEN", "TAKEOVERS", "NODE",
               "MESSAGE"},
              rows);
  fmt::print("{}", out);
  return exit_ok;
}

// The exit code tells scripts how an execution ended.
int tell(const json& e, bool as_json) {
  const auto status = e.value("status", std::string{});
  if (as_json)
    fmt::print("{}\n", e.dump());
  else
    fmt::print("execution {} {}  read {}  skipped {}  written {}{}\n", e.value("execution", e.value("id", "")), status,
               e.value("read", 0ull), e.value("skipped", 0ull), e.value("written", 0ull),
               e.value("message", "").empty() ? "" : "  " + e.value("message", ""));
  return status == "FAILED" ? exit_software : exit_ok;
}

// How far an execution is: "[=====     ] 52 %  520000 of 1000000  410000/s  1 s left".
std::string progress_bar(const json& now) {
  constexpr std::size_t width = 30;
  const auto number = [&](const char* name) {
    const auto at = now.find(name);
    return at != now.end() && at->is_number() ? at->get<std::uint64_t>() : 0;
  };
  const auto read = number("read"), total = number("total");
  std::string out;
  if (total > 0) {
    const auto part = std::min(1.0, static_cast<double>(read) / static_cast<double>(total));
    const auto full = static_cast<std::size_t>(part * width);
    out = fmt::format("[{:=<{}}{: <{}}] {:3.0f} %  {} of {}", "", full, "", width - full, part * 100, read, total);
  } else {
    out = fmt::format("read {}", read);
  }
  out += fmt::format("  {}/s", number("rows_per_s"));
  if (const auto left = now.find("left_ms"); left != now.end() && left->is_number())
    out += fmt::format("  {} s left", (left->get<std::int64_t>() + 999) / 1000);
  return out;
}

// The running execution's progress on a terminal, in a line that is written over. Elsewhere: nothing.
class progress_line {
public:
  explicit progress_line(node& of) : of_(of) {}
  ~progress_line() { clear(); }
  progress_line(const progress_line&) = delete;
  progress_line& operator=(const progress_line&) = delete;

  void draw() {
    if (!terminal_)
      return;
    const auto job = of_.get(of_.path(), true);
    if (job.code != exit_ok || job.body.at("present").is_null())
      return;
    const auto& now = job.body.at("present");
    fmt::print(stderr, "\r\x1b[K{}  {}  {}", now.value("execution", ""), now.value("status", ""), progress_bar(now));
    std::fflush(stderr);
    drawn_ = true;
  }
  void clear() {
    if (std::exchange(drawn_, false))
      fmt::print(stderr, "\r\x1b[K");
  }

private:
  node& of_;
  const bool terminal_ = ::isatty(STDERR_FILENO) == 1;
  bool drawn_ = false;
};

// Until the execution has ended.
int follow(node& to, const std::string& id, bool as_json, progress_line& progress) {
  int failures = 0;
  for (;;) {
    std::this_thread::sleep_for(look_again); // the refresh interval
    const auto all = to.get(to.path("/executions?limit=20"), failures < most_failures);
    if (all.code != exit_ok) {
      if (++failures > most_failures)
        return all.code;
      continue; // the node is starting again, or another one takes over
    }
    failures = 0;
    for (const auto& e : all.body.at("executions")) {
      if (e.value("id", "") != id)
        continue;
      const auto status = e.value("status", "");
      if (status != "STARTING" && status != "STARTED" && status != "STOPPING") {
        progress.clear();
        return tell(e, as_json);
      }
    }
    progress.draw();
  }
}

int act(node& to, const jobs_options& options) {
  auto path = "/" + options.verb;
  for (const auto& given : options.parameters) {
    const auto equals = given.find('=');
    if (equals == std::string::npos || equals == 0) {
      fmt::print(stderr, "weir: --param {}: write NAME=VALUE\n", given);
      return exit_usage;
    }
    path += fmt::format("{}{}={}", path.find('?') == std::string::npos ? '?' : '&',
                        http::percent_encode(given.substr(0, equals)), http::percent_encode(given.substr(equals + 1)));
  }
  progress_line progress(to);
  const auto url = to.path(path);
  const auto posted = to.post(url, [&] { progress.draw(); });
  progress.clear();
  const auto answer = node::judge(url, posted, false);
  if (answer.code != exit_ok)
    return answer.code;
  const auto status = answer.body.value("status", std::string{});
  const bool over = status != "STARTING" && status != "STARTED" && status != "STOPPING";
  if (over || options.no_wait)
    return tell(answer.body, options.json);
  return follow(to, answer.body.value("execution", ""), options.json, progress);
}

} // namespace

int jobs(const jobs_options& options) {
  node to(options);
  try {
    if (options.verb == "list")
      return list(to, options.json);
    if (options.verb == "show")
      return show(to, options.json);
    if (options.verb == "history")
      return history(to, options);
    return act(to, options);
  } catch (const json::exception& e) {
    fmt::print(stderr, "weir: {}: an answer is not as expected: {}\n", options.url, e.what());
    return exit_data;
  }
}

} // namespace weir::cli
