#include "runtime/kafka/rd_queue.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace weir::kafka {

namespace {

tl::unexpected<error> gone() { return fail(ec::stopped, "the partition is not read here any more"); }

} // namespace

result<std::shared_ptr<split_queue>> split_queue::split(std::shared_ptr<handle> from, const std::string& topic,
                                                        partition_start start, queue_limits limits,
                                                        std::function<void()> refetch) {
  queue_ptr queue{rd_kafka_queue_get_partition(from->get(), topic.c_str(), start.partition.value)};
  if (!queue)
    return fail(ec::kafka_failed, fmt::format("librdkafka has no queue for {}[{}]", topic, start.partition.value));
  rd_kafka_queue_forward(queue.get(), nullptr);
  std::shared_ptr<split_queue> out{new split_queue};
  out->from_ = std::move(from);
  out->queue_ = std::move(queue);
  out->topic_ = topic;
  out->partition_ = start.partition;
  out->next_ = start.at.value;
  out->fill_ = fill_watch(limits);
  out->refetch_ = std::move(refetch);
  return out;
}

split_queue::~split_queue() { revoke(); }

void split_queue::revoke() {
  const std::lock_guard lock(mutex_);
  if (!queue_)
    return;
  rd_kafka_queue_cb_event_enable(queue_.get(), nullptr, nullptr);
  queue_.reset();
  from_.reset();
  ready_ = {};
  refetch_ = {};
}

void split_queue::wake(rd_kafka_t*, void* self) { static_cast<split_queue*>(self)->ready_(); }

void split_queue::on_ready(std::function<void()> ready) {
  std::function<void()> at_once;
  {
    const std::lock_guard lock(mutex_);
    if (!queue_)
      return;
    rd_kafka_queue_cb_event_enable(queue_.get(), nullptr, nullptr);
    ready_ = std::move(ready);
    if (!ready_)
      return;
    rd_kafka_queue_cb_event_enable(queue_.get(), wake, this);
    // librdkafka tells only of a queue that fills from now on.
    if (rd_kafka_queue_length(queue_.get()) > 0 || pending_)
      at_once = ready_;
  }
  if (at_once)
    at_once();
}

void split_queue::move(offset to) {
  const std::lock_guard lock(mutex_);
  next_ = to.value;
  pending_.reset();
}

std::int64_t split_queue::high_watermark() const {
  const std::lock_guard lock(mutex_);
  if (!queue_)
    return -1;
  std::int64_t low = -1, high = -1;
  if (rd_kafka_get_watermark_offsets(from_->get(), topic_.c_str(), partition_.value, &low, &high) !=
      RD_KAFKA_RESP_ERR_NO_ERROR)
    return -1;
  return std::max<std::int64_t>(high, -1);
}

result<std::size_t> split_queue::drain(std::size_t most, const std::function<bool(const record&)>& take) {
  std::function<void()> again;
  result<std::size_t> out;
  {
    const std::lock_guard lock(mutex_);
    out = drain_locked(most, take);
    if (out && pending_ && ready_)
      again = ready_;
  }
  if (again)
    again();
  return out;
}

result<std::size_t> split_queue::drain_locked(std::size_t most, const std::function<bool(const record&)>& take) {
  if (!queue_)
    return gone();
  if (pending_) {
    auto e = std::move(*pending_);
    pending_.reset();
    return tl::unexpected(std::move(e));
  }
  const bool watch = !refetches_by_itself();
  if (watch)
    fill_.before_drain(rd_kafka_queue_length(queue_.get()));
  std::size_t taken = 0, bytes = 0;
  for (bool wanted = true; wanted && taken < most;) {
    const message_ptr m{rd_kafka_consume_queue(queue_.get(), 0)};
    if (!m)
      break;
    if (m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
      continue;
    if (m->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
      auto e = from_->about().translate(m->err, {static_cast<const char*>(m->payload), m->payload ? m->len : 0});
      e.message = fmt::format("{}[{}]: {}", topic_, partition_.value, e.message);
      if (taken == 0)
        return tl::unexpected(std::move(e));
      pending_ = std::move(e);
      break;
    }
    if (m->offset < next_.load(std::memory_order_relaxed))
      continue; // delivered twice
    next_.store(m->offset + 1, std::memory_order_relaxed);
    record r;
    r.at = offset{m->offset};
    auto kind = RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
    r.time_ms = rd_kafka_message_timestamp(m.get(), &kind);
    if (kind == RD_KAFKA_TIMESTAMP_NOT_AVAILABLE)
      r.time_ms = -1;
    if (m->key)
      r.key.emplace(static_cast<const char*>(m->key), m->key_len);
    if (m->payload)
      r.value.emplace(static_cast<const char*>(m->payload), m->len);
    ++taken;
    bytes += m->key_len + m->len;
    wanted = take(r);
  }
  if (watch && fill_.after_drain(taken, bytes, rd_kafka_queue_length(queue_.get())))
    refetch_();
  return taken;
}

} // namespace weir::kafka
