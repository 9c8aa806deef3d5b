// What a good file becomes.
#include "tests/unit/config/fixture.hpp"

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

namespace weir::config_test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

// The format's description, as its page shows it.
constexpr std::string_view page_example = R"({
  "$schema": "../proto/topology.schema.json",
  "topology": "fleet",                                  // names the keys in Redis and the default consumer group

  "kafka": { "brokers": "${KAFKA_BROKERS:-embedded}",   // "embedded": an in-process broker for trying things out
             "group": "fleet",
             "properties": { "security.protocol": "SASL_SSL" } },          // any librdkafka property, passed through
  "redis": { "url": "${REDIS_URL:-embedded}",           // "embedded": a private redis-server child process
             "connections": 2 },
  "http":  { "listen": "127.0.0.1:8080" },

  "sources": {
    "readings": { "topic": "readings", "format": "json", "start": "earliest",
                  "dead_letter": "readings.dead" }
  },

  "tables": {
    "machines": { "from": "readings", "kind": "latest",
                  "key": "/machine",                    // without it, the Kafka record key
                  "select": { "cpu": "/cpu", "temp": "/sensors/temp" },    // without it, the record as it is
                  "ttl": "1h" },
    "totals":   { "from": "readings", "kind": "aggregate", "key": "/site",
                  "fields": { "n": "count", "cpu_max": { "max": "/cpu" }, "cpu_avg": { "avg": "/cpu" } } },
    "history":  { "from": "readings", "kind": "log", "time": "/ts",        // without it, the Kafka timestamp
                  "where": { "/temp": { "gt": 0 }, "/site": { "in": ["a", "b"] } },
                  "keep": { "age": "1h", "count": 1000000 } },
    "by_site":  { "from": "job:rollup", "kind": "latest", "max_rate": "5/s" }
  },

  "jobs": {
    "rollup": { "every": "10s",                         // or "cron": "*/5 * * * *", or "on": "demand"
                "read": { "table": "history", "last": "1m" },              // or a whole table
                "where": { "/cpu": { "gte": 0 } },
                "group_by": "/site",
                "fields": { "n": "count", "cpu_avg": { "avg": "/cpu" }, "cpu_p99": { "p99": "/cpu" } },
                "write": { "table": "by_site", "topic": "site-rollups" },
                "chunk": 1000, "skip_limit": 100, "retries": 3, "missed": "once" }
  }
})";

std::vector<std::string> pointers(const topology& t) {
  std::vector<std::string> out;
  for (const auto& u : t.unavailable)
    out.push_back(u.pointer);
  return out;
}

TEST(load, limits_of_http_are_taken_and_the_others_keep_their_defaults) {
  const auto r = load(minimal, {},
                      {"http.limits.connections=5", "http.limits.session_bytes_per_second=16KiB",
                       "http.limits.stall=3s", "http.compression=true"});
  ASSERT_TRUE(r.ok()) << joined(r.problems);
  EXPECT_EQ(r.value.http.limits.connections, 5u);
  EXPECT_EQ(r.value.http.limits.session_bytes_per_second, 16u << 10);
  EXPECT_EQ(r.value.http.limits.stall, std::chrono::seconds(3));
  EXPECT_EQ(r.value.http.limits.connect, std::chrono::seconds(10));
  EXPECT_EQ(r.value.http.limits.commands_per_second, 100u);
  EXPECT_TRUE(r.value.http.compression);
}

TEST(a_good_topology, may_be_very_small) {
  const auto r = load(minimal);
  ASSERT_TRUE(r.ok()) << joined(r.problems);
  const auto& t = r.value;
  EXPECT_EQ(t.name, "x");
  EXPECT_EQ(t.kafka.group, "x");
  EXPECT_TRUE(t.kafka.embedded());
  EXPECT_TRUE(t.redis.embedded());
  EXPECT_EQ(t.redis.connections, 2u);
  EXPECT_EQ(t.http.host, "127.0.0.1");
  EXPECT_EQ(t.http.port, 8080);
  EXPECT_TRUE(t.http.loopback());
  EXPECT_EQ(t.sources.at("s").topic, "t");
  EXPECT_EQ(t.sources.at("s").start, start_at::earliest);
  EXPECT_EQ(t.sources.at("s").max_record_bytes, 1u << 20);
  EXPECT_EQ(t.tables.at("t").from, "s");
  EXPECT_EQ(t.tables.at("t").kind, table_kind::latest);
  EXPECT_TRUE(t.unavailable.empty());
}

