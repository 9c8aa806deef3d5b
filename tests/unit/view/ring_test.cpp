#include "runtime/table/ring.hpp"

#include "tests/unit/view/view_test.hpp"

#include <gtest/gtest.h>

namespace {

using namespace weir;
using namespace weir::view_test;
using table::log_load;
using table::log_ring;

void add(log_ring& r, int p, std::uint64_t first, std::int64_t at, std::size_t n, std::uint64_t watermark = 0) {
  r.apply(partition_id{p}, entries(p, 0, first, at, n), version{watermark});
}

std::vector<std::uint64_t> versions(const std::vector<const log_ring::entry*>& found) {
  std::vector<std::uint64_t> out;
  for (const auto* e : found)
    out.push_back(e->at.value);
  return out;
}

TEST(ring, the_records_of_a_batch_have_versions_of_their_own) {
  log_ring r;
  add(r, 0, 100, 0, 3);
  EXPECT_EQ(versions(r.newest(10)), (std::vector<std::uint64_t>{100, 101, 102}));
}

TEST(ring, the_newest_are_ordered_by_version_partition_and_place_not_by_arrival) {
  log_ring r;
  add(r, 0, 100, 0, 3); // 100..102
  add(r, 1, 90, 0, 2);  // 90, 91: arrived later
  add(r, 1, 102, 5, 1);
  add(r, 0, 110, 3, 1);
  const auto found = r.newest(4);
  EXPECT_EQ(versions(found), (std::vector<std::uint64_t>{101, 102, 102, 110}));
  EXPECT_EQ(found[1]->partition, partition_id{0});
  EXPECT_EQ(found[2]->partition, partition_id{1});
  EXPECT_EQ(versions(r.newest(100)), (std::vector<std::uint64_t>{90, 91, 100, 101, 102, 102, 110}));
}

TEST(ring, number_and_bytes_are_bounded_and_dropping_raises_the_floor) {
  log_ring r({10, 1 << 20, 0});
  for (std::uint64_t i = 1; i <= 100; ++i)
    add(r, 0, i, static_cast<std::int64_t>(i), 1);
  EXPECT_EQ(r.size(), 10u);
  EXPECT_EQ(r.floor(), version{90});
  EXPECT_FALSE(r.cursor_for(version{89}));
  EXPECT_EQ(r.cursor_for(version{90})->value, 90u);
  EXPECT_FALSE(r.holds(arrival{89}));
  EXPECT_TRUE(r.holds(arrival{90}));
  log_ring small({1000, 1000, 0});
  for (std::uint64_t i = 1; i <= 100; ++i)
    add(small, 0, i, static_cast<std::int64_t>(i), 1);
  EXPECT_LE(small.bytes(), 1000u);
}

TEST(ring, entries_older_than_its_age_are_dropped) {
  log_ring r({100, 1 << 20, 50});
  add(r, 0, 10, 0, 10); // times 1000..1009
  r.trim(1055);
  EXPECT_EQ(r.size(), 5u);
  EXPECT_EQ(r.floor(), version{14});
}

TEST(ring, a_load_adds_what_is_above_the_known_and_up_to_its_head_in_order_of_version) {
  log_ring r;
  add(r, 0, 100, 0, 2);
  const auto head = r.head();
  std::vector<log_load> loads{
      {partition_id{0}, version{101}, version{103}, version{99}, {{version{100}, entries(0, 0, 100, 0, 5).entries}}},
      {partition_id{1}, version{}, version{200}, version{}, {{version{102}, entries(1, 0, 102, 0, 1).entries}}}};
  EXPECT_FALSE(r.load(loads, version{}));
  EXPECT_EQ(versions(r.newest(10)), (std::vector<std::uint64_t>{100, 101, 102, 102, 103}));
  EXPECT_TRUE(r.holds(head));
}

TEST(ring, no_cursor_leads_across_a_hole) {
  log_ring r;
  add(r, 0, 100, 0, 2);
  const auto head = r.head();
  std::vector<log_load> loads{
      {partition_id{0}, version{101}, version{300}, version{199}, {{version{200}, entries(0, 0, 200, 50, 2).entries}}}};
  EXPECT_TRUE(r.load(loads, version{}));
  EXPECT_FALSE(r.holds(head));
  EXPECT_FALSE(r.cursor_for(version{198}));
  EXPECT_TRUE(r.cursor_for(version{199}));
}

TEST(ring, forgetting_a_partition_ends_all_cursors_and_keeps_the_others_entries) {
  log_ring r;
  add(r, 0, 100, 0, 2);
  add(r, 1, 110, 0, 2);
  const auto head = r.head();
  r.forget(partition_id{0});
  EXPECT_EQ(versions(r.newest(10)), (std::vector<std::uint64_t>{110, 111}));
  EXPECT_FALSE(r.holds(head));
}

} // namespace
