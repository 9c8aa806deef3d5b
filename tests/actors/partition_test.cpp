// The partition actor and the redis writer, with the store and the log in memory: batches, owners, dead letters.
#include "tests/actors/partition_stage.hpp"

namespace {

using namespace weir;
using namespace weir::stage;

TEST(partition, claims_and_stores_where_it_starts_and_only_then_reads) {
  world w;
  w.put("k", value(1));
  w.store->hold(0);
  lone_partition p(w);
  w.run();
  EXPECT_EQ(w.store->counted().claims, 1u);
  EXPECT_EQ(w.store->held(0), 1u);
  EXPECT_TRUE(p.at->starts.empty());
  EXPECT_EQ(w.position("now"), redis::no_position);
  p.at->assign = false;
  w.store->release(0);
  w.run();
  ASSERT_EQ(p.at->starts.size(), 1u);
  EXPECT_EQ(*p.at->starts[0].at, offset{0});
  EXPECT_EQ(w.position("now"), offset{0});
  EXPECT_TRUE(w.rows("now").empty());
  p.at->hand(partition_id{0}, offset{0});
  w.run();
  EXPECT_EQ(w.rows("now"), folded(w));
  EXPECT_EQ(w.position("now"), offset{1});
  EXPECT_TRUE(p.running());
}

TEST(partition, a_fresh_partition_with_start_latest_stores_the_end_before_the_first_read) {
  world w;
  w.topo.sources[source_name].start = start_at::latest;
  w.put("old", value(1));
  w.put("old", value(2));
  lone_partition p(w, {.assign = false});
  w.run();
  EXPECT_EQ(w.position("now"), offset{2});
  // What comes while it is down is not skipped by the next start.
  p.kill();
  w.put("new", value(3));
  p.at->assign = true;
  p.respawn();
  w.run();
  EXPECT_EQ(p.at->starts.back().at, offset{2});
  EXPECT_EQ(w.rows("now"), (std::map<std::string, std::string>{{"new", value(3)}}));
}

TEST(partition, keeps_at_most_two_transactions_in_flight_and_drains_no_more_than_one_batch_beyond) {
  world w;
  lone_partition p(w, {.limits = small_batches(3)});
  w.run();
  w.store->hold(0);
  for (int i = 0; i < 50; ++i)
    w.put(fmt::format("k{}", i), value(1));
  w.run();
  EXPECT_EQ(w.store->held(0), 2u);
  const auto taken = w.log->reading(0).at(partition_id{0});
  EXPECT_GE(taken, offset{6});
  EXPECT_LE(taken, offset{9});
  w.advance(3s);
  EXPECT_EQ(w.store->held(0), 2u);
  EXPECT_EQ(w.log->reading(0).at(partition_id{0}), taken);
  w.store->release(0);
  w.run();
  EXPECT_EQ(w.position("now"), offset{50});
  EXPECT_EQ(w.rows("now").size(), 50u);
}

TEST(partition, applies_the_records_of_a_batch_once_though_the_answer_is_lost) {
  for (const auto f : {support::fault::drop_reply, support::fault::drop_request}) {
    three_kinds w;
    lone_partition p(w);
    w.run();
    w.store->inject(0, f);
    for (int i = 0; i < 5; ++i)
      w.put(fmt::format("k{}", i % 2), value(1));
    w.advance(200ms);
    EXPECT_FALSE(w.board.links().at(0));
    w.store->link_up(0);
    w.put("k0", value(9));
    w.run();
    expect_three_kinds(w, 6);
    EXPECT_EQ(w.store->counted().claims, 1u); // nothing was dropped and read again
    std::vector<std::int64_t> told;
    for (const auto& c : p.published("events"))
      for (const auto& e : c->entries)
        told.push_back(e.at.value);
    EXPECT_EQ(told, up_to(6));
  }
}

TEST(partition, applies_both_batches_of_a_pipeline_once_though_both_answers_are_lost_and_publishes_them_in_order) {
  three_kinds w;
  lone_partition p(w, {.limits = small_batches(2)});
  w.run();
  static_cast<void>(p.published("events"));
  w.store->hold(0);
  for (int i = 0; i < 4; ++i)
    w.put(fmt::format("k{}", i % 2), value(1));
  w.run();
  ASSERT_EQ(w.store->held(0), 2u);
  w.store->inject(0, support::fault::drop_reply, 0, 2);
  w.store->release(0);
  w.run();
  EXPECT_EQ(w.position("now"), offset{4});
  w.store->link_up(0);
  w.put("k1", value(5));
  w.run();
  expect_three_kinds(w, 5);
  EXPECT_EQ(w.store->counted().claims, 1u);
  version before;
  std::vector<std::int64_t> told;
  for (const auto& c : p.published("events")) {
    EXPECT_GT(c->first, before);
    EXPECT_GE(c->last.value, c->first.value + std::max<std::size_t>(c->entries.size(), 1) - 1);
    before = c->last;
    for (const auto& e : c->entries)
      told.push_back(e.at.value);
  }
  EXPECT_EQ(told, up_to(5));
  EXPECT_LE(before, w.head().last);
}

TEST(partition, reads_a_batch_that_redis_refused_again_from_the_stored_position) {
  three_kinds w;
  lone_partition p(w, {.limits = small_batches(2)});
  w.run();
  w.put("k0", value(1));
  w.run();
  w.store->inject(0, support::fault::answer_error, 0, 1, ec::redis_script);
  for (int i = 1; i < 7; ++i)
    w.put(fmt::format("k{}", i % 3), value(1));
  w.run();
  EXPECT_EQ(w.position("now"), offset{1});
  EXPECT_FALSE(p.running());
  ASSERT_TRUE(w.until([&] { return w.position("now") == offset{7}; }));
  expect_three_kinds(w, 7);
  EXPECT_EQ(w.store->counted().claims, 2u);
}

TEST(partition, a_redis_that_cannot_write_for_a_while_costs_no_claim) {
  three_kinds w;
  lone_partition p(w, {.limits = small_batches(2)});
  w.run();
  w.store->inject(0, support::fault::answer_error, 0, 3, ec::redis_cannot_write);
  for (int i = 0; i < 9; ++i)
    w.put("k", value(1));
  ASSERT_TRUE(w.until([&] { return w.position("now") == offset{9}; }));
  expect_three_kinds(w, 9);
  EXPECT_EQ(w.store->counted().claims, 1u);
}

TEST(partition, a_fenced_owner_writes_nothing_more_until_it_has_claimed) {
  three_kinds w;
  lone_partition p(w);
  w.put("k", value(1));
  w.run();
  w.store->claim({w.key(0), "somebody", -1, {}}, [](auto) {});
  w.put("k", value(2));
  w.run();
  EXPECT_GE(w.store->counted().fenced, 1u);
  EXPECT_FALSE(p.running());
  const auto applied = w.store->counted().applied;
  const auto fenced = w.store->counted().fenced;
  w.put("k", value(3));
  caf::anon_send(p.at->actor, actors::heartbeat_due{});
  caf::anon_send(p.at->actor, actors::records_ready{});
  w.run();
  EXPECT_EQ(w.store->counted().applied, applied);
  EXPECT_EQ(w.store->counted().fenced, fenced);
  EXPECT_EQ(w.store->counted().claims, 2u);
  ASSERT_TRUE(w.until([&] { return w.position("now") == offset{3}; }));
  EXPECT_EQ(w.store->counted().claims, 3u);
  expect_three_kinds(w, 3);
}

TEST(partition, two_owners_of_one_partition_never_lose_and_never_double) {
  three_kinds w;
  lone_partition a(w, {.incarnation = "a", .limits = small_batches(2)});
  lone_partition b(w, {.incarnation = "b", .limits = small_batches(2)});
  for (int i = 0; i < 120; ++i) {
    w.put(fmt::format("k{}", i % 7), value(1));
    if (i % 3 == 0)
      w.advance(100ms);
  }
  EXPECT_GT(w.store->counted().fenced, 5u); // they did fight
  a.retire(true);
  ASSERT_TRUE(w.until([&] { return w.position("now") == offset{120}; }));
  expect_three_kinds(w, 120);
  w.put("k0", value(1));
  ASSERT_TRUE(w.until([&] { return w.position("now") == offset{121}; }));
  expect_three_kinds(w, 121);
}

TEST(partition, an_owner_of_an_earlier_generation_is_refused_while_the_later_one_is_alive) {
  three_kinds w;
  lone_partition late(w, {.incarnation = "late", .generation = 5});
  w.run();
  lone_partition early(w, {.incarnation = "early", .generation = 4});
  w.put("k", value(1));
  w.advance(10s);
  EXPECT_EQ(w.position("now"), offset{1});
  EXPECT_EQ(w.store->counted().fenced, 0u);
  EXPECT_GT(w.store->counted().refused_claims, 1u);
  EXPECT_TRUE(early.at->starts.empty());
}

TEST(partition, killing_its_actor_at_any_moment_is_a_restart_and_ends_in_the_same_state) {
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    world w({.tables = {latest("now"), aggregate("sums"), log_table("events")}, .delayed_answers = true, .seed = seed});
    std::mt19937_64 random(seed);
    lone_partition p(w, {.limits = small_batches(3)});
    for (int i = 0; i < 40; ++i)
      w.put(fmt::format("k{}", i % 5), value(1));
    for (int kills = 0; kills < 4; ++kills) {
      for (auto steps = random() % 40; steps > 0; --steps) {
        if (!w.answers.empty() && random() % 2) {
          auto next = std::move(w.answers.front());
          w.answers.pop_front();
          next();
        } else {
          w.jobs->try_run_once();
        }
      }
      caf::anon_send_exit(p.at->actor, caf::exit_reason::kill);
      p.respawn();
    }
    ASSERT_TRUE(w.until([&] { return w.position("now") == offset{40}; })) << "seed " << seed;
    expect_three_kinds(w, 40);
    if (HasFailure())
      FAIL() << "seed " << seed;
  }
}

