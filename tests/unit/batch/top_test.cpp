#include "runtime/batch/top.hpp"

#include "tests/unit/batch/random.hpp"

#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>
#include <map>
#include <vector>

namespace weir::batch {
namespace {

using batch_test::choices;
using batch_test::seed_of_run;
using counts = std::map<std::string, std::uint64_t>;

std::vector<top_values::entry> exact_top(const counts& of, std::size_t n) {
  std::vector<top_values::entry> all;
  for (const auto& [value, count] : of)
    all.push_back({value, count});
  std::stable_sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.count > b.count; });
  all.resize(std::min(n, all.size()));
  return all;
}

// Values with a few frequent ones: the x-th is chosen about as 1/x.
std::vector<std::string> sample(choices& random, std::uint64_t different, std::size_t n) {
  std::vector<std::string> out;
  for (std::size_t i = 0; i < n; ++i)
    out.push_back("v" +
                  std::to_string(static_cast<std::uint64_t>(std::pow(static_cast<double>(different), random.unit()))));
  return out;
}

top_values merged(choices& random, std::vector<std::string> values) {
  std::shuffle(values.begin(), values.end(), random.engine());
  std::vector<top_values> parts(1 + random.below(6));
  for (const auto& v : values)
    parts[random.below(parts.size())].add(v);
  while (parts.size() > 1) {
    std::shuffle(parts.begin(), parts.end(), random.engine());
    const auto last = std::move(parts.back());
    parts.pop_back();
    parts[0].merge(last);
  }
  return parts[0];
}

TEST(a_top, is_exact_in_any_split_and_order_while_there_are_few_values) {
  choices random(seed_of_run());
  for (int round = 0; round < 40; ++round) {
    const auto values = sample(random, 1 + random.below(top_values::most_kept), 3'000);
    counts exact;
    for (const auto& v : values)
      ++exact[v];
    const auto top = merged(random, values);
    EXPECT_EQ(top.error(), 0u);
    const auto n = 1 + random.below(100);
    ASSERT_EQ(top.greatest(n), exact_top(exact, n));
  }
}

TEST(a_top, is_within_its_error_in_any_split_and_order_when_there_are_many_values) {
  choices random(seed_of_run());
  for (int round = 0; round < 12; ++round) {
    const auto values = sample(random, 100'000, 30'000 + random.below(30'000));
    counts exact;
    for (const auto& v : values)
      ++exact[v];
    ASSERT_GT(exact.size(), top_values::most_kept);
    const auto top = merged(random, values);
    EXPECT_GT(top.error(), 0u);
    EXPECT_LE(top.error(), values.size() / (top_values::capacity + 1));
    counts shown;
    for (const auto& [value, count] : top.greatest(top_values::most_kept)) {
      shown[value] = count;
      ASSERT_LE(count, exact[value]);
      ASSERT_GE(count + top.error(), exact[value]);
    }
    for (const auto& [value, count] : exact) {
      ASSERT_TRUE(count <= top.error() || shown.contains(value)) << value << " came " << count << " times";
    }
  }
}

TEST(a_top, is_bounded_and_the_same_after_a_checkpoint) {
  choices random(seed_of_run());
  for (const std::uint64_t different : {1u, 50u, 100'000u}) {
    top_values top;
    for (const auto& v : sample(random, different, 20'000))
      top.add(v);
    EXPECT_LE(top.bytes(), top_values::most_kept * 110);
    std::string text;
    top.save(text);
    EXPECT_LE(text.size(), top.bytes() + 64);
    top_values again;
    saved_text in(text);
    ASSERT_TRUE(again.restore(in));
    EXPECT_EQ(in.left(), 0u);
    EXPECT_EQ(again.greatest(5'000), top.greatest(5'000));
    EXPECT_EQ(again.error(), top.error());
    EXPECT_EQ(again.bytes(), top.bytes());
  }
}

TEST(a_top, refuses_a_damaged_checkpoint) {
  top_values top;
  top.add("a");
  top.add("b\n");
  std::string text;
  top.save(text);
  for (std::size_t cut = 0; cut < text.size(); ++cut) {
    top_values t;
    saved_text in(std::string_view(text).substr(0, cut));
    EXPECT_FALSE(t.restore(in)) << cut;
  }
  for (const auto* bad : {"0 2\n1 1\na1 1\na", "0 99999\n", "0 1\n1 18446744073709551615\na"}) {
    top_values t;
    saved_text in(bad);
    EXPECT_FALSE(t.restore(in)) << bad;
  }
}

} // namespace
} // namespace weir::batch
