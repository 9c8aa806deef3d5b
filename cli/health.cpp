#include "cli/answers.hpp"
#include "cli/commands.hpp"
#include "runtime/http/client.hpp"

#include <fmt/format.h>

namespace weir::cli {

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
               options.ready ? waited_for(*answer) : answer->body.substr(0, 200));
    return exit_unavailable;
  }
  fmt::print("{}\n", options.ready ? "ready" : "healthy");
  return exit_ok;
}

} // namespace weir::cli