TEST(partition, a_revoked_one_finishes_what_is_in_flight_and_commits_nothing_more) {
  three_kinds w;
  lone_partition p(w);
  w.run();
  w.store->hold(0);
  w.put("k", value(1));
  w.run();
  p.retire(false);
  w.run();
  EXPECT_FALSE(p.ended()); // its last answer is on the way
  w.put("k", value(2));
  w.store->release(0);
  w.run();
  EXPECT_TRUE(p.ended());
  EXPECT_EQ(p.committed_position(), 1);
  w.put("k", value(3));
  w.advance(5s);
  EXPECT_EQ(w.position("now"), offset{1});
  EXPECT_EQ(p.committed_position(), 1);
}

TEST(partition, a_lost_one_ends_at_once_and_one_without_answers_in_a_few_seconds) {
  three_kinds w;
  lone_partition lost(w);
  w.run();
  w.store->hold(0);
  w.put("k", value(1));
  w.run();
  lost.retire(true);
  w.run();
  EXPECT_TRUE(lost.ended());
  lone_partition waits(w, {.incarnation = "b"});
  w.run();
  waits.retire(false);
  w.advance(1s);
  EXPECT_FALSE(waits.ended());
  w.advance(5s);
  EXPECT_TRUE(waits.ended());
}

TEST(partition, ends_with_its_source) {
  world w;
  lone_partition p(w);
  w.run();
  caf::anon_send_exit(p.owner, caf::exit_reason::kill);
  w.run();
  EXPECT_TRUE(p.ended());
}

