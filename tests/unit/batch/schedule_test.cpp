#include "runtime/batch/schedule.hpp"

#include <gtest/gtest.h>

namespace weir::batch {
namespace {

TEST(interval_schedule, fires_at_multiples_of_the_interval_since_1970) {
  interval_schedule s(duration{10'000}, 1'000'003);
  EXPECT_EQ(s.wake_at(), 1'010'000);
  EXPECT_EQ(s.poll(1'009'999), std::nullopt);
  EXPECT_EQ(s.poll(1'010'005), 1'010'000);
  s.finished(1'010'500);
  EXPECT_EQ(s.wake_at(), 1'020'000);
  EXPECT_EQ(s.skipped(), 0u);
}

TEST(interval_schedule, a_start_exactly_on_a_multiple_waits_for_the_next) {
  interval_schedule s(duration{10'000}, 1'000'000);
  EXPECT_EQ(s.poll(1'000'000), std::nullopt);
  EXPECT_EQ(s.wake_at(), 1'010'000);
}

TEST(interval_schedule, never_overlaps_and_skips_what_passed_meanwhile) {
  interval_schedule s(duration{10}, 0);
  EXPECT_EQ(s.poll(10), 10);
  EXPECT_TRUE(s.running());
  EXPECT_EQ(s.wake_at(), std::nullopt);
  EXPECT_EQ(s.poll(45), std::nullopt);
  s.finished(45);
  EXPECT_EQ(s.skipped(), 3u) << "20, 30 and 40";
  EXPECT_EQ(s.wake_at(), 50);
  EXPECT_EQ(s.poll(45), std::nullopt);
  EXPECT_EQ(s.poll(50), 50);
  s.finished(50);
  EXPECT_EQ(s.skipped(), 3u);
}

TEST(interval_schedule, of_several_that_passed_unseen_only_the_newest_fires) {
  interval_schedule s(duration{10}, 0);
  EXPECT_EQ(s.poll(57), 50);
  EXPECT_EQ(s.skipped(), 4u);
}

TEST(interval_schedule, no_fire_time_comes_twice_also_if_the_clock_goes_back) {
  interval_schedule s(duration{10}, 0);
  EXPECT_EQ(s.poll(50), 50);
  s.finished(51);
  EXPECT_EQ(s.poll(30), std::nullopt);
  EXPECT_EQ(s.poll(59), std::nullopt);
  EXPECT_EQ(s.poll(60), 60);
  s.finished(20);
  EXPECT_EQ(s.wake_at(), 70);
}

TEST(interval_schedule, a_new_owner_goes_on_after_the_last_fire_time_written) {
  interval_schedule s(duration{10}, 43, 50);
  EXPECT_EQ(s.wake_at(), 60);
}

TEST(interval_schedule, a_run_on_demand_has_a_fire_time_of_its_own_and_does_not_overlap) {
  interval_schedule s(duration{10}, 0);
  EXPECT_EQ(s.demand(13), 13);
  EXPECT_EQ(s.demand(14), std::nullopt);
  EXPECT_EQ(s.poll(20), std::nullopt);
  s.finished(14);
  EXPECT_EQ(s.demand(13), 14) << "later than the one before";
  s.finished(15);
  EXPECT_EQ(s.poll(20), 20);
  s.finished(20);
  EXPECT_EQ(s.skipped(), 0u);
  interval_schedule never({}, 100);
  EXPECT_EQ(never.wake_at(), std::nullopt);
  EXPECT_EQ(never.poll(1'000'000), std::nullopt);
  EXPECT_EQ(never.demand(200), 200);
}

} // namespace
} // namespace weir::batch
