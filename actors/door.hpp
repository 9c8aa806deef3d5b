// Lets HTTP requests in by their bearer tokens, and makes the node's gate, which sessions use as well. Not an actor.
#pragma once

#include "actors/context.hpp"
#include "runtime/http/permission.hpp"
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

// The token of `Authorization: Bearer TOKEN` (RFC 6750); empty where there is none. Another scheme is no token either.
std::string_view bearer_token(const http::request& request);

// Any thread.
class door {
public:
  explicit door(gate_ptr gate) : gate_(std::move(gate)) {}

  // Who asks, or the answer that refuses them: 401 without a good token where one is needed for the path, 403 where the
  // token has not got the right. Of tables only the token is looked at here.
  tl::expected<auth::identity_ptr, http::response> let_in(const http::request& request) const;
  // The refusal (401, 403) where `who` (of let_in; null: nobody in particular) may read nothing of a table. Asked
  // before anything else: a table that is not there is refused like one that must not be read.
  std::optional<http::response> unreached(const auth::identity* who, const http::request& request,
                                          std::string_view table) const;
  // Narrows `rows`, which a request asks for, to those that `who` may read. Or the refusal: 401, 403, or 400 where
  // condition and permission together are too large.
  std::optional<http::response> narrow(const auth::identity* who, const http::request& request, std::string_view table,
                                       table::selection_spec& rows) const;
  // For answers that go on, about once a second: the token's time is over, or its key was taken out.
  bool over(const auth::identity* who) const { return who && gate_->over(*who); }

  const auth::gate& gate() const { return *gate_; }

private:
  gate_ptr gate_;
};

} // namespace weir::actors
