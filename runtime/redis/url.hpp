// Where Redis is and how to sign in: redis://[user[:password]@]host[:port][/db], rediss://..., unix:///path[?db=N].
#pragma once

#include "proto/topology.hpp"
#include "runtime/core/error.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace weir::redis {

struct server_url {
  enum class scheme { tcp, tls, unix_socket };
  scheme kind = scheme::tcp;
  std::string host = "localhost"; // name or address, without the brackets of IPv6
  std::uint16_t port = 6379;
  std::string path; // of the unix socket
  std::string username, password;
  std::uint32_t database = 0;

  // For logs and errors: without user and password.
  std::string text() const;
};

// Parts are percent-decoded. Errors (ec::bad_argument) say what is wrong and never repeat the user-information part.
result<server_url> parse_url(std::string_view url);

// The URL of `config` with its username and password put over those in the URL. ec::bad_argument for "embedded", which
// has no URL yet.
result<server_url> resolve_url(const redis_config& config);

} // namespace weir::redis
