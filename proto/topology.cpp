#include "proto/topology.hpp"

#include <arpa/inet.h>
#include <cstring>
#include <netinet/in.h>
#include <utility>

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

std::string to_text(duration d) {
  const auto ms = d.count();
  for (const auto& [name, factor] : {std::pair{"d", 86'400'000LL}, {"h", 3'600'000LL}, {"m", 60'000LL}, {"s", 1000LL}})
    if (ms >= factor && ms % factor == 0)
      return std::to_string(ms / factor) + name;
  return std::to_string(ms) + "ms";
}

std::string trigger_text(const job_config& job) {
  std::string out;
  if (job.every)
    out = "every " + to_text(*job.every);
  else if (!job.cron.empty())
    out = "cron " + job.cron + (job.zone == "UTC" ? "" : " (" + job.zone + ")");
  else if (job.change)
    out = "on change";
  for (std::size_t i = 0; i < job.after.size(); ++i)
    out += (i > 0 ? ", " : out.empty() ? "after " : ", after ") + job.after[i];
  return out.empty() ? "on demand" : out;
}

} // namespace weir