TEST(a_good_topology, fills_every_field) {
  const auto r = load(page_example);
  ASSERT_TRUE(r.ok()) << joined(r.problems);
  const auto& t = r.value;
  EXPECT_EQ(t.kafka.group, "fleet");
  EXPECT_THAT(t.kafka.properties, ElementsAre(Pair("security.protocol", "SASL_SSL")));
  const auto& s = t.sources.at("readings");
  EXPECT_EQ(s.name, "readings");
  EXPECT_EQ(s.dead_letter, "readings.dead");
  const auto& machines = t.tables.at("machines");
  EXPECT_EQ(machines.name, "machines");
  EXPECT_EQ(machines.key, "/machine");
  EXPECT_THAT(machines.select, ElementsAre(Pair("cpu", "/cpu"), Pair("temp", "/sensors/temp")));
  EXPECT_EQ(machines.ttl, duration{3'600'000});
  const auto& totals = t.tables.at("totals");
  EXPECT_EQ(totals.kind, table_kind::aggregate);
  ASSERT_EQ(totals.fields.size(), 3u);
  EXPECT_EQ(totals.fields[0].fn, function::count);
  EXPECT_EQ(totals.fields[1].name, "cpu_max");
  EXPECT_EQ(totals.fields[1].fn, function::max);
  EXPECT_EQ(totals.fields[2].fn, function::avg);
  EXPECT_EQ(totals.fields[2].pointer, "/cpu");
  const auto& history = t.tables.at("history");
  EXPECT_EQ(history.kind, table_kind::log);
  EXPECT_EQ(history.time, "/ts");
  EXPECT_EQ(history.keep_age, duration{3'600'000});
  EXPECT_EQ(history.keep_count, 1'000'000u);
  ASSERT_EQ(history.where.all.size(), 2u);
  EXPECT_EQ(history.where.all[0].op, comparison::gt);
  EXPECT_EQ(history.where.all[1].op, comparison::in);
  EXPECT_TRUE(t.tables.at("by_site").from_job());
  const auto& job = t.jobs.at("rollup");
  EXPECT_EQ(job.every, duration{10'000});
  EXPECT_EQ(job.read_table, "history");
  EXPECT_EQ(job.last, duration{60'000});
  EXPECT_THAT(job.group_by, ElementsAre("/site"));
  EXPECT_EQ(job.where.all.at(0).op, comparison::gte);
  EXPECT_EQ(job.write_table, "by_site");
  EXPECT_EQ(job.write_topic, "site-rollups");
  ASSERT_EQ(job.fields.size(), 3u);
  EXPECT_EQ(job.fields[2].fn, function::percentile);
  EXPECT_EQ(job.fields[2].argument, 99'000'000u);
}

TEST(a_good_topology, has_all_its_parts_there) { EXPECT_THAT(pointers(load(page_example).value), ElementsAre()); }

TEST(a_good_topology, says_what_a_job_computes) {
  const auto r =
      load(R"({"topology": "x", "sources": {"s": {"topic": "t"}}, "tables": {"a": {"from": "s", "kind": "latest"}},
    "jobs": {"j": {"on": "demand", "read": "a", "write": {"topic": "t2"}, "fields": {
      "a": {"first": "/x"}, "b": {"last": "/x"}, "c": {"var": "/x"}, "d": {"stddev": "/x"}, "e": "rate", "f": {"rate": "/x"},
      "g": {"distinct": "/x"}, "h": {"top": "/x"}, "i": {"top3": "/x"}, "j": {"top100": "/x"}, "k": {"p50": "/x"},
      "l": {"p99.9": "/x"}, "m": {"p0.000001": "/x"}, "n": {"p99.999999": "/x"}, "o": {"p05.50": "/x"}}}}})");
  ASSERT_TRUE(r.ok()) << joined(r.problems);
  EXPECT_TRUE(r.value.unavailable.empty());
  using f = function;
  const std::vector<std::pair<function, std::uint64_t>> wanted{{f::first, 0},
                                                               {f::last, 0},
                                                               {f::var, 0},
                                                               {f::stddev, 0},
                                                               {f::rate, 0},
                                                               {f::rate, 0},
                                                               {f::distinct, 0},
                                                               {f::top, 10},
                                                               {f::top, 3},
                                                               {f::top, 100},
                                                               {f::percentile, 50'000'000},
                                                               {f::percentile, 99'900'000},
                                                               {f::percentile, 1},
                                                               {f::percentile, 99'999'999},
                                                               {f::percentile, 5'500'000}};
  const auto& fields = r.value.jobs.at("j").fields;
  ASSERT_EQ(fields.size(), wanted.size());
  for (std::size_t i = 0; i < fields.size(); ++i) {
    EXPECT_EQ(fields[i].fn, wanted[i].first) << fields[i].name;
    EXPECT_EQ(fields[i].argument, wanted[i].second) << fields[i].name;
    EXPECT_EQ(fields[i].pointer, fields[i].name == "e" ? "" : "/x");
  }
}

TEST(a_good_topology, keeps_derived_fields_in_the_order_of_the_file) {
  const auto r =
      load(R"x({"topology": "x", "sources": {"s": {"topic": "t"}}, "tables": {"a": {"from": "s", "kind": "latest"}},
    "jobs": {"j": {"on": "demand", "read": "a", "write": {"topic": "t2"}, "fields": {"n": "count"}, "group_by": ["/z", "/b"],
      "derive": {"z": "/a / 2", "b": "/z + coalesce(/b, 1)"}}}})x");
  ASSERT_TRUE(r.ok()) << joined(r.problems);
  EXPECT_TRUE(r.value.unavailable.empty());
  EXPECT_THAT(r.value.jobs.at("j").derive, ElementsAre(Pair("z", "/a / 2"), Pair("b", "/z + coalesce(/b, 1)")));
  EXPECT_THAT(r.value.jobs.at("j").group_by, ElementsAre("/z", "/b"));
}

TEST(a_good_topology, says_how_a_job_runs) {
  const auto r = load(R"({"topology": "x", "scheduler": {"lease": "2s"}, "sources": {"s": {"topic": "t"}}, "tables": {
      "a": {"from": "s", "kind": "latest"}, "b": {"from": "job:j", "kind": "latest"}},
    "jobs": {"j": {"every": "1s", "missed": "all", "read": "a", "fields": {"n": "count"}, "chunk": 7, "skip_limit": 0, "retries": 9,
                   "deadline": "90s", "write": {"table": "b", "replace": true}},
             "k": {"on": "demand", "read": "a", "fields": {"n": "count"}, "write": {"topic": "t2"}}}})");
  ASSERT_TRUE(r.ok()) << joined(r.problems);
  EXPECT_TRUE(r.value.unavailable.empty());
  EXPECT_EQ(r.value.scheduler.lease, duration{2'000});
  const auto& j = r.value.jobs.at("j");
  EXPECT_EQ(j.missed, missed_policy::all);
  EXPECT_EQ(j.chunk, 7u);
  EXPECT_EQ(j.skip_limit, std::uint64_t{0});
  EXPECT_EQ(j.retries, 9u);
  EXPECT_EQ(j.deadline, duration{90'000});
  EXPECT_TRUE(j.replace);
  const auto& k = r.value.jobs.at("k");
  EXPECT_EQ(k.missed, missed_policy::once);
  EXPECT_FALSE(k.skip_limit);
  EXPECT_FALSE(k.replace);
  // What a result depends on tells jobs apart, their names and triggers do not.
  EXPECT_EQ(j.fingerprint, k.fingerprint);
  EXPECT_EQ(j.fingerprint.size(), 16u);
}

TEST(a_good_topology, later_parts_are_valid_and_all_named) {
  const auto r = load(R"({"topology": "x", "sources": {"s": {"topic": "t"}}, "tables": {
      "a": {"from": "s", "kind": "latest"},
      "b": {"from": "s", "kind": "aggregate", "fields": {"f": {"first": "/x"}, "l": {"last": "/x"}, "v": {"var": "/x"}, "p": {"p50": "/x"}}},
      "c": {"from": "job:cron", "kind": "log", "keep": {"count": 5}}, "d": {"from": "job:change", "kind": "latest", "ttl": "1h"}},
    "jobs": {
      "cron": {"cron": "*/5 1-3,7 * jan-MAR sun", "read": "a", "fields": {"n": "count"}, "write": {"table": "c"}},
      "change": {"on": "change", "read": "a", "fields": {"n": "count"}, "write": {"table": "d", "replace": true}},
      "next": {"after": ["cron", "change"], "read": "a", "fields": {"n": "count"}, "write": {"topic": "out"}}}})");
  ASSERT_TRUE(r.ok()) << joined(r.problems);
  EXPECT_THAT(pointers(r.value), ::testing::UnorderedElementsAre("/tables/b/fields/v", "/tables/b/fields/p",
                                                                 "/tables/c/kind", "/tables/c/keep", "/tables/d/ttl"));
  for (const auto& u : r.value.unavailable)
    EXPECT_FALSE(u.what.empty()) << u.pointer;
}

TEST(a_good_topology, has_the_least_time_between_two_changes_of_a_key) {
  const auto r = load(R"({"topology": "x", "sources": {"s": {"topic": "t"}}, "tables": {
      "a": {"from": "s", "kind": "latest", "max_rate": "5/s"}, "b": {"from": "s", "kind": "log", "max_rate": "30/m"},
      "c": {"from": "s", "kind": "latest"}}})");
  ASSERT_TRUE(r.ok()) << joined(r.problems);
  EXPECT_TRUE(r.value.unavailable.empty());
  EXPECT_EQ(r.value.tables.at("a").max_rate, duration{200});
  EXPECT_EQ(r.value.tables.at("b").max_rate, duration{2000});
  EXPECT_EQ(r.value.tables.at("c").max_rate, std::nullopt);
}

