#include "runtime/http/uri.hpp"

#include "runtime/core/percent.hpp"
#include "runtime/core/utf8.hpp"
#include "runtime/http/origin.hpp"

#include <algorithm>
#include <charconv>

namespace weir::http {
namespace {

std::string lower(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return out;
}

// Calls f for each part between separators, the last one included.
template <class F>
bool each_part(std::string_view text, char separator, F f) {
  while (true) {
    const auto at = text.find(separator);
    if (!f(text.substr(0, at)))
      return false;
    if (at == std::string_view::npos)
      return true;
    text.remove_prefix(at + 1);
  }
}

} // namespace

std::optional<std::string> percent_decode(std::string_view text, bool plus_is_space) {
  std::string spaced(text);
  if (plus_is_space)
    std::ranges::replace(spaced, '+', ' '); // before decoding: %2B stays a plus
  auto out = percent_decoded_bytes(spaced);
  if (out && !is_utf8(*out))
    return {};
  return out;
}

std::string percent_encode(std::string_view text) {
  static constexpr char digits[] = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const auto u = static_cast<unsigned char>(c);
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
        c == '_' || c == '~') {
      out += c;
    } else {
      out += '%';
      out += digits[u >> 4];
      out += digits[u & 15];
    }
  }
  return out;
}

std::optional<target> parse_target(std::string_view text) {
  target t;
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (text.size() > scheme.size() && lower(text.substr(0, scheme.size())) == scheme) {
      text.remove_prefix(scheme.size());
      const auto end = text.find_first_of("/?");
      t.authority = text.substr(0, end);
      if (t.authority.empty())
        return {};
      text = end == std::string_view::npos ? std::string_view{"/"} : text.substr(end);
      if (text.front() == '?') { // "http://host?query" has an empty path, which means "/"
        auto rest = parse_target("/" + std::string(text));
        if (rest)
          rest->authority = t.authority;
        return rest;
      }
      break;
    }
  }
  if (text.empty() || text.front() != '/' || text.find('#') != std::string_view::npos)
    return {};
  const auto question = text.find('?');
  t.path = text.substr(0, question);
  if (t.path != "/") {
    const bool good = each_part(std::string_view(t.path).substr(1), '/', [&](std::string_view part) {
      auto decoded = percent_decode(part);
      if (decoded)
        t.segments.push_back(std::move(*decoded));
      return decoded.has_value();
    });
    if (!good)
      return {};
  }
  if (question == std::string_view::npos || question + 1 == text.size())
    return t;
  const bool good = each_part(text.substr(question + 1), '&', [&](std::string_view part) {
    if (part.empty())
      return true;
    const auto equals = part.find('=');
    auto name = percent_decode(part.substr(0, equals), true);
    auto value = percent_decode(equals == std::string_view::npos ? std::string_view{} : part.substr(equals + 1), true);
    if (!name || !value)
      return false;
    t.query[std::move(*name)] = std::move(*value);
    return true;
  });
  if (!good)
    return {};
  return t;
}

result<url> parse_url(std::string_view text) {
  const auto bad = [&] {
    return fail(ec::bad_argument, "'" + std::string(text) + "' is no URL; it should look like http://127.0.0.1:8080");
  };
  url u;
  std::string_view rest = text;
  if (const auto colon = rest.find("://"); colon != std::string_view::npos) {
    u.scheme = lower(rest.substr(0, colon));
    rest.remove_prefix(colon + 3);
  } else {
    u.scheme = "http";
  }
  if (u.scheme != "http" && u.scheme != "https" && u.scheme != "ws" && u.scheme != "wss")
    return bad();
  const auto end = rest.find_first_of("/?#");
  const auto at = parse_authority(rest.substr(0, end));
  if (!at)
    return bad();
  u.host = at->host;
  u.port = at->port != 0 ? at->port : u.tls() ? 443 : 80;
  if (end != std::string_view::npos) {
    auto wanted = rest.substr(end);
    wanted = wanted.substr(0, wanted.find('#'));
    if (std::ranges::any_of(wanted, [](char c) { return static_cast<unsigned char>(c) <= ' ' || c == 127; }))
      return bad();
    if (!wanted.empty())
      u.target = wanted.front() == '?' ? "/" + std::string(wanted) : std::string(wanted);
  }
  return u;
}

} // namespace weir::http
