#include "runtime/core/error.hpp"

namespace weir {

std::string_view to_string(ec code) {
  switch (code) {
  case ec::none: return "none";
  case ec::bad_topology: return "bad_topology";
  case ec::bad_argument: return "bad_argument";
  case ec::not_available: return "not_available";
  case ec::no_such_thing: return "no_such_thing";
  case ec::redis_unreachable: return "redis_unreachable";
  case ec::redis_refused: return "redis_refused";
  case ec::redis_busy: return "redis_busy";
  case ec::redis_cannot_write: return "redis_cannot_write";
  case ec::redis_protocol: return "redis_protocol";
  case ec::redis_script: return "redis_script";
  case ec::redis_unsuitable: return "redis_unsuitable";
  case ec::kafka_unreachable: return "kafka_unreachable";
  case ec::kafka_refused: return "kafka_refused";
  case ec::kafka_no_topic: return "kafka_no_topic";
  case ec::kafka_out_of_range: return "kafka_out_of_range";
  case ec::kafka_fatal: return "kafka_fatal";
  case ec::kafka_failed: return "kafka_failed";
  case ec::fenced: return "fenced";
  case ec::mismatch: return "mismatch";
  case ec::identity: return "identity";
  case ec::definition: return "definition";
  case ec::layout: return "layout";
  case ec::timeout: return "timeout";
  case ec::overloaded: return "overloaded";
  case ec::stopped: return "stopped";
  case ec::io: return "io";
  case ec::internal: return "internal";
  case ec::step_failed: return "step_failed";
  case ec::step_unavailable: return "step_unavailable";
  }
  return "unknown";
}

} // namespace weir
