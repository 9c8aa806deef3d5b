// Keys by name, and the JWKS form of them (RFC 7517).
#pragma once

#include "runtime/auth/key.hpp"

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace weir::auth {

class key_set {
public:
  // Empty `kid`: the key for tokens that name none. ec::bad_argument where that name is taken.
  result<void> add(std::string kid, key k);
  // By a token's `kid`, which is nothing but a name here. Without one: the key that has none either, or the only one.
  const key* find(const std::optional<std::string>& kid) const;
  std::size_t size() const { return keys_.size(); }

private:
  std::map<std::string, key, std::less<>> keys_;
};

inline constexpr std::size_t jwks_bytes = 1 << 20; // of a file
inline constexpr std::size_t most_kid_bytes = 256;

struct jwks {
  std::vector<std::pair<std::string, key>> keys;
  std::vector<std::string> skipped; // "key 2: ...", for the log: keys for something else
};

// {"keys": [...]} with RSA, EC (P-256) and oct keys. Without `alg` a key's type decides: RSA is RS256, EC is ES256, oct
// is HS256. Keys for encryption, and of algorithms that are not spoken, are skipped; fails with ec::bad_argument if the
// text is no JWKS, a key of ours is broken or weak, has private parts, two have one name, or none is left.
result<jwks> parse_jwks(std::string_view text);

} // namespace weir::auth
