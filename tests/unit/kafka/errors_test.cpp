// Policies without a broker: what errors mean, how the budget is divided, what is secret.
#include "runtime/kafka/settings.hpp"

#include <gtest/gtest.h>

namespace weir::kafka {
namespace {

TEST(errors, each_kind_of_trouble_has_its_code) {
  EXPECT_EQ(classify(RD_KAFKA_RESP_ERR_NO_ERROR), ec::none);
  EXPECT_EQ(classify(RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET), ec::kafka_out_of_range);
  EXPECT_EQ(classify(RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE), ec::kafka_out_of_range);
  EXPECT_EQ(classify(RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART), ec::kafka_no_topic);
  EXPECT_EQ(classify(RD_KAFKA_RESP_ERR__AUTHENTICATION), ec::kafka_refused);
  EXPECT_EQ(classify(RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED), ec::kafka_refused);
  EXPECT_EQ(classify(RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN), ec::kafka_unreachable);
  EXPECT_EQ(classify(RD_KAFKA_RESP_ERR__QUEUE_FULL), ec::overloaded);
  EXPECT_EQ(classify(RD_KAFKA_RESP_ERR__FATAL), ec::kafka_fatal);
}

TEST(errors, every_code_of_the_linked_librdkafka_is_some_failure) {
  const rd_kafka_err_desc* list = nullptr;
  std::size_t count = 0;
  rd_kafka_get_err_descs(&list, &count);
  ASSERT_GT(count, 100u);
  for (std::size_t i = 0; i < count; ++i) {
    if (list[i].desc && list[i].code != RD_KAFKA_RESP_ERR_NO_ERROR) {
      EXPECT_NE(classify(list[i].code), ec::none) << list[i].name;
    }
  }
}

TEST(errors, a_refused_scram_login_says_which_librdkafka_can) {
  kafka_config config;
  config.properties = {{"sasl.mechanism", "SCRAM-SHA-256"}};
  const auto told =
      make_context(config, "kafka/x")
          ->translate(RD_KAFKA_RESP_ERR__AUTHENTICATION, "SASL authentication error: invalid credentials");
  EXPECT_EQ(told.code, ec::kafka_refused);
  EXPECT_EQ(told.message.find("2.6.1") != std::string::npos, rd_kafka_version() < 0x020601ff) << told.message;
  EXPECT_NE(told.message.find("sasl.password"), std::string::npos);
}

TEST(errors, secrets_are_taken_out_of_every_text) {
  kafka_config config;
  config.properties = {{"sasl.password", "hunter22"}, {"ssl.key.password", "s3cret"}, {"sasl.username", "someone"}};
  const auto about = make_context(config, "kafka/x");
  EXPECT_EQ(about->clean("user someone, password hunter22 (hunter22), key s3cret"),
            "user someone, password *** (***), key ***");
  EXPECT_EQ(about->translate(RD_KAFKA_RESP_ERR__SSL, "bad hunter22").message.find("hunter22"), std::string::npos);
}

TEST(settings, half_of_the_budget_is_divided_among_the_partitions_but_each_gets_a_mebibyte) {
  EXPECT_EQ(divide_budget(128ull << 20, 8).kbytes, 8192u);
  EXPECT_EQ(divide_budget(128ull << 20, 8).messages, 32768u);
  EXPECT_EQ(divide_budget(128ull << 20, 1000).kbytes, 1024u);
  EXPECT_EQ(divide_budget(0, 0).kbytes, 1024u);
  EXPECT_LE(divide_budget(1ull << 50, 1).kbytes, 2'097'151u) << "librdkafka's own limit";
}

TEST(fill_watch, a_queue_that_was_full_is_fetched_again_once_there_is_room) {
  fill_watch watch({1024, 1000});
  watch.before_drain(950);
  EXPECT_FALSE(watch.after_drain(100, 100, 850)) << "not yet";
  watch.before_drain(850);
  EXPECT_TRUE(watch.after_drain(400, 400, 450));
  watch.before_drain(450);
  EXPECT_FALSE(watch.after_drain(450, 450, 0)) << "once";
}

TEST(fill_watch, a_queue_that_was_never_full_needs_nothing) {
  fill_watch watch({1024, 1000});
  for (std::size_t length = 800; length > 0; length -= 100) {
    watch.before_drain(length);
    EXPECT_FALSE(watch.after_drain(100, 100, length - 100));
  }
}

TEST(fill_watch, large_records_fill_a_queue_by_their_bytes) {
  fill_watch watch({1024, 1'000'000});
  for (int i = 0; i < 50; ++i) { // learns their size
    watch.before_drain(10);
    watch.after_drain(10, 100'000, 0);
  }
  watch.before_drain(100); // a mebibyte
  EXPECT_TRUE(watch.after_drain(60, 600'000, 40));
}

std::string value_of(const conf_ptr& conf, const char* name) {
  char text[256];
  std::size_t size = sizeof text;
  return rd_kafka_conf_get(conf.get(), name, text, &size) == RD_KAFKA_CONF_OK ? text : "?";
}

TEST(settings, properties_override_defaults_but_not_what_positions_rest_on) {
  kafka_config config;
  config.brokers = "b:9092";
  config.properties = {{"fetch.wait.max.ms", "123"},
                       {"enable.auto.commit", "true"},
                       {"auto.offset.reset", "latest"},
                       {"linger.ms", "77"}};
  auto conf = consumer_conf(config, "g.s", "weir", divide_budget(1 << 20, 1), false);
  ASSERT_TRUE(conf) << conf.error().message;
  EXPECT_EQ(value_of(*conf, "fetch.wait.max.ms"), "123");
  EXPECT_EQ(value_of(*conf, "enable.auto.commit"), "false");
  EXPECT_EQ(value_of(*conf, "enable.auto.offset.store"), "false");
  EXPECT_EQ(value_of(*conf, "auto.offset.reset"), "error");
  EXPECT_EQ(value_of(*conf, "socket.nagle.disable"), "true");
  EXPECT_EQ(value_of(*conf, "group.id"), "g.s");
  EXPECT_EQ(value_of(*conf, "bootstrap.servers"), "b:9092");
}

TEST(settings, a_producer_gets_the_properties_that_concern_it) {
  kafka_config config;
  config.brokers = "b:9092";
  config.properties = {{"linger.ms", "77"}, {"fetch.wait.max.ms", "123"}, {"acks", "0"}, {"client.id", "mine"}};
  auto conf = producer_conf(config, "weir", 1 << 20, 100, 1000);
  ASSERT_TRUE(conf) << conf.error().message;
  EXPECT_EQ(value_of(*conf, "linger.ms"), "77");
  EXPECT_EQ(value_of(*conf, "fetch.wait.max.ms"), "500") << "librdkafka's default: not passed on";
  EXPECT_EQ(value_of(*conf, "acks"), "-1") << "all";
  EXPECT_EQ(value_of(*conf, "enable.idempotence"), "true");
  EXPECT_EQ(value_of(*conf, "client.id"), "mine");
}

} // namespace
} // namespace weir::kafka
