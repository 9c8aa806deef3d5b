#include "runtime/core/token_bucket.hpp"

#include <gtest/gtest.h>

using weir::token_bucket;

TEST(token_bucket, gives_a_burst_at_once_and_then_its_rate) {
  token_bucket b(100, 10, 1'000);
  int given = 0;
  for (std::int64_t now = 1'000; now < 3'000; ++now)
    while (b.take(now))
      ++given;
  EXPECT_GE(given, 10 + 198);
  EXPECT_LE(given, 10 + 200);
}

TEST(token_bucket, does_not_save_up_more_than_its_burst) {
  token_bucket b(100, 10, 0);
  EXPECT_TRUE(b.take(1'000'000, 10));
  EXPECT_FALSE(b.take(1'000'000));
}

TEST(token_bucket, what_is_taken_on_credit_is_paid_back_before_more_is_given) {
  token_bucket b(1'000, 1'000, 0);
  EXPECT_TRUE(b.take_on_credit(0, 5'000)); // five times the burst: it could never go otherwise
  EXPECT_TRUE(b.in_debt(0));
  EXPECT_EQ(b.ms_until(0), 4'001);
  EXPECT_FALSE(b.take_on_credit(3'999, 1));
  EXPECT_TRUE(b.take_on_credit(4'001, 1));
}

TEST(token_bucket, a_clock_that_stands_gives_nothing) {
  token_bucket b(1'000, 1, 100);
  EXPECT_TRUE(b.take(100));
  EXPECT_FALSE(b.take(100));
  EXPECT_FALSE(b.take(50));
}
