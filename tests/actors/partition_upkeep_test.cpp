// What a partition does beside its records: expiry, trims, states, heartbeats.
#include "tests/actors/partition_stage.hpp"

namespace {

using namespace weir;
using namespace weir::stage;

std::set<std::string> removals(const std::vector<change_set_ptr>& changes) {
  std::set<std::string> out;
  for (const auto& c : changes)
    for (const auto& r : c->rows)
      if (!r.value)
        out.insert(r.key);
  return out;
}

TEST(partition, removes_and_publishes_rows_whose_time_is_over_and_keeps_renewed_ones) {
  auto brief = latest("now");
  brief.ttl = 10s;
  world w({.tables = {brief}});
  lone_partition p(w);
  w.put("renewed", value(1));
  w.put("over", value(1));
  w.advance(6s);
  w.put("renewed", value(2));
  static_cast<void>(p.published("now"));
  w.advance(6s);
  EXPECT_EQ(w.rows("now"), (std::map<std::string, std::string>{{"renewed", value(2)}}));
  EXPECT_EQ(removals(p.published("now")), std::set<std::string>{"over"});
  w.advance(6s);
  EXPECT_TRUE(w.rows("now").empty());
  EXPECT_EQ(removals(p.published("now")), std::set<std::string>{"renewed"});
}

TEST(partition, keeps_a_row_that_is_renewed_while_its_expiry_is_on_the_way) {
  auto brief = latest("now");
  brief.ttl = 10s;
  world w({.tables = {brief}});
  lone_partition p(w);
  w.put("renewed", value(1));
  w.put("over", value(1));
  w.advance(9900ms);
  w.store->hold(0);
  w.put("renewed", value(2)); // in flight, before the expiry
  w.advance(2s);
  ASSERT_EQ(w.store->held(0), 2u);
  static_cast<void>(p.published("now"));
  w.store->release(0);
  w.run();
  EXPECT_EQ(w.rows("now"), (std::map<std::string, std::string>{{"renewed", value(2)}}));
  EXPECT_EQ(removals(p.published("now")), std::set<std::string>{"over"});
}

TEST(partition, trims_a_log_to_its_share_of_the_count) {
  auto t = log_table("events");
  t.keep_count = 20;
  world w({.partitions = 2, .tables = {t}});
  lone_partition p(w, {.limits = small_batches(3)});
  for (int i = 0; i < 50; ++i) {
    w.put("k", value(1));
    if (i % 5 == 0)
      w.advance(200ms);
  }
  w.advance(3s);
  const auto left = offsets(w.entries("events"));
  EXPECT_GE(left.size(), 10u);
  EXPECT_LE(left.size(), 12u); // packed entries go as a whole
  EXPECT_EQ(left.back(), 49);
  EXPECT_EQ(w.head().tables.at("events@1").records, left.size());
}

TEST(partition, trims_a_log_by_age_while_nothing_new_comes) {
  auto t = log_table("events");
  t.keep_age = 30s;
  world w({.tables = {t}});
  lone_partition p(w);
  w.run();
  for (int i = 0; i < 4; ++i) {
    w.put("k", value(1));
    w.run();
  }
  w.advance(20s);
  w.put("k", value(1));
  w.advance(15s);
  EXPECT_EQ(offsets(w.entries("events")), std::vector<std::int64_t>{4});
  w.advance(20s);
  EXPECT_TRUE(w.entries("events").empty());
}

TEST(partition, aggregates_loaded_lazily_are_the_same_with_every_batch_boundary) {
  const auto run = [](std::size_t batch, std::size_t cached, bool kill) {
    world w({.tables = {aggregate("sums")}});
    partition_limits l = small_batches(batch);
    l.cached_states = cached;
    lone_partition p(w, {.limits = l});
    std::mt19937_64 random(7);
    for (int i = 0; i < 60; ++i) {
      w.put(fmt::format("k{}", random() % 9), value(static_cast<std::uint64_t>(i), static_cast<int>(random() % 100)));
      if (i % 10 == 0) {
        w.run();
        if (kill) {
          p.kill();
          p.respawn();
        }
      }
    }
    w.run();
    EXPECT_EQ(w.position("sums"), offset{60});
    return w.rows("sums");
  };
  const auto expected = run(1000, 1000, false);
  ASSERT_EQ(expected.size(), 9u);
  for (const std::size_t batch : {1, 2, 3, 7, 16})
    for (const std::size_t cached : {1, 4, 1000})
      for (const bool kill : {false, true})
        EXPECT_EQ(run(batch, cached, kill), expected) << batch << " " << cached << " " << kill;
}

TEST(partition, a_state_that_cannot_be_loaded_is_asked_for_again) {
  three_kinds w;
  lone_partition p(w);
  w.run();
  w.store->inject_read(support::fault::answer_error);
  w.put("k", value(1));
  w.run();
  EXPECT_EQ(w.position("sums"), offset{0});
  ASSERT_TRUE(w.until([&] { return w.position("sums") == offset{1}; }));
  expect_three_kinds(w, 1);
}

TEST(partition, a_heartbeat_says_that_nothing_older_will_come) {
  three_kinds w;
  lone_partition p(w);
  w.put("k", value(1));
  w.run();
  const auto before = p.published("now");
  ASSERT_FALSE(before.empty());
  const auto changed = before.back()->last;
  w.advance(3s);
  EXPECT_TRUE(p.published("now").empty()); // only when others have something newer
  caf::anon_send(p.at->actor, actors::heartbeat_due{});
  w.run();
  const auto after = p.published("now");
  ASSERT_EQ(after.size(), 1u);
  EXPECT_TRUE(after[0]->rows.empty());
  EXPECT_EQ(after[0]->previous, changed);
  EXPECT_GT(after[0]->last.value, changed.value + 2'900'000);
  EXPECT_EQ(p.progress->known.load(), after[0]->last.value);
  EXPECT_EQ(p.progress->changed.load(), changed.value);
}

TEST(partition, a_heartbeat_of_a_fenced_owner_tells_nobody_anything) {
  three_kinds w;
  lone_partition p(w);
  w.run();
  static_cast<void>(p.published("now"));
  w.store->claim({w.key(0), "somebody", -1, {}}, [](auto) {});
  caf::anon_send(p.at->actor, actors::heartbeat_due{});
  w.run();
  EXPECT_TRUE(p.published("now").empty());
}

} // namespace
