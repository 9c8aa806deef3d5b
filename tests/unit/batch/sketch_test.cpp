#include "runtime/batch/sketch.hpp"

#include "tests/unit/batch/random.hpp"

#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>
#include <limits>
#include <vector>

namespace weir::batch {
namespace {

using batch_test::choices;
using batch_test::seed_of_run;

constexpr std::uint64_t percent = quantile_sketch::whole / 100;

quantile_sketch sketch_of(const std::vector<double>& values) {
  quantile_sketch s;
  for (const auto v : values)
    s.add(v);
  return s;
}

// What the sketch says of a sorted sample at every tenth of a percent is within the stated error of the value there.
void expect_within_error(const quantile_sketch& s, std::vector<double> values) {
  std::sort(values.begin(), values.end());
  ASSERT_EQ(s.count(), values.size());
  for (std::uint64_t p = 0; p <= quantile_sketch::whole; p += percent / 10) {
    const auto rank =
        static_cast<std::size_t>(static_cast<__uint128_t>(values.size() - 1) * p / quantile_sketch::whole);
    const auto exact = values[rank];
    const auto shown = s.percentile(p);
    ASSERT_TRUE(shown);
    ASSERT_LE(std::fabs(*shown - exact), quantile_sketch::relative_error * (1 + 1e-9) * std::fabs(exact))
        << "p " << p << " of " << values.size() << ": " << *shown << " for " << exact;
  }
}

std::vector<double> sample(choices& random) {
  std::vector<double> values(1 + random.below(3000));
  const auto kind = random.below(5);
  for (auto& v : values) {
    switch (kind) {
    case 0: v = static_cast<double>(random.below(100)); break;                           // many equal ones
    case 1: v = random.unit() * 1e6 - 5e5; break;                                        // both signs
    case 2: v = std::exp(random.unit() * 30 - 15) * (random.one_in(2) ? 1 : -1); break;  // thirteen decades
    case 3: v = random.one_in(3) ? 0.0 : random.one_in(2) ? -0.0 : random.unit(); break; // zeros
    default: v = 1e300 * random.unit(); break;                                           // large ones
    }
  }
  return values;
}

TEST(a_sketch, has_nothing_to_say_of_nothing) { EXPECT_EQ(quantile_sketch{}.percentile(50 * percent), std::nullopt); }

TEST(a_sketch, is_exact_at_both_ends_and_for_one_value) {
  const auto s = sketch_of({3.25});
  EXPECT_EQ(s.percentile(1), 3.25);
  EXPECT_EQ(s.percentile(99 * percent), 3.25);
  const auto t = sketch_of({-7.125, 1, 2, 1234.5});
  EXPECT_EQ(t.percentile(0), -7.125);
  EXPECT_EQ(t.percentile(quantile_sketch::whole), 1234.5);
}

TEST(a_sketch, is_within_its_error_in_any_split_and_order_and_bit_for_bit_the_same) {
  choices random(seed_of_run());
  for (int round = 0; round < 60; ++round) {
    auto values = sample(random);
    const auto whole = sketch_of(values);
    expect_within_error(whole, values);
    std::shuffle(values.begin(), values.end(), random.engine());
    std::vector<quantile_sketch> parts(1 + random.below(6));
    for (const auto v : values)
      parts[random.below(parts.size())].add(v);
    while (parts.size() > 1) { // any two, in any order
      std::shuffle(parts.begin(), parts.end(), random.engine());
      const auto last = std::move(parts.back());
      parts.pop_back();
      parts[0].merge(last);
    }
    ASSERT_EQ(parts[0], whole);
  }
}

TEST(a_sketch, keeps_the_greatest_magnitudes_within_its_error_when_it_overflows_its_buckets) {
  choices random(seed_of_run());
  std::vector<double> values;
  for (int i = 0; i < 20'000; ++i)
    values.push_back(std::exp(random.unit() * 1400 - 700)); // six hundred decades
  const auto whole = sketch_of(values);
  EXPECT_LE(whole.bytes(), 4u * 2 * 16 * quantile_sketch::most_buckets); // at most twice the room, by growth
  std::shuffle(values.begin(), values.end(), random.engine());
  quantile_sketch merged;
  for (std::size_t from = 0; from < values.size(); from += 500)
    merged.merge(sketch_of({values.begin() + static_cast<std::ptrdiff_t>(from),
                            values.begin() + static_cast<std::ptrdiff_t>(from + 500)}));
  EXPECT_EQ(merged, whole);
  std::sort(values.begin(), values.end());
  for (std::uint64_t p = 98 * percent; p <= quantile_sketch::whole; p += percent / 10) { // the upper 40 of 1,400
    const auto exact = values[static_cast<std::size_t>((values.size() - 1) * p / quantile_sketch::whole)];
    EXPECT_NEAR(*whole.percentile(p) / exact, 1, 0.0101) << p;
  }
}

TEST(a_sketch, takes_the_extremes_of_a_double) {
  constexpr auto most = std::numeric_limits<double>::max(), least = std::numeric_limits<double>::denorm_min();
  const auto s = sketch_of({most, most, most, -most, -most, -most});
  EXPECT_NEAR(*s.percentile(75 * percent) / most, 1, 0.0101);
  EXPECT_NEAR(*s.percentile(25 * percent) / most, -1, 0.0101);
  const auto t = sketch_of({least, least, least});
  EXPECT_EQ(*t.percentile(50 * percent), least);
}

TEST(a_sketch, is_the_same_after_a_checkpoint) {
  choices random(seed_of_run());
  for (int round = 0; round < 30; ++round) {
    const auto s = sketch_of(sample(random));
    std::string text;
    s.save(text);
    EXPECT_LE(text.size(), s.bytes() + 128);
    quantile_sketch again;
    saved_text in(text);
    ASSERT_TRUE(again.restore(in));
    EXPECT_EQ(in.left(), 0u);
    EXPECT_EQ(again, s);
  }
}

TEST(a_sketch, refuses_a_damaged_checkpoint) {
  std::string text;
  sketch_of({1, 2, 3}).save(text);
  for (std::size_t cut = 0; cut < text.size(); ++cut) {
    quantile_sketch s;
    saved_text in(std::string_view(text).substr(0, cut));
    EXPECT_FALSE(s.restore(in)) << cut;
  }
  for (const auto* bad :
       {"0 0 0\n2\n5 1\n5 1\n0\n", "0 0 0\n2\n5 1\n9000 1\n0\n", "0 0 0\n1\n5 0\n0\n",
        "0 0 0\n2\n-2147483648 1\n2147483647 1\n0\n", "0 0 0\n999999999\n", "0 9221120237041090560 0\n0\n0\n"}) {
    quantile_sketch s;
    saved_text in(bad);
    EXPECT_FALSE(s.restore(in)) << bad;
  }
}

} // namespace
} // namespace weir::batch
