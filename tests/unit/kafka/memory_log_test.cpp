// The log in memory must keep the ports' promises, or the actor tests on it prove nothing.
#include "tests/support/memory_log.hpp"

#include <gtest/gtest.h>

namespace weir::support {
namespace {

constexpr partition_id p0{0}, p1{1};

class memory_log_test : public ::testing::Test {
protected:
  void start(bool auto_assign = true) {
    reader = log->make_consumer(auto_assign);
    reader->start({.assigned = [this](auto p, auto) { assigned.push_back(std::move(p)); },
                   .revoked = [this](auto p, bool lost) { revoked.emplace_back(std::move(p), lost); },
                   .failed = [this](error e, bool) { failed.push_back(std::move(e)); }});
  }
  std::unique_ptr<kafka::partition_queue> read(partition_id p, std::int64_t from) {
    auto got = reader->assign({{p, offset{from}}});
    EXPECT_TRUE(got);
    return got ? std::move(got->at(0).second) : nullptr;
  }
  static std::vector<std::int64_t> drain(kafka::partition_queue& q, std::size_t most = 1000) {
    std::vector<std::int64_t> out;
    EXPECT_TRUE(q.drain(most, [&](const kafka::record& r) {
      out.push_back(r.at.value);
      return true;
    }));
    return out;
  }
  static ec refusal(kafka::partition_queue& q) {
    const auto got = q.drain(1, [](const kafka::record&) { return true; });
    return got ? ec::none : got.error().code;
  }

  std::shared_ptr<memory_log> log = memory_log::make(2);
  std::unique_ptr<kafka::consumer> reader;
  std::vector<std::vector<partition_id>> assigned;
  std::vector<std::pair<std::vector<partition_id>, bool>> revoked;
  std::vector<error> failed;
};

TEST_F(memory_log_test, records_come_in_order_over_gaps_from_the_start_given) {
  for (int i = 0; i < 3; ++i)
    log->append(p0, "k", "v");
  log->skip(p0, 10);
  EXPECT_EQ(log->append(p0, {}, {}).value, 13);
  start();
  ASSERT_EQ(assigned.size(), 1u);
  EXPECT_EQ(assigned[0].size(), 2u);
  const auto q = read(p0, 1);
  EXPECT_EQ(drain(*q, 1), (std::vector<std::int64_t>{1}));
  EXPECT_EQ(drain(*q), (std::vector<std::int64_t>{2, 13}));
  EXPECT_TRUE(drain(*q).empty());
  EXPECT_EQ(q->high_watermark(), 14);
}

TEST_F(memory_log_test, a_ready_callback_runs_for_what_comes_and_for_what_is_there) {
  start();
  const auto q = read(p0, 0);
  int woken = 0;
  q->on_ready([&] { ++woken; });
  EXPECT_EQ(woken, 0);
  log->append(p0, "k", "v");
  EXPECT_EQ(woken, 1);
  log->append(p1, "k", "v");
  EXPECT_EQ(woken, 1) << "another partition";
  q->on_ready([&] { woken += 10; });
  EXPECT_EQ(woken, 11);
}

TEST_F(memory_log_test, what_retention_took_is_out_of_range_and_restart_goes_on) {
  for (int i = 0; i < 5; ++i)
    log->append(p0, "k", "v");
  start();
  auto q = read(p0, 0);
  log->trim(p0, offset{3});
  EXPECT_EQ(refusal(*q), ec::kafka_out_of_range);
  auto again = reader->restart({p0, offset{3}});
  ASSERT_TRUE(again);
  EXPECT_EQ(refusal(*q), ec::stopped);
  EXPECT_EQ(drain(**again), (std::vector<std::int64_t>{3, 4}));
  EXPECT_FALSE(reader->restart({partition_id{7}, offset{0}}));
}

TEST_F(memory_log_test, records_can_be_delivered_twice_and_drains_can_fail) {
  for (int i = 0; i < 3; ++i)
    log->append(p0, "k", "v");
  start();
  const auto q = read(p0, 0);
  EXPECT_EQ(drain(*q).size(), 3u);
  log->redeliver(p0, offset{1});
  EXPECT_EQ(drain(*q), (std::vector<std::int64_t>{1, 2}));
  log->fail_next_drain(p0, {ec::kafka_failed, "so"});
  EXPECT_EQ(refusal(*q), ec::kafka_failed);
  EXPECT_EQ(refusal(*q), ec::none);
}

TEST_F(memory_log_test, the_test_drives_the_group) {
  start(false);
  EXPECT_TRUE(assigned.empty());
  EXPECT_FALSE(reader->assign({{p0, offset{0}}})) << "not offered";
  log->offer(0, {p0}, 5);
  ASSERT_EQ(assigned.size(), 1u);
  const auto q = read(p0, 0);
  EXPECT_EQ(log->reading(0).size(), 1u);
  log->revoke(0, {p0}, true);
  ASSERT_EQ(revoked.size(), 1u);
  EXPECT_TRUE(revoked[0].second);
  reader->unassign({p0});
  EXPECT_EQ(refusal(*q), ec::stopped);
  EXPECT_TRUE(log->reading(0).empty());
  log->fail(0, {ec::kafka_unreachable, "away"}, false);
  EXPECT_EQ(failed.size(), 1u);
  reader->close({});
  EXPECT_TRUE(log->closed(0));
}

TEST_F(memory_log_test, questions_are_answered_held_or_failed_as_told) {
  log->append(p1, "k", "v", 77);
  start();
  std::optional<kafka::consumer::record_print> print;
  reader->fingerprint(p1, offset{0}, {}, [&](auto r) { print = *r; });
  ASSERT_TRUE(print);
  EXPECT_EQ(print->time_ms, 77);
  EXPECT_EQ(print->checksum, kafka::record_checksum("k", "v"));
  log->hold_questions();
  int answers = 0;
  reader->describe({}, [&](auto r) { answers += r ? 1 : 0; });
  EXPECT_EQ(answers, 0);
  log->release_questions();
  EXPECT_EQ(answers, 1);
  log->fail_questions(error{ec::kafka_unreachable, "away"});
  reader->range(p1, {}, [&](auto r) { answers += r ? 0 : 10; });
  EXPECT_EQ(answers, 11);
}

kafka::message to(const char* topic) {
  kafka::message m;
  m.topic = topic;
  return m;
}

TEST(memory_producer, keeps_what_was_sent_or_fails_as_told) {
  memory_producer out;
  int good = 0, bad = 0;
  const auto count = [&](result<void> r) { ++(r ? good : bad); };
  out.send(to("a"), count);
  out.fail_with(error{ec::kafka_unreachable, "away"});
  out.send(to("a"), count);
  out.fail_with(std::nullopt);
  out.hold();
  out.send(to("b"), count);
  EXPECT_FALSE(out.flush({}));
  out.release();
  EXPECT_EQ(good, 2);
  EXPECT_EQ(bad, 1);
  EXPECT_EQ(out.sent().size(), 2u);
  EXPECT_EQ(out.sent_to("b").size(), 1u);
}

} // namespace
} // namespace weir::support
