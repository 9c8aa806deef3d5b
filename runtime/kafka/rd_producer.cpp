#include "runtime/kafka/rd_producer.hpp"

#include "runtime/kafka/settings.hpp"

#include <atomic>
#include <fmt/format.h>
#include <thread>

namespace weir::kafka {
namespace {

using namespace std::chrono_literals;
using on_done = std::function<void(result<void>)>;

constexpr int poll_ms = 500;
constexpr auto last_chance = 1s;
constexpr auto give_up_after = 2s; // after a purge, reports come at once

rd_kafka_vu_t entry(rd_kafka_vtype_t type) {
  rd_kafka_vu_t v{};
  v.vtype = type;
  return v;
}

class rd_producer : public producer {
public:
  rd_producer(std::shared_ptr<handle> h, std::function<void(error, bool)> failed)
      : handle_(std::move(h)), failed_(std::move(failed)), events_(rd_kafka_queue_get_main(handle_->get())), thread_([this] { loop(); }) {}

  ~rd_producer() override {
    if (!flush(last_chance))
      rd_kafka_purge(handle_->get(), RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    stopping_ = true;
    rd_kafka_queue_yield(events_.get());
    thread_.join();
    events_.reset();
    // Ending librdkafka's threads may wait for a connection that hangs.
    std::thread([last = std::move(handle_)] {}).detach();
  }

  void send(message m, on_done done) override {
    std::vector<rd_kafka_vu_t> v;
    v.reserve(7 + m.headers.size());
    auto e = entry(RD_KAFKA_VTYPE_TOPIC);
    e.u.cstr = m.topic.c_str();
    v.push_back(e);
    e = entry(RD_KAFKA_VTYPE_PARTITION);
    e.u.i32 = m.partition < 0 ? RD_KAFKA_PARTITION_UA : m.partition;
    v.push_back(e);
    e = entry(RD_KAFKA_VTYPE_MSGFLAGS);
    e.u.i = RD_KAFKA_MSG_F_COPY;
    v.push_back(e);
    e = entry(RD_KAFKA_VTYPE_TIMESTAMP);
    e.u.i64 = m.time_ms;
    v.push_back(e);
    if (m.key) {
      e = entry(RD_KAFKA_VTYPE_KEY);
      e.u.mem = {m.key->data(), m.key->size()};
      v.push_back(e);
    }
    if (m.value) {
      e = entry(RD_KAFKA_VTYPE_VALUE);
      e.u.mem = {m.value->data(), m.value->size()};
      v.push_back(e);
    }
    for (const auto& [name, value] : m.headers) {
      e = entry(RD_KAFKA_VTYPE_HEADER);
      e.u.header = {name.c_str(), value.data(), static_cast<ssize_t>(value.size())};
      v.push_back(e);
    }
    auto report = std::make_unique<on_done>(std::move(done));
    e = entry(RD_KAFKA_VTYPE_OPAQUE);
    e.u.ptr = report.get();
    v.push_back(e);
    struct rd_error_guard {
      rd_kafka_error_t* e;
      ~rd_error_guard() {
        if (e)
          rd_kafka_error_destroy(e);
      }
    } refused{rd_kafka_produceva(handle_->get(), v.data(), v.size())};
    if (!refused.e) {
      static_cast<void>(report.release()); // comes back with the delivery report
      return;
    }
    const auto code = rd_kafka_error_code(refused.e);
    auto why = handle_->about().translate(code, rd_kafka_error_string(refused.e));
    if (code == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE)
      why.code = ec::bad_argument;
    why.message = fmt::format("topic '{}': {}", m.topic, why.message);
    if (*report)
      (*report)(tl::unexpected(std::move(why)));
  }

  bool flush(std::chrono::milliseconds deadline) override {
    return rd_kafka_flush(handle_->get(), static_cast<int>(deadline.count())) == RD_KAFKA_RESP_ERR_NO_ERROR;
  }

private:
  void loop() {
    auto until = std::chrono::steady_clock::time_point::max();
    for (;;) {
      if (stopping_) {
        if (until == std::chrono::steady_clock::time_point::max())
          until = std::chrono::steady_clock::now() + give_up_after;
        if (rd_kafka_outq_len(handle_->get()) == 0 || std::chrono::steady_clock::now() > until)
          return;
      }
      if (const event_ptr event{rd_kafka_queue_poll(events_.get(), stopping_ ? 20 : poll_ms)})
        on_event(event.get());
    }
  }

  void on_event(rd_kafka_event_t* event) {
    switch (rd_kafka_event_type(event)) {
    case RD_KAFKA_EVENT_DR:
      while (const auto* m = rd_kafka_event_message_next(event)) {
        const std::unique_ptr<on_done> report{static_cast<on_done*>(m->_private)};
        if (!report || !*report)
          continue;
        if (m->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
          (*report)({});
          continue;
        }
        auto why = handle_->about().translate(m->err, {});
        why.message = fmt::format("topic '{}': {}", rd_kafka_topic_name(m->rkt), why.message);
        (*report)(tl::unexpected(std::move(why)));
      }
      return;
    case RD_KAFKA_EVENT_ERROR: {
      const bool fatal = rd_kafka_event_error_is_fatal(event) != 0;
      auto why = handle_->about().translate(rd_kafka_event_error(event), rd_kafka_event_error_string(event));
      if (fatal)
        why.code = ec::kafka_fatal;
      if (failed_)
        failed_(std::move(why), fatal);
      return;
    }
    default:
      return;
    }
  }

  std::shared_ptr<handle> handle_;
  const std::function<void(error, bool)> failed_;
  queue_ptr events_;
  std::atomic<bool> stopping_{false};
  std::thread thread_; // last: it uses all of the above
};

} // namespace

result<std::unique_ptr<producer>> make_producer(const kafka_config& kafka, producer_options options) {
  auto conf = producer_conf(kafka, options.client_id, options.queue_bytes, options.queue_messages, options.delivery_deadline.count());
  if (!conf)
    return tl::unexpected(conf.error());
  auto opened = handle::open(RD_KAFKA_PRODUCER, std::move(*conf), make_context(kafka, "kafka/producer"));
  if (!opened)
    return tl::unexpected(opened.error());
  return std::make_unique<rd_producer>(std::move(*opened), std::move(options.failed));
}

} // namespace weir::kafka
