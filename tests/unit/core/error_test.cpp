#include "runtime/core/error.hpp"

#include <gtest/gtest.h>
#include <set>

using namespace weir;

TEST(error, every_code_has_its_own_name_and_its_number_is_fixed) {
  // Names and numbers are in logs, metrics and answers: to change one breaks someone's alarm.
  const std::pair<int, const char*> all[] = {
      {0, "none"},
      {100, "bad_topology"},
      {101, "bad_argument"},
      {102, "not_available"},
      {103, "no_such_thing"},
      {200, "redis_unreachable"},
      {201, "redis_refused"},
      {202, "redis_busy"},
      {203, "redis_cannot_write"},
      {204, "redis_protocol"},
      {205, "redis_script"},
      {206, "redis_unsuitable"},
      {300, "kafka_unreachable"},
      {301, "kafka_refused"},
      {302, "kafka_no_topic"},
      {303, "kafka_out_of_range"},
      {304, "kafka_fatal"},
      {305, "kafka_failed"},
      {400, "fenced"},
      {401, "mismatch"},
      {402, "identity"},
      {403, "definition"},
      {404, "layout"},
      {500, "timeout"},
      {501, "overloaded"},
      {502, "stopped"},
      {503, "io"},
      {504, "internal"},
  };
  std::set<std::string_view> names;
  for (const auto& [number, name] : all) {
    EXPECT_EQ(to_string(static_cast<ec>(number)), name);
    names.insert(name);
  }
  EXPECT_EQ(names.size(), std::size(all));
  EXPECT_EQ(to_string(static_cast<ec>(9999)), "unknown");
}

TEST(error, a_failure_carries_its_code_and_text) {
  const auto f = []() -> result<int> { return fail(ec::timeout, "no answer"); };
  const auto r = f();
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error().code, ec::timeout);
  EXPECT_EQ(r.error().message, "no answer");
}
