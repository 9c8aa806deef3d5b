// Where a partition starts to read, and what keeps it from starting.
#include "tests/actors/partition_stage.hpp"

namespace {

using namespace weir;
using namespace weir::stage;

TEST(partition, fills_a_table_added_later_from_the_oldest_record_while_the_others_take_nothing_twice) {
  world w({.tables = {aggregate("sums"), log_table("events")}});
  lone_partition p(w);
  for (int i = 0; i < 6; ++i)
    w.put("k", value(1));
  w.put("bad", "no json");
  w.run();
  p.retire(false);
  w.run();
  w.topo.tables["more"] = log_table("more");
  w.topo.tables["latest"] = latest("latest");
  lone_partition q(w, {.incarnation = "b", .limits = small_batches(2)});
  w.put("k", value(2));
  w.run();
  EXPECT_EQ(*q.at->starts.at(0).at, offset{0});
  const std::vector<std::int64_t> all{0, 1, 2, 3, 4, 5, 7};
  EXPECT_EQ(offsets(w.entries("more")), all);
  EXPECT_EQ(offsets(w.entries("events")), all);
  EXPECT_EQ(shown(w.table("sums"), w.rows("sums").at("k"))["n"], 7);
  EXPECT_EQ(w.rows("latest").at("k"), value(2));
  EXPECT_EQ(w.producer.sent_to("readings-dead").size(), 1u); // nor is a dead letter written twice
  for (const auto& [name, t] : w.topo.tables)
    EXPECT_EQ(w.position(name), offset{8}) << name;
}

TEST(partition, blocks_on_a_position_beyond_the_end_of_the_log_and_says_why) {
  world w;
  lone_partition p(w);
  for (int i = 0; i < 4; ++i)
    w.put("k", value(1));
  w.run();
  p.kill();
  w.log->replace(partition_id{0}, offset{0});
  w.put("k", value(2));
  p.respawn();
  w.advance(10s);
  EXPECT_EQ(p.status().state, "blocked");
  EXPECT_NE(p.status().message.find("beyond the end"), std::string::npos) << p.status().message;
  EXPECT_FALSE(p.at->starts.back().at);
  EXPECT_EQ(w.position("now"), offset{4});
}

TEST(partition, blocks_when_another_record_stands_at_the_last_applied_offset) {
  world w;
  lone_partition p(w);
  for (int i = 0; i < 4; ++i)
    w.put("k", value(1));
  w.run();
  p.kill();
  w.log->replace(partition_id{0}, offset{0});
  for (int i = 0; i < 9; ++i)
    w.put("other", value(7));
  p.respawn();
  w.advance(10s);
  EXPECT_EQ(p.status().state, "blocked");
  EXPECT_NE(p.status().message.find("another log"), std::string::npos) << p.status().message;
  EXPECT_EQ(w.rows("now"), (std::map<std::string, std::string>{{"k", value(1)}}));
}

TEST(partition, blocks_when_records_were_deleted_before_they_were_read) {
  world w;
  lone_partition p(w);
  w.put("k", value(1));
  w.run();
  p.kill();
  for (int i = 0; i < 5; ++i)
    w.put("k", value(2));
  w.log->trim(partition_id{0}, offset{4});
  p.respawn();
  w.advance(5s);
  EXPECT_EQ(p.status().state, "blocked");
  EXPECT_NE(p.status().message.find("deleted"), std::string::npos) << p.status().message;
}

TEST(partition, starts_anew_at_the_embedded_brokers_oldest_record_when_its_position_is_not_there) {
  world w;
  w.topo.kafka.brokers = "embedded";
  lone_partition p(w);
  for (int i = 0; i < 4; ++i)
    w.put("k", value(1));
  w.run();
  p.kill();
  w.log->replace(partition_id{0}, offset{0});
  w.put("k", value(2));
  p.respawn();
  w.run();
  EXPECT_TRUE(p.running());
  EXPECT_EQ(w.position("now"), offset{1});
  EXPECT_EQ(w.rows("now").at("k"), value(2));
}

TEST(partition, rebuilds_state_that_redis_lost_from_the_oldest_record_where_kafka_has_a_commit) {
  world w;
  w.topo.sources[source_name].start = start_at::latest;
  for (int i = 0; i < 3; ++i)
    w.put(fmt::format("k{}", i), value(1));
  lone_partition p(w);
  w.run();
  w.put("k4", value(2));
  w.run();
  EXPECT_EQ(w.rows("now").size(), 1u);
  p.at->consumer->commit({{partition_id{0}, offset{p.committed_position()}}});
  p.kill();
  w.store->flush_all();
  p.respawn();
  w.run();
  EXPECT_EQ(*p.at->starts.back().at, offset{0});
  EXPECT_EQ(w.rows("now"), folded(w));
}

TEST(partition, tries_again_while_redis_or_kafka_do_not_answer) {
  world w;
  w.store->inject_read(support::fault::answer_error, 0, 3);
  w.log->fail_questions(error{ec::kafka_unreachable, "no brokers"});
  lone_partition p(w);
  w.put("k", value(1));
  w.advance(10s);
  EXPECT_NE(p.status().message.find("no brokers"), std::string::npos) << p.status().message;
  EXPECT_GT(w.store->counted().claims, 1u);
  w.log->fail_questions({});
  ASSERT_TRUE(w.until([&] { return w.position("now") == offset{1}; }));
}

TEST(partition, reads_again_what_a_broken_queue_did_not_hand_over) {
  three_kinds w;
  lone_partition p(w, {.limits = small_batches(2)});
  for (int i = 0; i < 3; ++i)
    w.put("k", value(1));
  w.run();
  w.log->fail_next_drain(partition_id{0}, error{ec::kafka_failed, "broken"});
  w.put("k", value(1));
  ASSERT_TRUE(w.until([&] { return w.position("now") == offset{4}; }));
  w.log->redeliver(partition_id{0}, offset{1});
  w.put("k", value(1));
  w.run();
  expect_three_kinds(w, 5);
}

} // namespace
