#include "runtime/batch/pace.hpp"

#include <algorithm>
#include <gtest/gtest.h>
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

} // namespace
} // namespace weir::batch
