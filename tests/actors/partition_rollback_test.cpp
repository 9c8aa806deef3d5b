// What a partition does when Redis goes back in time.
#include "tests/actors/partition_stage.hpp"

namespace {

using namespace weir;
using namespace weir::stage;

struct rollback : three_kinds {
  lone_partition p{*this, {.limits = small_batches(2)}};
  std::shared_ptr<const support::memory_store::snapshot> saved;
  std::string epoch;

  rollback() {
    for (int i = 0; i < 5; ++i)
      put(fmt::format("k{}", i % 3), value(1));
    run();
    saved = store->take_snapshot();
    epoch = head().stream.value;
    for (int i = 0; i < 4; ++i)
      put(fmt::format("k{}", i % 2), value(1));
    run();
    EXPECT_EQ(position("now"), offset{9});
  }
  void fail_over() {
    store->link_down(0);
    store->roll_back(saved);
    store->new_run_id();
    run();
  }
  void expect_healed(std::int64_t records) {
    ASSERT_TRUE(until([&] { return position("now") == offset{records}; }));
    expect_three_kinds(*this, records);
    EXPECT_GT(head().stream.value, epoch);
  }
};

TEST(partition, notices_that_redis_lost_writes_as_soon_as_the_link_is_back_and_starts_a_new_epoch) {
  rollback w;
  w.fail_over();
  w.store->link_up(0);
  w.expect_healed(9);
}

TEST(partition, notices_lost_writes_with_a_batch_in_flight_too) {
  rollback w;
  w.store->hold(0);
  w.put("k0", value(1));
  w.run();
  w.fail_over();
  w.store->release(0);
  w.store->link_up(0);
  w.expect_healed(10);
}

TEST(partition, another_owner_after_a_failover_starts_a_new_epoch) {
  rollback w;
  w.fail_over();
  w.p.kill();
  w.store->link_up(0);
  lone_partition next(w, {.incarnation = "b"});
  w.expect_healed(9);
}

TEST(partition, an_actor_started_anew_after_a_failover_starts_a_new_epoch_though_its_node_is_the_same) {
  rollback w;
  w.p.kill();
  w.fail_over();
  w.store->link_up(0);
  w.p.respawn();
  w.expect_healed(9);
}

TEST(partition, a_reconnect_without_loss_keeps_the_epoch) {
  rollback w;
  w.store->link_down(0);
  w.run();
  w.store->link_up(0);
  w.put("k0", value(1));
  w.run();
  EXPECT_EQ(w.position("now"), offset{10});
  EXPECT_EQ(w.head().stream.value, w.epoch);
  EXPECT_EQ(w.store->counted().claims, 1u);
}

} // namespace
