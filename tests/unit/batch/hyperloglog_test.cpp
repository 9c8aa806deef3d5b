#include "runtime/batch/hyperloglog.hpp"

#include "tests/unit/batch/random.hpp"

#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>
#include <set>
#include <vector>

namespace weir::batch {
namespace {

using batch_test::choices;
using batch_test::seed_of_run;

distinct_counter counter_of(std::uint64_t seed, std::uint64_t n) {
  distinct_counter c;
  for (std::uint64_t i = 0; i < n; ++i)
    c.add(std::to_string(seed) + '/' + std::to_string(i));
  return c;
}

TEST(a_distinct_counter, is_exact_for_few) {
  for (const std::uint64_t n : {0u, 1u, 2u, 100u, 2047u, 2048u})
    EXPECT_EQ(counter_of(seed_of_run(), n).count(), n);
}

// The error of one estimate has a standard deviation of 0.81 %: the mean of 40 is within 5 of its own standard errors,
// and none is off by six of them, in all but one run of millions.
TEST(a_distinct_counter, has_the_stated_standard_error_and_no_bias) {
  choices random(seed_of_run());
  for (const std::uint64_t n : {2'049u, 5'000u, 20'000u, 60'000u, 200'000u}) {
    double sum = 0, squares = 0;
    constexpr int runs = 40;
    for (int run = 0; run < runs; ++run) {
      const auto shown = static_cast<double>(counter_of(random.engine()(), n).count());
      const auto error = shown / static_cast<double>(n) - 1;
      EXPECT_LT(std::fabs(error), 6 * distinct_counter::standard_error) << n;
      sum += error;
      squares += error * error;
    }
    EXPECT_LT(std::fabs(sum / runs), 5 * distinct_counter::standard_error / std::sqrt(runs)) << n;
    EXPECT_LT(std::sqrt(squares / runs), 1.6 * distinct_counter::standard_error) << n;
  }
}

TEST(a_distinct_counter, depends_on_the_set_of_values_alone) {
  choices random(seed_of_run());
  for (int round = 0; round < 40; ++round) {
    const auto different = 1 + random.below(round % 2 ? 3'000 : 20'000); // around the change to registers, and beyond
    std::vector<std::string> values;
    for (std::uint64_t i = 0; i < different * 2; ++i)
      values.push_back("v" + std::to_string(random.below(different)));
    distinct_counter whole;
    for (const auto& v : values)
      whole.add(v);
    std::shuffle(values.begin(), values.end(), random.engine());
    std::vector<distinct_counter> parts(1 + random.below(6));
    for (const auto& v : values)
      parts[random.one_in(2) ? 0 : random.below(parts.size())].add(v); // some large, some small
    while (parts.size() > 1) {
      std::shuffle(parts.begin(), parts.end(), random.engine());
      const auto last = std::move(parts.back());
      parts.pop_back();
      parts[0].merge(last);
    }
    ASSERT_EQ(parts[0], whole);
    const auto exact = std::set<std::string>(values.begin(), values.end()).size();
    if (exact <= distinct_counter::most_kept)
      ASSERT_EQ(whole.count(), exact);
    else
      ASSERT_NEAR(static_cast<double>(whole.count()) / static_cast<double>(exact), 1,
                  6 * distinct_counter::standard_error);
  }
}

TEST(a_distinct_counter, is_bounded_and_the_same_after_a_checkpoint) {
  const auto seed = seed_of_run();
  for (const std::uint64_t n : {0u, 7u, 2'048u, 2'049u, 100'000u}) {
    const auto c = counter_of(seed, n);
    std::string text;
    c.save(text);
    EXPECT_LE(c.bytes(), 2 * 3 * distinct_counter::registers);
    EXPECT_LE(text.size(), c.bytes() + 32);
    distinct_counter again;
    saved_text in(text);
    ASSERT_TRUE(again.restore(in)) << n;
    EXPECT_EQ(in.left(), 0u);
    EXPECT_EQ(again, c);
  }
}

TEST(a_distinct_counter, refuses_a_damaged_checkpoint) {
  std::string text;
  counter_of(1, 3).save(text);
  for (std::size_t cut = 0; cut < text.size(); ++cut) {
    distinct_counter c;
    saved_text in(std::string_view(text).substr(0, cut));
    EXPECT_FALSE(c.restore(in)) << cut;
  }
  std::string registers = "0 16384\n" + std::string(distinct_counter::registers, '0');
  distinct_counter good;
  saved_text whole(registers);
  EXPECT_TRUE(good.restore(whole));
  registers.back() = 'd'; // one above the greatest rank
  for (const auto& bad : {registers, std::string("2 0\n5\n5\n"), std::string("9999 0\n"), std::string("0 5\n00000")}) {
    distinct_counter c;
    saved_text in(bad);
    EXPECT_FALSE(c.restore(in));
  }
}

} // namespace
} // namespace weir::batch