TEST(partition, an_ended_one_does_not_take_its_successor_off_the_writers_list) {
  three_kinds w;
  lone_partition p(w);
  w.run();
  const auto old = p.at->actor;
  p.respawn();
  w.run();
  const auto saved = w.store->take_snapshot();
  w.put("k", value(1));
  w.run();
  caf::anon_send_exit(old, caf::exit_reason::kill);
  w.run();
  w.store->link_down(0);
  w.store->roll_back(saved);
  w.store->link_up(0);
  ASSERT_TRUE(w.until([&] { return w.position("now") == offset{1}; })); // it was told to look
}

// -- dead letters
// -----------------------------------------------------------------------------------------------------------------------

TEST(partition, a_dead_letter_is_delivered_before_the_position_passes_it) {
  three_kinds w;
  lone_partition p(w);
  w.run();
  w.producer.hold();
  w.put("k", value(1));
  w.put("bad", "no json");
  w.put("k", value(2));
  w.advance(2s);
  EXPECT_LE(w.position("now"), offset{1});
  w.producer.release();
  w.run();
  EXPECT_EQ(w.position("now"), offset{3});
  const auto letters = w.producer.sent_to("readings-dead");
  ASSERT_EQ(letters.size(), 1u);
  EXPECT_EQ(*letters[0].value, "no json");
  const std::map<std::string, std::string> headers(letters[0].headers.begin(), letters[0].headers.end());
  EXPECT_EQ(headers.at("weir.offset"), "1");
  EXPECT_EQ(headers.at("weir.topic"), "readings-topic");
  EXPECT_FALSE(headers.at("weir.reason").empty());
  EXPECT_EQ(offsets(w.entries("events")), (std::vector<std::int64_t>{0, 2}));
  EXPECT_EQ(w.board.sources()[source_name].dead_letters, 1u);
}

TEST(partition, waits_and_says_so_while_the_dead_letter_topic_takes_nothing) {
  three_kinds w;
  lone_partition p(w);
  w.run();
  w.producer.fail_with(error{ec::kafka_unreachable, "no brokers"});
  w.put("bad", "no json");
  w.put("k", value(1));
  w.advance(20s);
  EXPECT_EQ(w.position("now"), offset{0});
  EXPECT_NE(p.status().message.find("no brokers"), std::string::npos) << p.status().message;
  EXPECT_NE(w.board.waits()["partition/readings/0"].find("readings-dead"), std::string::npos);
  w.producer.fail_with({});
  ASSERT_TRUE(w.until([&] { return w.position("now") == offset{2}; }));
  EXPECT_EQ(w.producer.sent_to("readings-dead").size(), 1u);
  EXPECT_TRUE(w.board.waits()["partition/readings/0"].empty());
}

TEST(partition, goes_on_after_a_dead_letter_though_upkeep_filled_the_pipeline_meanwhile) {
  auto brief = latest("now");
  brief.ttl = 2s;
  world w({.tables = {brief}});
  lone_partition p(w, {.limits = small_batches(1)});
  w.put("old", value(1));
  w.advance(1500ms);
  w.store->hold(0);
  w.put("k", value(2));
  w.run(); // in flight
  w.producer.hold();
  w.put("bad", "no json");
  w.run();       // waits for its letter
  w.advance(2s); // "old" expires: the second in flight
  ASSERT_EQ(w.store->held(0), 2u);
  w.producer.release();
  w.run();
  w.store->release(0);
  w.run();
  EXPECT_EQ(w.position("now"), offset{3});
}

} // namespace
