#include "runtime/batch/execution.hpp"
#include "runtime/batch/lease_keeper.hpp"

#include <algorithm>
#include <gtest/gtest.h>

namespace {

using namespace weir::batch;
using event = lease_keeper::event;

TEST(execution, is_read_back_as_it_was_written) {
  execution e;
  e.job = "sum \"x\"";
  e.id = execution_id(1'795'760'300'000, 2);
  e.fire_ms = 1'795'760'300'000;
  e.status = execution_status::stopping;
  e.started_ms = 7;
  e.node = "a\n";
  e.shares = 8;
  e.takeovers = 3;
  e.read = 18'446'744'073'709'551'615u;
  e.message = "no \xff answer";
  const auto back = parse_execution(to_json(e));
  ASSERT_TRUE(back);
  EXPECT_EQ(back->job, e.job);
  EXPECT_EQ(back->id, "1795760300000.2");
  EXPECT_EQ(number_of(back->id), 2u);
  EXPECT_EQ(back->status, e.status);
  EXPECT_EQ(back->read, e.read);
  EXPECT_EQ(back->takeovers, 3u);
  EXPECT_EQ(back->node, e.node);
}

TEST(execution, what_is_none_is_told_from_one_that_a_later_version_wrote) {
  for (const auto* text :
       {"", "{", "[]", "{}", R"({"id":"1.1"})", R"({"id":"1.1","status":"RUNNING"})", R"({"status":"STARTED"})"})
    EXPECT_FALSE(parse_execution(text)) << text;
  EXPECT_TRUE(parse_execution(R"({"id":"1.1","status":"STARTED","new":[1],"read":"many"})"));
}

TEST(execution, every_status_has_a_way_to_an_end) {
  using s = execution_status;
  for (const auto from : {s::starting, s::started, s::stopping}) {
    EXPECT_FALSE(is_over(from));
    bool ends = false;
    for (const auto to : {s::completed, s::failed, s::stopped, s::abandoned}) {
      EXPECT_TRUE(is_over(to));
      const auto all = before(to);
      ends = ends || std::find(all.begin(), all.end(), from) != all.end();
    }
    EXPECT_TRUE(ends) << to_string(from);
  }
  // Nothing leaves COMPLETED or ABANDONED.
  for (const auto to : {s::starting, s::started, s::completed, s::failed, s::stopping, s::stopped, s::abandoned})
    for (const auto from : before(to))
      EXPECT_TRUE(from != s::completed && from != s::abandoned);
}

TEST(lease_keeper, asks_again_after_a_third_of_the_lease) {
  lease_keeper k(3000);
  EXPECT_TRUE(k.due(100));
  k.asked(100);
  EXPECT_FALSE(k.due(200)); // a question is open
  EXPECT_EQ(k.answered(7), event::gained);
  EXPECT_EQ(k.token(), 7u);
  EXPECT_FALSE(k.due(1099));
  EXPECT_TRUE(k.due(1100));
  k.asked(1100);
  EXPECT_EQ(k.answered(7), event::none);
}

TEST(lease_keeper, counts_the_lease_from_the_question) {
  lease_keeper k(3000);
  k.asked(100);
  k.answered(7);
  k.asked(1100); // no answer to this one
  EXPECT_EQ(k.passed(3099), event::none);
  EXPECT_EQ(k.passed(3100), event::lost);
  EXPECT_FALSE(k.held());
  EXPECT_EQ(k.passed(3200), event::none);
  EXPECT_FALSE(k.due(4000));
  EXPECT_TRUE(k.due(4100)); // the open question is given up
}

TEST(lease_keeper, tells_that_it_was_lost_and_that_it_has_another_token) {
  lease_keeper k(3000);
  k.asked(0);
  EXPECT_EQ(k.answered({}), event::none);
  k.asked(750);
  EXPECT_EQ(k.answered(7), event::gained);
  k.asked(1800);
  EXPECT_EQ(k.answered({}), event::lost);
  k.asked(2600);
  k.failed();
  EXPECT_FALSE(k.due(3300));
  EXPECT_TRUE(k.due(3350));
  k.asked(3350);
  EXPECT_EQ(k.answered(9), event::gained);
  k.asked(4400);
  EXPECT_EQ(k.answered(11), event::gained); // it had run out without a notice
}

} // namespace
