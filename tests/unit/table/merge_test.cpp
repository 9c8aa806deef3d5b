#include "table_test.hpp"

#include "runtime/table/merge.hpp"

#include <algorithm>
#include <gtest/gtest.h>

namespace weir::table {
namespace {

shared_bytes bytes(std::string v) { return std::make_shared<const std::string>(std::move(v)); }

part of(std::int32_t partition, std::int64_t time, std::int64_t place, shared_bytes value) {
  return {partition_id{partition}, stamp{time, partition_id{partition}, offset{place}}, std::move(value)};
}

TEST(merged_row, of_a_latest_table_is_the_part_with_the_greatest_stamp) {
  const auto t = testing::latest("machines").config;
  const auto a = bytes("a"), b = bytes("b"), c = bytes("c");
  std::vector<part> parts{of(0, 10, 99, a), of(1, 12, 1, b), of(2, 12, 0, c)};
  EXPECT_EQ(visible_row(t, parts), c) << "equal times: the greater partition; the very bytes, not a copy";
  parts[2].value = nullptr;
  EXPECT_EQ(visible_row(t, parts), b) << "a removed part has no say";
  parts[1].value = nullptr;
  EXPECT_EQ(visible_row(t, parts), a);
  parts[0].value = nullptr;
  EXPECT_EQ(visible_row(t, parts), nullptr);
  EXPECT_EQ(visible_row(t, std::vector<part>{}), nullptr);
  EXPECT_EQ(visible_row(t, of(0, 1, 1, a)), a);
}

TEST(merged_row, of_an_aggregate_is_merged_in_partition_order_whatever_the_order_given) {
  const auto t = testing::aggregate("totals").config;
  std::vector<part> parts;
  aggregate_state expected(t.fields);
  const double totals[] = {1e16, 1.0, -1e16, 0.3}; // their sum depends on the order
  for (std::int32_t p = 0; p < 4; ++p) {
    aggregate_state s(t.fields);
    s.add(std::vector<std::optional<number>>(t.fields.size(), number(totals[p])), stamp{p, partition_id{p}, offset{0}});
    parts.push_back(of(p, p, 0, bytes(s.to_json(t.fields))));
    expected.merge(s);
  }
  std::sort(parts.begin(), parts.end(), [](const part& x, const part& y) { return x.partition > y.partition; });
  do {
    const auto row = visible_row(t, parts);
    ASSERT_TRUE(row);
    ASSERT_EQ(*row, expected.to_row(t.fields));
  } while (std::prev_permutation(parts.begin(), parts.end(),
                                 [](const part& x, const part& y) { return x.partition < y.partition; }));
}

TEST(merged_row, of_one_aggregate_part_is_its_visible_row_and_unreadable_parts_are_left_out) {
  const auto t = testing::aggregate("totals").config;
  aggregate_state s(t.fields);
  s.add(std::vector<std::optional<number>>(t.fields.size(), number(std::int64_t{2})), {});
  EXPECT_EQ(*visible_row(t, of(0, 1, 1, bytes(s.to_json(t.fields)))), s.to_row(t.fields));
  EXPECT_EQ(*visible_row(t, std::vector<part>{of(0, 1, 1, bytes("{}")), of(1, 1, 1, bytes(s.to_json(t.fields)))}),
            s.to_row(t.fields));
  EXPECT_EQ(visible_row(t, of(0, 1, 1, nullptr)), nullptr);
}

} // namespace
} // namespace weir::table
