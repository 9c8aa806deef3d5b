#include "runtime/kafka/rd_handle.hpp"

#include "runtime/core/log.hpp"

#include <array>

namespace weir::kafka {
namespace {

constexpr int syslog_warning = 4;
constexpr int scram_repaired = 0x020601ff; // earlier versions send a nonce that Kafka 4 refuses

void log_line(const rd_kafka_t* rk, int level, const char* facility, const char* text) {
  const auto* about = rk ? static_cast<const context*>(rd_kafka_opaque(rk)) : nullptr;
  const auto least = level <= syslog_warning ? log::level::warn : log::level::debug;
  log::write(least, about ? std::string_view{about->component} : "kafka",
             about ? about->clean(text) : std::string(text), {{"facility", facility}});
}

bool is_credentials(std::string_view text) {
  return text.find("SASL") != text.npos || text.find("uthentication") != text.npos ||
         text.find("redentials") != text.npos;
}

} // namespace

std::string context::clean(std::string_view text) const {
  std::string out(text);
  for (const auto& secret : secrets)
    for (auto at = out.find(secret); at != out.npos; at = out.find(secret, at + 3))
      out.replace(at, secret.size(), "***");
  return out;
}

ec classify(rd_kafka_resp_err_t code) {
  switch (code) {
  case RD_KAFKA_RESP_ERR_NO_ERROR: return ec::none;
  case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
  case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
  case RD_KAFKA_RESP_ERR__NO_OFFSET: return ec::kafka_out_of_range;
  case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
  case RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION:
  case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
  case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION: return ec::kafka_no_topic;
  case RD_KAFKA_RESP_ERR__AUTHENTICATION:
  case RD_KAFKA_RESP_ERR__SSL:
  case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
  case RD_KAFKA_RESP_ERR_UNSUPPORTED_SASL_MECHANISM:
  case RD_KAFKA_RESP_ERR_ILLEGAL_SASL_STATE:
  case RD_KAFKA_RESP_ERR_SECURITY_DISABLED:
  case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
  case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
  case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
  case RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED: return ec::kafka_refused;
  case RD_KAFKA_RESP_ERR__TRANSPORT:
  case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
  case RD_KAFKA_RESP_ERR__RESOLVE:
  case RD_KAFKA_RESP_ERR__WAIT_COORD:
  case RD_KAFKA_RESP_ERR__NODE_UPDATE:
  case RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE:
  case RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION:
  case RD_KAFKA_RESP_ERR_BROKER_NOT_AVAILABLE:
  case RD_KAFKA_RESP_ERR_REPLICA_NOT_AVAILABLE:
  case RD_KAFKA_RESP_ERR_NETWORK_EXCEPTION:
  case RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS:
  case RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE:
  case RD_KAFKA_RESP_ERR_NOT_COORDINATOR:
  case RD_KAFKA_RESP_ERR_FENCED_LEADER_EPOCH:
  case RD_KAFKA_RESP_ERR_UNKNOWN_LEADER_EPOCH:
  case RD_KAFKA_RESP_ERR_PREFERRED_LEADER_NOT_AVAILABLE: return ec::kafka_unreachable;
  case RD_KAFKA_RESP_ERR__TIMED_OUT:
  case RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE:
  case RD_KAFKA_RESP_ERR__MSG_TIMED_OUT:
  case RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT: return ec::timeout;
  case RD_KAFKA_RESP_ERR__QUEUE_FULL: return ec::overloaded;
  case RD_KAFKA_RESP_ERR__DESTROY:
  case RD_KAFKA_RESP_ERR__PURGE_QUEUE:
  case RD_KAFKA_RESP_ERR__PURGE_INFLIGHT: return ec::stopped;
  case RD_KAFKA_RESP_ERR__FATAL:
  case RD_KAFKA_RESP_ERR__FENCED:
  case RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID:
  case RD_KAFKA_RESP_ERR__CRIT_SYS_RESOURCE: return ec::kafka_fatal;
  default:
    // librdkafka has some two hundred codes and adds more: what is not named above is a failure to be told and tried
    // again.
    return ec::kafka_failed;
  }
}

error context::translate(rd_kafka_resp_err_t code, std::string_view detail) const {
  auto what = classify(code);
  std::string text = clean(detail.empty() ? std::string_view{rd_kafka_err2str(code)} : detail);
  // librdkafka tells a failed login of a bootstrap broker sometimes as a transport error.
  if (what == ec::kafka_unreachable && is_credentials(text))
    what = ec::kafka_refused;
  switch (what) {
  case ec::kafka_refused:
    if (code == RD_KAFKA_RESP_ERR__SSL) {
      text += ". Check ssl.ca.location, the certificate's names and whether the listener speaks TLS (kafka.properties)";
    } else if (code == RD_KAFKA_RESP_ERR__AUTHENTICATION || is_credentials(text)) {
      text += ". Check sasl.mechanism, sasl.username and sasl.password (kafka.properties)";
      if (mechanism.starts_with("SCRAM") && rd_kafka_version() < scram_repaired)
        text += std::string(". This librdkafka (") + rd_kafka_version_str() +
                ") cannot do SCRAM with Kafka 4: use 2.6.1 or later, or another mechanism";
    } else {
      text += ". Give this user the right in the broker's ACLs";
    }
    break;
  case ec::kafka_unreachable:
    text += by_tls ? ". Check kafka.brokers and that the port is the one for TLS"
                   : ". Check kafka.brokers and, if the listener wants TLS or a login, security.protocol";
    break;
  case ec::kafka_out_of_range:
    text += ". The position is not in the log any more: retention or a new topic removed it";
    break;
  default: break;
  }
  return {what, std::move(text)};
}

result<std::shared_ptr<handle>> handle::open(rd_kafka_type_t type, conf_ptr conf, std::unique_ptr<context> about) {
  rd_kafka_conf_set_opaque(conf.get(), about.get());
  rd_kafka_conf_set_log_cb(conf.get(), log_line);
  std::array<char, 512> text{};
  auto* rk = rd_kafka_new(type, conf.get(), text.data(), text.size());
  if (!rk)
    return fail(ec::bad_topology, "librdkafka refuses the settings: " + about->clean(text.data()));
  static_cast<void>(conf.release()); // librdkafka's now
  return std::shared_ptr<handle>(new handle(rk, std::move(about)));
}

handle::~handle() {
  // A consumer that is to leave its group has been closed before; here nothing may wait for a group.
  rd_kafka_destroy_flags(rk_, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
}

} // namespace weir::kafka
