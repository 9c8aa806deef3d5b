#include "runtime/batch/schedule.hpp"

#include "runtime/batch/window.hpp"

#include <algorithm>
#include <gtest/gtest.h>

namespace weir::batch {
namespace {

TEST(schedule, fires_at_multiples_of_the_interval_since_1970) {
  schedule s(timing(duration{10'000}), 1'000'003);
  EXPECT_EQ(s.wake_at(), 1'010'000);
  EXPECT_EQ(s.poll(1'009'999), std::nullopt);
  EXPECT_EQ(s.poll(1'010'005), 1'010'000);
  s.finished(1'010'500);
  EXPECT_EQ(s.wake_at(), 1'020'000);
  EXPECT_EQ(s.skipped(), 0u);
}

TEST(schedule, a_start_exactly_on_a_multiple_waits_for_the_next) {
  schedule s(timing(duration{10'000}), 1'000'000);
  EXPECT_EQ(s.poll(1'000'000), std::nullopt);
  EXPECT_EQ(s.wake_at(), 1'010'000);
}

TEST(schedule, never_overlaps_and_skips_what_passed_meanwhile) {
  schedule s(timing(duration{10}), 0);
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

TEST(schedule, of_several_that_passed_unseen_only_the_newest_fires) {
  schedule s(timing(duration{10}), 0);
  EXPECT_EQ(s.poll(57), 50);
  EXPECT_EQ(s.skipped(), 4u);
}

TEST(schedule, no_fire_time_comes_twice_also_if_the_clock_goes_back) {
  schedule s(timing(duration{10}), 0);
  EXPECT_EQ(s.poll(50), 50);
  s.finished(51);
  EXPECT_EQ(s.poll(30), std::nullopt);
  EXPECT_EQ(s.poll(59), std::nullopt);
  EXPECT_EQ(s.poll(60), 60);
  s.finished(20);
  EXPECT_EQ(s.wake_at(), 70);
}

TEST(schedule, a_new_owner_goes_on_after_the_last_fire_time_written) {
  schedule s(timing(duration{10}), 43, 50);
  EXPECT_EQ(s.wake_at(), 60);
}

TEST(schedule, a_run_on_demand_has_a_fire_time_of_its_own_and_does_not_overlap) {
  schedule s(timing(duration{10}), 0);
  EXPECT_EQ(s.demand(13), 13);
  EXPECT_EQ(s.demand(14), std::nullopt);
  EXPECT_EQ(s.poll(20), std::nullopt);
  s.finished(14);
  EXPECT_EQ(s.demand(13), 14) << "later than the one before";
  s.finished(15);
  EXPECT_EQ(s.poll(20), 20);
  s.finished(20);
  EXPECT_EQ(s.skipped(), 0u);
  schedule never(timing(), 100);
  EXPECT_EQ(never.wake_at(), std::nullopt);
  EXPECT_EQ(never.poll(1'000'000), std::nullopt);
  EXPECT_EQ(never.demand(200), 200);
}

schedule_options with(missed_policy missed, overlap_policy overlap = overlap_policy::skip,
                      duration jitter = duration{0}, std::uint64_t seed = 1) {
  return {missed, overlap, jitter, seed};
}

timing cron_at(const char* text) { return {*cron::parse(text), *load_zone("UTC")}; }

TEST(schedule, a_cron_expression_gives_the_fire_times) {
  schedule s(cron_at("*/15 * * * *"), 1'000);
  EXPECT_EQ(s.wake_at(), 900'000);
  EXPECT_EQ(s.poll(899'999), std::nullopt);
  EXPECT_EQ(s.poll(2'000'000), 1'800'000); // of two the newest
  EXPECT_EQ(s.skipped(), 1u);
}

TEST(schedule, all_that_were_missed_fire_one_after_the_other_but_no_more_than_the_newest_thousand) {
  for (const auto& when : {timing(duration{1'000}), cron_at("* * * * * *")}) {
    schedule s(when, 10'000'000, 5'000'000, with(missed_policy::all));
    std::int64_t due = 9'001'000; // the newest thousand up to 10'000'000
    for (int i = 0; i < 1'000; ++i, due += 1'000) {
      ASSERT_EQ(s.poll(10'000'000), due);
      s.finished(10'000'000);
    }
    EXPECT_EQ(s.poll(10'000'000), std::nullopt);
  }
}

TEST(schedule, a_long_absence_of_a_job_that_fires_each_second_costs_little) {
  const std::int64_t ten_years = 10ll * 365 * 86'400'000;
  schedule s(cron_at("* * * * * *"), ten_years, 1'000, with(missed_policy::once));
  EXPECT_EQ(s.poll(ten_years), ten_years);
}

TEST(schedule, what_passes_while_it_runs_is_over_or_runs_behind_it) {
  schedule over(timing(duration{10}), 0, {}, with(missed_policy::once));
  schedule queue(timing(duration{10}), 0, {}, with(missed_policy::once, overlap_policy::queue));
  for (auto* s : {&over, &queue}) {
    EXPECT_EQ(s->poll(10), 10);
    s->finished(35);
  }
  EXPECT_EQ(over.poll(35), std::nullopt);
  EXPECT_EQ(over.poll(40), 40);
  EXPECT_EQ(queue.poll(35), 30); // the newest of 20 and 30
  queue.finished(36);
  EXPECT_EQ(queue.poll(36), std::nullopt);
}

TEST(schedule, jitter_delays_each_fire_time_by_another_while_and_none_is_lost) {
  schedule s(timing(duration{10'000}), 0, {}, with(missed_policy::once, overlap_policy::skip, duration{5'000}));
  schedule same(timing(duration{10'000}), 0, {}, with(missed_policy::once, overlap_policy::skip, duration{5'000}));
  schedule other(timing(duration{10'000}), 0, {}, with(missed_policy::once, overlap_policy::skip, duration{5'000}, 2));
  std::vector<std::int64_t> delays, elsewhere;
  for (std::int64_t fire = 10'000; fire <= 1'000'000; fire += 10'000) {
    const auto wake = s.wake_at();
    ASSERT_TRUE(wake);
    EXPECT_EQ(same.wake_at(), wake);
    delays.push_back(*wake - fire);
    elsewhere.push_back(*other.wake_at() - fire);
    EXPECT_GE(delays.back(), 0);
    EXPECT_LE(delays.back(), 5'000);
    EXPECT_EQ(s.poll(*wake - 1), std::nullopt);
    EXPECT_EQ(s.poll(*wake), fire);
    for (auto* one : {&same, &other})
      static_cast<void>(one->poll(fire + 5'000));
    for (auto* one : {&s, &same, &other})
      one->finished(fire + 5'000);
  }
  EXPECT_NE(delays, elsewhere);
  EXPECT_GT(*std::max_element(delays.begin(), delays.end()), 4'000);
  EXPECT_LT(*std::min_element(delays.begin(), delays.end()), 1'000);
}

TEST(schedule, windows_are_aligned_and_wait_for_what_is_late) {
  job_config j;
  EXPECT_FALSE(window_of(j, 1'000));
  j.last = duration{60'000};
  EXPECT_EQ(window_of(j, 100'000)->from_ms, 40'000);
  EXPECT_EQ(window_of(j, 100'000)->to_ms, 100'000);
  j.last.reset();
  j.window = duration{60'000};
  EXPECT_EQ(window_of(j, 120'000)->from_ms, 60'000);
  EXPECT_EQ(window_of(j, 120'000)->to_ms, 120'000);
  EXPECT_EQ(window_of(j, 119'999)->to_ms, 60'000);
  j.lateness = duration{5'000};
  EXPECT_EQ(window_of(j, 124'999)->to_ms, 60'000);
  EXPECT_EQ(window_of(j, 125'000)->to_ms, 120'000);
  EXPECT_EQ(window_of(j, 1'000)->from_ms, -120'000); // before 1970 too
}

TEST(zone, knows_the_names_of_the_database_and_nothing_else) {
  const auto berlin = load_zone("Europe/Berlin");
  ASSERT_TRUE(berlin) << berlin.error().message;
  EXPECT_EQ((*berlin)->offset(1'767'225'600), 3'600); // 2026-01-01
  EXPECT_EQ((*berlin)->offset(1'782'864'000), 7'200); // 2026-07-01
  EXPECT_EQ((*load_zone("UTC"))->offset(1'782'864'000), 0);
  for (const char* bad : {"", "Europe/Atlantis", "/etc/passwd", "../../etc/passwd", "file:/etc/localtime"})
    EXPECT_FALSE(load_zone(bad)) << bad;
}

TEST(zone, a_cron_expression_follows_the_zone) {
  const timing when(*cron::parse("30 2 * * *"), *load_zone("Europe/Berlin"));
  // 2026-03-29: local times from 2:00 to 3:00 are left out, it fires at 3:00, which is 1:00 UTC.
  EXPECT_EQ(when.next(1'774'656'000'000), 1'774'661'400'000 + 0);
  EXPECT_EQ(when.next(1'774'661'400'000), 1'774'746'000'000);
}

} // namespace
} // namespace weir::batch
