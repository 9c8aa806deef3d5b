#include "runtime/http/admission.hpp"

#include "proto/client_reply.hpp"

#include <algorithm>
#include <utility>

namespace weir::http {
namespace {

constexpr std::int64_t longest_ttl = 2'147'483; // seconds: what a timer of JavaScript can hold

// Another token may be good: the client is to come with a new one.
bool outdated(auth::failure why) { return why == auth::failure::expired || why == auth::failure::unknown_key; }

} // namespace

admission::outcome admission::refused(const auth::refusal& why, bool connecting) {
  outcome out;
  out.message = why.message;
  const bool last = ++refused_ >= most_refused_tokens;
  // An error makes the SDK get a new token for its next connect, but stop for good at a refresh: there the close does.
  if (outdated(why.why) && connecting && !last)
    out.error = client_error::token_expired;
  else if (outdated(why.why))
    out.close = client_close::expired;
  else if (why.why == auth::failure::missing && connecting && !last)
    out.error = client_error::unauthorized;
  else
    out.close = client_close::invalid_token;
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
  for (const auto& g : granted_) {
    auto rows = g.asked;
    const auto now = http::narrow(gate_.get(), who_.get(), g.table, rows);
    if (now.is != permission::verdict::granted)
      changed.push_back({g.generation, true});
    else if (rows.where_text != g.narrowed || rows.partial != g.partial)
      changed.push_back({g.generation, false});
  }
  return out;
}

bool admission::expired(std::int64_t now_ms) {
  if (!who_)
    return false;
  if (now_ms >= ends_ms_)
    return true;
  const auto keys = gate_->key_generation();
  return std::exchange(keys_, keys) != keys && !gate_->key_still_there(*who_);
}

bool admission::reaches(std::string_view table) const { return !guarded() || gate_->reach_of(who_.get(), table).some; }

permission admission::narrow(std::uint32_t generation, std::string_view table, table::selection_spec& rows) {
  if (!who_ || generation == 0) // nobody's permissions never change
    return http::narrow(gate_.get(), who_.get(), table, rows);
  grant g;
  g.generation = generation;
  g.table = table;
  g.asked = rows;
  auto out = http::narrow(gate_.get(), who_.get(), table, rows);
  if (out.is == permission::verdict::granted) {
    g.narrowed = rows.where_text;
    g.partial = rows.partial;
    granted_.push_back(std::move(g));
  }
  return out;
}

void admission::ended(std::uint32_t generation) {
  std::erase_if(granted_, [&](const grant& g) { return g.generation == generation; });
}

} // namespace weir::http
