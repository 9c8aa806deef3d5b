#include "runtime/core/backoff.hpp"

#include <gtest/gtest.h>
#include <set>

using std::chrono::milliseconds;
using weir::backoff;

TEST(backoff, a_wait_is_between_half_and_all_of_a_doubling_span_up_to_the_most) {
  for (std::uint64_t seed = 1; seed < 200; ++seed) {
    backoff b(milliseconds{50}, milliseconds{1000}, seed);
    for (const std::int64_t full : {50, 100, 200, 400, 800, 1000, 1000, 1000}) {
      const auto wait = b.next().count();
      EXPECT_GE(wait, full / 2) << seed;
      EXPECT_LE(wait, full) << seed;
    }
  }
}

TEST(backoff, a_success_starts_it_over) {
  backoff b(milliseconds{50}, milliseconds{5000}, 1);
  for (int i = 0; i < 10; ++i)
    b.next();
  EXPECT_EQ(b.tries(), 10u);
  b.reset();
  EXPECT_EQ(b.tries(), 0u);
  EXPECT_LE(b.next().count(), 50);
}

TEST(backoff, it_never_overflows_however_long_it_goes_on) {
  backoff b(milliseconds{1000}, milliseconds{30'000}, 7);
  for (int i = 0; i < 10'000; ++i) {
    const auto wait = b.next().count();
    ASSERT_GE(wait, 500);
    ASSERT_LE(wait, 30'000);
  }
}

TEST(backoff, two_of_them_do_not_wait_in_step) {
  std::set<std::int64_t> waits;
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    backoff b(milliseconds{10'000}, milliseconds{10'000}, seed * 7919);
    waits.insert(b.next().count());
  }
  EXPECT_GT(waits.size(), 30u);
}
