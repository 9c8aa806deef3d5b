// A topology file as checked and resolved: what a node is asked to do. Built by runtime/config; plain data.
#pragma once

#include "proto/condition.hpp"

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace weir {

using duration = std::chrono::milliseconds;

// As a topology file would say it: "10s", "1500ms".
std::string to_text(duration d);

struct kafka_config {
  std::string brokers = "embedded";
  std::string group; // default: the topology's name; each source reads as "<group>.<source>"
  std::vector<std::pair<std::string, std::string>>
      properties; // handed to librdkafka as they are, after weir's defaults
  bool embedded() const { return brokers == "embedded"; }
};

struct redis_config {
  std::string url = "embedded"; // redis:// rediss:// unix:// or "embedded"
  std::string username, password;
  std::uint32_t connections = 2; // writer links
  std::string ca_file;           // for rediss://; empty: the system's
  bool embedded() const { return url == "embedded"; }
};

// A key that tokens are verified with; checked, so that one of the two holds, and fits the algorithm.
struct jwt_key_config {
  std::string kid;        // empty: for tokens that name none
  std::string alg;        // HS256, RS256 or ES256
  std::string secret;     // HS256: its bytes
  std::string public_key; // RS256, ES256: PEM
};

struct jwt_config {
  std::vector<jwt_key_config> keys;
  std::string jwks_file;        // empty: none
  std::string audience, issuer; // empty: not said
  duration leeway{30'000};      // for exp and nbf, at most a minute
  bool metrics_public = false;  // /metrics without a token
};

// What clients may take. Defaults are those of a node of some cores and gigabytes.
struct http_limits {
  std::uint32_t connections = 16'000;         // in all, WebSockets included
  std::uint32_t connections_per_address = 0;  // of an IPv4 address or an IPv6 /64; 0: no limit
  std::uint32_t subscriptions = 256;          // of a session
  std::uint64_t message_bytes = 64 << 10;     // of a client's message
  std::uint32_t commands_per_second = 100;    // of a session; ten times as many at once
  std::uint32_t upgrades_per_second = 2'000;  // new sessions of the node; twice as many at once
  std::uint64_t session_bytes_per_second = 0; // to a session, answers not counted against it; 0: no limit
  duration handshake{10'000};                 // TLS handshake; a request's whole head
  duration connect{10'000};                   // from the handshake to the command connect
  duration stall{30'000};                     // a socket that takes nothing
};

struct http_config {
  std::string host = "127.0.0.1";
  std::uint16_t port = 8080;
  std::vector<std::string> origins; // further allowed values of Origin; the listener's own host is always allowed
  std::string auth;                 // "none": said explicitly; empty: not said
  std::optional<jwt_config> jwt;    // else nobody has to authenticate
  std::string certificate_file, key_file;
  http_limits limits;
  bool compression = false; // permessage-deflate for clients that offer it
  bool tls() const { return !certificate_file.empty(); }
  bool loopback() const; // host is a loopback address
};

enum class start_at { earliest, latest };

struct source_config {
  std::string name, topic;
  start_at start = start_at::earliest;
  std::string dead_letter; // empty: dead letters are counted and logged only
  std::uint64_t max_record_bytes = 1 << 20;
};

enum class table_kind { latest, aggregate, log };

// Who may read a table: everybody ("public"), whoever has a good token, or whom the token's claims name.
enum class table_access { everybody, authenticated, claims };

// Those after `last` are of jobs alone.
enum class function { count, sum, min, max, avg, first, last, var, stddev, rate, distinct, top, percentile };

struct aggregate_field {
  std::string name;
  function fn = function::count;
  std::string pointer;        // empty for count, and for a rate of records
  std::uint64_t argument = 0; // top: how many values; percentile: in millionths of a percent (p99.9: 99'900'000)
};

struct table_config {
  std::string name;
  std::string from; // a source's name, or "job:<name>"
  table_kind kind = table_kind::latest;
  std::string key; // pointer; empty: the Kafka record key
  std::vector<std::pair<std::string, std::string>>
      select;                          // field name -> pointer, in the file's order; empty: the record as it is
  std::vector<aggregate_field> fields; // aggregate
  condition where;
  std::optional<duration> ttl; // latest
  std::string time; // log: pointer to the event time (milliseconds, or RFC 3339 text); empty: Kafka's timestamp
  std::optional<duration> keep_age;      // log
  std::uint64_t keep_count = 100'000;    // log, all partitions together
  std::uint64_t expected_rows = 100'000; // latest and aggregate: sizes the buckets
  std::uint64_t max_view_bytes = 1ull << 30;
  // The least time between two changes of one key to a subscriber; a log: between two messages. None: no limit.
  std::optional<duration> max_rate;
  table_access access = table_access::everybody; // resolved: by default `claims` where tokens are asked for
  // Over kind, key, select, where, fields: what a row's value depends on. Hex; a stored table with another one is
  // refused.
  std::string fingerprint;
  std::string canonical; // the text the fingerprint is taken over, to name differences

  bool from_job() const { return from.starts_with("job:"); }
};

// Fire times that nobody was there for: run the newest of them, all of them, or none.
enum class missed_policy { once, all, skip };
// Fire times that pass while the job is running: over, or the newest of them runs when it has ended.
enum class overlap_policy { skip, queue };

// Of a job that runs on changes of the table it reads.
struct change_trigger {
  duration dirty_for{5'000};            // it runs so long after the first change that its last run has not seen
  std::optional<std::uint64_t> changes; // or as soon as there were so many
};

// A step of a job that the program brings (include/weir/extension.hpp).
struct custom_step {
  std::string name;          // empty: none
  std::string config = "{}"; // one JSON object
  explicit operator bool() const { return !name.empty(); }
};

struct job_config {
  std::string name;
  // When it runs: at most one of every, cron and change; none of them and no `after`: on demand only.
  std::optional<duration> every;
  std::string cron, zone = "UTC"; // runtime/batch/cron.hpp
  std::optional<change_trigger> change;
  std::vector<std::string> after; // each of these jobs has completed another execution
  missed_policy missed = missed_policy::once;
  overlap_policy overlap = overlap_policy::skip;
  duration jitter{0};
  std::string read_table; // empty: a custom reader
  custom_step reader, processor, writer;
  std::optional<duration> last;                            // window of a log by event time, up to the fire time
  std::optional<duration> window;                          // the newest of these that is over, aligned to 1970
  duration lateness{0};                                    // after its end
  std::vector<std::pair<std::string, std::string>> derive; // field -> expression, in the file's order
  std::map<std::string, scalar> parameters;                // by name: what they are where a run says nothing else
  condition where;
  std::vector<std::string> group_by; // pointers; none: one group, key "all"
  std::vector<aggregate_field> fields;
  std::string write_table, write_topic;    // one of them, or the writer, is there
  bool replace = false;                    // of the table: rows that the result has not, go
  bool exactly_once = false;               // into the topic: one transaction for each result
  std::uint32_t chunk = 5'000;             // rows of the result in one transaction
  std::string dead_letter;                 // topic of rows that can't be used; empty: they are only counted
  std::uint64_t throttle = 250'000;        // rows read a second, of one execution; 0: as fast as it goes
  std::optional<std::uint64_t> skip_limit; // of unusable rows; more, and the execution fails. None: no limit
  std::uint32_t retries = 3;               // of an execution, after errors that pass by themselves
  duration deadline{600'000};              // of an execution
  std::string fingerprint;                 // over all that a result depends on. Hex
};

// When a job runs, for people: "every 10s", "cron */5 * * * * (Europe/Berlin)", "on change", "after a, b", "on demand".
std::string trigger_text(const job_config& job);

// Of the node that schedules.
struct scheduler_settings {
  duration lease{3'000}; // a dead node's executions go on after this, at twice this at the latest
};

// A part that `check` accepts and `run` refuses for now: where it stands, and what it is.
struct unavailable_part {
  std::string pointer;
  std::string what;
};

struct topology {
  std::string name;
  kafka_config kafka;
  redis_config redis;
  http_config http;
  std::map<std::string, source_config> sources;
  std::map<std::string, table_config> tables;
  std::map<std::string, job_config> jobs;
  scheduler_settings scheduler;
  std::vector<unavailable_part> unavailable;
  std::string masked_json; // the file as resolved, secrets masked, for /api/v1/topology
};

} // namespace weir
