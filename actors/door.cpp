#include "actors/door.hpp"

#include "runtime/core/log.hpp"

#include <algorithm>
#include <atomic>
#include <fmt/format.h>

namespace weir::actors {
namespace {

constexpr std::string_view label = "auth";

std::int64_t steady_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

// Somebody who knocks without end fills a counter, not the log.
class refusal_log {
public:
  explicit refusal_log(metrics::registry& metrics) : metrics_(metrics) {
    for (const auto name : auth::failure_names)
      metrics_.get(metrics::names::auth_failures, name).add(0);
  }

  void operator()(const auth::refusal& r) {
    metrics_.get(metrics::names::auth_failures, auth::to_string(r.why)).add();
    const auto now = steady_ms();
    auto next = next_ms_.load(std::memory_order_relaxed);
    if (now < next || !next_ms_.compare_exchange_strong(next, now + 1000, std::memory_order_relaxed)) {
      unsaid_.fetch_add(1, std::memory_order_relaxed);
      return;
    }
    log::info(label, "refused",
              {{"reason", auth::to_string(r.why)},
               {"message", r.message},
               {"others_since", unsaid_.exchange(0, std::memory_order_relaxed)}});
  }

private:
  metrics::registry& metrics_;
  std::atomic<std::int64_t> next_ms_{0};
  std::atomic<std::uint64_t> unsaid_{0};
};

http::response unauthorized(const auth::refusal& why, std::string_view path) {
  auto r = http::error_response(401, "unauthorized", why.message, path);
  r.headers.emplace_back(
      "WWW-Authenticate",
      why.why == auth::failure::missing
          ? R"(Bearer realm="weir")"
          : fmt::format(R"(Bearer realm="weir", error="invalid_token", error_description="{}")", why.message));
  return r;
}

http::response forbidden(std::string_view message, std::string_view path) {
  auto r = http::error_response(403, "forbidden", message, path);
  r.headers.emplace_back("WWW-Authenticate", R"(Bearer realm="weir", error="insufficient_scope")");
  return r;
}

} // namespace

std::string_view bearer_token(const http::request& request) {
  const auto header = request.headers.find("authorization");
  if (header == request.headers.end())
    return {};
  std::string_view value = header->second;
  constexpr std::string_view scheme = "bearer ";
  if (value.size() < scheme.size() || !std::equal(scheme.begin(), scheme.end(), value.begin(), [](char a, char b) {
        return a == (b >= 'A' && b <= 'Z' ? static_cast<char>(b + 32) : b);
      }))
    return {};
  value.remove_prefix(scheme.size());
  while (value.starts_with(' '))
    value.remove_prefix(1);
  return value;
}

result<gate_ptr> make_gate(const context_ptr& node) {
  const auto& http = node->topo.http;
  std::shared_ptr<auth::key_ring> ring;
  if (http.jwt) {
    auto made = auth::key_ring::make(*http.jwt);
    if (!made)
      return tl::unexpected(made.error());
    ring = std::move(*made);
    log::info(label, "tokens are asked for", {{"keys", ring->current()->size()}});
    if (!http.loopback() && !http.tls())
      log::warn(label, "tokens come in clear text: give http.tls, or put a proxy with TLS in front");
  }
  auth::gate_ports ports;
  ports.wall_ms = node->wall_ms;
  if (ring)
    ports.refused = [log = std::make_shared<refusal_log>(*node->metrics)](const auth::refusal& r) { (*log)(r); };
  return std::make_shared<const auth::gate>(node->topo, std::move(ring), std::move(ports));
}

void reload_keys(const auth::gate& gate) {
  const auto done = gate.reload();
  if (!done)
    return;
  if (!done->problem.empty())
    return log::error(label, "the JWKS file cannot be used; the keys stay as they were",
                      {{"reason", done->problem}, {"keys", done->keys}});
  log::info(label, "the JWKS file was read again", {{"keys", done->keys}});
  for (const auto& what : done->skipped)
    log::info(label, "a key of the JWKS file is not used", {{"which", what}});
}

tl::expected<auth::identity_ptr, http::response> door::let_in(const http::request& request) const {
  const auto& path = request.segments;
  const bool api = path.size() >= 3 && path[0] == "api" && path[1] == "v1";
  const bool metrics = path.size() == 1 && path[0] == "metrics";
  if (!gate_->guarded() || (!api && !(metrics && !gate_->metrics_public())))
    return auth::identity_ptr{};
  const bool tables = api && path[2] == "tables";
  const auto token = bearer_token(request);
  const auto who = tables ? gate_->admit(token) : gate_->identify(token);
  if (!who)
    return tl::unexpected(unauthorized(who.error(), request.path));
  if (!tables && !gate_->may_operate(who->get()))
    return tl::unexpected(forbidden("this is for tokens with the claim \"admin\": true", request.path));
  return *who;
}

std::optional<http::response> door::unreached(const auth::identity* who, const http::request& request,
                                              std::string_view table) const {
  table::selection_spec all;
  return gate_->reach_of(who, table).some ? std::nullopt : narrow(who, request, table, all);
}

std::optional<http::response> door::narrow(const auth::identity* who, const http::request& request,
                                           std::string_view table, table::selection_spec& rows) const {
  const auto answer = http::narrow(gate_.get(), who, table, rows);
  switch (answer.is) {
  case http::permission::verdict::granted: return std::nullopt;
  case http::permission::verdict::too_large:
    return http::error_response(400, "bad_argument", answer.message, request.path);
  case http::permission::verdict::denied: break;
  }
  return who ? forbidden(answer.message, request.path)
             : unauthorized({auth::failure::missing, answer.message}, request.path);
}

} // namespace weir::actors
