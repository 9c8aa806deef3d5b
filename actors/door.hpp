// Lets HTTP requests in by their bearer tokens, and makes the node's gate, which sessions use as well. Not an actor.
#pragma once

#include "actors/context.hpp"
#include "runtime/auth/gate.hpp"
#include "runtime/http/server.hpp"

#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace weir::actors {

using gate_ptr = std::shared_ptr<const auth::gate>;

// The gate of the topology's http.auth; refusals go to the metrics and, at most one a second, to the log. Fails with
// ec::bad_topology where a key cannot be used.
result<gate_ptr> make_gate(const context_ptr& node);

// Reads a JWKS file that has changed, and says so in the log. Blocks on the file system.
void reload_keys(const auth::gate& gate);

// Any thread.
class door {
public:
  explicit door(gate_ptr gate) : gate_(std::move(gate)) {}

  // Who asks, or the answer that refuses them: 401 without a good token where one is needed for the path, 403 where the
  // token has not got the right. Of tables only the token is looked at here.
  tl::expected<auth::identity_ptr, http::response> let_in(const http::request& request) const;
  // Nothing: the rows may be read, as far as `forced` holds; else the refusal.
  std::optional<http::response> refuse_rows(const auth::identity* who, const http::request& request,
                                            const auth::read_request& rows, condition& forced) const;

  const auth::gate& gate() const { return *gate_; }

private:
  gate_ptr gate_;
};

} // namespace weir::actors
