#include "runtime/kafka/settings.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>

namespace weir::kafka {
namespace {

using settings = std::vector<std::pair<std::string, std::string>>;

enum class use { consume, produce, probe };

// Names and beginnings of names (ending in '*') that only consumers or only producers know. librdkafka takes them for
// the other side too, but warns about each.
constexpr std::array consumer_only{"group.*",
                                   "session.timeout.ms",
                                   "heartbeat.interval.ms",
                                   "max.poll.*",
                                   "partition.assignment.strategy",
                                   "fetch.*",
                                   "queued.*",
                                   "max.partition.fetch.bytes",
                                   "isolation.level",
                                   "check.crcs",
                                   "auto.offset.reset",
                                   "enable.auto.*",
                                   "auto.commit.*",
                                   "offset.store.*",
                                   "coordinator.query.interval.ms",
                                   "consume.callback.max.messages",
                                   "allow.auto.create.topics",
                                   "enable.partition.eof",
                                   "client.rack"};
constexpr std::array producer_only{"acks",
                                   "request.required.acks",
                                   "request.timeout.ms",
                                   "message.timeout.ms",
                                   "delivery.timeout.ms",
                                   "linger.ms",
                                   "queue.buffering.*",
                                   "batch.*",
                                   "compression.*",
                                   "enable.idempotence",
                                   "enable.gapless.guarantee",
                                   "transactional.id",
                                   "transaction.timeout.ms",
                                   "retries",
                                   "message.send.max.retries",
                                   "partitioner",
                                   "sticky.partitioning.linger.ms",
                                   "delivery.report.only.error",
                                   "queuing.strategy"};

template <std::size_t N>
bool listed(const std::array<const char*, N>& names, std::string_view name) {
  return std::any_of(names.begin(), names.end(), [&](std::string_view n) {
    return n.ends_with('*') ? name.starts_with(n.substr(0, n.size() - 1)) : n == name;
  });
}

bool concerns(use u, std::string_view name) {
  if (listed(consumer_only, name))
    return u == use::consume;
  if (listed(producer_only, name))
    return u == use::produce;
  return true;
}

bool is_secret(std::string_view name) {
  for (const auto* part : {"password", "secret", "passphrase", "key.pem", "oauthbearer.config", "jaas", "token"})
    if (name.find(part) != name.npos && !name.ends_with(".url"))
      return true;
  return false;
}

// Defaults may be unknown to an older or newer librdkafka; then it goes without. The user's and ours that matter may
// not.
result<void> put(rd_kafka_conf_t* conf, const settings& list, bool optional, const context& about) {
  std::array<char, 512> text{};
  for (const auto& [name, value] : list) {
    const auto got = rd_kafka_conf_set(conf, name.c_str(), value.c_str(), text.data(), text.size());
    if (got != RD_KAFKA_CONF_OK && !optional)
      return fail(ec::bad_topology, fmt::format("kafka.properties: {}", about.clean(text.data())));
  }
  return {};
}

result<conf_ptr> build(const kafka_config& kafka, use u, const settings& defaults, const settings& fixed) {
  const auto about = make_context(kafka, "kafka");
  conf_ptr conf{rd_kafka_conf_new()};
  const settings common{
      {"socket.nagle.disable", "true"},
      {"socket.keepalive.enable", "true"},
      {"log.connection.close", "false"},
      {"reconnect.backoff.ms", "100"},
      {"reconnect.backoff.max.ms", "2000"}, // a broker that comes back is found
                                            // within two seconds
      {"enable.metrics.push", "false"},     // nothing is told to anyone unasked
  };
  settings user;
  for (const auto& p : kafka.properties)
    if (concerns(u, p.first))
      user.push_back(p);
  auto done = put(conf.get(), common, true, *about);
  if (done)
    done = put(conf.get(), defaults, true, *about);
  if (done)
    done = put(conf.get(), user, false, *about);
  if (done)
    done = put(conf.get(), {{"bootstrap.servers", kafka.brokers}}, false, *about);
  if (done)
    done = put(conf.get(), fixed, false, *about);
  if (!done)
    return tl::unexpected(done.error());
  return conf;
}

settings reader_fixed(const std::string& group) {
  return {
      {"group.id", group},
      {"enable.auto.commit", "false"},       // positions are Redis' (I3)
      {"enable.auto.offset.store", "false"}, // likewise
      {"auto.offset.reset", "error"},        // a position that is gone is told, never skipped
  };
}

} // namespace

queue_limits divide_budget(std::uint64_t queue_bytes, std::int32_t partitions) {
  constexpr std::uint64_t least_bytes = 1 << 20, bookkeeping = 256, most_kbytes = 2'097'151, most_messages = 10'000'000;
  const auto share = std::max(queue_bytes / 2 / static_cast<std::uint64_t>(std::max(partitions, 1)), least_bytes);
  return {std::min(share / 1024, most_kbytes), std::clamp<std::uint64_t>(share / bookkeeping, 1000, most_messages)};
}

double fill_watch::fill(std::size_t length) const {
  const auto n = static_cast<double>(length);
  return std::max(n / static_cast<double>(std::max<std::uint64_t>(limits_.messages, 1)),
                  n * mean_bytes_ / static_cast<double>(std::max<std::uint64_t>(limits_.kbytes, 1) * 1024));
}

void fill_watch::before_drain(std::size_t length) {
  // The bytes are estimated, so a little below the limit counts as full.
  constexpr double full_at = 0.9;
  was_full_ = was_full_ || fill(length) >= full_at;
}

bool fill_watch::after_drain(std::size_t taken, std::size_t payload_bytes, std::size_t length) {
  // Late enough that a question is worth it, early enough that the queue does not run dry meanwhile.
  constexpr double room_at = 0.6;
  if (taken > 0)
    mean_bytes_ += (static_cast<double>(payload_bytes) / static_cast<double>(taken) - mean_bytes_) * 0.2;
  if (!was_full_ || fill(length) > room_at)
    return false;
  was_full_ = false;
  return true;
}

bool refetches_by_itself() { return rd_kafka_version() >= 0x020200ff; }

std::unique_ptr<context> make_context(const kafka_config& kafka, std::string component) {
  auto about = std::make_unique<context>();
  about->component = std::move(component);
  for (const auto& [name, value] : kafka.properties) {
    // Shorter ones would garble every text and are no secret worth the name.
    if (is_secret(name) && value.size() >= 3)
      about->secrets.push_back(value);
    if (name == "sasl.mechanism" || name == "sasl.mechanisms")
      about->mechanism = value;
    if (name == "security.protocol")
      about->by_tls = value.find("SSL") != value.npos || value.find("ssl") != value.npos;
  }
  return about;
}

result<conf_ptr> consumer_conf(const kafka_config& kafka, const std::string& group, const std::string& client_id,
                               queue_limits limits, bool by_hand) {
  const settings defaults{
      {"client.id", client_id},
      {"queued.max.messages.kbytes", std::to_string(limits.kbytes)},
      {"queued.min.messages", std::to_string(limits.messages)},
      {"fetch.queue.backoff.ms", "10"}, // from librdkafka 2.2 on: look again soon after the queues were full
      {"fetch.min.bytes", "1"},
      // Records are answered at once whatever this says; it bounds what a partition that comes new waits behind a fetch
      // that is under way. The embedded broker sleeps it out, so there it is latency; at 10 ms its idle fetches cost a
      // percent of a core for each source.
      {"fetch.wait.max.ms", by_hand ? "30" : "50"},
      {"fetch.error.backoff.ms", "200"},
      {"fetch.max.bytes", std::to_string(16 << 20)},
      {"check.crcs", "true"},         // a damaged record must not become a row
      {"session.timeout.ms", "6000"}, // how long a killed node's partitions rest; brokers take no less by default
      {"heartbeat.interval.ms", "2000"},
      {"topic.metadata.refresh.interval.ms", "30000"}, // finds a topic that is made later, and new partitions
  };
  auto fixed = reader_fixed(group);
  fixed.emplace_back("enable.partition.eof", "false");
  auto conf = build(kafka, use::consume, defaults, fixed);
  if (conf)
    rd_kafka_conf_set_events(conf->get(),
                             RD_KAFKA_EVENT_REBALANCE | RD_KAFKA_EVENT_ERROR | RD_KAFKA_EVENT_OFFSET_COMMIT);
  return conf;
}

result<conf_ptr> asker_conf(const kafka_config& kafka, const std::string& group, const std::string& client_id) {
  const settings defaults{{"client.id", client_id + "-questions"}, {"fetch.wait.max.ms", "10"}, {"check.crcs", "true"}};
  auto fixed = reader_fixed(group);
  fixed.emplace_back("enable.partition.eof", "true"); // tells "nothing at this offset" from "not here yet"
  fixed.emplace_back("queued.max.messages.kbytes", "1024");
  fixed.emplace_back("queued.min.messages", "1");
  auto conf = build(kafka, use::consume, defaults, fixed);
  if (conf)
    rd_kafka_conf_set_events(conf->get(), RD_KAFKA_EVENT_ERROR);
  return conf;
}

result<conf_ptr> producer_conf(const kafka_config& kafka, const std::string& client_id, std::uint64_t queue_bytes,
                               std::uint32_t queue_messages, std::int64_t delivery_ms) {
  const settings defaults{
      {"client.id", client_id},
      {"linger.ms", "5"},
      {"compression.type", "none"},
      {"topic.metadata.propagation.max.ms", "5000"}, // how long a topic that is not known may still come into being
      {"message.max.bytes", "1000000000"},           // the topic's own limit decides
      {"queue.buffering.max.kbytes", std::to_string(std::max<std::uint64_t>(queue_bytes / 1024, 1))},
      {"queue.buffering.max.messages", std::to_string(queue_messages)},
      {"delivery.timeout.ms", std::to_string(delivery_ms)},
      {"partitioner",
       "murmur2_random"}, // as Kafka's own clients do: equal keys meet in one partition whoever produced them
  };
  const settings fixed{{"enable.idempotence", "true"}, {"acks", "all"}};
  auto conf = build(kafka, use::produce, defaults, fixed);
  if (conf)
    rd_kafka_conf_set_events(conf->get(), RD_KAFKA_EVENT_DR | RD_KAFKA_EVENT_ERROR);
  return conf;
}

result<conf_ptr> probe_conf(const kafka_config& kafka) {
  auto conf = build(kafka, use::probe, {{"client.id", "weir-check"}}, {});
  if (conf)
    rd_kafka_conf_set_events(conf->get(), RD_KAFKA_EVENT_ERROR);
  return conf;
}

} // namespace weir::kafka
