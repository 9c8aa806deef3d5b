// Who a session's client is, for how long, and which of its subscriptions it may have. Part of session_policy; no I/O.
#pragma once

#include "runtime/auth/gate.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace weir::http {

class admission {
public:
  // What is to be done about a command that came with a token.
  struct outcome {
    int error = 0;           // a code of the client protocol for the reply
    std::uint16_t close = 0; // the session ends with this code
    std::string message;
    std::optional<std::uint32_t> ttl; // seconds until the client is to send a new token; none: never
    bool good() const { return error == 0 && close == 0; }
  };
  // A subscription that a new token does not permit any more, or only with another condition.
  struct affected {
    std::uint32_t generation = 0;
    bool lost = false;
  };

  // Null, or one that guards nothing: everybody is let in.
  explicit admission(std::shared_ptr<const auth::gate> gate = {}) : gate_(std::move(gate)) {}
  bool guarded() const { return gate_ && gate_->guarded(); }

  // now_ms: a steady clock, in all of these.
  outcome connect(std::string_view token, std::int64_t now_ms);
  // A new token for the same user. `changed` are the subscriptions to end.
  outcome refresh(std::string_view token, std::int64_t now_ms, std::vector<affected>& changed);
  // The token's time has passed, and the grace behind it, without a new one.
  bool expired(std::int64_t now_ms) const { return ends_ms_ != 0 && now_ms >= ends_ms_; }

  auth::decision may_read(const auth::read_request& request) const;
  // A subscription was made of what may_read() allowed: looked at again when a new token comes, until ended().
  void permitted(std::uint32_t generation, const auth::read_request& request, const auth::decision& decided);
  void ended(std::uint32_t generation);
  void ended_all() { permitted_.clear(); }

private:
  struct permission {
    std::uint32_t generation = 0;
    std::string table;
    std::optional<std::string> key;
    std::unique_ptr<const condition> where; // null: all rows
    std::string forced;                     // canonical text
  };

  outcome refused(const auth::refusal& why, bool connecting) const;
  std::uint32_t let_in(auth::identity_ptr who, std::int64_t now_ms);

  std::shared_ptr<const auth::gate> gate_;
  auth::identity_ptr who_;
  std::int64_t ends_ms_ = 0; // steady; 0: never
  std::vector<permission> permitted_;
};

} // namespace weir::http
