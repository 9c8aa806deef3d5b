#include "tests/unit/kafka/fixture.hpp"

#include "runtime/kafka/probe.hpp"

#include <atomic>

namespace weir::kafka {
namespace {

class embedded_producer : public embedded_test {};

TEST_F(embedded_producer, a_delivery_is_reported_once_the_broker_has_it) {
  std::atomic<int> delivered{0};
  auto m = plain("t", -1, "k", "v");
  m.headers = {{"weir.reason", "no json"}, {"weir.empty", ""}};
  writer->send(m, [&](result<void> r) { delivered += r ? 1 : 100; });
  ASSERT_TRUE(wait_until([&] { return delivered > 0; }));
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
  options.delivery_deadline = 300ms;
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
    config.properties = {{"security.protocol", protocol}, {"sasl.mechanism", "PLAIN"}, {"sasl.username", "me"}, {"sasl.password", "hunter22"}};
    const auto lines = probe_kafka(config, {"t"}, 2s);
    ASSERT_FALSE(lines) << protocol;
    EXPECT_TRUE(lines.error().code == ec::kafka_refused || lines.error().code == ec::kafka_unreachable) << lines.error().message;
    EXPECT_EQ(lines.error().message.find("hunter22"), std::string::npos);
  }
}

} // namespace
} // namespace weir::kafka
