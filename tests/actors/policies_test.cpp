// The plain classes that the actors judge by: the chain of transactions, where reading starts, what the stored state
// belongs to.
#include "runtime/redis/chain.hpp"
#include "runtime/redis/identity.hpp"
#include "runtime/redis/start_position.hpp"

#include <gtest/gtest.h>

namespace {

using namespace weir;
using namespace weir::redis;

// -- chain ------------------------------------------------------------------------------------------------------------

partition_state head_of(std::uint64_t epoch, batch_id batch = {}, std::string stream = "0000000000000100-a") {
  partition_state h;
  h.epoch = owner_epoch{epoch};
  h.batch = batch;
  h.last = version{epoch};
  h.stream = stream_epoch{std::move(stream)};
  return h;
}

tx_result answer(tx_status s, std::uint64_t last = 0, std::string stream = "0000000000000100-a") {
  tx_result r;
  r.status = s;
  r.first = r.last = version{last};
  r.epoch = stream_epoch{std::move(stream)};
  return r;
}

struct chain_test : ::testing::Test {
  chain c{{"plant", "readings", partition_id{0}}};

  transaction stamp(version hint = {}) {
    transaction tx;
    c.stamp(tx, hint);
    return tx;
  }
};

TEST_F(chain_test, nothing_is_open_before_a_claim) {
  EXPECT_FALSE(c.open());
  EXPECT_EQ(c.acknowledged({owner_epoch{1}, 1}, answer(tx_status::applied)), chain::verdict::unknown);
}

TEST_F(chain_test, each_transaction_follows_the_one_before_and_the_first_what_is_stored) {
  c.claimed(head_of(200, {owner_epoch{100}, 7}));
  const auto a = stamp(), b = stamp();
  EXPECT_EQ(a.follows, (batch_id{owner_epoch{100}, 7}));
  EXPECT_EQ(a.id, (batch_id{owner_epoch{200}, 1}));
  EXPECT_EQ(b.follows, a.id);
  EXPECT_EQ(b.id, (batch_id{owner_epoch{200}, 2}));
  EXPECT_EQ(a.partition.source, "readings");
}

TEST_F(chain_test, is_full_at_its_bound_and_has_room_again_after_an_answer) {
  c.claimed(head_of(200));
  const auto a = stamp();
  EXPECT_FALSE(c.full());
  stamp();
  EXPECT_TRUE(c.full());
  EXPECT_EQ(c.acknowledged(a.id, answer(tx_status::applied, 300)), chain::verdict::done);
  EXPECT_FALSE(c.full());
  EXPECT_EQ(c.in_flight(), 1u);
  EXPECT_EQ(c.last(), version{300});
}

TEST_F(chain_test, applied_before_counts_as_applied_now) {
  c.claimed(head_of(200));
  const auto a = stamp();
  EXPECT_EQ(c.acknowledged(a.id, answer(tx_status::already, 250)), chain::verdict::done);
}

TEST_F(chain_test, breaks_at_any_other_answer_and_stays_closed_until_the_next_claim) {
  for (const auto s : {tx_status::mismatch, tx_status::fenced}) {
    c.claimed(head_of(200));
    const auto a = stamp(), b = stamp();
    EXPECT_EQ(c.acknowledged(a.id, answer(s)), chain::verdict::broken);
    EXPECT_FALSE(c.open());
    EXPECT_EQ(c.acknowledged(b.id, answer(tx_status::applied)), chain::verdict::unknown);
    c.claimed(head_of(300));
    EXPECT_TRUE(c.open());
    EXPECT_EQ(c.in_flight(), 0u);
  }
}

TEST_F(chain_test, breaks_when_a_transaction_failed_even_behind_another_one) {
  c.claimed(head_of(200));
  const auto a = stamp(), b = stamp();
  EXPECT_EQ(c.failed(b.id), chain::verdict::broken);
  EXPECT_EQ(c.acknowledged(a.id, answer(tx_status::applied)), chain::verdict::unknown);
}

TEST_F(chain_test, answers_to_an_earlier_claims_transactions_are_ignored) {
  c.claimed(head_of(200));
  const auto a = stamp();
  c.claimed(head_of(300));
  EXPECT_EQ(c.acknowledged(a.id, answer(tx_status::fenced)), chain::verdict::unknown);
  EXPECT_EQ(c.failed(a.id), chain::verdict::unknown);
  EXPECT_TRUE(c.open());
}

TEST_F(chain_test, hints_are_never_below_what_it_knows_itself) {
  c.claimed(head_of(200));
  EXPECT_EQ(stamp(version{50}).hint, version{200});
  EXPECT_EQ(stamp(version{500}).hint, version{500});
}

TEST_F(chain_test, a_stored_id_below_an_acknowledged_one_means_that_redis_went_back) {
  EXPECT_FALSE(c.claimed(head_of(200, {owner_epoch{100}, 7})).rolled_back);
  c.acknowledged(stamp().id, answer(tx_status::applied, 201));
  EXPECT_FALSE(c.claimed(head_of(300, {owner_epoch{200}, 1})).rolled_back);
  EXPECT_TRUE(c.claimed(head_of(400, {owner_epoch{100}, 7})).rolled_back);
  EXPECT_FALSE(c.claimed(head_of(500, {owner_epoch{100}, 7})).rolled_back) << "told once";
}

TEST_F(chain_test, a_transaction_without_an_answer_may_be_gone_without_alarm) {
  c.claimed(head_of(200, {owner_epoch{100}, 7}));
  stamp();
  EXPECT_FALSE(c.claimed(head_of(300, {owner_epoch{100}, 7})).rolled_back);
}

TEST_F(chain_test, an_older_stream_epoch_means_that_redis_went_back_whatever_was_applied_since) {
  c.claimed(head_of(200, {owner_epoch{100}, 7}, "0000000000000200-a"));
  EXPECT_TRUE(c.claimed(head_of(300, {owner_epoch{100}, 8}, "0000000000000100-z")).rolled_back);
  c.claimed(head_of(400, {owner_epoch{100}, 8}, "0000000000000100-z"));
  c.acknowledged(stamp().id, answer(tx_status::applied, 401, "0000000000000402-b"));
  EXPECT_TRUE(c.claimed(head_of(500, {owner_epoch{400}, 1}, "0000000000000100-z")).rolled_back);
}

TEST_F(chain_test, a_new_epoch_goes_with_every_transaction_until_one_is_acknowledged) {
  c.claimed(head_of(200));
  c.renew_epoch(stream_epoch{"0000000000000300-x"});
  const auto a = stamp(), b = stamp();
  EXPECT_EQ(a.renew_epoch, stream_epoch{"0000000000000300-x"});
  EXPECT_EQ(b.renew_epoch, a.renew_epoch);
  c.acknowledged(a.id, answer(tx_status::fenced));
  c.claimed(head_of(300));
  const auto again = stamp();
  EXPECT_EQ(again.renew_epoch, a.renew_epoch);
  c.acknowledged(again.id, answer(tx_status::applied, 301, "0000000000000300-x"));
  EXPECT_FALSE(stamp().renew_epoch);
}

TEST(epoch_after, orders_behind_the_stored_one_even_within_a_microsecond) {
  auto head = head_of(1'795'000'000'000'000, {}, "1795000000000000-ffffffffffffffff");
  EXPECT_GT(epoch_after(head, "0"), head.stream);
  head.last = version{5}; // of a server whose clock is behind
  EXPECT_GT(epoch_after(head, "0"), head.stream);
  head.stream = {};
  EXPECT_EQ(epoch_after(head, "x").value, "0000000000000006-x");
}

// -- where reading starts
// -------------------------------------------------------------------------------------------------

kafka::partition_range range(std::int64_t low, std::int64_t high, std::optional<offset> committed = {}) {
  return {offset{low}, offset{high}, committed};
}

TEST(start_position, a_table_without_a_position_begins_where_the_source_says) {
  EXPECT_EQ(decide_start({no_position}, range(3, 9), start_at::earliest, witness::none, false).positions,
            std::vector<offset>{offset{3}});
  EXPECT_EQ(decide_start({no_position}, range(3, 9), start_at::latest, witness::none, false).positions,
            std::vector<offset>{offset{9}});
}

TEST(start_position, a_stored_position_is_kept_whatever_the_source_says) {
  const auto d = decide_start({offset{5}, no_position}, range(3, 9), start_at::latest, witness::none, false);
  EXPECT_EQ(d.positions, (std::vector<offset>{offset{5}, offset{9}}));
  EXPECT_TRUE(d.problem.empty());
  EXPECT_TRUE(d.warnings.empty());
}

TEST(start_position, both_ends_of_the_log_are_in_it) {
  EXPECT_TRUE(decide_start({offset{3}}, range(3, 9), start_at::earliest, witness::none, false).problem.empty());
  EXPECT_TRUE(decide_start({offset{9}}, range(3, 9), start_at::earliest, witness::none, false).problem.empty());
}

TEST(start_position, a_commit_of_the_group_without_state_means_loss_and_a_start_at_the_oldest_record) {
  const auto d = decide_start({no_position}, range(3, 9, offset{7}), start_at::latest, witness::committed, false);
  EXPECT_EQ(d.positions, std::vector<offset>{offset{3}});
  ASSERT_EQ(d.warnings.size(), 1u);
  EXPECT_NE(d.warnings[0].find("7"), std::string::npos);
  // Where nothing is committed on purpose, or the partition has state of other tables, a commit means nothing.
  EXPECT_EQ(decide_start({no_position}, range(3, 9, offset{7}), start_at::latest, witness::none, false).positions,
            std::vector<offset>{offset{9}});
}

TEST(start_position, an_owner_that_lost_its_state_begins_where_it_began_or_at_the_oldest_record) {
  const auto at = [](std::vector<offset> began) {
    return decide_start({no_position}, range(3, 9), start_at::latest, witness::owner, false, began);
  };
  EXPECT_EQ(at({offset{5}}).positions, std::vector<offset>{offset{5}});
  EXPECT_EQ(at({offset{2}}).positions, std::vector<offset>{offset{3}}); // deleted meanwhile
  EXPECT_EQ(at({no_position}).positions, std::vector<offset>{offset{3}}); // found begun: nobody knows where
  EXPECT_EQ(at({}).positions, std::vector<offset>{offset{3}});
  EXPECT_EQ(at({}).warnings.size(), 1u);
}

TEST(start_position, a_position_outside_of_the_log_is_a_problem_that_says_what_to_do) {
  const auto beyond = decide_start({offset{10}}, range(3, 9), start_at::earliest, witness::none, false);
  EXPECT_NE(beyond.problem.find("beyond the end"), std::string::npos);
  EXPECT_NE(beyond.problem.find("Delete"), std::string::npos);
  const auto below = decide_start({offset{2}}, range(3, 9), start_at::earliest, witness::none, false);
  EXPECT_NE(below.problem.find("below the oldest"), std::string::npos);
}

TEST(start_position, the_embedded_broker_may_forget) {
  for (const auto at : {2, 10}) {
    const auto d = decide_start({offset{at}}, range(3, 9), start_at::latest, witness::none, true);
    EXPECT_TRUE(d.problem.empty());
    EXPECT_EQ(d.positions, std::vector<offset>{offset{3}});
    EXPECT_EQ(d.warnings.size(), 1u);
  }
}

// -- what the state belongs to
// --------------------------------------------------------------------------------------------

const source_identity mine{"cluster-1", "readings", 4};

TEST(identity, the_same_topic_of_the_same_cluster_goes_on) {
  EXPECT_EQ(judge_source("s", to_json(mine), mine).verdict, identity_verdict::same);
  EXPECT_TRUE(judge_source("s", to_json(mine), mine).reason.empty());
}

TEST(identity, another_cluster_under_the_same_name_is_refused_and_both_are_named) {
  const auto j = judge_source("s", to_json({"cluster-2", "readings", 4}), mine);
  EXPECT_EQ(j.verdict, identity_verdict::foreign);
  EXPECT_NE(j.reason.find("cluster-1"), std::string::npos);
  EXPECT_NE(j.reason.find("cluster-2"), std::string::npos);
}

TEST(identity, another_topic_or_fewer_partitions_block_the_source) {
  EXPECT_EQ(judge_source("s", to_json({"cluster-1", "others", 4}), mine).verdict, identity_verdict::anew);
  EXPECT_EQ(judge_source("s", to_json({"cluster-1", "readings", 5}), mine).verdict, identity_verdict::anew);
}

TEST(identity, more_partitions_are_taken_with_a_warning) {
  const auto j = judge_source("s", to_json({"cluster-1", "readings", 3}), mine);
  EXPECT_EQ(j.verdict, identity_verdict::grown);
  EXPECT_NE(j.reason.find("3 to 4"), std::string::npos) << j.reason;
}

TEST(identity, what_cannot_be_read_is_foreign) {
  for (const auto* text : {"", "nonsense", "[]", "{}", R"({"cluster":1,"topic":"t","partitions":1})",
                           R"({"cluster":"c","topic":"t","partitions":"1"})"})
    EXPECT_EQ(judge_source("s", text, mine).verdict, identity_verdict::foreign) << text;
}

table_config a_table(std::string fingerprint, std::string canonical) {
  table_config t;
  t.name = "machines";
  t.fingerprint = std::move(fingerprint);
  t.canonical = std::move(canonical);
  return t;
}

TEST(identity, a_table_keeps_its_stored_generation) {
  const auto t = a_table("f1", "latest by /id");
  const auto j = judge_definition(definition_json(t, 3), t);
  EXPECT_TRUE(j.same);
  EXPECT_EQ(j.generation, 3u);
}

TEST(identity, a_table_with_another_definition_is_refused_and_the_difference_named) {
  const auto j = judge_definition(definition_json(a_table("f1", "latest by /id"), 1), a_table("f2", "latest by /name"));
  EXPECT_FALSE(j.same);
  for (const auto* part : {"machines", "latest by /id", "latest by /name"})
    EXPECT_NE(j.difference.find(part), std::string::npos) << part;
}

TEST(identity, a_definition_that_cannot_be_read_is_refused) {
  for (const auto* text : {"", "[]", "{}", R"({"fingerprint":"f1"})", R"({"fingerprint":"f1","generation":-1})"})
    EXPECT_FALSE(judge_definition(text, a_table("f1", "x")).same) << text;
}

} // namespace