TEST(a_good_topology, on_demand_and_a_whole_table_are_there) {
  const auto r =
      load(R"({"topology": "x", "sources": {"s": {"topic": "t"}}, "tables": {"a": {"from": "s", "kind": "latest"}},
    "jobs": {"j": {"on": "demand", "read": {"table": "a"}, "fields": {"n": "count", "s": {"sum": "/x"}}, "write": {"topic": "out"}}}})");
  ASSERT_TRUE(r.ok()) << joined(r.problems);
  EXPECT_TRUE(r.value.unavailable.empty());
  EXPECT_EQ(r.value.jobs.at("j").every, std::nullopt);
  EXPECT_EQ(r.value.jobs.at("j").last, std::nullopt);
}

TEST(a_good_topology, every_form_of_a_redis_and_a_listener) {
  for (const auto* url : {"redis://r", "redis://r:6380/2", "rediss://u:p@r", "unix:///run/redis.sock?db=1",
                          "redis://[::1]:6379", "redis://:p%40@r/"}) {
    const auto r = load(R"({"topology": "x", "kafka": {"brokers": "a:1, PLAINTEXT://b:2,c"}})", {},
                        {std::string("redis.url=") + url});
    EXPECT_TRUE(r.ok()) << url << "\n" << joined(r.problems);
    EXPECT_EQ(r.value.redis.url, url);
  }
  for (const auto* listen : {"127.0.0.1:0", "127.8.8.8:80", "[::1]:80", "localhost:80", "[::ffff:127.0.0.1]:80"})
    EXPECT_TRUE(load(minimal, {}, {std::string("http.listen=") + listen}).ok()) << listen;
  for (const auto* listen :
       {"0.0.0.0:80", "[::]:80", "10.0.0.1:80", "example.org:80", "[::ffff:10.0.0.1]:80", "127.0.0.1.example.org:80"}) {
    EXPECT_FALSE(load(minimal, {}, {std::string("http.listen=") + listen}).ok()) << listen;
    const auto r = load(minimal, {}, {std::string("http.listen=") + listen, "http.auth=none"});
    EXPECT_TRUE(r.ok()) << joined(r.problems);
    EXPECT_EQ(r.value.http.auth, "none");
  }
}

