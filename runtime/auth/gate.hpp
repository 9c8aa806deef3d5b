// The door of a node: takes tokens, and says who may read what. One for all sessions and requests; any thread.
#pragma once

#include "proto/topology.hpp"
#include "runtime/auth/grants.hpp"
#include "runtime/auth/key_ring.hpp"

#include <functional>
#include <memory>

namespace weir::auth {

using identity_ptr = std::shared_ptr<const identity>; // null: nobody in particular

struct gate_ports {
  std::function<std::int64_t()> wall_ms;       // milliseconds since 1970
  std::function<void(const refusal&)> refused; // for metrics and logs; may be empty. Any thread
};

class gate {
public:
  // Without http.auth.jwt everybody may do everything. `ring` belongs to the topology's jwt, null where there is none.
  gate(const topology& topo, std::shared_ptr<key_ring> ring, gate_ports ports);

  bool guarded() const { return ring_ != nullptr; }
  // Some table is public: a client may connect without a token.
  bool anything_public() const { return anything_public_; }
  bool metrics_public() const { return metrics_public_; }
  std::int64_t wall_ms() const { return ports_.wall_ms(); }
  // How long after `exp` a session may go on without a new token: the larger of the leeway and the grace, so a client
  // that comes back with the same token finds it expired.
  std::int64_t grace_ms() const { return grace_ms_; }

  // A token that was presented. Where nothing is guarded, any text gives nobody in particular.
  tl::expected<identity_ptr, refusal> identify(std::string_view token) const;
  // A token that takes the place of an earlier one of the same user.
  tl::expected<identity_ptr, refusal> identify(std::string_view token, std::string_view subject) const;
  // The same for who may have none (empty): nobody in particular is let in where some table is public.
  tl::expected<identity_ptr, refusal> admit(std::string_view token) const;

  // A number that changes with the keys, and whether the key that signed somebody's token is still one of them, under
  // the same name: taking it out ends what was let in by it.
  std::uint64_t key_generation() const { return ring_ ? ring_->generation() : 0; }
  bool key_still_there(const identity& who) const;
  // What somebody was let in for is to end: `exp` and the grace have passed, or the key is gone.
  bool over(const identity& who) const { return wall_ms() >= who.expires_ms + grace_ms_ || !key_still_there(who); }

  // `who` null: nobody in particular. Refusals are told to `refused`.
  decision may_read(const identity* who, const read_request& request) const;
  // Whether anything of the table may be read, by some request or other; `whole`: all of it, unconditionally.
  struct reach {
    bool some = false, whole = false;
  };
  reach reach_of(const identity* who, std::string_view table) const;
  // What is for operators: jobs, nodes, the topology, and whatever changes something.
  bool may_operate(const identity* who) const;

  // There is a JWKS file to be looked at.
  bool rereads() const { return ring_ && ring_->has_file(); }
  // Reads a changed JWKS file; see key_ring.
  std::optional<reloaded> reload() const { return ring_ ? ring_->reload() : std::nullopt; }

private:
  tl::unexpected<refusal> refuse(refusal r) const;

  std::shared_ptr<key_ring> ring_;
  gate_ports ports_;
  token_rules rules_;
  struct table_rule {
    table_access access = table_access::claims; // of tables that are not there as well: nobody learns which are
    bool keyed = true;
  };
  const table_rule& rule_of(std::string_view table) const;

  std::map<std::string, table_rule, std::less<>> tables_;
  bool anything_public_ = true, metrics_public_ = true;
  std::int64_t grace_ms_ = 0;
};

inline constexpr std::int64_t least_grace_ms = 25'000;

} // namespace weir::auth
