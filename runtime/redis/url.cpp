#include "runtime/redis/url.hpp"

#include "runtime/core/percent.hpp"

#include <charconv>
#include <fmt/format.h>
#include <optional>

namespace weir::redis {
namespace {

template <class Number>
bool whole_number(std::string_view text, Number& out) {
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc{} && end == text.data() + text.size() && !text.empty();
}

tl::unexpected<error> bad(std::string_view what) {
  return fail(
      ec::bad_argument,
      fmt::format(
          "Redis URL: {}; wanted redis://[user[:password]@]host[:port][/db], rediss://... or unix:///path[?db=N]",
          what));
}

// Takes "user:password@" off the front of `rest`. The last @ ends it, so that an unencoded @ in a password does no
// harm.
bool take_user(std::string_view& rest, server_url& out) {
  const auto at = rest.rfind('@');
  if (at == std::string_view::npos)
    return true;
  const auto info = rest.substr(0, at);
  rest.remove_prefix(at + 1);
  const auto colon = info.find(':');
  auto user = percent_decoded_bytes(info.substr(0, colon));
  auto password =
      colon == std::string_view::npos ? std::optional<std::string>{""} : percent_decoded_bytes(info.substr(colon + 1));
  if (!user || !password)
    return false;
  out.username = std::move(*user);
  out.password = std::move(*password);
  return true;
}

} // namespace

std::string server_url::text() const {
  if (kind == scheme::unix_socket)
    return database ? fmt::format("unix://{}?db={}", path, database) : fmt::format("unix://{}", path);
  const bool v6 = host.find(':') != std::string::npos;
  auto out =
      fmt::format("{}://{}{}{}:{}", kind == scheme::tls ? "rediss" : "redis", v6 ? "[" : "", host, v6 ? "]" : "", port);
  return database ? fmt::format("{}/{}", out, database) : out;
}

result<server_url> parse_url(std::string_view url) {
  server_url out;
  auto rest = url;
  const auto starts = [&](std::string_view scheme) {
    if (!rest.starts_with(scheme))
      return false;
    rest.remove_prefix(scheme.size());
    return true;
  };
  if (starts("unix://")) {
    out.kind = server_url::scheme::unix_socket;
    auto query = rest.find('?');
    if (query != std::string_view::npos) {
      auto parameters = rest.substr(query + 1);
      rest = rest.substr(0, query);
      if (!parameters.starts_with("db=") || !whole_number(parameters.substr(3), out.database))
        return bad("after ? only db=<number> is known");
    }
    // unix://user:password@/path is accepted too.
    const auto slash = rest.find('/');
    if (slash != 0 && rest.find('@') != std::string_view::npos && !take_user(rest, out))
      return bad("a % is not followed by two hexadecimal digits in the user or password");
    auto path = percent_decoded_bytes(rest);
    if (!path || path->empty() || path->front() != '/')
      return bad("a unix socket needs an absolute path");
    if (path->size() > 107)
      return bad("the path of a unix socket has at most 107 bytes");
    out.path = std::move(*path);
    return out;
  }
  if (starts("rediss://"))
    out.kind = server_url::scheme::tls;
  else if (!starts("redis://"))
    return bad("unknown scheme");

  // A password may hold a / or ?; all up to the last @ is user information.
  if (!take_user(rest, out))
    return bad("a % is not followed by two hexadecimal digits in the user or password");
  if (const auto query = rest.find('?'); query != std::string_view::npos)
    return bad("nothing may follow a ? here");
  auto address = rest;
  if (const auto slash = rest.find('/'); slash != std::string_view::npos) {
    address = rest.substr(0, slash);
    auto db = rest.substr(slash + 1);
    if (!db.empty() && !whole_number(db, out.database))
      return bad("the part after the host's / is the database number");
  }
  std::string_view host = address, port;
  bool has_port = false;
  if (address.starts_with('[')) {
    const auto close = address.find(']');
    if (close == std::string_view::npos)
      return bad("an IPv6 address needs its ]");
    host = address.substr(1, close - 1);
    auto behind = address.substr(close + 1);
    if (!behind.empty()) {
      if (behind.front() != ':')
        return bad("after ] only :port may follow");
      port = behind.substr(1);
      has_port = true;
    }
  } else if (const auto colon = address.rfind(':'); colon != std::string_view::npos) {
    host = address.substr(0, colon);
    port = address.substr(colon + 1);
    has_port = true;
  }
  if (has_port && (!whole_number(port, out.port) || out.port == 0))
    return bad("the port is a number from 1 to 65535");
  auto name = percent_decoded_bytes(host);
  if (!name || name->empty())
    return bad("there is no host");
  for (char c : *name)
    if (static_cast<unsigned char>(c) <= ' ')
      return bad("the host has a blank or control character");
  out.host = std::move(*name);
  return out;
}

result<server_url> resolve_url(const redis_config& config) {
  if (config.embedded())
    return fail(ec::bad_argument, "Redis URL: \"embedded\" has no address before the embedded server was started");
  auto url = parse_url(config.url);
  if (!url)
    return url;
  if (!config.username.empty())
    url->username = config.username;
  if (!config.password.empty())
    url->password = config.password;
  if (!url->username.empty() && url->password.empty())
    return fail(ec::bad_argument, "Redis: a user name is given without a password");
  return url;
}

} // namespace weir::redis