TEST(a_good_topology, a_listener_takes_files_for_tls_from_the_topology_s_folder) {
  const folder f;
  f.write("c.pem", "x");
  f.write("k.pem", "x");
  const auto file =
      f.write("t.json", R"({"topology": "x", "http": {"tls": {"certificate": "c.pem", "key": "k.pem"}}})");
  const auto r = load_topology_file(file, with({}));
  ASSERT_TRUE(r.ok()) << joined(r.problems);
  EXPECT_TRUE(r.value.http.tls());
  EXPECT_EQ(r.value.http.certificate_file, (f.path() / "c.pem").string());
  EXPECT_EQ(r.value.http.key_file, (f.path() / "k.pem").string());
}

TEST(fingerprint, is_of_the_definition_and_of_nothing_else) {
  const auto of = [](std::string_view rest) {
    const auto r = load(R"({"topology": "x", "sources": {"s": {"topic": "t"}}, "tables": {"t": {"from": "s", )" +
                        std::string(rest) + "}}}");
    EXPECT_TRUE(r.problems.empty()) << joined(r.problems);
    return r.value.tables.at("t").fingerprint;
  };
  const auto base =
      of(R"("kind": "latest", "key": "/k", "select": {"a": "/a"}, "where": {"/a": 1, "/b": {"in": [1, 2]}})");
  EXPECT_THAT(base, ::testing::MatchesRegex("[0-9a-f]{16}"));
  // What does not matter to a row's value.
  EXPECT_EQ(
      base,
      of(R"("where": {"/b": {"in": [1, 2]}, "/a": {"eq": 1}}, "select": {"a": "/a"}, "key": "/k", "kind": "latest", "ttl": "1h")"));
  EXPECT_EQ(
      base,
      of(R"("kind": "latest", "key": "/k", "select": {"a": "/a"}, "where": {"/a": 1, "/b": {"in": [1, 2]}}, "max_rate": "1/s", "access": "public",
                        "max_view_bytes": 5, "expected_rows": 100000)"));
  // What does.
  EXPECT_NE(base,
            of(R"("kind": "latest", "key": "/K", "select": {"a": "/a"}, "where": {"/a": 1, "/b": {"in": [1, 2]}})"));
  EXPECT_NE(base, of(R"("kind": "latest", "select": {"a": "/a"}, "where": {"/a": 1, "/b": {"in": [1, 2]}})"));
  EXPECT_NE(base,
            of(R"("kind": "latest", "key": "/k", "select": {"b": "/a"}, "where": {"/a": 1, "/b": {"in": [1, 2]}})"));
  EXPECT_NE(base, of(R"("kind": "latest", "key": "/k", "where": {"/a": 1, "/b": {"in": [1, 2]}})"));
  EXPECT_NE(base,
            of(R"("kind": "latest", "key": "/k", "select": {"a": "/a"}, "where": {"/a": "1", "/b": {"in": [1, 2]}})"));
  EXPECT_NE(base, of(R"("kind": "latest", "key": "/k", "select": {"a": "/a"}, "where": {"/a": 1})"));
  EXPECT_NE(
      base,
      of(R"("kind": "latest", "key": "/k", "select": {"a": "/a"}, "where": {"/a": 1, "/b": {"in": [1, 2]}}, "expected_rows": 5)"));
  EXPECT_NE(of(R"("kind": "aggregate", "fields": {"a": {"max": "/a"}})"),
            of(R"("kind": "aggregate", "fields": {"a": {"min": "/a"}})"));
  EXPECT_NE(of(R"("kind": "log")"), of(R"("kind": "log", "time": "/ts")"));
  EXPECT_EQ(of(R"("kind": "log")"), of(R"("kind": "log", "keep": {"age": "1h", "count": 7})"));
}

TEST(fingerprint, of_a_job_is_of_what_its_result_depends_on) {
  const auto of = [](std::string_view rest) {
    const auto r =
        load(R"({"topology": "x", "sources": {"s": {"topic": "t"}}, "tables": {"a": {"from": "s", "kind": "latest"}},
      "jobs": {"j": {"on": "demand", "read": "a", "write": {"topic": "t2"}, )" +
             std::string(rest) + "}}}");
    EXPECT_TRUE(r.problems.empty()) << joined(r.problems);
    return r.value.jobs.at("j").fingerprint;
  };
  const auto base = of(R"("fields": {"p": {"p50": "/x"}, "t": {"top": "/x"}})");
  EXPECT_EQ(base, of(R"("fields": {"p": {"p50.00": "/x"}, "t": {"top10": "/x"}})"));
  EXPECT_NE(base, of(R"("fields": {"p": {"p50.1": "/x"}, "t": {"top10": "/x"}})"));
  EXPECT_NE(base, of(R"("fields": {"p": {"p50": "/x"}, "t": {"top9": "/x"}})"));
  EXPECT_NE(base, of(R"("group_by": "/g", "fields": {"p": {"p50": "/x"}, "t": {"top": "/x"}})"));
  EXPECT_EQ(of(R"("group_by": "/g", "fields": {"n": "count"})"), of(R"("group_by": ["/g"], "fields": {"n": "count"})"));
  EXPECT_NE(of(R"("group_by": ["/g", "/h"], "fields": {"n": "count"})"),
            of(R"("group_by": ["/h", "/g"], "fields": {"n": "count"})"));
  EXPECT_NE(of(R"("derive": {"a": "1", "b": "2"}, "fields": {"n": "count"})"),
            of(R"("derive": {"b": "2", "a": "1"}, "fields": {"n": "count"})"));
  EXPECT_NE(of(R"("derive": {"a": "1"}, "fields": {"n": "count"})"), of(R"("fields": {"n": "count"})"));
  // Executions that an earlier release began go on.
  EXPECT_EQ(of(R"("group_by": "/g", "fields": {"n": "count", "m": {"max": "/x"}})"), "dd27f93760e5863f");
}

TEST(fingerprint, stays_the_same_in_every_release) {
  // Stored in Redis: a change here refuses every stored table.
  const auto r = load(page_example);
  EXPECT_EQ(
      r.value.tables.at("totals").canonical,
      R"({"kind":"aggregate","key":"/site","fields":[["n","count"],["cpu_max","max","/cpu"],["cpu_avg","avg","/cpu"]],"expected_rows":100000})");
  EXPECT_EQ(r.value.tables.at("history").canonical,
            R"({"kind":"log","time":"/ts","where":{"all":[["/site","in","a","b"],["/temp","gt",0]]}})");
  EXPECT_EQ(r.value.tables.at("history").fingerprint, "f0af1fe25984d95c");
}

TEST(masked_json, is_the_document_as_resolved) {
  const auto r = load(R"({/* c */"topology": "${N}", "redis": {"connections": "${C}"}})", {{"N", "a"}, {"C", "3"}},
                      {"http.listen=127.0.0.1:1"});
  ASSERT_TRUE(r.ok()) << joined(r.problems);
  EXPECT_EQ(
      nlohmann::json::parse(r.value.masked_json),
      nlohmann::json::parse(R"({"topology": "a", "redis": {"connections": 3}, "http": {"listen": "127.0.0.1:1"}})"));
}

TEST(examples, check_without_a_problem) {
  const std::filesystem::path folder = std::filesystem::path(WEIR_SOURCE_DIR) / "examples";
  std::size_t seen = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() != ".jsonc")
      continue;
    ++seen;
    const auto r = load_topology_file(
        entry.path(), with({{"KAFKA_BROKERS", "k:9092"}, {"REDIS_URL", "redis://r"}, {"TOPIC", "orders"}}));
    EXPECT_TRUE(r.ok()) << joined(r.problems);
    EXPECT_THAT(pointers(r.value), ElementsAre()) << entry.path();
  }
  EXPECT_GE(seen, 3u);
  EXPECT_TRUE(load_topology_file(folder / "fleet.jsonc", with({})).ok()); // on embedded parts
}

TEST(examples, the_minimal_one_names_what_the_environment_must_give) {
  const auto r = load_topology_file(std::filesystem::path(WEIR_SOURCE_DIR) / "examples" / "own-kafka.jsonc", with({}));
  for (const auto* name : {"KAFKA_BROKERS", "REDIS_URL", "TOPIC"})
    EXPECT_THAT(joined(r.problems), HasSubstr("the environment variable " + std::string(name) + " is not set"));
}

} // namespace
} // namespace weir::config_test
