// Request targets and URLs: splitting, percent-decoding. Pure.
#pragma once

#include "runtime/core/error.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace weir::http {

// Nothing: a '%' without two hex digits, or what comes out is not UTF-8.
std::optional<std::string> percent_decode(std::string_view text, bool plus_is_space = false);
// All but RFC 3986's unreserved characters is encoded, so the result fits a path segment or a query value.
std::string percent_encode(std::string_view text);

struct target {
  std::string path;                         // still encoded
  std::vector<std::string> segments;        // "/a/b" -> a, b; "/" -> none; "/a/" -> a, ""
  std::map<std::string, std::string> query; // the last of equal names counts
  std::string authority;                    // of an absolute target ("http://host/path"), else empty
};

// Nothing: neither origin-form nor absolute-form, or bad encoding.
std::optional<target> parse_target(std::string_view text);

struct url {
  std::string scheme; // http, https, ws, wss
  std::string host;   // without brackets
  std::uint16_t port = 0;
  std::string target = "/"; // path and query
  bool tls() const { return scheme == "https" || scheme == "wss"; }
};

// ec::bad_argument with a message that shows what a URL looks like. A URL without scheme means http.
result<url> parse_url(std::string_view text);

} // namespace weir::http
