#include "runtime/kafka/rd_producer.hpp"

#include "runtime/kafka/rd_message.hpp"
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

class rd_producer : public producer {
public:
  rd_producer(std::shared_ptr<handle> h, std::uint64_t queue_bytes, std::function<void(error, bool)> failed)
      : handle_(std::move(h)), largest_(queue_bytes / 2), failed_(std::move(failed)),
        events_(rd_kafka_queue_get_main(handle_->get())), thread_([this] { loop(); }) {}

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
    const auto bytes = (m.key ? m.key->size() : 0) + (m.value ? m.value->size() : 0);
    if (bytes > largest_) {
      if (m.value_may_go && m.value)
        return enqueue(without_value(std::move(m)), std::move(done));
      if (done)
        done(fail(
            ec::bad_argument,
            fmt::format("topic '{}': a record of {} bytes does not fit into the producer's queue", m.topic, bytes)));
      return;
    }
    enqueue(m, std::move(done));
  }

  bool flush(std::chrono::milliseconds deadline) override {
    return rd_kafka_flush(handle_->get(), static_cast<int>(deadline.count())) == RD_KAFKA_RESP_ERR_NO_ERROR;
  }

private:
  // Travels with the message through librdkafka and comes back with its delivery report.
  struct report {
    on_done done;
    std::unique_ptr<message> smaller; // to send instead if this is too large
  };

  static message without_value(message m) {
    m.headers.emplace_back("weir.truncated", std::to_string(m.value ? m.value->size() : 0));
    m.value.reset();
    m.value_may_go = false;
    return m;
  }

  static std::unique_ptr<message> smaller_one(const message& m) {
    if (!m.value_may_go || !m.value)
      return nullptr;
    message small;
    small.topic = m.topic;
    small.key = m.key;
    small.headers = m.headers;
    small.headers.emplace_back("weir.truncated", std::to_string(m.value->size()));
    small.partition = m.partition;
    small.time_ms = m.time_ms;
    return std::make_unique<message>(std::move(small));
  }

  void enqueue(const message& m, on_done done) {
    auto back = std::make_unique<report>(report{std::move(done), smaller_one(m)});
    std::string why;
    const auto refused = kafka::enqueue(handle_->get(), m, back.get(), &why);
    if (refused == RD_KAFKA_RESP_ERR_NO_ERROR)
      static_cast<void>(back.release()); // comes back with the delivery report
    else
      finish(std::move(back), refused, why, m.topic);
  }

  // Tells the sender, or sends what is left of a message that was too large.
  void finish(std::unique_ptr<report> of, rd_kafka_resp_err_t code, std::string_view text, std::string_view topic) {
    if (code == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE && of->smaller && !stopping_)
      return enqueue(*of->smaller, std::move(of->done));
    if (!of->done)
      return;
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
      return of->done({});
    auto why = handle_->about().translate(code, text);
    if (code == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE)
      why.code = ec::bad_argument;
    why.message = fmt::format("topic '{}': {}", topic, why.message);
    of->done(tl::unexpected(std::move(why)));
  }

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
        if (std::unique_ptr<report> back{static_cast<report*>(m->_private)})
          finish(std::move(back), m->err, {}, rd_kafka_topic_name(m->rkt));
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
    default: return;
    }
  }

  std::shared_ptr<handle> handle_;
  const std::uint64_t largest_; // a message that is larger is never queued
  const std::function<void(error, bool)> failed_;
  queue_ptr events_;
  std::atomic<bool> stopping_{false};
  std::thread thread_; // last: it uses all of the above
};

} // namespace

result<std::unique_ptr<producer>> make_producer(const kafka_config& kafka, producer_options options) {
  auto conf = producer_conf(kafka, options.client_id, options.queue_bytes, options.queue_messages,
                            options.delivery_deadline.count());
  if (!conf)
    return tl::unexpected(conf.error());
  auto opened = handle::open(RD_KAFKA_PRODUCER, std::move(*conf), make_context(kafka, "kafka/producer"));
  if (!opened)
    return tl::unexpected(opened.error());
  return std::make_unique<rd_producer>(std::move(*opened), options.queue_bytes, std::move(options.failed));
}

} // namespace weir::kafka
