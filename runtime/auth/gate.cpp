#include "runtime/auth/gate.hpp"

#include <algorithm>

namespace weir::auth {

gate::gate(const topology& topo, std::shared_ptr<key_ring> ring, gate_ports ports)
    : ring_(std::move(ring)), ports_(std::move(ports)) {
  for (const auto& [name, table] : topo.tables)
    tables_[name] = {table.access, table.kind != table_kind::log};
  if (!ring_ || !topo.http.jwt)
    return;
  const auto& jwt = *topo.http.jwt;
  rules_ = {jwt.audience, jwt.issuer, jwt.leeway.count()};
  grace_ms_ = std::max<std::int64_t>(jwt.leeway.count(), least_grace_ms);
  metrics_public_ = jwt.metrics_public;
  anything_public_ = std::any_of(tables_.begin(), tables_.end(),
                                 [](const auto& t) { return t.second.access == table_access::everybody; });
}

tl::unexpected<refusal> gate::refuse(refusal r) const {
  if (ports_.refused)
    ports_.refused(r);
  return tl::unexpected(std::move(r));
}

tl::expected<identity_ptr, refusal> gate::identify(std::string_view token) const {
  if (!guarded())
    return identity_ptr{};
  const auto verified = verify_token(token, *ring_->current(), rules_, ports_.wall_ms());
  if (!verified)
    return refuse(verified.error());
  auto who = read_identity(*verified);
  if (!who)
    return refuse(who.error());
  return std::make_shared<const identity>(std::move(*who));
}

tl::expected<identity_ptr, refusal> gate::identify(std::string_view token, std::string_view subject) const {
  auto who = identify(token);
  if (who && *who && (*who)->subject != subject)
    return refuse({failure::subject, "the new token is of another user ('sub')"});
  return who;
}

tl::expected<identity_ptr, refusal> gate::admit(std::string_view token) const {
  if (token.empty() && anything_public_)
    return identity_ptr{};
  return identify(token);
}

const gate::table_rule& gate::rule_of(std::string_view table) const {
  static const table_rule unknown;
  const auto found = tables_.find(table);
  return found == tables_.end() ? unknown : found->second;
}

bool gate::key_still_there(const identity& who) const {
  if (!guarded() || !who.signed_by.with)
    return true;
  const auto keys = ring_->current();
  const auto* now = keys->find(who.signed_by.kid);
  return now && now->same(*who.signed_by.with);
}

decision gate::may_read(const identity* who, const read_request& request) const {
  decision out;
  const auto& rule = rule_of(request.table);
  const auto wanted = rule.access;
  out.allowed = !guarded() || wanted == table_access::everybody || (who && who->admin) ||
                (who && wanted == table_access::authenticated);
  if (out.allowed)
    return out;
  if (!who) {
    out.message = "permission denied: this table needs a token";
  } else {
    const auto grant = who->tables.find(request.table);
    out = decide(grant == who->tables.end() ? nullptr : &grant->second, request, rule.keyed);
  }
  if (!out.allowed && ports_.refused)
    ports_.refused({failure::denied, out.message});
  return out;
}

bool gate::may_operate(const identity* who) const {
  const bool may = !guarded() || (who && who->admin);
  if (!may && ports_.refused)
    ports_.refused({failure::denied, "permission denied: the claim 'admin' is needed"});
  return may;
}

gate::reach gate::reach_of(const identity* who, std::string_view table) const {
  const auto& rule = rule_of(table);
  const auto wanted = rule.access;
  if (!guarded() || wanted == table_access::everybody || (who && (who->admin || wanted == table_access::authenticated)))
    return {true, true};
  if (!who)
    return {};
  const auto grant = who->tables.find(table);
  if (grant == who->tables.end())
    return {};
  const auto& given = grant->second;
  return {given.whole || !given.where.empty() || rule.keyed, given.whole};
}

} // namespace weir::auth
