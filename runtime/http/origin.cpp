#include "runtime/http/origin.hpp"

#include <algorithm>
#include <boost/asio/ip/address.hpp>
#include <charconv>

namespace weir::http {
namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

std::uint16_t default_port(std::string_view scheme) {
  if (scheme == "http" || scheme == "ws")
    return 80;
  if (scheme == "https" || scheme == "wss")
    return 443;
  return 0;
}

// Refusals repeat what a stranger sent: only what is harmless in a log line or a terminal.
std::string shown(std::string_view text) {
  std::string out;
  for (const char c : text.substr(0, 200))
    out += static_cast<unsigned char>(c) > 0x20 && static_cast<unsigned char>(c) < 0x7F && c != '\'' ? c : '?';
  return out;
}

bool is_loopback_name(const std::string& host) {
  if (host == "localhost" || host.ends_with(".localhost"))
    return true;
  boost::system::error_code failed;
  const auto address = boost::asio::ip::make_address(host, failed);
  if (failed)
    return false;
  if (address.is_v6() && address.to_v6().is_v4_mapped())
    return boost::asio::ip::make_address_v4(boost::asio::ip::v4_mapped, address.to_v6()).is_loopback();
  return address.is_loopback();
}

} // namespace

std::optional<authority> parse_authority(std::string_view text) {
  if (text.empty() || text.size() > 300)
    return {};
  authority a;
  std::string_view port;
  bool has_port = false;
  if (text.front() == '[') {
    const auto end = text.find(']');
    if (end == std::string_view::npos || end == 1)
      return {};
    a.host = text.substr(1, end - 1);
    if (!std::ranges::all_of(a.host, [](char c) {
          return (c >= '0' && c <= '9') || (lower(c) >= 'a' && lower(c) <= 'f') || c == ':' || c == '.';
        }))
      return {};
    text.remove_prefix(end + 1);
    if (!text.empty()) {
      if (text.front() != ':')
        return {};
      port = text.substr(1);
      has_port = true;
    }
  } else {
    const auto colon = text.find(':');
    a.host = text.substr(0, colon);
    if (colon != std::string_view::npos) {
      port = text.substr(colon + 1);
      has_port = true;
    }
    if (a.host.empty() || !std::ranges::all_of(a.host, [](char c) {
          return (c >= '0' && c <= '9') || (lower(c) >= 'a' && lower(c) <= 'z') || c == '-' || c == '.' || c == '_';
        }))
      return {};
  }
  if (has_port && !port.empty()) { // "host:" is allowed and means the default port
    const auto [end, failed] = std::from_chars(port.data(), port.data() + port.size(), a.port);
    if (failed != std::errc{} || end != port.data() + port.size() || a.port == 0)
      return {};
  }
  std::ranges::transform(a.host, a.host.begin(), lower);
  // "localhost." is the same host; without this a final dot would dodge comparisons.
  if (a.host.size() > 1 && a.host.back() == '.')
    a.host.pop_back();
  return a;
}

std::optional<web_origin> parse_origin(std::string_view text) {
  const auto colon = text.find("://");
  if (colon == std::string_view::npos || colon == 0)
    return {};
  web_origin o;
  o.scheme = text.substr(0, colon);
  std::ranges::transform(o.scheme, o.scheme.begin(), lower);
  if (!std::ranges::all_of(o.scheme, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.';
      }))
    return {};
  const auto at = parse_authority(text.substr(colon + 3));
  if (!at)
    return {};
  o.at = *at;
  if (o.at.port == 0)
    o.at.port = default_port(o.scheme);
  return o;
}

origin_policy::origin_policy(const std::vector<std::string>& allowed, bool tls, bool loopback_listener)
    : tls_(tls), loopback_(loopback_listener) {
  for (std::string_view text : allowed) {
    if (text.ends_with('/'))
      text.remove_suffix(1);
    if (auto parsed = parse_origin(text))
      allowed_.push_back(std::move(*parsed));
  }
}

std::optional<std::string> origin_policy::refuse_origin(std::optional<std::string_view> origin,
                                                        std::string_view host) const {
  if (!origin)
    return {};
  const auto from = parse_origin(*origin);
  if (!from)
    return "the page has no origin that can be checked (Origin: " + shown(*origin) +
           "); open it over http or https from a host listed in http.origins";
  const std::string_view scheme = tls_ ? "https" : "http";
  if (auto self = parse_authority(host)) {
    if (self->port == 0)
      self->port = default_port(scheme);
    if (from->scheme == scheme && from->at == *self)
      return {};
  }
  if (std::ranges::find(allowed_, *from) != allowed_.end())
    return {};
  return "pages of " + shown(*origin) + " may not use this listener; add \"" + shown(*origin) +
         "\" to http.origins in the topology to allow it";
}

std::optional<std::string> origin_policy::refuse_host(std::optional<std::string_view> host) const {
  if (!loopback_ || !host)
    return {};
  const auto at = parse_authority(*host);
  if (at && is_loopback_name(at->host))
    return {};
  if (at && std::ranges::any_of(allowed_, [&](const web_origin& o) { return o.at.host == at->host; }))
    return {};
  return "this listener is for this machine only and does not answer to the name " + shown(*host) +
         "; use localhost, or add the page's origin (http://" + shown(*host) + ") to http.origins in the topology";
}

} // namespace weir::http
