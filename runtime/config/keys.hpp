// Every name that a topology file may use, once: the checker reads this, and a test holds the JSON Schema to it.
#pragma once

#include <span>
#include <string_view>

namespace weir::config {

struct key {
  std::string_view name;
  std::string_view later = ""; // not empty: `check` knows it, `run` refuses it; what it is, for the message
};

inline constexpr key topology_keys[] = {{"$schema"}, {"topology"}, {"kafka"}, {"redis"},    {"http"},
                                        {"sources"}, {"tables"},   {"jobs"},  {"scheduler"}};
inline constexpr key scheduler_keys[] = {{"lease"}};
inline constexpr key kafka_keys[] = {{"brokers"}, {"group"}, {"properties"}};
inline constexpr key redis_keys[] = {{"url"}, {"username"}, {"password"}, {"connections"}, {"ca_file"}};
inline constexpr key http_keys[] = {{"listen"}, {"origins"}, {"auth"}, {"tls"}, {"limits"}, {"compression"}};
inline constexpr key auth_keys[] = {{"jwt"}};
inline constexpr key jwt_keys[] = {{"keys"}, {"jwks"}, {"audience"}, {"issuer"}, {"leeway"}, {"metrics"}};
inline constexpr key jwt_key_keys[] = {{"kid"}, {"alg"}, {"secret"}, {"public_key"}};
inline constexpr key limits_keys[] = {
    {"connections"},         {"connections_per_address"},  {"subscriptions"}, {"message"}, {"commands_per_second"},
    {"upgrades_per_second"}, {"session_bytes_per_second"}, {"handshake"},     {"connect"}, {"stall"}};
inline constexpr key tls_keys[] = {{"certificate"}, {"key"}};
inline constexpr key source_keys[] = {{"topic"}, {"format"}, {"start"}, {"dead_letter"}, {"max_record"}};
inline constexpr key table_keys[] = {{"from"},           {"kind"},     {"key"},   {"select"}, {"where"},
                                     {"fields"},         {"ttl"},      {"time"},  {"keep"},   {"expected_rows"},
                                     {"max_view_bytes"}, {"max_rate"}, {"access"}};
inline constexpr key keep_keys[] = {{"age"}, {"count"}};
inline constexpr key job_keys[] = {{"every"},    {"cron"},        {"on"},         {"after"},     {"missed"},
                                   {"read"},     {"where"},       {"group_by"},   {"fields"},    {"derive"},
                                   {"write"},    {"chunk"},       {"skip_limit"}, {"retries"},   {"deadline"},
                                   {"zone"},     {"jitter"},      {"overlap"},    {"dirty_for"}, {"changes"},
                                   {"throttle"}, {"dead_letter"}, {"reader"},     {"processor"}, {"parameters"}};
inline constexpr key step_keys[] = {{"name"}, {"config"}};
inline constexpr key read_keys[] = {{"table"}, {"last"}, {"window"}, {"lateness"}};
inline constexpr key write_keys[] = {{"table"}, {"topic"}, {"replace"}, {"exactly_once"}, {"custom"}};
inline constexpr key secret_file_keys[] = {{"file"}};

// Functions of `fields`, in the order of `function`. Percentiles besides these four are written alike: p75, p99.9; and
// `top` with a number: top5.
inline constexpr std::string_view functions[] = {"count",  "sum",  "min",      "max", "avg", "first", "last", "var",
                                                 "stddev", "rate", "distinct", "top", "p50", "p90",   "p95",  "p99"};
inline constexpr std::string_view comparisons[] = {"eq", "ne", "gt", "gte", "lt", "lte", "in", "prefix", "exists"};
inline constexpr std::string_view kinds[] = {"latest", "aggregate", "log"};
inline constexpr std::string_view starts[] = {"earliest", "latest"};
inline constexpr std::string_view formats[] = {"json"};
inline constexpr std::string_view accesses[] = {"public", "authenticated", "claims"};
inline constexpr std::string_view metrics_readers[] = {"admin", "public"};
inline constexpr std::string_view triggers[] = {"demand", "change"};
inline constexpr std::string_view missed_policies[] = {"once", "all", "skip"};
inline constexpr std::string_view overlap_policies[] = {"skip", "queue"};

// A definition of the schema ("" is its root) and the names it must have.
struct key_place {
  std::string_view definition;
  std::span<const key> keys;
};

inline constexpr key_place key_places[] = {{"", topology_keys},       {"kafka", kafka_keys},
                                           {"redis", redis_keys},     {"http", http_keys},
                                           {"auth", auth_keys},       {"jwt", jwt_keys},
                                           {"jwt_key", jwt_key_keys}, {"tls", tls_keys},
                                           {"limits", limits_keys},   {"source", source_keys},
                                           {"table", table_keys},     {"keep", keep_keys},
                                           {"job", job_keys},         {"scheduler", scheduler_keys},
                                           {"step", step_keys},       {"read", read_keys},
                                           {"write", write_keys},     {"secret_file", secret_file_keys}};

} // namespace weir::config
