#include "tests/unit/kafka/fixture.hpp"

#include "runtime/kafka/probe.hpp"

#include <atomic>
#include <optional>

namespace weir::kafka {
namespace {

class embedded_producer : public embedded_test {};

TEST_F(embedded_producer, a_delivery_is_reported_once_the_broker_has_it) {
  std::atomic<int> delivered{0};
  auto m = plain("t", -1, "k", "v");
  m.headers = {{"weir.reason", "no json"}, {"weir.empty", ""}};
  writer->send(m, [&](result<void> r) { delivered += r ? 1 : 100; });
  ASSERT_TRUE(eventually([&] { return delivered > 0; }));
  EXPECT_EQ(delivered, 1);
  EXPECT_TRUE(writer->flush(5s));
}

TEST_F(embedded_producer, equal_keys_meet_in_one_partition) {
  std::vector<message> all;
  for (int i = 0; i < 40; ++i)
    all.push_back(plain("t", -1, "same", std::to_string(i)));
  ASSERT_EQ(send_all(*writer, std::move(all)), 0);
  const auto read = read_from(0);
  std::set<std::int32_t> holding;
  for (const auto& [p, queue] : read)
    if (answer<partition_range>([&, p = p](auto done) { reader->range(p, 5s, done); })->high.value > 0)
      holding.insert(p.value);
  EXPECT_EQ(holding.size(), 1u);
}

TEST_F(embedded_producer, a_message_that_no_broker_takes_fails_by_its_deadline) {
  producer_options options;
  options.delivery_deadline = 3s; // the first delivery of a producer may take more than one
  auto made = make_producer(at(broker->bootstrap()), options);
  ASSERT_TRUE(made);
  ASSERT_EQ(send_all(**made, {plain("t", 0, "k", "v")}), 0);
  broker->set_down(true);
  EXPECT_FALSE((*made)->flush(1ms) && send_all(**made, {plain("t", 0, "k", "v")}) == 0);
  EXPECT_EQ(send_all(**made, {plain("t", 0, "k", "v")}), 1);
}

TEST_F(embedded_producer, a_full_queue_is_overload_at_once_and_not_memory) {
  producer_options options;
  options.queue_messages = 10;
  auto made = make_producer(at(broker->bootstrap()), options);
  ASSERT_TRUE(made);
  broker->set_down(true);
  std::mutex mutex;
  std::vector<ec> codes;
  for (int i = 0; i < 15; ++i)
    (*made)->send(plain("t", 0, "k", "v"), [&](result<void> r) {
      const std::lock_guard lock(mutex);
      codes.push_back(r ? ec::none : r.error().code);
    });
  {
    const std::lock_guard lock(mutex);
    ASSERT_EQ(codes.size(), 5u) << "told from within send()";
    for (auto c : codes)
      EXPECT_EQ(c, ec::overloaded);
  }
  made->reset(); // whoever waits for a report gets one
  EXPECT_EQ(codes.size(), 15u);
}

TEST(producer, messages_left_at_the_end_are_reported_and_the_end_is_bounded) {
  auto made = make_producer(at("127.0.0.1:1"));
  ASSERT_TRUE(made);
  std::atomic<int> reports{0};
  (*made)->send(plain("t", 0, "k", "v"), [&](result<void> r) { reports += r ? 100 : 1; });
  const auto begun = clock::now();
  made->reset();
  EXPECT_LT(clock::now() - begun, 5s);
  EXPECT_EQ(reports, 1);
}

// Sends one and gives its answer.
result<void> deliver(producer& to, message m) {
  struct box {
    std::mutex mutex;
    std::optional<result<void>> got;
  };
  const auto b = std::make_shared<box>();
  to.send(std::move(m), [b](result<void> r) {
    const std::lock_guard lock(b->mutex);
    b->got = std::move(r);
  });
  const bool in_time = eventually([&] {
    const std::lock_guard lock(b->mutex);
    return b->got.has_value();
  });
  return in_time ? *b->got : fail(ec::timeout, "no report");
}

TEST_F(embedded_producer, what_is_too_large_fails_and_a_dead_letter_then_goes_without_its_value) {
  auto config = at(broker->bootstrap());
  config.properties = {{"message.max.bytes", "10000"}};
  auto made = make_producer(config);
  ASSERT_TRUE(made);
  auto large = plain("t", 0, "k", std::string(20'000, 'x'));
  large.headers = {{"weir.reason", "too large"}};
  EXPECT_EQ(deliver(**made, large).error().code, ec::bad_argument);
  large.value_may_go = true;
  const auto sent = deliver(**made, large);
  ASSERT_TRUE(sent) << sent.error().message;
  // Refused by the broker, not by librdkafka.
  broker->refuse_size(1);
  auto refused = plain("t", 0, "k2", "value");
  EXPECT_EQ(deliver(**made, refused).error().code, ec::bad_argument);
  broker->refuse_size(1);
  refused.value_may_go = true;
  const auto again = deliver(**made, refused);
  ASSERT_TRUE(again) << again.error().message;
  const auto read = read_from(0);
  const auto got = collect(*read.at(0).second, 2);
  ASSERT_EQ(got.size(), 2u);
  EXPECT_EQ(got[0].key, "k");
  EXPECT_FALSE(got[0].value);
  EXPECT_EQ(got[1].key, "k2");
  EXPECT_FALSE(got[1].value);
}

TEST_F(embedded_producer, a_message_larger_than_half_the_queue_does_not_wait_for_room_that_never_comes) {
  producer_options options;
  options.queue_bytes = 64 << 10;
  auto made = make_producer(at(broker->bootstrap()), options);
  ASSERT_TRUE(made);
  auto large = plain("t", 0, "k", std::string(100'000, 'x'));
  EXPECT_EQ(deliver(**made, large).error().code, ec::bad_argument);
  large.value_may_go = true;
  EXPECT_TRUE(deliver(**made, large));
}

TEST_F(embedded_producer, a_partition_or_topic_that_is_not_there_is_an_error_however_often_it_is_tried) {
  broker->set_missing("absent", true);
  auto config = at(broker->bootstrap());
  config.properties = {{"topic.metadata.propagation.max.ms", "100"}};
  auto made = make_producer(config);
  ASSERT_TRUE(made);
  auto nowhere = plain("t", 77, "k", "v"), lost = plain("absent", -1, "k", "v");
  nowhere.headers = lost.headers = {{"weir.reason", "no json"}, {"weir.topic", "t"}};
  // The first ones find out; the later ones are refused at once.
  for (int i = 0; i < 20; ++i) {
    EXPECT_FALSE(deliver(**made, nowhere));
    EXPECT_EQ(deliver(**made, lost).error().code, ec::kafka_no_topic);
  }
}

class embedded_probe : public embedded_test {};

TEST_F(embedded_probe, names_the_cluster_and_the_topics) {
  const auto lines = probe_kafka(at(broker->bootstrap()), {"t"}, 5s);
  ASSERT_TRUE(lines) << lines.error().message;
  ASSERT_EQ(lines->size(), 2u);
  EXPECT_NE((*lines)[0].find("1 broker"), std::string::npos) << (*lines)[0];
  EXPECT_EQ((*lines)[1], "topic t: 4 partitions");
}

TEST_F(embedded_probe, names_all_topics_that_are_missing) {
  broker->set_missing("one", true);
  broker->set_missing("two", true);
  const auto lines = probe_kafka(at(broker->bootstrap()), {"one", "t", "two"}, 5s);
  ASSERT_FALSE(lines);
  EXPECT_EQ(lines.error().code, ec::kafka_no_topic);
  EXPECT_NE(lines.error().message.find("one, two"), std::string::npos) << lines.error().message;
}

TEST(probe, brokers_that_are_not_there_are_told_within_the_deadline) {
  const auto begun = clock::now();
  const auto lines = probe_kafka(at("127.0.0.1:1"), {"t"}, 600ms);
  ASSERT_FALSE(lines);
  EXPECT_EQ(lines.error().code, ec::kafka_unreachable) << lines.error().message;
  EXPECT_NE(lines.error().message.find("kafka.brokers"), std::string::npos);
  EXPECT_LT(clock::now() - begun, 4s);
}

TEST_F(embedded_probe, a_login_or_tls_that_the_listener_does_not_know_is_an_error_without_the_secret) {
  for (const auto* protocol : {"SASL_PLAINTEXT", "SSL"}) {
    auto config = at(broker->bootstrap());
    config.properties = {{"security.protocol", protocol},
                         {"sasl.mechanism", "PLAIN"},
                         {"sasl.username", "me"},
                         {"sasl.password", "hunter22"}};
    const auto lines = probe_kafka(config, {"t"}, 2s);
    ASSERT_FALSE(lines) << protocol;
    EXPECT_TRUE(lines.error().code == ec::kafka_refused || lines.error().code == ec::kafka_unreachable)
        << lines.error().message;
    EXPECT_EQ(lines.error().message.find("hunter22"), std::string::npos);
  }
}

} // namespace
} // namespace weir::kafka
