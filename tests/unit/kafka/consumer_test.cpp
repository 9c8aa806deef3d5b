#include "tests/unit/kafka/fixture.hpp"

#include <atomic>

namespace weir::kafka {
namespace {

class consumer_by_hand : public embedded_test {};

TEST_F(consumer_by_hand, every_record_of_every_partition_comes_once_and_in_order) {
  constexpr int count = 2000;
  for (int p = 0; p < 4; ++p)
    produce(p, count);
  const auto read = read_from(0);
  ASSERT_EQ(read.size(), 4u);
  for (const auto& [p, queue] : read) {
    const auto got = collect(*queue, count);
    ASSERT_EQ(got.size(), static_cast<std::size_t>(count)) << "partition " << p.value;
    for (int i = 0; i < count; ++i) {
      EXPECT_EQ(got[static_cast<std::size_t>(i)].at, i);
      EXPECT_EQ(got[static_cast<std::size_t>(i)].key, "k" + std::to_string(i));
    }
    EXPECT_GT(got.front().time_ms, 1'500'000'000'000);
    EXPECT_EQ(*queue->drain(10, [](const record&) { return true; }), 0u);
    EXPECT_EQ(queue->high_watermark(), count);
  }
}

TEST_F(consumer_by_hand, reading_starts_at_the_given_offset) {
  produce(1, 100);
  const auto read = read_from(40);
  const auto got = collect(*read.at(1).second, 60);
  ASSERT_EQ(got.size(), 60u);
  EXPECT_EQ(got.front().at, 40);
}

TEST_F(consumer_by_hand, starting_producing_and_reading_is_quick) {
  const auto begun = clock::now();
  produce(0, 10);
  const auto read = read_from(0);
  ASSERT_EQ(collect(*read.at(0).second, 10).size(), 10u);
  // Wanted is 300 ms; a busy machine may take some times that, a group join takes ten times.
  EXPECT_LT(clock::now() - begun, 2s);
}

TEST_F(consumer_by_hand, tombstones_empty_values_and_records_without_key_stay_what_they_are) {
  message tombstone, empty, bare;
  for (auto* m : {&tombstone, &empty, &bare}) {
    m->topic = "t";
    m->partition = 0;
  }
  tombstone.key = "a";
  empty.key = "";
  empty.value = "";
  bare.value = "{}";
  bare.time_ms = 1'700'000'000'123;
  ASSERT_EQ(send_all(*writer, {tombstone, empty, bare}), 0);
  const auto read = read_from(0);
  const auto got = collect(*read.at(0).second, 3);
  ASSERT_EQ(got.size(), 3u);
  EXPECT_EQ(got[0].key, "a");
  EXPECT_FALSE(got[0].value);
  EXPECT_EQ(got[1].key, "");
  EXPECT_EQ(got[1].value, "");
  EXPECT_FALSE(got[2].key);
  EXPECT_EQ(got[2].value, "{}");
  EXPECT_EQ(got[2].time_ms, 1'700'000'000'123);
}

TEST_F(consumer_by_hand, drain_stops_at_its_limit_and_when_told_so) {
  produce(0, 50);
  const auto read = read_from(0);
  auto& queue = *read.at(0).second;
  std::vector<std::int64_t> seen;
  ASSERT_TRUE(eventually([&] {
    return *queue.drain(10 - seen.size(),
                        [&](const record& r) {
                          seen.push_back(r.at.value);
                          return true;
                        }) > 0 &&
           seen.size() == 10;
  }));
  const auto got = queue.drain(100, [&](const record& r) {
    seen.push_back(r.at.value);
    return seen.size() < 13;
  });
  EXPECT_EQ(*got, 3u) << "the record at which it was told to stop counts as taken";
  EXPECT_EQ(collect(queue, 37).size(), 37u);
}

TEST_F(consumer_by_hand, a_ready_callback_wakes_for_records_that_come_and_for_those_there_already) {
  const auto read = read_from(0);
  auto& queue = *read.at(2).second;
  std::atomic<int> woken{0};
  queue.on_ready([&] { ++woken; });
  produce(2, 1);
  ASSERT_TRUE(eventually([&] { return woken > 0; }));
  ASSERT_EQ(collect(queue, 1).size(), 1u);
  // Again, after it was emptied.
  const int before = woken;
  produce(2, 1, 1);
  ASSERT_TRUE(eventually([&] { return woken > before; }));
  // One that is set late hears of what waits.
  std::atomic<int> late{0};
  queue.on_ready([&] { ++late; });
  EXPECT_GT(late, 0);
  queue.on_ready({});
}

TEST_F(consumer_by_hand, restart_goes_on_at_another_offset_with_a_queue_of_its_own) {
  produce(0, 300);
  auto read = read_from(0);
  ASSERT_EQ(collect(*read.at(0).second, 300).size(), 300u);
  read.at(0).second.reset();
  auto again = reader->restart({partition_id{0}, offset{120}});
  ASSERT_TRUE(again) << again.error().message;
  auto got = collect(**again, 180);
  ASSERT_EQ(got.size(), 180u);
  EXPECT_EQ(got.front().at, 120);
  // With records waiting: they are not given.
  produce(0, 100, 300);
  ASSERT_TRUE(eventually([&] { return (*again)->high_watermark() == 400; }));
  auto forward = reader->restart({partition_id{0}, offset{390}});
  ASSERT_TRUE(forward) << forward.error().message;
  EXPECT_EQ((*again)->drain(1, [](const record&) { return true; }).error().code, ec::stopped);
  got = collect(**forward, 10);
  ASSERT_EQ(got.size(), 10u);
  EXPECT_EQ(got.front().at, 390);
  // Other partitions are not disturbed.
  produce(1, 5);
  EXPECT_EQ(collect(*read.at(1).second, 5).size(), 5u);
}

TEST_F(consumer_by_hand, a_partition_left_out_of_the_assignment_can_be_added_later) {
  produce(3, 10);
  make_reader();
  reader->start(heard.handlers());
  ASSERT_TRUE(eventually([&] { return heard.assignments() > 0; }));
  auto some = reader->assign(from_offset({partition_id{0}}, 0));
  ASSERT_TRUE(some);
  ASSERT_EQ(some->size(), 1u);
  auto late = reader->restart({partition_id{3}, offset{4}});
  ASSERT_TRUE(late) << late.error().message;
  const auto got = collect(**late, 6);
  ASSERT_EQ(got.size(), 6u);
  EXPECT_EQ(got.front().at, 4);
  EXPECT_EQ(reader->restart({partition_id{99}, offset{0}}).error().code, ec::stopped) << "never offered";
}

TEST_F(consumer_by_hand, an_offset_that_is_not_in_the_log_is_told_and_reading_can_go_on_elsewhere) {
  produce(0, 10);
  const auto read = read_from(5000);
  auto& queue = *read.at(0).second;
  std::optional<error> told_error;
  ASSERT_TRUE(eventually([&] {
    const auto got = queue.drain(10, [](const record&) { return true; });
    if (!got)
      told_error = got.error();
    return told_error.has_value();
  }));
  EXPECT_EQ(told_error->code, ec::kafka_out_of_range) << told_error->message;
  auto again = reader->restart({partition_id{0}, offset{3}});
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(collect(**again, 7).size(), 7u);
}

TEST_F(consumer_by_hand, an_unassigned_partition_gives_nothing_more) {
  produce(0, 100);
  const auto read = read_from(0);
  auto& queue = *read.at(0).second;
  ASSERT_EQ(collect(queue, 100).size(), 100u);
  std::atomic<int> woken{0};
  queue.on_ready([&] { ++woken; });
  woken = 0;
  reader->unassign({partition_id{0}});
  produce(0, 10, 100);
  produce(1, 10);
  EXPECT_EQ(collect(*read.at(1).second, 10).size(), 10u) << "others go on";
  EXPECT_EQ(queue.drain(10, [](const record&) { return true; }).error().code, ec::stopped);
  EXPECT_EQ(woken, 0);
}

TEST_F(consumer_by_hand, not_draining_bounds_what_is_fetched_ahead) {
  // The broker keeps 5 MiB a partition, so the limit must lie below.
  constexpr int count = 4000;
  constexpr std::size_t size = 1000;
  for (int p = 0; p < 4; ++p)
    produce(p, count, 0, size);
  consumer_options options;
  options.queue_bytes = 1; // raised to the least: 1 MiB of payload a partition
  options.assign_by_hand = true;
  make_reader(options);
  const auto read = read_from(0);
  // While one partition is read to its end there is every chance to fetch too much of the other.
  EXPECT_EQ(collect(*read.at(1).second, count).size(), static_cast<std::size_t>(count));
  std::size_t ahead = 0;
  ASSERT_TRUE(
      eventually([&] { return (ahead = *read.at(0).second->drain(count, [](const record&) { return true; })) > 0; }));
  EXPECT_LT(ahead, 2600u) << "1 MiB, and one fetch of at most 1 MiB over it";
  EXPECT_EQ(collect(*read.at(0).second, count - ahead).size(), count - ahead);
}

TEST_F(consumer_by_hand, questions_are_answered) {
  produce(1, 7);
  make_reader();
  const auto facts = answer<topic_facts>([&](auto done) { reader->describe(5s, done); });
  ASSERT_TRUE(facts) << facts.error().message;
  EXPECT_EQ(facts->partitions, 4);
  EXPECT_FALSE(facts->cluster_id.empty());
  const auto range = answer<partition_range>([&](auto done) { reader->range(partition_id{1}, 5s, done); });
  ASSERT_TRUE(range) << range.error().message;
  EXPECT_EQ(range->low.value, 0);
  EXPECT_EQ(range->high.value, 7);
  EXPECT_FALSE(range->committed);
}

TEST_F(consumer_by_hand, a_record_is_recognised_by_its_print) {
  auto m = plain("t", 0, "key", "value");
  m.time_ms = 1'700'000'000'000;
  ASSERT_EQ(send_all(*writer, {m, plain("t", 0, "other", "value")}), 0);
  make_reader();
  using print = std::optional<consumer::record_print>;
  const auto ask = [&](std::int64_t at) {
    return answer<print>([&](auto done) { reader->fingerprint(partition_id{0}, offset{at}, 5s, done); });
  };
  const auto first = ask(0), second = ask(1), end = ask(2), beyond = ask(1000);
  ASSERT_TRUE(first && *first);
  EXPECT_EQ((*first)->time_ms, 1'700'000'000'000);
  EXPECT_EQ((*first)->checksum, record_checksum("key", "value"));
  ASSERT_TRUE(second && *second);
  EXPECT_NE((*second)->checksum, (*first)->checksum);
  ASSERT_TRUE(end) << end.error().message;
  EXPECT_FALSE(*end) << "nothing there yet";
  ASSERT_TRUE(beyond) << beyond.error().message;
  EXPECT_FALSE(*beyond);
}

TEST_F(consumer_by_hand, a_topic_that_is_missing_is_named) {
  broker->set_missing("missing", true);
  auto made = make_consumer(at(broker->bootstrap()), source_of("missing"), {.assign_by_hand = true});
  ASSERT_TRUE(made);
  const auto facts = answer<topic_facts>([&](auto done) { (*made)->describe(5s, done); });
  ASSERT_FALSE(facts);
  EXPECT_EQ(facts.error().code, ec::kafka_no_topic);
  EXPECT_NE(facts.error().message.find("'missing'"), std::string::npos);
  // Started all the same it waits for the topic, and takes it when it comes.
  (*made)->start(heard.handlers());
  ASSERT_TRUE(eventually([&] {
    const std::lock_guard lock(heard.mutex);
    return !heard.failed.empty() && heard.failed.front().first.code == ec::kafka_no_topic;
  }));
  broker->set_missing("missing", false);
  ASSERT_TRUE(eventually([&] { return heard.assignments() > 0; }));
  EXPECT_EQ(heard.assignment(0).first.size(), 4u);
  (*made)->close(5s);
}

TEST_F(consumer_by_hand, brokers_that_are_gone_answer_no_question_and_do_not_hold_up_closing) {
  produce(0, 10);
  const auto read = read_from(0);
  ASSERT_EQ(collect(*read.at(0).second, 10).size(), 10u);
  broker->set_down(true);
  const auto asked = clock::now();
  const auto range = answer<partition_range>([&](auto done) { reader->range(partition_id{0}, 300ms, done); });
  ASSERT_FALSE(range);
  EXPECT_EQ(range.error().code, ec::kafka_unreachable) << range.error().message;
  EXPECT_LT(clock::now() - asked, 5s);
  const auto begun = clock::now();
  reader->close(500ms);
  EXPECT_LT(clock::now() - begun, 2s);
  EXPECT_EQ(read.at(0).second->drain(1, [](const record&) { return true; }).error().code, ec::stopped);
  EXPECT_FALSE(answer<topic_facts>([&](auto done) { reader->describe(5s, done); }));
}

TEST_F(consumer_by_hand, reading_goes_on_after_the_broker_was_away) {
  produce(0, 10);
  const auto read = read_from(0);
  ASSERT_EQ(collect(*read.at(0).second, 10).size(), 10u);
  broker->set_down(true);
  ASSERT_TRUE(eventually([&] {
    const std::lock_guard lock(heard.mutex);
    return !heard.failed.empty();
  })) << "the loss is told";
  broker->set_down(false);
  produce(0, 10, 10);
  const auto got = collect(*read.at(0).second, 10);
  ASSERT_EQ(got.size(), 10u);
  EXPECT_EQ(got.front().at, 10);
}

TEST(consumer, a_property_that_librdkafka_refuses_is_named_without_its_secret) {
  auto config = at("127.0.0.1:1");
  config.properties = {{"sasl.password", "hunter22"}, {"socket.timeout.ms", "hunter22"}};
  const auto made = make_consumer(config, source_of("t"), {});
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, ec::bad_topology);
  EXPECT_NE(made.error().message.find("socket.timeout.ms"), std::string::npos);
  EXPECT_EQ(made.error().message.find("hunter22"), std::string::npos);
}

TEST(consumer, one_that_was_never_started_closes_at_once) {
  auto made = make_consumer(at("127.0.0.1:1"), source_of("t"), {});
  ASSERT_TRUE(made);
  const auto begun = clock::now();
  (*made)->close(5s);
  EXPECT_LT(clock::now() - begun, 4s);
}

} // namespace
} // namespace weir::kafka
