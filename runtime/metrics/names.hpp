// Every metric of weir on one page: name (with its unit), help, labels, in the order in which registry::get takes their
// values. Prometheus' rules: counters end in _total; base units (seconds, bytes).
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string_view>

namespace weir::metrics {

template <std::size_t Labels>
struct counter_name {
  std::string_view name, help;
  std::array<std::string_view, Labels> labels{};
};

template <std::size_t Labels>
struct gauge_name {
  std::string_view name, help;
  std::array<std::string_view, Labels> labels{};
};

template <std::size_t Labels>
struct histogram_name {
  std::string_view name, help;
  std::span<const double> buckets; // upper bounds; +Inf comes by itself
  std::array<std::string_view, Labels> labels{};
};

namespace buckets {
inline constexpr double seconds[] = {0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1,
                                     0.2,    0.5,   1,     2,     5,    10,   30,   60};
inline constexpr double sizes[] = {1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000};
} // namespace buckets

namespace names {

// Ingest. source: its name in the topology.
inline constexpr counter_name<1> records_read{"weir_records_read_total", "Records taken from Kafka.", {"source"}};
inline constexpr counter_name<1> records_applied{
    "weir_records_applied_total", "Records whose transaction Redis acknowledged.", {"source"}};
// reason: not_json, no_key, too_large, ...: what the header weir.reason says, in one word.
inline constexpr counter_name<2> records_dead{
    "weir_records_dead_lettered_total", "Records sent to the dead letter topic.", {"source", "reason"}};
inline constexpr counter_name<1> duplicates_dropped{
    "weir_duplicates_dropped_total", "Records below the position, read again and dropped.", {"source"}};
inline constexpr counter_name<1> batches{"weir_batches_total", "Batches folded.", {"source"}};
inline constexpr histogram_name<1> batch_records{
    "weir_batch_records", "Records in a batch.", buckets::sizes, {"source"}};
inline constexpr gauge_name<2> batches_in_flight{
    "weir_batches_in_flight", "Batches sent to Redis and not yet acknowledged.", {"source", "partition"}};
inline constexpr gauge_name<2> lag{
    "weir_lag_records", "Records in the partition beyond the position in Redis.", {"source", "partition"}};
inline constexpr gauge_name<2> position{
    "weir_position", "Offset after the last applied record.", {"source", "partition"}};

// Redis. result: applied, already, mismatch, fenced, error.
inline constexpr counter_name<1> transactions{
    "weir_transactions_total", "Transactions on partition state by their answer.", {"result"}};
inline constexpr histogram_name<0> apply_seconds{
    "weir_apply_seconds", "From sending a transaction to its acknowledgement.", buckets::seconds, {}};
inline constexpr gauge_name<1> kafka_up{"weir_kafka_up", "1 while the brokers of the source answer.", {"source"}};
inline constexpr gauge_name<1> redis_up{"weir_redis_link_up", "1 while the link is ready.", {"link"}};
inline constexpr counter_name<1> redis_reconnects{
    "weir_redis_reconnects_total", "Connections made after the first.", {"link"}};
inline constexpr counter_name<0> rollbacks{
    "weir_redis_rollbacks_total", "Times that Redis was found to have lost acknowledged writes.", {}};

// Tables and views. table: its name in the topology.
inline constexpr gauge_name<1> table_rows{"weir_table_rows", "Rows of the table's view on this node.", {"table"}};
inline constexpr gauge_name<1> table_bytes{"weir_table_bytes", "Bytes of the table's view on this node.", {"table"}};
inline constexpr gauge_name<1> watermark_age{
    "weir_watermark_age_seconds", "Age of the version up to which the table is whole.", {"table"}};
inline constexpr counter_name<1> publications{
    "weir_publications_total", "Changes published to this node's view.", {"table"}};
inline constexpr counter_name<1> gaps{
    "weir_gaps_total", "Gaps in a table's stream of changes, healed from Redis.", {"table"}};
inline constexpr histogram_name<1> freshness{
    "weir_freshness_seconds",
    "From the Kafka timestamp of a frame's newest record to its writing, once for each session that got it.",
    buckets::seconds,
    {"table"}};

// Sessions.
inline constexpr gauge_name<0> sessions{"weir_sessions", "Clients connected.", {}};
inline constexpr gauge_name<1> subscriptions{"weir_subscriptions", "Open subscriptions.", {"table"}};
inline constexpr counter_name<1> frames{"weir_frames_total", "Frames handed to sessions' sockets.", {"table"}};
inline constexpr counter_name<0> bytes_sent{
    "weir_sent_bytes_total", "Bytes that the sockets of sessions took, compressed ones as they are sent.", {}};
inline constexpr counter_name<1> catch_ups{
    "weir_catch_ups_total", "Catch-up frames made for sessions behind the head.", {"table"}};
inline constexpr counter_name<1> conflated{
    "weir_conflated_total", "Changes never sent to a session because a newer one of the same key was.", {"table"}};
inline constexpr counter_name<1> closes{
    "weir_session_closes_total", "Sessions closed by this node, by close code.", {"code"}};

// HTTP.
inline constexpr counter_name<1> http_requests{"weir_http_requests_total", "Requests answered, by status.", {"status"}};
// reason: connections, address, upgrades, handshake, head, body, message, commands.
inline constexpr counter_name<1> refused{
    "weir_refused_total", "Clients and requests refused because a limit of http.limits was met.", {"reason"}};
inline constexpr gauge_name<0> http_connections{"weir_http_connections", "Open connections, WebSockets included.", {}};

// Tokens and permissions. reason: missing, expired, signature, denied, ...: docs/security.md lists them.
inline constexpr counter_name<1> auth_failures{
    "weir_auth_failures_total", "Tokens refused, and requests that a token does not permit.", {"reason"}};

// Jobs. status: completed, failed.
inline constexpr counter_name<2> job_runs{"weir_job_runs_total", "Finished executions by status.", {"job", "status"}};
inline constexpr histogram_name<1> job_seconds{
    "weir_job_seconds", "Duration of an execution.", buckets::seconds, {"job"}};
inline constexpr gauge_name<0> scheduling{"weir_scheduling", "1 while this node schedules the jobs.", {}};
inline constexpr counter_name<1> job_takeovers{
    "weir_job_takeovers_total", "Executions of another scheduler that this node went on with.", {"job"}};
inline constexpr counter_name<1> jobs_fenced{
    "weir_job_fenced_total",
    "Changes of executions and chunks of results refused, since another scheduler had taken over or "
    "the execution was over.",
    {"job"}};
inline constexpr counter_name<2> job_rows{
    "weir_job_rows_total", "Rows of ended executions. what: read, filtered, skipped, written.", {"job", "what"}};
inline constexpr gauge_name<1> job_slowdown{
    "weir_job_slowdown",
    "How many times slower than its throttle a job reads at present, as the node has no core to spare: 1 to 10.",
    {"job"}};
// Custom steps. step: reader, processor, writer.
inline constexpr counter_name<2> job_step_seconds{
    "weir_job_step_seconds_total", "Time spent in a job's custom steps.", {"job", "step"}};
inline constexpr counter_name<2> job_step_slow{
    "weir_job_step_slow_total", "Calls of custom steps that took longer than a second.", {"job", "step"}};
inline constexpr gauge_name<1> job_success_time{"weir_job_last_success_timestamp_seconds",
                                                "End of the last completed execution; its age is time() - this.",
                                                {"job"}};

// The process. Refreshed by the registry itself; the names without prefix are Prometheus' convention for every program.
inline constexpr gauge_name<0> process_start{"process_start_time_seconds", "Start of the process since 1970.", {}};
inline constexpr gauge_name<0> process_memory{"process_resident_memory_bytes", "Resident memory.", {}};
inline constexpr counter_name<0> process_cpu{"process_cpu_seconds_total", "User and system time used.", {}};
inline constexpr gauge_name<0> process_fds{"process_open_fds", "Open file descriptors.", {}};
inline constexpr gauge_name<1> build_info{"weir_build_info", "1; its label is the version.", {"version"}};

} // namespace names
} // namespace weir::metrics
