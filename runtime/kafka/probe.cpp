#include "runtime/kafka/probe.hpp"

#include "runtime/kafka/settings.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <optional>

namespace weir::kafka {
namespace {

using clock = std::chrono::steady_clock;
using metadata_ptr = std::unique_ptr<const rd_kafka_metadata_t, releaser<rd_kafka_metadata_destroy>>;

constexpr int slice_ms = 300; // between looks at what went wrong

int left_ms(clock::time_point until) {
  return static_cast<int>(
      std::max<std::int64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(until - clock::now()).count(), 1));
}

// The most telling of the errors told so far: a refusal says more than a lost connection, and that more than silence.
void look_for_trouble(const handle& from, rd_kafka_queue_t* events, std::optional<error>& worst) {
  while (const event_ptr event{rd_kafka_queue_poll(events, 0)}) {
    if (rd_kafka_event_type(event.get()) != RD_KAFKA_EVENT_ERROR)
      continue;
    const auto code = rd_kafka_event_error(event.get());
    auto told = from.about().translate(code, rd_kafka_event_error_string(event.get()));
    if (!worst || told.code == ec::kafka_refused ||
        (worst->code != ec::kafka_refused && code != RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN))
      worst = std::move(told);
  }
}

result<metadata_ptr> ask(const handle& of, rd_kafka_topic_t* topic, clock::time_point until, std::string_view brokers) {
  const queue_ptr events{rd_kafka_queue_get_main(of.get())};
  std::optional<error> worst;
  for (;;) {
    const rd_kafka_metadata_t* raw = nullptr;
    const auto code = rd_kafka_metadata(of.get(), 0, topic, &raw, std::min(left_ms(until), slice_ms));
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
      return metadata_ptr{raw};
    look_for_trouble(of, events.get(), worst);
    if (worst && worst->code == ec::kafka_refused)
      return tl::unexpected(*worst);
    if (clock::now() >= until)
      break;
  }
  if (worst)
    return tl::unexpected(*worst);
  return fail(ec::kafka_unreachable, fmt::format("no answer from {} in time. Check kafka.brokers", brokers));
}

} // namespace

result<std::vector<std::string>> probe_kafka(const kafka_config& kafka, const std::vector<std::string>& topics,
                                             std::chrono::milliseconds deadline) {
  const auto until = clock::now() + deadline;
  auto conf = probe_conf(kafka);
  if (!conf)
    return tl::unexpected(conf.error());
  // A consumer's instance: asking for a topic as a producer would have the broker create it.
  auto opened = handle::open(RD_KAFKA_CONSUMER, std::move(*conf), make_context(kafka, "kafka/check"));
  if (!opened)
    return tl::unexpected(opened.error());
  const auto& client = **opened;
  auto cluster = ask(client, nullptr, until, kafka.brokers);
  if (!cluster)
    return tl::unexpected(cluster.error());
  std::vector<std::string> lines;
  std::string id = "unknown";
  if (char* told = rd_kafka_clusterid(client.get(), left_ms(until))) {
    id = told;
    rd_kafka_mem_free(client.get(), told);
  }
  lines.push_back(
      fmt::format("Kafka cluster {}, {} broker{}", id, (*cluster)->broker_cnt, (*cluster)->broker_cnt == 1 ? "" : "s"));
  std::vector<std::string> missing;
  for (const auto& name : topics) {
    const topic_ptr topic{rd_kafka_topic_new(client.get(), name.c_str(), nullptr)};
    if (!topic)
      return fail(ec::kafka_no_topic, fmt::format("'{}' is no name for a topic", name));
    auto facts = ask(client, topic.get(), until, kafka.brokers);
    if (!facts)
      return tl::unexpected(facts.error());
    for (int i = 0; i < (*facts)->topic_cnt; ++i) {
      const auto& t = (*facts)->topics[i];
      if (name != t.topic)
        continue;
      if (t.err == RD_KAFKA_RESP_ERR_NO_ERROR)
        lines.push_back(
            fmt::format("topic {}: {} partition{}", name, t.partition_cnt, t.partition_cnt == 1 ? "" : "s"));
      else if (classify(t.err) == ec::kafka_no_topic)
        missing.push_back(name);
      else {
        auto why = client.about().translate(t.err, {});
        why.message = fmt::format("topic '{}': {}", name, why.message);
        return tl::unexpected(std::move(why));
      }
    }
  }
  if (!missing.empty())
    return fail(ec::kafka_no_topic, fmt::format("Kafka (cluster {}) has no topic {}. Create {} or correct the topology",
                                                id, fmt::join(missing, ", "), missing.size() == 1 ? "it" : "them"));
  return lines;
}

} // namespace weir::kafka
