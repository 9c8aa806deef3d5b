#include "proto/topology.hpp"

#include <arpa/inet.h>
#include <cstring>
#include <netinet/in.h>

namespace weir {

bool http_config::loopback() const {
  if (host == "localhost")
    return true;
  if (in_addr v4{}; inet_pton(AF_INET, host.c_str(), &v4) == 1)
    return ntohl(v4.s_addr) >> 24 == 127;
  in6_addr v6{};
  if (inet_pton(AF_INET6, host.c_str(), &v6) != 1)
    return false;
  if (IN6_IS_ADDR_V4MAPPED(&v6))
    return v6.s6_addr[12] == 127;
  return IN6_IS_ADDR_LOOPBACK(&v6);
}

} // namespace weir
