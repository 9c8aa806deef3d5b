// Verifies a JSON Web Token (RFC 7519, signed as in RFC 7515), by the advice of RFC 8725. Pure: no clock, no files.
//
// Nothing of a token is believed before its signature: of the header only `alg` (which has to be the key's own), `kid`
// (a name to look up) and `typ`; the payload is not even parsed. Keys that a token brings along (jwk, jku, x5u, x5c)
// are not looked at.
#pragma once

#include "runtime/auth/key_set.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>

namespace weir::auth {

// Why a token, or a request without a right, is refused: the label of weir_auth_failures_total.
enum class failure : std::uint8_t {
  missing,     // no token where one is needed
  too_large,   // more than token_bytes
  malformed,   // not three parts of strict base64url and JSON
  algorithm,   // not the one of the key, or `none`
  unknown_key, // no key of that `kid`
  signature,   // does not fit
  type,        // `typ` of something else, or an extension that is not spoken (crit, b64, zip, enc)
  expired,
  not_yet,  // `nbf` lies ahead
  audience, // for somebody else
  issuer,   // by somebody else
  claims,   // a claim of the wrong form
  subject,  // a refreshed token of another user
  denied,   // a good token without that right
};
inline constexpr std::string_view failure_names[] = {
    "missing", "too_large", "malformed", "algorithm", "unknown_key", "signature", "type",
    "expired", "not_yet",   "audience",  "issuer",    "claims",      "subject",   "denied"}; // the enum's order
std::string_view to_string(failure f);

struct refusal {
  failure why = failure::malformed;
  std::string message; // for the one who holds the token; nothing of the token's text is in it
};

inline constexpr std::size_t token_bytes = 8 << 10;
inline constexpr std::int64_t most_leeway_ms = 60'000;

struct token_rules {
  std::string audience; // empty: only tokens without `aud` are taken (RFC 7519, 4.1.3)
  std::string issuer;   // empty: any
  std::int64_t leeway_ms = 30'000;
};

// The key that a token's signature was checked with: still the one of that name, as long as the keys do not change.
struct signer {
  std::optional<std::string> kid; // as the token names it
  std::shared_ptr<const key> with;
};

struct verified_token {
  std::string payload;         // JSON, an object, no name twice in it
  std::string subject;         // `sub`; may be empty
  std::int64_t expires_ms = 0; // `exp`, milliseconds since 1970, without leeway
  signer signed_by;
};

// now_ms: milliseconds since 1970. Any thread.
tl::expected<verified_token, refusal> verify_token(std::string_view token, const key_set& keys,
                                                   const token_rules& rules, std::int64_t now_ms);

} // namespace weir::auth
