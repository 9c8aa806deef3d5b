// A real group on the embedded broker: its first join takes 3 s, so there is one test for each protocol.
#include "tests/unit/kafka/fixture.hpp"

namespace weir::kafka {
namespace {

// A node that answers its group: assigns from offset 0, or where `position` says, and gives back what is revoked, one
// partition at a time.
struct node {
  told heard;
  std::unique_ptr<consumer> reader;
  std::map<std::int32_t, std::unique_ptr<partition_queue>> reading;
  std::map<std::int32_t, std::int64_t>& position;
  std::size_t assigned = 0, revoked = 0;
  std::vector<std::int64_t> seen;

  node(const std::string& brokers, const std::string& strategy, std::map<std::int32_t, std::int64_t>& shared)
      : position(shared) {
    auto config = at(brokers);
    // The embedded broker waits almost a session for members to join again, and a member hears of a rebalance by its
    // heartbeat.
    config.properties = {
        {"partition.assignment.strategy", strategy}, {"session.timeout.ms", "3000"}, {"heartbeat.interval.ms", "200"}};
    auto made = make_consumer(config, source_of("t"), {});
    if (made)
      reader = std::move(*made);
  }
  ~node() {
    reading.clear();
    if (reader)
      reader->close(5s);
  }

  void turn() {
    while (revoked < heard.revocations()) {
      for (auto p : heard.revocation(revoked).first) {
        reading.erase(p.value);
        reader->unassign({p});
      }
      ++revoked;
    }
    while (assigned < heard.assignments()) {
      std::vector<partition_start> starts;
      for (auto p : heard.assignment(assigned).first)
        if (!reading.contains(p.value))
          starts.push_back({p, offset{position[p.value]}});
      ++assigned;
      auto got = reader->assign(starts);
      if (!got)
        continue; // taken back meanwhile
      for (auto& [p, queue] : *got)
        reading[p.value] = std::move(queue);
    }
    for (auto& [p, queue] : reading)
      static_cast<void>(queue->drain(1000, [&, p = p](const record& r) {
        EXPECT_GE(r.at.value, position[p]);
        position[p] = r.at.value + 1;
        seen.push_back(r.at.value);
        return true;
      }));
  }
};

class consumer_group : public embedded_test, public ::testing::WithParamInterface<const char*> {};

TEST_P(consumer_group, two_members_share_the_partitions_and_the_second_takes_over_when_the_first_leaves) {
  std::map<std::int32_t, std::int64_t> position;
  std::int64_t produced = 0;
  const auto feed = [&] {
    for (int p = 0; p < 4; ++p)
      produce(p, 50, static_cast<int>(produced / 4));
    produced += 200;
  };
  const auto applied = [&] {
    std::int64_t sum = 0;
    for (const auto& [p, at] : position)
      sum += at;
    return sum;
  };

  feed();
  auto first = std::make_unique<node>(broker->bootstrap(), GetParam(), position);
  ASSERT_TRUE(first->reader);
  first->reader->start(first->heard.handlers());
  ASSERT_TRUE(eventually([&] {
    first->turn();
    return applied() == produced;
  })) << applied();
  EXPECT_EQ(first->reading.size(), 4u);
  EXPECT_GE(first->heard.assignment(0).second, 0) << "a group has a generation";

  node second(broker->bootstrap(), GetParam(), position);
  ASSERT_TRUE(second.reader);
  second.reader->start(second.heard.handlers());
  ASSERT_TRUE(eventually([&] {
    first->turn();
    second.turn();
    return first->reading.size() == 2 && second.reading.size() == 2;
  })) << first->reading.size()
      << " " << second.reading.size();
  EXPECT_FALSE(first->heard.revocation(0).second) << "given back, not lost";
  feed();
  ASSERT_TRUE(eventually([&] {
    first->turn();
    second.turn();
    return applied() == produced;
  }));
  EXPECT_FALSE(second.seen.empty());

  // A restart inside a group goes on elsewhere and leaves the other partition alone.
  const auto p = second.reading.begin()->first;
  second.reading.erase(p);
  position[p] = 10;
  auto again = second.reader->restart({partition_id{p}, offset{10}});
  ASSERT_TRUE(again) << again.error().message;
  second.reading[p] = std::move(*again);
  ASSERT_TRUE(eventually([&] {
    second.turn();
    return applied() == produced;
  }));

  const auto begun = clock::now();
  first.reset();
  EXPECT_LT(clock::now() - begun, 3s) << "a member leaves promptly";
  ASSERT_TRUE(eventually([&] {
    second.turn();
    return second.reading.size() == 4;
  }));
  feed();
  ASSERT_TRUE(eventually([&] {
    second.turn();
    return applied() == produced;
  }));
}

INSTANTIATE_TEST_SUITE_P(protocols, consumer_group, ::testing::Values("range", "cooperative-sticky"),
                         [](const auto& which) {
                           return std::string(which.param) == "range" ? "eager" : "cooperative";
                         });

} // namespace
} // namespace weir::kafka
