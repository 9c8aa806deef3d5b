// The commands of the weir binary. Each gives the process' exit code (sysexits). Data goes to standard output, errors
// to standard error.
#pragma once

#include "proto/topology.hpp"
#include "runtime/core/log.hpp"

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace weir::kafka {
class producer;
}

namespace weir::ext {
class extensions;
}

namespace weir::cli {

// From sysexits.h, named as there.
inline constexpr int exit_ok = 0;
inline constexpr int exit_usage = 64;       // EX_USAGE: the command line is wrong
inline constexpr int exit_data = 65;        // EX_DATAERR: an answer that makes no sense
inline constexpr int exit_unavailable = 69; // EX_UNAVAILABLE: what is to be talked to is not there
inline constexpr int exit_software = 70;    // EX_SOFTWARE
inline constexpr int exit_os = 71;          // EX_OSERR
inline constexpr int exit_config = 78;      // EX_CONFIG: the topology is wrong, or not what Redis holds

struct run_options {
  std::string file;
  std::vector<std::string> sets;
  std::vector<std::string> roles;
  std::string name; // of the node, for people; default: the host's name
  log::format format = log::format::text;
  log::level level = log::level::info;
  std::shared_ptr<const ext::extensions> extensions; // null: none
};

int run(const run_options& options);

// What `demo` adds to a node: called once it is ready, on the main thread; the result is destroyed before the node
// drains.
struct companion {
  virtual ~companion() = default;
};
using companion_factory = std::function<std::unique_ptr<companion>(const kafka_config& resolved)>;
int run_topology(topology topo, const run_options& options, const companion_factory& with = {});

struct demo_options {
  std::vector<std::string> sets;
  std::string listen; // host:port; empty: the topology's
  log::format format = log::format::text;
  log::level level = log::level::warn;
};

int demo(const demo_options& options);

struct check_options {
  std::string file;
  std::vector<std::string> sets;
  bool connect = false;
  std::shared_ptr<const ext::extensions> extensions; // null: none
};

int check(const check_options& options);
int schema();
int graph(const std::string& file, const std::vector<std::string>& sets, const std::string& format,
          const ext::extensions* extensions = nullptr);

struct status_options {
  std::string url;
  bool watch = false, json = false;
  std::string ca_file;
  std::string token_file;
};

int status(const status_options& options);

// One question to a node, for health checks: exit_ok, or exit_unavailable with the reason on standard error.
struct health_options {
  std::string url;
  bool ready = false;    // ask /readyz and not /healthz
  bool insecure = false; // do not check the certificate
  std::string ca_file;
  std::chrono::milliseconds deadline{3000};
};

int health(const health_options& options);

// exit_software: the execution that was asked for FAILED.
struct jobs_options {
  std::string url;
  std::string verb; // list, show, history, run, stop, restart, abandon
  std::string job;  // all but list
  bool json = false;
  std::vector<std::string> parameters; // run: NAME=VALUE
  bool no_wait = false;                // run, restart: do not wait for the end
  std::uint32_t limit = 20;            // history
  std::string ca_file;
  std::string token_file;
};

int jobs(const jobs_options& options);

struct tail_options {
  std::string url, table;
  std::optional<std::string> key; // this row alone
  std::string where;              // a condition as JSON; empty: all
  std::string rate;               // as "2/s"; empty: as it comes
  bool json = false;
  std::uint64_t count = 0;             // ends after so many lines; 0: never
  std::chrono::seconds start_time{60}; // for a node that answers, but is not ready yet
  std::string ca_file;
  std::string token_file;
};

int tail(const tail_options& options);

} // namespace weir::cli
