// Private to runtime/kafka: one assigned partition's own queue of librdkafka.
#pragma once

#include "runtime/kafka/consumer.hpp"
#include "runtime/kafka/rd_handle.hpp"
#include "runtime/kafka/settings.hpp"

#include <atomic>
#include <mutex>

namespace weir::kafka {

// Shared by the actor that drains (through its partition_queue) and the consumer, which takes the queue away when the
// partition goes.
class split_queue {
public:
  // Splits the partition's queue off the consumer's; must happen before librdkafka is told to fetch it. `refetch` is
  // called, from the draining thread, when the queue was full and has room again.
  static result<std::shared_ptr<split_queue>> split(std::shared_ptr<handle> from, const std::string& topic,
                                                    partition_start start, queue_limits limits,
                                                    std::function<void()> refetch);
  ~split_queue();

  result<std::size_t> drain(std::size_t most, const std::function<bool(const record&)>& take);
  void on_ready(std::function<void()> ready);
  std::int64_t high_watermark() const;

  // From here on everything is ec::stopped and no callback runs. Waits for a drain that is under way.
  void revoke();
  // The lowest offset that drain() has not given yet.
  offset next() const { return offset{next_.load()}; }
  // Goes on elsewhere; what is queued from before is librdkafka's to drop.
  void move(offset to);

private:
  split_queue() = default;
  static void wake(rd_kafka_t*, void* self);
  result<std::size_t> drain_locked(std::size_t most, const std::function<bool(const record&)>& take);

  mutable std::mutex mutex_; // guards all but next_
  std::shared_ptr<handle> from_;
  queue_ptr queue_; // null: revoked
  std::string topic_;
  partition_id partition_;
  std::function<void()>
      ready_; // read by librdkafka's threads under its queue lock; changed only while the event is off
  std::optional<error> pending_;
  std::atomic<std::int64_t> next_{0};

  fill_watch fill_{{}};
  std::function<void()> refetch_;
};

class split_partition_queue : public partition_queue {
public:
  explicit split_partition_queue(std::shared_ptr<split_queue> core) : core_(std::move(core)) {}
  ~split_partition_queue() override { core_->on_ready({}); }
  result<std::size_t> drain(std::size_t most, const std::function<bool(const record&)>& take) override {
    return core_->drain(most, take);
  }
  void on_ready(std::function<void()> ready) override { core_->on_ready(std::move(ready)); }
  std::int64_t high_watermark() const override { return core_->high_watermark(); }

private:
  std::shared_ptr<split_queue> core_;
};

} // namespace weir::kafka
