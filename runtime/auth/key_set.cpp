#include "runtime/auth/key_set.hpp"

#include "runtime/auth/base64url.hpp"
#include "runtime/auth/strict_json.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <set>

namespace weir::auth {
namespace {

using simdjson::dom::element;
using simdjson::dom::object;

tl::unexpected<error> bad(std::string message) { return fail(ec::bad_argument, std::move(message)); }

std::optional<std::string> text_at(const object& from, std::string_view name) {
  std::string_view value;
  if (from.at_key(name).get(value) != simdjson::SUCCESS)
    return std::nullopt;
  return std::string(value);
}

bool has(const object& from, std::string_view name) { return from.at_key(name).error() == simdjson::SUCCESS; }

// Decoded; empty where it is missing or no base64url.
std::string bytes_at(const object& from, std::string_view name) {
  const auto text = text_at(from, name);
  return text ? base64url_decode(*text).value_or("") : "";
}

bool for_verifying(const object& jwk) {
  if (has(jwk, "use") && text_at(jwk, "use") != "sig")
    return false;
  simdjson::dom::array operations;
  if (!has(jwk, "key_ops"))
    return true;
  if (jwk.at_key("key_ops").get(operations) != simdjson::SUCCESS)
    return false;
  return std::any_of(operations.begin(), operations.end(), [](const element& one) {
    std::string_view name;
    return one.get(name) == simdjson::SUCCESS && name == "verify";
  });
}

// What a JWK's type and algorithm come to; nothing where it is none of ours.
std::optional<algorithm> algorithm_of(const object& jwk) {
  const auto type = text_at(jwk, "kty");
  std::optional<algorithm> by_type;
  if (type == "RSA")
    by_type = algorithm::rs256;
  else if (type == "EC" && text_at(jwk, "crv") == "P-256")
    by_type = algorithm::es256;
  else if (type == "oct")
    by_type = algorithm::hs256;
  if (!by_type || (has(jwk, "alg") && text_at(jwk, "alg") != to_string(*by_type)))
    return std::nullopt;
  return by_type;
}

result<key> key_of(const object& jwk, algorithm alg) {
  if (alg == algorithm::hs256)
    return key::from_secret(bytes_at(jwk, "k"));
  for (const auto* part : {"d", "p", "q", "dp", "dq", "qi", "oth"})
    if (has(jwk, part))
      return bad("it has private parts; only the public key belongs here");
  if (alg == algorithm::rs256)
    return key::from_rsa(bytes_at(jwk, "n"), bytes_at(jwk, "e"));
  return key::from_p256(bytes_at(jwk, "x"), bytes_at(jwk, "y"));
}

} // namespace

result<void> key_set::add(std::string kid, key k) {
  if (kid.size() > most_kid_bytes)
    return bad(fmt::format("a 'kid' of more than {} bytes", most_kid_bytes));
  const bool nameless = kid.empty();
  if (!keys_.emplace(std::move(kid), std::move(k)).second)
    return bad(nameless ? "two keys without a 'kid'" : "two keys of one 'kid'");
  return {};
}

const key* key_set::find(const std::optional<std::string>& kid) const {
  if (kid) {
    const auto found = kid->empty() ? keys_.end() : keys_.find(*kid);
    return found == keys_.end() ? nullptr : &found->second;
  }
  if (keys_.size() == 1)
    return &keys_.begin()->second;
  const auto nameless = keys_.find("");
  return nameless == keys_.end() ? nullptr : &nameless->second;
}

result<jwks> parse_jwks(std::string_view text) {
  if (text.size() > jwks_bytes)
    return bad(fmt::format("more than {} bytes", jwks_bytes));
  const auto root = parse_strict(text);
  if (!root)
    return bad("it is no JSON, or has two members of one name");
  object set;
  simdjson::dom::array keys;
  if (root->get(set) != simdjson::SUCCESS || set.at_key("keys").get(keys) != simdjson::SUCCESS)
    return bad(R"(it is no JWKS: {"keys": [...]} is wanted)");
  jwks out;
  std::set<std::string> names;
  std::size_t number = 0;
  for (const auto one : keys) {
    ++number;
    object jwk;
    if (one.get(jwk) != simdjson::SUCCESS)
      return bad(fmt::format("key {}: an object is wanted", number));
    if (!for_verifying(jwk)) {
      out.skipped.push_back(fmt::format("key {}: not for verifying signatures", number));
      continue;
    }
    const auto alg = algorithm_of(jwk);
    if (!alg) {
      out.skipped.push_back(fmt::format("key {}: none of HS256, RS256 and ES256", number));
      continue;
    }
    const auto kid = has(jwk, "kid") ? text_at(jwk, "kid") : std::string();
    if (!kid || (kid->empty() && has(jwk, "kid")) || kid->size() > most_kid_bytes)
      return bad(fmt::format("key {}: 'kid' is a string of 1 to {} bytes", number, most_kid_bytes));
    if (!names.insert(*kid).second)
      return bad(fmt::format("key {}: {}", number,
                             kid->empty() ? "the second one without a 'kid'" : "the second one of its 'kid'"));
    auto made = key_of(jwk, *alg);
    if (!made)
      return bad(fmt::format("key {}: {}", number, made.error().message));
    out.keys.emplace_back(*kid, std::move(*made));
  }
  if (out.keys.empty())
    return bad("it has no key that can be used");
  return out;
}

} // namespace weir::auth
