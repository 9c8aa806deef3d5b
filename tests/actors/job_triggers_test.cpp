// When the scheduler runs a job: cron, other jobs, changes of its table, jitter, overlap.
#include "tests/actors/job_stage.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace {

using namespace weir;
using namespace weir::stage;

// Writes to a topic.
job_config named(const std::string& name) {
  auto j = counting({});
  j.name = name;
  j.write_table.clear();
  j.write_topic = name + "-topic";
  return j;
}

TEST(triggers, a_cron_expression_fires_at_its_times) {
  auto j = counting({});
  j.cron = "*/2 * * * * *";
  scheduled w(j);
  w.put("a", R"({"v":3})");
  w.advance(9s);
  const auto runs = w.runs();
  ASSERT_GE(runs.size(), 4u);
  for (std::size_t i = 0; i < runs.size(); ++i) {
    EXPECT_EQ(runs[i].status, "COMPLETED") << runs[i].message;
    EXPECT_EQ(runs[i].fire_ms % 2000, 0);
    if (i > 0) {
      EXPECT_EQ(runs[i - 1].fire_ms - runs[i].fire_ms, 2000);
    }
  }
}

TEST(triggers, a_job_after_another_runs_once_for_each_execution_of_it) {
  auto next = named("next");
  next.after = {"sum"};
  scheduled w(counting(2s), latest("now"), false, {next});
  w.put("a", R"({"v":3})");
  w.advance(9s);
  const auto first = w.runs(), second = w.runs("next");
  ASSERT_GE(first.size(), 4u);
  ASSERT_EQ(second.size(), first.size());
  for (std::size_t i = 0; i < second.size(); ++i) {
    EXPECT_EQ(second[i].status, "COMPLETED") << second[i].message;
    EXPECT_EQ(second[i].fire_ms, first[i].fire_ms);
    EXPECT_GE(second[i].started_ms, first[i].ended_ms);
  }
}

TEST(triggers, a_job_after_two_others_waits_for_both) {
  auto slow = named("slow");
  slow.every = 4s;
  auto next = named("next");
  next.after = {"sum", "slow"};
  scheduled w(counting(1s), latest("now"), false, {slow, next});
  w.put("a", R"({"v":3})");
  w.advance(20s + 500ms);
  ASSERT_GE(w.runs("slow").size(), 4u);
  EXPECT_EQ(w.runs("next").size(), w.runs("slow").size());
}

TEST(triggers, a_job_does_not_run_after_one_that_failed) {
  auto j = counting(1s);
  j.write_topic = "totals-topic";
  j.retries = 0;
  auto next = named("next");
  next.after = {"sum"};
  scheduled w(j, latest("now"), false, {next});
  w.producer.fail_with(error{ec::kafka_unreachable, "no brokers"});
  w.put("a", R"({"v":3})");
  w.advance(3500ms);
  ASSERT_GE(w.runs().size(), 2u);
  EXPECT_EQ(w.runs()[0].status, "FAILED");
  EXPECT_TRUE(w.runs("next").empty());
}

TEST(triggers, a_scheduler_that_comes_later_does_not_run_again_what_came_after_another_job) {
  auto next = named("next");
  next.after = {"sum"};
  scheduled w(counting({}), latest("now"), false, {next});
  w.put("a", R"({"v":3})");
  w.run();
  w.demand();
  w.advance(2s);
  ASSERT_EQ(w.history("next").size(), 1u);
  caf::anon_send(w.scheduler, actors::stop_work{});
  w.run();
  w.start("b");
  w.advance(5s);
  EXPECT_EQ(w.history("next").size(), 1u);
}

TEST(triggers, changes_of_its_table_run_a_job_when_they_are_as_old_as_it_says) {
  auto j = counting({});
  j.change = change_trigger{5s, {}};
  scheduled w(j);
  w.advance(20s);
  EXPECT_TRUE(w.runs().empty()); // nothing was changed
  w.put("a", R"({"v":3})");
  w.advance(4s);
  w.put("b", R"({"v":4})");
  EXPECT_TRUE(w.runs().empty());
  w.advance(3s);
  ASSERT_EQ(w.runs().size(), 1u);
  EXPECT_EQ(w.runs()[0].status, "COMPLETED") << w.runs()[0].message;
  EXPECT_EQ(w.stored(), (json{{"n", 2}, {"total", 7}}));
  w.advance(60s);
  EXPECT_EQ(w.runs().size(), 1u); // it has seen all
  w.put("a", R"({"v":5})");
  w.advance(7s);
  EXPECT_EQ(w.runs().size(), 2u);
  EXPECT_EQ(w.stored(), (json{{"n", 2}, {"total", 9}}));
}

TEST(triggers, so_many_changes_run_a_job_at_once) {
  auto j = counting({});
  j.change = change_trigger{3600s, 10};
  scheduled w(j);
  for (int i = 0; i < 9; ++i)
    w.put(fmt::format("k{}", i), R"({"v":1})");
  w.advance(10s);
  EXPECT_TRUE(w.runs().empty());
  w.put("k9", R"({"v":1})");
  w.advance(2s);
  EXPECT_EQ(w.runs().size(), 1u);
}

TEST(triggers, what_a_run_has_seen_of_its_table_outlives_its_scheduler) {
  auto j = counting({});
  j.change = change_trigger{1s, {}};
  scheduled w(j);
  w.put("a", R"({"v":3})");
  w.advance(5s);
  ASSERT_EQ(w.history().size(), 1u);
  caf::anon_send(w.scheduler, actors::stop_work{});
  w.run();
  w.start("b");
  w.advance(10s);
  EXPECT_EQ(w.history().size(), 1u);
  w.put("a", R"({"v":4})");
  w.advance(5s);
  EXPECT_EQ(w.history().size(), 2u);
}

TEST(triggers, jitter_moves_the_begin_and_not_the_fire_time) {
  auto j = counting(10s);
  j.jitter = 8s;
  scheduled w(j);
  w.put("a", R"({"v":3})");
  std::set<std::int64_t> delays;
  w.advance(65s);
  ASSERT_GE(w.runs().size(), 5u);
  for (const auto& run : w.runs()) {
    EXPECT_EQ(run.fire_ms % 10'000, 0);
    const auto delay = run.started_ms - run.fire_ms;
    EXPECT_GE(delay, 0);
    EXPECT_LE(delay, 8'200);
    delays.insert(delay / 500);
  }
  EXPECT_GT(delays.size(), 2u);
}

} // namespace
