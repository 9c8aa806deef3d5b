#include "runtime/http/admission.hpp"

#include "proto/client_reply.hpp"
#include "runtime/config/condition.hpp"

#include <algorithm>

namespace weir::http {
namespace {

constexpr std::int64_t longest_ttl = 2'147'483; // seconds: what a timer of JavaScript can hold

} // namespace

admission::outcome admission::refused(const auth::refusal& why, bool connecting) const {
  outcome out;
  out.message = why.message;
  if (why.why == auth::failure::expired) {
    // An error makes the SDK get a new token for its next connect, but stop for good at a refresh: there the close
    // does.
    if (connecting)
      out.error = client_error::token_expired;
    else
      out.close = client_close::expired;
  } else if (why.why == auth::failure::missing && connecting) {
    out.error = client_error::unauthorized;
  } else {
    out.close = client_close::invalid_token;
  }
  return out;
}

std::uint32_t admission::let_in(auth::identity_ptr who, std::int64_t now_ms) {
  who_ = std::move(who);
  const auto left = who_->expires_ms - gate_->wall_ms(); // below 0 within the leeway
  ends_ms_ = std::max<std::int64_t>(now_ms + left + gate_->grace_ms(), 1);
  return static_cast<std::uint32_t>(std::clamp<std::int64_t>(left / 1000, 1, longest_ttl));
}

admission::outcome admission::connect(std::string_view token, std::int64_t now_ms) {
  outcome out;
  if (!guarded())
    return out;
  auto who = gate_->admit(token);
  if (!who)
    return refused(who.error(), true);
  if (*who)
    out.ttl = let_in(std::move(*who), now_ms);
  return out;
}

admission::outcome admission::refresh(std::string_view token, std::int64_t now_ms, std::vector<affected>& changed) {
  outcome out;
  if (!guarded() || !who_) {
    out.error = client_error::bad_request;
    out.message = "this connection was made without a token";
    return out;
  }
  auto who = gate_->identify(token, who_->subject);
  if (!who)
    return refused(who.error(), false);
  out.ttl = let_in(std::move(*who), now_ms);
  for (const auto& p : permitted_) {
    const auto now = gate_->may_read(
        who_.get(), {p.table, p.key ? std::optional<std::string_view>(*p.key) : std::nullopt, p.where.get()});
    if (!now.allowed || canonical_text(now.forced) != p.forced)
      changed.push_back({p.generation, !now.allowed});
  }
  return out;
}

auth::decision admission::may_read(const auth::read_request& request) const {
  if (guarded())
    return gate_->may_read(who_.get(), request);
  auth::decision all;
  all.allowed = true;
  return all;
}

void admission::permitted(std::uint32_t generation, const auth::read_request& request, const auth::decision& decided) {
  if (!who_) // nobody's permissions never change
    return;
  permission p;
  p.generation = generation;
  p.table = request.table;
  if (request.key)
    p.key = std::string(*request.key);
  if (request.where && !request.where->empty())
    p.where = std::make_unique<const condition>(*request.where);
  p.forced = canonical_text(decided.forced);
  permitted_.push_back(std::move(p));
}

void admission::ended(std::uint32_t generation) {
  std::erase_if(permitted_, [&](const permission& p) { return p.generation == generation; });
}

} // namespace weir::http
