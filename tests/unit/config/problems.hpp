// A topology in parts, of which a test makes one bad, and what every kind of problem has in common.
#pragma once

#include "tests/unit/config/fixture.hpp"

#include <gmock/gmock.h>

namespace weir::config_test {

// One line for each part, so that the line tells which part was at fault. Line 5 is free.
struct parts {
  std::string kafka = R"({"brokers": "k:9092"})";
  std::string redis = R"({"url": "redis://r:6379"})";
  std::string http = R"({"listen": "127.0.0.1:8080"})";
  std::string more;
  std::string sources = R"({"s": {"topic": "in"}})";
  std::string tables =
      R"({"t": {"from": "s", "kind": "latest"}, "l": {"from": "s", "kind": "log"}, "o": {"from": "job:j", "kind": "latest"}})";
  std::string jobs =
      R"({"j": {"every": "1s", "read": {"table": "l"}, "fields": {"n": "count"}, "write": {"table": "o"}}})";

  std::string text() const {
    return "{\"topology\": \"x\",\n\"kafka\": " + kafka + ",\n\"redis\": " + redis + ",\n\"http\": " + http + ",\n" +
           (more.empty() ? "" : more + ",") + "\n\"sources\": " + sources + ",\n\"tables\": " + tables +
           ",\n\"jobs\": " + jobs + "}";
  }
};

struct fault {
  std::string rule;
  std::string parts::*part;
  std::string text;
  std::vector<std::string> said; // without the place; in any order
};

inline void PrintTo(const fault& f, std::ostream* out) { *out << f.text; }

inline int line_of(std::string parts::*part) {
  if (part == &parts::kafka)
    return 2;
  if (part == &parts::redis)
    return 3;
  if (part == &parts::http)
    return 4;
  if (part == &parts::more)
    return 5;
  if (part == &parts::sources)
    return 6;
  return part == &parts::tables ? 7 : 8;
}

// Tables and jobs that go with the good rest.
inline std::string table(const std::string& t) {
  return R"({"t": )" + t + R"(, "l": {"from": "s", "kind": "log"}, "o": {"from": "job:j", "kind": "latest"}})";
}
inline std::string log_table(const std::string& t) {
  return R"({"l": )" + t + R"(, "o": {"from": "job:j", "kind": "latest"}})";
}
inline std::string out_table(const std::string& t) { return R"({"l": {"from": "s", "kind": "log"}, "o": )" + t + "}"; }
inline std::string job(const std::string& rest) {
  return R"({"j": {"read": {"table": "l"}, "fields": {"n": "count"}, "write": {"table": "o"})" + rest + "}}";
}
inline std::string job_fields(const std::string& fields) {
  return R"({"j": {"every": "1s", "read": {"table": "l"}, "write": {"table": "o"}, "fields": )" + fields + "}}";
}

class bad_topology : public ::testing::TestWithParam<fault> {
protected:
  // It is told where, what, and what would be right.
  void all_is_told() const {
    const auto& f = GetParam();
    parts p;
    p.*f.part = f.text;
    const auto result = load(p.text());
    std::vector<std::string> said;
    for (const auto& found : result.problems) {
      EXPECT_EQ(found.line, line_of(f.part)) << to_string(found);
      EXPECT_GT(found.column, 0);
      EXPECT_EQ(found.place, "t");
      auto bare = found;
      bare.place.clear();
      bare.line = 0;
      said.push_back(to_string(bare));
    }
    EXPECT_THAT(said, ::testing::UnorderedElementsAreArray(f.said));
  }
};

inline const auto rule_of = [](const ::testing::TestParamInfo<fault>& one) { return one.param.rule; };

inline const auto kafka = &parts::kafka;
inline const auto redis = &parts::redis;
inline const auto http = &parts::http;
inline const auto more = &parts::more;
inline const auto sources = &parts::sources;
inline const auto tables = &parts::tables;
inline const auto jobs = &parts::jobs;

} // namespace weir::config_test
