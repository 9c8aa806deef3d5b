// The fault switches of the store in memory do what they say.
#include "tests/support/memory_store.hpp"

#include "tests/unit/redis/fixture.hpp"

namespace weir::redis::test {
namespace {

using weir::support::fault;
using weir::support::memory_store;

class memory : public ::testing::Test {
protected:
  memory() : me(p, *answer_of<partition_state>([&](auto done) { store.claim({p, "a", -1, {}}, done); })) {
    store.writer(0).on_state([this](link_state s) { states.push_back(s); });
  }
  void submit(transaction tx) {
    store.writer(0).submit(std::make_shared<const transaction>(std::move(tx)),
                           [this](result<tx_result> r) { got.push_back(std::move(r)); });
  }
  partition_state head() {
    return *answer_of<partition_state>([&](auto done) { store.read_head(p, done); });
  }

  memory_store store;
  partition_key p{"t", "s", partition_id{0}};
  owner me;
  std::vector<result<tx_result>> got;
  std::vector<link_state> states;
};

TEST_F(memory, a_dropped_request_takes_the_link_down_and_applies_nothing) {
  store.inject(0, fault::drop_request);
  submit(me.next());
  ASSERT_EQ(got.size(), 1u);
  EXPECT_EQ(got[0].error().code, ec::redis_unreachable);
  EXPECT_EQ(head().batch, batch_id{});
  submit(me.next());
  EXPECT_EQ(got[1].error().code, ec::redis_unreachable) << "down until link_up";
  store.link_up(0);
  EXPECT_EQ(states, (std::vector<link_state>{link_state::up, link_state::down, link_state::up}));
}

TEST_F(memory, a_dropped_reply_was_applied) {
  store.inject(0, fault::drop_reply, 1);
  submit(me.next());
  auto lost = me.next();
  submit(lost);
  ASSERT_EQ(got.size(), 2u);
  EXPECT_TRUE(got[0]);
  EXPECT_EQ(got[1].error().code, ec::redis_unreachable);
  EXPECT_EQ(head().batch, lost.id);
}

TEST_F(memory, both_replies_of_a_pipeline_can_be_lost) {
  store.inject(0, fault::drop_reply, 0, 2);
  submit(me.next());
  EXPECT_TRUE(got.empty());
  auto second = me.next();
  submit(second);
  EXPECT_EQ(got.size(), 2u);
  EXPECT_EQ(head().batch, second.id);
}

TEST_F(memory, an_injected_error_keeps_the_link_up) {
  store.inject(0, fault::answer_error, 0, 1, ec::redis_busy);
  auto tx = me.next();
  submit(tx);
  submit(tx);
  EXPECT_EQ(got[0].error().code, ec::redis_busy);
  EXPECT_EQ(got[1]->status, tx_status::applied);
}

TEST_F(memory, held_transactions_are_answered_in_order_at_release_or_lost_with_the_link) {
  store.hold(0);
  submit(me.next());
  submit(me.next());
  EXPECT_TRUE(got.empty());
  EXPECT_EQ(store.held(0), 2u);
  store.release(0);
  ASSERT_EQ(got.size(), 2u);
  EXPECT_LT(got[0]->last, got[1]->last);
  store.hold(0);
  submit(me.next());
  store.link_down(0);
  EXPECT_EQ(got[2].error().code, ec::redis_unreachable);
}

TEST_F(memory, a_roll_back_undoes_what_was_acknowledged) {
  auto picture = store.take_snapshot();
  submit(me.next({put_rows("m", {{"k", "1"}})}));
  EXPECT_NE(head().batch, batch_id{});
  store.roll_back(picture);
  store.new_run_id();
  EXPECT_EQ(head().batch, batch_id{});
  auto claimed = answer_of<partition_state>([&](auto done) { store.claim({p, "b", -1, {}}, done); });
  EXPECT_TRUE(claimed->server_changed);
}

TEST_F(memory, a_read_can_fail_and_a_closed_store_answers_stopped) {
  store.inject_read(fault::answer_error, 0, 1, ec::redis_busy);
  EXPECT_EQ(answer_of<partition_state>([&](auto done) { store.read_head(p, done); }).error().code, ec::redis_busy);
  store.hold(0);
  submit(me.next());
  store.close();
  ASSERT_EQ(got.size(), 1u);
  EXPECT_EQ(got[0].error().code, ec::stopped);
  EXPECT_EQ(answer_of<partition_state>([&](auto done) { store.read_head(p, done); }).error().code, ec::stopped);
}

} // namespace
} // namespace weir::redis::test
