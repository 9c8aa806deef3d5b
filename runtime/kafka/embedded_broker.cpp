#include "runtime/kafka/embedded_broker.hpp"

#include "runtime/kafka/rd_handle.hpp"

#include <fmt/format.h>
#include <librdkafka/rdkafka_mock.h>

namespace weir::kafka {

namespace {

using cluster_ptr = std::unique_ptr<rd_kafka_mock_cluster_t, releaser<rd_kafka_mock_cluster_destroy>>;
constexpr std::int32_t only_broker = 1;

} // namespace

struct embedded_broker::impl {
  std::shared_ptr<handle> owner; // the cluster's threads live in it
  cluster_ptr cluster;
  std::string bootstrap;
};

embedded_broker::embedded_broker(std::unique_ptr<impl> i) : impl_(std::move(i)) {}

embedded_broker::~embedded_broker() {
  impl_->cluster.reset();
  impl_->owner.reset();
}

result<std::unique_ptr<embedded_broker>> embedded_broker::start(const std::map<std::string, std::int32_t>& topics) {
  auto about = std::make_unique<context>();
  about->component = "kafka/embedded";
  conf_ptr conf{rd_kafka_conf_new()};
  char text[256];
  if (rd_kafka_conf_set(conf.get(), "client.id", "weir-embedded-broker", text, sizeof text) != RD_KAFKA_CONF_OK)
    return fail(ec::internal, text);
  auto owner = handle::open(RD_KAFKA_PRODUCER, std::move(conf), std::move(about));
  if (!owner)
    return tl::unexpected(owner.error());
  auto i = std::make_unique<impl>();
  i->owner = std::move(*owner);
  i->cluster.reset(rd_kafka_mock_cluster_new(i->owner->get(), 1));
  if (!i->cluster)
    return fail(ec::io, "cannot start the embedded Kafka broker: is the loopback interface up?");
  i->bootstrap = rd_kafka_mock_cluster_bootstraps(i->cluster.get());
  std::unique_ptr<embedded_broker> out{new embedded_broker(std::move(i))};
  for (const auto& [topic, partitions] : topics)
    if (auto added = out->add_topic(topic, partitions); !added)
      return tl::unexpected(added.error());
  return out;
}

const std::string& embedded_broker::bootstrap() const { return impl_->bootstrap; }

result<void> embedded_broker::add_topic(const std::string& topic, std::int32_t partitions) {
  const auto code = rd_kafka_mock_topic_create(impl_->cluster.get(), topic.c_str(),
                                               partitions > 0 ? partitions : default_partitions, 1);
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
    return fail(ec::kafka_failed,
                fmt::format("the embedded broker cannot have topic '{}': {}", topic, rd_kafka_err2str(code)));
  return {};
}

void embedded_broker::set_down(bool down) {
  if (down)
    rd_kafka_mock_broker_set_down(impl_->cluster.get(), only_broker);
  else
    rd_kafka_mock_broker_set_up(impl_->cluster.get(), only_broker);
}

void embedded_broker::set_missing(const std::string& topic, bool missing) {
  rd_kafka_mock_topic_set_error(impl_->cluster.get(), topic.c_str(),
                                missing ? RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART : RD_KAFKA_RESP_ERR_NO_ERROR);
}

void embedded_broker::refuse_size(int times) {
  constexpr std::int16_t produce = 0; // the request's number in the protocol
  for (int i = 0; i < times; ++i)
    rd_kafka_mock_push_request_errors(impl_->cluster.get(), produce, 1, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
}

} // namespace weir::kafka
