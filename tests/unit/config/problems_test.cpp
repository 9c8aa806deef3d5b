// Problems that lie between the parts of a topology, and how several are told.
#include "tests/unit/config/problems.hpp"

namespace weir::config_test {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(topology_parts, the_good_one_has_no_problems) { EXPECT_THAT(lines(load(parts{}.text()).problems), IsEmpty()); }

TEST(topology_parts, an_embedded_broker_does_not_go_with_an_external_redis) {
  parts p;
  p.kafka = R"({"brokers": "embedded"})";
  EXPECT_THAT(lines(load(p.text()).problems),
              ElementsAre("t:3:18: /redis/url: an embedded broker with an external Redis: the broker's offsets start "
                          "again with each run, and Redis would "
                          "keep the old ones; name your brokers in kafka.brokers, or say \"embedded\" here too"));
  p.kafka = "{}"; // the default is embedded as well
  EXPECT_EQ(load(p.text()).problems.size(), 1u);
  p.redis = R"({"url": "embedded"})";
  EXPECT_THAT(lines(load(p.text()).problems), IsEmpty());
  p.kafka = R"({"brokers": "k:9092"})";
  EXPECT_THAT(lines(load(p.text()).problems), IsEmpty());
}

TEST(topology_parts, a_table_cannot_repeat_several_group_fields) {
  parts p;
  p.tables = R"({"t": {"from": "s", "kind": "latest"}, "o": {"from": "job:j", "kind": "latest", "key": "/a"}})";
  p.jobs =
      R"({"j": {"every": "1s", "read": "t", "group_by": ["/a", "/b"], "fields": {"n": "count"}, "write": {"table": "o"}}})";
  EXPECT_THAT(lines(load(p.text()).problems),
              ElementsAre(::testing::HasSubstr("rows of the job 'j' are keyed by its 'group_by'; remove the key")));
  p.jobs =
      R"({"j": {"every": "1s", "read": "t", "group_by": ["/a"], "fields": {"n": "count"}, "write": {"table": "o"}}})";
  EXPECT_THAT(lines(load(p.text()).problems), IsEmpty());
}

TEST(topology_parts, a_job_without_write_writes_nowhere) {
  parts p;
  p.jobs = R"({"j": {"every": "1s", "read": {"table": "l"}, "fields": {"n": "count"}}})";
  EXPECT_THAT(lines(load(p.text()).problems), ElementsAre("t:8:15: /jobs/j: the job writes nowhere; add \"write\": "
                                                          "{\"table\": \"a table\"} or {\"topic\": \"a topic\"}"));
}

TEST(topology_parts, a_table_from_a_job_that_writes_only_a_topic_is_told_so) {
  parts p;
  p.jobs = R"({"j": {"every": "1s", "read": {"table": "l"}, "fields": {"n": "count"}, "write": {"topic": "out"}}})";
  EXPECT_THAT(
      lines(load(p.text()).problems),
      ElementsAre(
          "t:7:99: /tables/o/from: the job 'j' does not write this table; add \"table\": \"o\" to the job's 'write'"));
}

TEST(topology_parts, a_problem_is_one_line_whatever_the_file_holds) {
  EXPECT_THAT(lines(load(R"({"topology": "x", "a\nb\u001b[31m": 1})").problems),
              ElementsAre(::testing::StartsWith("t:1:19: /a\\u000ab\\u001b[31m: unknown key 'a\\u000ab\\u001b[31m'")));
}

TEST(topology_parts, the_name_is_required_and_has_no_braces_or_colons) {
  EXPECT_THAT(lines(load("{}").problems), ElementsAre("t:1:1: 'topology' is missing; add \"topology\": \"a name\" (it "
                                                      "names the keys in Redis and the consumer group)"));
  EXPECT_THAT(
      lines(load(R"({"topology": "a:{b}"})").problems),
      ElementsAre(
          "t:1:14: /topology: 'a:{b}' is no name of a topology; use letters, digits and . _ - in it, at most 128"));
}

TEST(topology_parts, a_circle_of_jobs_is_named_once_with_all_its_jobs) {
  const auto result = load(R"({"topology": "x", "tables": {
    "a": {"from": "job:one", "kind": "latest"},
    "b": {"from": "job:two", "kind": "latest"},
    "c": {"from": "job:three", "kind": "latest"}},
    "jobs": {
      "one":   {"on": "demand", "read": "c", "fields": {"n": "count"}, "write": {"table": "a"}},
      "two":   {"on": "demand", "read": "a", "fields": {"n": "count"}, "write": {"table": "b"}},
      "three": {"on": "demand", "after": "two", "read": "b", "fields": {"n": "count"}, "write": {"table": "c"}},
      "four":  {"on": "demand", "read": "c", "fields": {"n": "count"}, "write": {"topic": "z"}}}})");
  EXPECT_THAT(lines(result.problems), ElementsAre("t:6:41: /jobs/one: the jobs go in a circle: one -> two -> three -> "
                                                  "one; let one of them read or write something else"));
}

TEST(topology_parts, a_circle_by_way_of_after_alone_is_one_too) {
  const auto result = load(
      R"({"topology": "x", "sources": {"s": {"topic": "in"}}, "tables": {"t": {"from": "s", "kind": "latest"}}, "jobs": {
      "one": {"after": "two", "read": "t", "fields": {"n": "count"}, "write": {"topic": "a"}},
      "two": {"after": "one", "read": "t", "fields": {"n": "count"}, "write": {"topic": "b"}}}})");
  ASSERT_EQ(result.problems.size(), 1u) << joined(result.problems);
  EXPECT_EQ(result.problems[0].what, "the jobs go in a circle: one -> two -> one");
}

TEST(topology_parts, all_problems_come_in_one_run_in_the_order_of_the_file) {
  const auto result = load(R"({
  "topology": "x",
  "kafka": {"brokers": "k:1", "properties": {"group.id": "g"}},
  "redis": {"url": "tcp://r", "connections": 0},
  "http": {"listen": "0.0.0.0:80", "origins": ["x"]},
  "sources": {"s": {"topic": "a", "strt": "latest"}},
  "tables": {
    "totals": {"from": "ss", "kind": "aggregate",
      "fields": {
        "cpu_max": {"maxx": "/cpu"},
        "n": "cnt"}},
    "B": {"from": "s", "kind": "log", "keep": {"age": "1x"}}
  },
  "jobs": {"j": {"every": "1s", "read": "nope", "write": {}}}
})");
  std::vector<std::string> pointers;
  std::vector<int> at;
  for (const auto& p : result.problems) {
    pointers.push_back(p.pointer);
    at.push_back(p.line);
  }
  EXPECT_THAT(pointers, ElementsAre("/kafka/properties/group.id", "/redis/url", "/redis/connections", "/http/listen",
                                    "/http/origins/0", "/sources/s/strt", "/tables/totals/from",
                                    "/tables/totals/fields/cpu_max", "/tables/totals/fields/n", "/tables/B",
                                    "/tables/B/keep/age", "/jobs/j", "/jobs/j/read", "/jobs/j/write"));
  EXPECT_THAT(at, ElementsAre(3, 4, 4, 5, 5, 6, 8, 10, 11, 12, 12, 14, 14, 14));
  EXPECT_EQ(to_string(result.problems[7]),
            "t:10:21: /tables/totals/fields/cpu_max: unknown function 'maxx'; did you mean 'max'?");
}

} // namespace
} // namespace weir::config_test
