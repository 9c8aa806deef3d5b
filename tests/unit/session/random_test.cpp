// Many small random worlds, each named by its seed (WEIR_SEED=n runs one alone, WEIR_RUNS=n that many).
#include "tests/unit/session/world.hpp"

#include <cstdlib>
#include <gtest/gtest.h>

namespace {

using namespace weir;
using namespace weir::simulation;

struct outcome {
  std::size_t runs = 0, syncs = 0, recoveries = 0, unrecoverable = 0, pushed_away = 0, frames = 0, resets = 0, gaps = 0;
  std::size_t failed = 0, deltas = 0, lanes_ended = 0;
  std::string first; // seed and what went wrong
};

std::uint64_t number_from(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text ? std::strtoull(text, nullptr, 10) : otherwise;
}

outcome run(std::uint64_t runs, world_options options) {
  outcome out;
  const auto only = number_from("WEIR_SEED", 0);
  runs = number_from("WEIR_RUNS", runs);
  for (std::uint64_t seed = only ? only : 1; seed <= (only ? only : runs); ++seed) {
    world_options o = options;
    o.partitions = 1 + seed % 3;
    o.clients = 1 + seed % 4;
    o.keys = 2 + seed % 7;
    world w(seed, o);
    for (int i = 0; i < 400 && w.verdict().empty(); ++i)
      w.step();
    if (w.verdict().empty() && !w.settle())
      w.blame("it does not come to rest");
    if (w.verdict().empty())
      w.compare_at_rest();
    ++out.runs;
    for (const auto& c : w.clients) {
      out.syncs += c->syncs;
      out.recoveries += c->recoveries;
      out.unrecoverable += c->unrecoverable;
      out.pushed_away += c->pushed_away;
      out.deltas += c->deltas;
    }
    out.frames += w.frames;
    out.resets += w.resets;
    out.gaps += w.gaps;
    out.lanes_ended += w.lanes_ended;
    if (!w.verdict().empty() && out.failed++ == 0)
      out.first = "seed " + std::to_string(seed) + ": " + w.verdict();
  }
  std::printf("%zu runs: %zu syncs, %zu recoveries, %zu unrecoverable, %zu sent away, %zu frames, %zu resets, %zu "
              "lanes ended alone, %zu changes lost, %zu failed\n",
              out.runs, out.syncs, out.recoveries, out.unrecoverable, out.pushed_away, out.frames, out.resets,
              out.lanes_ended, out.gaps, out.failed);
  return out;
}

void expect_everything_happened(const outcome& o) {
  EXPECT_EQ(o.failed, 0u) << o.first;
  if (std::getenv("WEIR_SEED"))
    return;
  EXPECT_GT(o.syncs, o.runs / 2);
  EXPECT_GT(o.recoveries, o.runs / 10);
  EXPECT_GT(o.unrecoverable, 0u);
}

TEST(random_worlds, every_client_of_a_keyed_table_ends_with_the_rows_and_never_sees_one_go_back) {
  const auto o = run(1500, {});
  expect_everything_happened(o);
  EXPECT_GT(o.resets, 0u);
  EXPECT_GT(o.pushed_away, 0u);
}

TEST(random_worlds, rows_with_parts_in_several_partitions_end_as_their_merge) {
  world_options o;
  o.same_keys_everywhere = true;
  expect_everything_happened(run(700, o));
}

TEST(random_worlds, a_log_reaches_its_clients_at_least_once_and_in_order_by_partition) {
  world_options o;
  o.kind = table_kind::log;
  expect_everything_happened(run(1000, o));
}

TEST(random_worlds, nothing_is_lost_without_disturbances_either_and_nobody_is_sent_away) {
  world_options o;
  o.disturb = false;
  const auto all = run(300, o);
  EXPECT_EQ(all.failed, 0u) << all.first;
  EXPECT_EQ(all.resets, 0u);
}

TEST(random_worlds, clients_with_filters_paces_and_deltas_end_with_the_rows_they_asked_for) {
  world_options o;
  o.wishes = true;
  const auto all = run(1500, o);
  expect_everything_happened(all);
  if (!std::getenv("WEIR_SEED")) {
    EXPECT_GT(all.deltas, all.runs / 10);
    EXPECT_GT(all.lanes_ended, 0u);
  }
}

TEST(random_worlds, a_lane_that_is_slower_than_what_is_kept_ends_alone_and_its_clients_get_the_rows_they_asked_for) {
  world_options o;
  o.wishes = o.few_removals = true;
  o.disturb = false;
  const auto all = run(1000, o);
  EXPECT_EQ(all.failed, 0u) << all.first;
  EXPECT_EQ(all.resets, 0u) << "nobody else has to begin anew";
  if (!std::getenv("WEIR_SEED")) {
    EXPECT_GT(all.lanes_ended, 0u);
    EXPECT_GT(all.unrecoverable, 0u) << "its clients lose their place";
  }
}

TEST(random_worlds, paces_and_logs_that_keep_little_give_their_clients_what_they_asked_for_in_order) {
  world_options o;
  o.kind = table_kind::log;
  o.wishes = o.few_removals = true;
  const auto all = run(1000, o);
  expect_everything_happened(all);
  if (!std::getenv("WEIR_SEED")) {
    EXPECT_GT(all.lanes_ended, 0u);
  }
}

// Negative controls: without a guard, the same runs find something wrong.
TEST(random_worlds, an_offset_before_the_end_of_its_frame_is_noticed) {
  world_options o;
  o.without = sabotage::offset_early;
  EXPECT_GT(run(200, o).failed, 0u);
}

TEST(random_worlds, an_offset_above_the_watermark_is_noticed) {
  world_options o;
  o.without = sabotage::offset_of_newest;
  EXPECT_GT(run(200, o).failed, 0u);
}

TEST(random_worlds, a_heartbeat_that_hides_a_lost_change_is_noticed) {
  world_options o;
  o.without = sabotage::heartbeat_unchained;
  EXPECT_GT(run(200, o).failed, 0u);
}

TEST(random_worlds, the_silent_end_of_a_lane_is_noticed) {
  world_options o;
  o.wishes = o.few_removals = true;
  o.without = sabotage::ended_lane_untold;
  EXPECT_GT(run(1000, o).failed, 0u);
}

} // namespace
