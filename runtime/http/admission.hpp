// Who a session's client is, for how long, and which of its subscriptions it may have. Part of session_policy; no I/O.
#pragma once

#include "runtime/http/permission.hpp"

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
  // The token's time has passed, and the grace behind it, without a new one; or the key that it was signed with was
  // taken out.
  bool expired(std::int64_t now_ms);

  // Something of the table may be read, by some subscription or other. Where not, nothing is said of the table.
  bool reaches(std::string_view table) const;
  // As narrow(). What is granted to a subscription, whose generation is not 0, is looked at again when a new token
  // comes, until ended().
  permission narrow(std::uint32_t generation, std::string_view table, table::selection_spec& rows);
  void ended(std::uint32_t generation);
  void ended_all() { granted_.clear(); }

private:
  struct grant {
    std::uint32_t generation = 0;
    std::string table;
    table::selection_spec asked; // before it was narrowed
    std::string narrowed;        // canonical text
    bool partial = false;
  };

  outcome refused(const auth::refusal& why, bool connecting);
  std::uint32_t let_in(auth::identity_ptr who, std::int64_t now_ms);

  std::shared_ptr<const auth::gate> gate_;
  auth::identity_ptr who_;
  std::int64_t ends_ms_ = 0; // steady; 0: never
  std::uint64_t keys_ = 0;   // generation of the keys that who_ was last held against
  std::uint32_t refused_ = 0;
  std::vector<grant> granted_;
};

// Refused tokens in one connection: the last of them ends it.
inline constexpr std::uint32_t most_refused_tokens = 5;

} // namespace weir::http
