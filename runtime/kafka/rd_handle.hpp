// Private to runtime/kafka: owners for librdkafka's objects, and what its errors mean to weir.
#pragma once

#include "runtime/core/error.hpp"

#include <librdkafka/rdkafka.h>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace weir::kafka {

template <auto Release>
struct releaser {
  template <class T>
  void operator()(T* p) const {
    Release(p);
  }
};

using conf_ptr = std::unique_ptr<rd_kafka_conf_t, releaser<rd_kafka_conf_destroy>>;
using topic_ptr = std::unique_ptr<rd_kafka_topic_t, releaser<rd_kafka_topic_destroy>>;
using queue_ptr = std::unique_ptr<rd_kafka_queue_t, releaser<rd_kafka_queue_destroy>>;
using event_ptr = std::unique_ptr<rd_kafka_event_t, releaser<rd_kafka_event_destroy>>;
using message_ptr = std::unique_ptr<rd_kafka_message_t, releaser<rd_kafka_message_destroy>>;
using headers_ptr = std::unique_ptr<rd_kafka_headers_t, releaser<rd_kafka_headers_destroy>>;
using list_ptr = std::unique_ptr<rd_kafka_topic_partition_list_t, releaser<rd_kafka_topic_partition_list_destroy>>;
using rd_error_ptr = std::unique_ptr<rd_kafka_error_t, releaser<rd_kafka_error_destroy>>;

// What librdkafka's callbacks and our error texts need to know of a handle; outlives it.
struct context {
  std::string component;            // for the log: "kafka/<source>"
  std::vector<std::string> secrets; // values that must not appear in any text
  std::string mechanism;            // sasl.mechanism as configured
  bool by_tls = false;

  // The text without the secrets.
  std::string clean(std::string_view text) const;
  // librdkafka's error as ours, with a remedy where there is one. `detail` is librdkafka's own text; may be empty.
  error translate(rd_kafka_resp_err_t code, std::string_view detail) const;
};

// What a librdkafka error is to weir.
ec classify(rd_kafka_resp_err_t code);

// One client instance. Destroying it ends librdkafka's threads, which may take a while when brokers hang.
class handle {
public:
  static result<std::shared_ptr<handle>> open(rd_kafka_type_t type, conf_ptr conf, std::unique_ptr<context> about);
  ~handle();
  handle(const handle&) = delete;
  handle& operator=(const handle&) = delete;

  rd_kafka_t* get() const { return rk_; }
  const context& about() const { return *about_; }

private:
  handle(rd_kafka_t* rk, std::unique_ptr<context> about) : rk_(rk), about_(std::move(about)) {}
  rd_kafka_t* rk_;
  std::unique_ptr<context> about_;
};

} // namespace weir::kafka
