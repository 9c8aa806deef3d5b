#include "runtime/batch/pace.hpp"

#include <algorithm>
#include <gtest/gtest.h>
#include <utility>
#include <vector>

namespace weir::batch {
namespace {

constexpr std::int64_t t0 = 1'000'000;

TEST(pace, lets_everybody_go_at_once_without_a_throttle) {
  pace p(0);
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(p.reserve(t0, 5'000), t0);
    p.found(5'000, 9'000);
  }
}

TEST(pace, gives_those_who_ask_at_the_same_moment_turns_one_after_the_other) {
  pace p(100'000);
  std::vector<std::int64_t> turns;
  for (int reader = 0; reader < 8; ++reader)
    turns.push_back(p.reserve(t0, 4'000)); // 40 ms each
  for (std::size_t i = 1; i < turns.size(); ++i)
    EXPECT_EQ(turns[i] - turns[i - 1], 40);
  EXPECT_LE(turns[0], t0);
}

TEST(pace, keeps_to_the_rate_however_many_read_and_whatever_they_expect) {
  for (const std::uint64_t expected : {0u, 1'000u, 8'000u}) {
    pace p(100'000);
    std::vector<std::int64_t> at(4, t0); // where each reader is in time
    std::uint64_t rows = 0;
    while (*std::min_element(at.begin(), at.end()) < t0 + 10'000) {
      auto& now = *std::min_element(at.begin(), at.end());
      now = std::max(now, p.reserve(now, expected)) + 1; // a millisecond to read them
      p.found(expected, 2'000);
      rows += 2'000;
    }
    EXPECT_NEAR(static_cast<double>(rows), 1'000'000, 20'000) << expected;
  }
}

TEST(pace, makes_up_for_late_timers_and_for_no_more) {
  pace p(1'000);
  EXPECT_EQ(p.reserve(t0, 100), t0 - 10);
  EXPECT_EQ(p.reserve(t0 + 95, 100), t0 + 90) << "5 ms late, and its time ran from when it was due";
  EXPECT_EQ(p.reserve(t0 + 5'000, 100), t0 + 4'990) << "nobody read for seconds: no burst follows";
  EXPECT_EQ(p.reserve(t0 + 5'000, 100), t0 + 5'090);
}

TEST(pace, gives_back_what_was_not_there) {
  pace p(1'000);
  p.reserve(t0, 1'000);
  p.found(1'000, 0);
  EXPECT_LE(p.reserve(t0, 1'000), t0);
}

std::int64_t time_of_a_thousand(pace& p) {
  const auto now = t0 + 1'000'000; // long after whatever is reserved
  const auto first = p.reserve(now, 1'000);
  return p.reserve(now, 1'000) - first;
}

TEST(pace, goes_down_to_a_tenth_while_readers_wait_for_processors) {
  constexpr std::uint64_t ms = 1'000'000; // ns
  for (const auto& [waited, takes] :
       {std::pair{0u, 10}, {1u, 10}, {2u, 10}, {4u, 20}, {10u, 50}, {20u, 100}, {500u, 100}}) {
    pace p(100'000);
    p.fared(10 * ms, waited * ms);
    EXPECT_NEAR(static_cast<double>(time_of_a_thousand(p)), takes, 1) << waited;
  }
  pace none(0);
  none.fared(10 * ms, 100 * ms);
  EXPECT_EQ(none.reserve(t0, 1'000), t0);
}

TEST(pace, goes_up_again_when_they_wait_no_more_and_judges_by_no_single_moment) {
  constexpr std::uint64_t ms = 1'000'000; // ns
  pace p(100'000);
  p.fared(ms, 100 * ms);
  EXPECT_EQ(time_of_a_thousand(p), 10) << "one chunk tells nothing";
  p.fared(ms, 100 * ms);
  EXPECT_EQ(time_of_a_thousand(p), 100);
  for (int chunk = 0; chunk < 500; ++chunk)
    p.fared(ms, 0);
  EXPECT_EQ(time_of_a_thousand(p), 10);
}

} // namespace
} // namespace weir::batch
