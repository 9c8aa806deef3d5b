// Who may talk to the listener from inside a browser. Pure: no sockets, no clock.
//
// A browser sends requests with the user's network position to any address a page names, so a page of a stranger could
// drive a listener that only the user can reach. Two checks stop that: Origin (which page asks) on everything that
// changes something and on WebSocket upgrades, and Host on loopback listeners (a name of the stranger's that was made
// to resolve to 127.0.0.1).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace weir::http {

// "host:port" of a Host header or of an origin, in lower case, brackets of IPv6 addresses removed; port 0: not given.
struct authority {
  std::string host;
  std::uint16_t port = 0;
  bool operator==(const authority&) const = default;
};

// Nothing: not an authority (empty, spaces, user info, bad port).
std::optional<authority> parse_authority(std::string_view text);

struct web_origin {
  std::string scheme; // lower case
  authority at;       // port filled in from the scheme when left out
  bool operator==(const web_origin&) const = default;
};

// "scheme://host[:port]" and nothing more; "null" and paths are no origins.
std::optional<web_origin> parse_origin(std::string_view text);

class origin_policy {
public:
  // `allowed` as in http.origins; entries that are no origins are ignored (the topology check reports them).
  origin_policy(const std::vector<std::string>& allowed, bool tls, bool loopback_listener);

  // Nothing: go on. Else the refusal for people, naming the remedy. `origin` is nothing when the header is absent.
  std::optional<std::string> refuse_origin(std::optional<std::string_view> origin, std::string_view host) const;
  // On loopback listeners only loopback names and hosts of `allowed` are plausible. An absent Host (HTTP/1.0) comes
  // from no browser.
  std::optional<std::string> refuse_host(std::optional<std::string_view> host) const;

private:
  std::vector<web_origin> allowed_;
  bool tls_, loopback_;
};

} // namespace weir::http
