#include "runtime/auth/token.hpp"

#include "runtime/auth/base64url.hpp"
#include "runtime/auth/strict_json.hpp"

#include <algorithm>
#include <cmath>

namespace weir::auth {
namespace {

using simdjson::dom::element;
using simdjson::dom::object;

constexpr double last_second = 253'402'300'799; // of the year 9999: later is a slip (milliseconds, say), not a date

tl::unexpected<refusal> no(failure why, std::string message) {
  return tl::unexpected(refusal{why, std::move(message)});
}

bool has(const object& from, std::string_view name) { return from.at_key(name).error() == simdjson::SUCCESS; }

std::optional<std::string> text_at(const object& from, std::string_view name) {
  std::string_view value;
  if (from.at_key(name).get(value) != simdjson::SUCCESS)
    return std::nullopt;
  return std::string(value);
}

bool good_type(std::string name) {
  std::transform(name.begin(), name.end(), name.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  constexpr std::string_view media = "application/"; // may be left out: RFC 7515, 4.1.9
  if (name.starts_with(media))
    name.erase(0, media.size());
  return name == "jwt" || name == "at+jwt"; // the second: access tokens of OAuth 2.0, RFC 9068
}

struct head {
  std::string alg;
  std::optional<std::string> kid;
};

tl::expected<head, refusal> read_head(std::string_view text) {
  const auto bytes = base64url_decode(text);
  if (!bytes)
    return no(failure::malformed, "the token's header is no base64url");
  const auto root = parse_strict(*bytes);
  object members;
  if (!root || root->get(members) != simdjson::SUCCESS)
    return no(failure::malformed, "the token's header is no JSON object, or has two members of one name");
  for (const auto* extension : {"crit", "b64", "zip", "enc"})
    if (has(members, extension))
      return no(failure::type, std::string("the token's header has '") + extension + "', which is not spoken");
  if (has(members, "typ")) {
    const auto type = text_at(members, "typ");
    if (!type || !good_type(*type))
      return no(failure::type, "the token's 'typ' is neither JWT nor at+jwt");
  }
  head out;
  const auto alg = text_at(members, "alg");
  if (!alg)
    return no(failure::algorithm, "the token's header names no algorithm");
  out.alg = *alg;
  if (has(members, "kid")) {
    out.kid = text_at(members, "kid");
    if (!out.kid || out.kid->size() > most_kid_bytes)
      return no(failure::malformed, "the token's 'kid' is no string, or too long");
  }
  return out;
}

// Milliseconds; nothing: not there.
tl::expected<std::optional<std::int64_t>, refusal> date_at(const object& claims, std::string_view name) {
  const auto found = claims.at_key(name);
  if (found.error() != simdjson::SUCCESS)
    return std::nullopt;
  double seconds = 0; // whole numbers as well
  if (found.get(seconds) != simdjson::SUCCESS || !std::isfinite(seconds) || seconds < 0 || seconds > last_second)
    return no(failure::claims, "the token's '" + std::string(name) + "' is no number of seconds since 1970");
  return static_cast<std::int64_t>(std::floor(seconds * 1000));
}

tl::expected<bool, refusal> is_audience(const object& claims, std::string_view wanted) {
  const auto found = claims.at_key("aud");
  if (found.error() != simdjson::SUCCESS)
    return wanted.empty();
  const auto wrong = [] { return no(failure::claims, "the token's 'aud' is neither a string nor an array of them"); };
  std::string_view one;
  if (found.get(one) == simdjson::SUCCESS)
    return !wanted.empty() && one == wanted;
  simdjson::dom::array several;
  if (found.get(several) != simdjson::SUCCESS)
    return wrong();
  bool named = false;
  for (const auto item : several) {
    if (item.get(one) != simdjson::SUCCESS)
      return wrong();
    named = named || (!wanted.empty() && one == wanted);
  }
  return named;
}

tl::expected<verified_token, refusal> read_claims(std::string payload, const token_rules& rules, std::int64_t now_ms) {
  const auto root = parse_strict(payload);
  object claims;
  if (!root || root->get(claims) != simdjson::SUCCESS)
    return no(failure::malformed, "the token's payload is no JSON object, or has two members of one name");
  verified_token out;
  if (has(claims, "sub")) {
    auto subject = text_at(claims, "sub");
    if (!subject)
      return no(failure::claims, "the token's 'sub' is no string");
    out.subject = std::move(*subject);
  }
  const auto expires = date_at(claims, "exp");
  const auto begins = date_at(claims, "nbf");
  if (!expires || !begins)
    return tl::unexpected(!expires ? expires.error() : begins.error());
  if (!*expires)
    return no(failure::claims, "the token has no 'exp': one that never ends is not taken");
  if (!rules.issuer.empty() && text_at(claims, "iss") != rules.issuer)
    return no(failure::issuer, "the token is by another issuer");
  const auto audience = is_audience(claims, rules.audience);
  if (!audience)
    return tl::unexpected(audience.error());
  if (!*audience)
    return no(failure::audience,
              rules.audience.empty()
                  ? "the token is for an audience, and this node is told none (http.auth.jwt.audience)"
                  : "the token is for another audience");
  const auto leeway = std::clamp<std::int64_t>(rules.leeway_ms, 0, most_leeway_ms);
  if (*begins && now_ms + leeway < **begins)
    return no(failure::not_yet, "the token is not valid yet");
  if (now_ms - leeway >= **expires)
    return no(failure::expired, "the token has expired");
  out.expires_ms = **expires;
  out.payload = std::move(payload);
  return out;
}

} // namespace

std::string_view to_string(failure f) { return failure_names[static_cast<std::size_t>(f)]; }

tl::expected<verified_token, refusal> verify_token(std::string_view token, const key_set& keys,
                                                   const token_rules& rules, std::int64_t now_ms) {
  if (token.empty())
    return no(failure::missing, "a token is needed");
  if (token.size() > token_bytes)
    return no(failure::too_large, "the token has more than 8 KiB");
  const auto first = token.find('.');
  const auto second = first == std::string_view::npos ? first : token.find('.', first + 1);
  if (second == std::string_view::npos || token.find('.', second + 1) != std::string_view::npos)
    return no(failure::malformed, "a token has three parts with points between them");
  const auto header = read_head(token.substr(0, first));
  if (!header)
    return tl::unexpected(header.error());
  const auto* with = keys.find(header->kid);
  if (!with)
    return no(failure::unknown_key, header->kid ? "the token is signed by a key that is not known here"
                                                : "the token names no key ('kid'), and there are several");
  if (header->alg != to_string(with->alg()))
    return no(failure::algorithm, "the token's algorithm is not the one of its key");
  const auto signature = base64url_decode(token.substr(second + 1));
  if (!signature)
    return no(failure::malformed, "the token's signature is no base64url");
  if (!with->verify(token.substr(0, second), *signature))
    return no(failure::signature, "the token's signature does not fit");
  auto payload = base64url_decode(token.substr(first + 1, second - first - 1));
  if (!payload)
    return no(failure::malformed, "the token's payload is no base64url");
  auto out = read_claims(std::move(*payload), rules, now_ms);
  if (out)
    out->signed_by = {header->kid, std::make_shared<const key>(*with)};
  return out;
}

} // namespace weir::auth
