#include "tests/unit/view/view_test.hpp"

#include <gtest/gtest.h>

namespace {

using namespace weir;
using namespace weir::view_test;
using table::keyed_view;
using table::rows_load;

std::vector<std::string> since(const keyed_view& v, arrival from) {
  std::vector<std::string> out;
  v.walk(from, [&](const keyed_view::row& r) {
    out.push_back(std::string(r.key) + "=" + (r.value ? *r.value : "-"));
    return true;
  });
  return out;
}

using texts = std::vector<std::string>;

TEST(view, rows_lie_in_the_order_of_their_last_change) {
  keyed_view v(table_of(table_kind::latest));
  v.apply(rows(0, 0, 10, {{"a", "1"}, {"b", "2"}}), 0);
  v.apply(rows(0, 10, 11, {{"a", "3"}}), 0);
  EXPECT_EQ(since(v, {}), (texts{"b=2", "a=3"}));
  EXPECT_EQ(since(v, arrival{2}), (texts{"a=3"}));
  EXPECT_EQ(v.rows(), 2u);
}

TEST(view, a_removed_row_is_never_shown_again_but_stays_as_a_tombstone) {
  keyed_view v(table_of(table_kind::latest));
  v.apply(rows(0, 0, 10, {{"a", "1"}}), 0);
  const auto before = v.head();
  v.apply(rows(0, 10, 11, {{"a", ""}}), 0);
  EXPECT_EQ(v.find("a"), nullptr);
  EXPECT_EQ(v.rows(), 0u);
  EXPECT_EQ(v.tombstones(), 1u);
  EXPECT_EQ(since(v, before), (texts{"a=-"}));
}

TEST(view, a_resume_walks_back_while_the_running_maximum_is_above_it) {
  keyed_view v(table_of(table_kind::latest));
  v.apply(rows(0, 0, 10, {{"a", "1"}}), 0);
  v.apply(rows(0, 10, 30, {{"b", "1"}}), 0);
  v.apply(rows(1, 0, 20, {{"c", "1"}}), 0); // came after 30, with a lower version
  EXPECT_EQ(since(v, *v.cursor_for(version{30})), (texts{}));
  EXPECT_EQ(since(v, *v.cursor_for(version{20})), (texts{"b=1", "c=1"}));
  EXPECT_EQ(since(v, *v.cursor_for(version{10})), (texts{"b=1", "c=1"}));
  EXPECT_EQ(since(v, *v.cursor_for(version{9})), (texts{"a=1", "b=1", "c=1"}));
}

TEST(view, dropping_a_tombstone_raises_the_floor) {
  keyed_view v(table_of(table_kind::latest), {100, 1000});
  v.apply(rows(0, 0, 10, {{"a", "1"}, {"b", "1"}}), 0);
  v.apply(rows(0, 10, 20, {{"a", ""}}), 50);
  v.drop_tombstones(151, version{19});
  EXPECT_EQ(v.tombstones(), 1u) << "never above the watermark";
  const auto before = v.head();
  v.apply(rows(0, 20, 30, {{"b", "2"}}), 150);
  v.drop_tombstones(151, version{30});
  EXPECT_EQ(v.tombstones(), 0u);
  EXPECT_EQ(v.floor(), version{20});
  EXPECT_FALSE(v.cursor_for(version{19}));
  EXPECT_TRUE(v.cursor_for(version{20}));
  EXPECT_TRUE(v.holds(before));
  EXPECT_FALSE(v.holds(arrival{before.value - 1}));
}

TEST(view, tombstones_are_bounded_even_below_a_frozen_watermark) {
  keyed_view v(table_of(table_kind::latest), {1'000'000, 10});
  for (std::uint64_t i = 1; i <= 1000; ++i) {
    v.apply(rows(0, i - 1, i, {{"k" + std::to_string(i), ""}}), 0);
    v.drop_tombstones(0, version{});
  }
  EXPECT_LE(v.tombstones(), 40u);
}

TEST(view, a_row_removed_and_set_again_outlives_its_old_tombstone) {
  keyed_view v(table_of(table_kind::latest), {100, 1000});
  v.apply(rows(0, 0, 10, {{"a", "1"}}), 0);
  v.apply(rows(0, 10, 11, {{"a", ""}}), 0);
  v.apply(rows(0, 11, 12, {{"a", "2"}}), 0);
  v.apply(rows(0, 12, 13, {{"a", ""}}), 500);
  v.drop_tombstones(300, version{13});
  EXPECT_EQ(v.tombstones(), 1u) << "the second removal is young";
  v.apply(rows(0, 13, 14, {{"a", "3"}}), 500);
  v.drop_tombstones(10'000, version{14});
  ASSERT_NE(v.find("a"), nullptr);
  EXPECT_EQ(*v.find("a")->value, "3");
}

TEST(view, many_changes_of_few_rows_take_bounded_memory_and_keep_their_order) {
  keyed_view v(table_of(table_kind::latest));
  v.apply(rows(0, 0, 1, {{"still", "1"}}), 0);
  const auto bytes_before = v.bytes();
  for (std::uint64_t i = 2; i < 20'000; ++i)
    v.apply(rows(0, i - 1, i, {{"k" + std::to_string(i % 3), "1"}}), 0);
  EXPECT_EQ(since(v, {}), (texts{"still=1", "k2=1", "k0=1", "k1=1"}));
  EXPECT_LT(v.bytes(), bytes_before * 5);
}

TEST(view, of_parts_in_two_partitions_the_greatest_stamp_is_shown) {
  keyed_view v(table_of(table_kind::latest));
  const auto at = [](int p, std::uint64_t previous, std::uint64_t version, std::int64_t time, const char* value) {
    auto c = rows(p, previous, version, {{"a", value}});
    c.rows[0].at.time_ms = time;
    return c;
  };
  v.apply(at(0, 0, 10, 500, "\"new\""), 0);
  v.apply(at(1, 0, 11, 400, "\"old\""), 0);
  EXPECT_EQ(*v.find("a")->value, "\"new\"");
  EXPECT_EQ(v.find("a")->at, version{11}) << "a row's version is the greatest of its parts'";
  v.apply(at(0, 10, 12, 600, ""), 0);
  EXPECT_EQ(*v.find("a")->value, "\"old\"") << "the part of the other partition is what is left";
  v.apply(at(1, 11, 13, 600, ""), 0);
  EXPECT_EQ(v.find("a"), nullptr);
}

TEST(view, a_load_brings_the_rows_to_what_was_read_and_moves_only_what_differs) {
  keyed_view v(table_of(table_kind::latest));
  v.apply(rows(0, 0, 10, {{"same", "1"}, {"changed", "1"}, {"gone", "1"}}), 0);
  const auto before = v.head();
  rows_load load{partition_id{0}, version{10},
                 false,           rows(0, 0, 20, {{"same", "1"}, {"changed", "2"}, {"new", "1"}}).rows,
                 version{20},     {}};
  v.load(std::span(&load, 1), 0);
  auto moved = since(v, before);
  std::sort(moved.begin(), moved.end());
  EXPECT_EQ(moved, (texts{"changed=2", "gone=-", "new=1"}));
  EXPECT_EQ(v.floor(), version{20}) << "what changed and went again in between is not known";
}

TEST(view, a_change_log_gives_a_loaded_view_its_versions_and_tombstones) {
  keyed_view v(table_of(table_kind::latest));
  rows_load load{partition_id{0},
                 version{},
                 true,
                 rows(0, 0, 20, {{"a", "1"}, {"b", "1"}}).rows,
                 version{5},
                 {{version{8}, {"b", "x"}}, {version{12}, {"x"}}}};
  v.load(std::span(&load, 1), 0);
  EXPECT_EQ(since(v, *v.cursor_for(version{5})), (texts{"b=1", "x=-"}));
  EXPECT_EQ(since(v, *v.cursor_for(version{8})), (texts{"x=-"}));
  EXPECT_FALSE(v.cursor_for(version{4}));
}

TEST(view, a_load_of_one_partition_leaves_the_rows_of_others) {
  keyed_view v(table_of(table_kind::latest));
  v.apply(rows(0, 0, 10, {{"a", "1"}}), 0);
  v.apply(rows(1, 0, 10, {{"b", "1"}}), 0);
  rows_load load{partition_id{0}, version{10}, false, {}, version{20}, {}};
  v.load(std::span(&load, 1), 0);
  EXPECT_EQ(v.find("a"), nullptr);
  EXPECT_NE(v.find("b"), nullptr);
}

} // namespace
