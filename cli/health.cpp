#include "cli/commands.hpp"
#include "runtime/http/client.hpp"

#include <nlohmann/json.hpp>

namespace weir::cli {
namespace {

// What /readyz waits for, in one line; the body as it is where it is none of ours.
std::string reasons(const std::string& body) {
  const auto answer = nlohmann::json::parse(body, nullptr, false);
  if (!answer.is_object() || !answer.contains("waiting") || !answer["waiting"].is_array())
    return body.substr(0, 200);
  std::string out;
  for (const auto& why : answer["waiting"])
    if (why.is_string())
      out += (out.empty() ? "" : "; ") + why.get<std::string>();
  return out.empty() ? "no reason given" : out;
}

} // namespace

int health(const health_options& options) {
  auto base = options.url;
  while (base.ends_with('/'))
    base.pop_back();
  http::client_options client;
  client.ca_file = options.ca_file;
  client.verify = !options.insecure;
  client.body_bytes = 1 << 20;
  const auto* path = options.ready ? "/readyz" : "/healthz";
  const auto answer = http::http_get(base + path, options.deadline, client);
  if (!answer) {
    fmt::print(stderr, "weir: {}{}: {}\n", base, path, answer.error().message);
    return answer.error().code == ec::bad_argument ? exit_usage : exit_unavailable;
  }
  if (answer->status != 200) {
    fmt::print(stderr, "weir: {}{}: status {}: {}\n", base, path, answer->status,
               options.ready ? reasons(answer->body) : answer->body.substr(0, 200));
    return exit_unavailable;
  }
  fmt::print("{}\n", options.ready ? "ready" : "healthy");
  return exit_ok;
}

} // namespace weir::cli
