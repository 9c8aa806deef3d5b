// What the consumer reads: answers to the group, restarts, commits.
#include "runtime/core/log.hpp"
#include "runtime/kafka/rd_consumer_core.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace weir::kafka {
namespace {

constexpr int seek_ms = 200; // a seek is answered by librdkafka's own thread, at once

} // namespace

// Takes the partitions out of librdkafka's assignment, as the group's protocol wants it.
void consumer_core::release_partitions(const rd_kafka_topic_partition_list_t* list) {
  if (protocol_ == protocol::eager) {
    rd_kafka_assign(main_->get(), nullptr);
    return;
  }
  // Only those that are in the assignment, or librdkafka refuses all of them; an empty list is an answer to the group
  // too.
  std::vector<partition_id> inside;
  for (auto p : partitions_of(list))
    if (reading_.contains(p.value))
      inside.push_back(p);
  if (auto done = check(rd_kafka_incremental_unassign(main_->get(), list_of(inside).get())); !done)
    log::warn(component_, "cannot give partitions back", {{"reason", done.error().message}});
}

void consumer_core::answer_revocation() {
  const auto all = std::move(revoking_->all);
  revoking_.reset();
  for (auto p : all)
    if (const auto at = reading_.find(p.value); at != reading_.end())
      at->second->revoke();
  release_partitions(list_of(all).get());
  for (auto p : all) {
    reading_.erase(p.value);
    offered_.erase(p.value);
  }
}

result<std::shared_ptr<split_queue>> consumer_core::split(partition_start start) {
  return split_queue::split(main_, source_.topic, start, limits_, [weak = weak_from_this(), p = start.partition] {
    if (const auto self = weak.lock())
      self->refetch(p);
  });
}

result<void> consumer_core::add_to_assignment(const std::vector<partition_start>& add) {
  if (protocol_ != protocol::eager)
    return check(rd_kafka_incremental_assign(main_->get(), list_of(add).get()));
  // Eager groups know whole assignments only: the others go on after what was drained last.
  auto whole = add;
  for (const auto& [p, queue] : reading_)
    if (std::none_of(add.begin(), add.end(), [p = p](const partition_start& s) { return s.partition.value == p; }))
      whole.push_back({partition_id{p}, queue->next()});
  if (const auto code = rd_kafka_assign(main_->get(), list_of(whole).get()); code != RD_KAFKA_RESP_ERR_NO_ERROR)
    return tl::unexpected(main_->about().translate(code, {}));
  return {};
}

result<std::vector<std::pair<partition_id, std::unique_ptr<partition_queue>>>>
consumer_core::assign(const std::vector<partition_start>& starts) {
  const std::lock_guard lock(mutex_);
  if (closing_ || !main_)
    return fail(ec::stopped, "the consumer is closed");
  if (!assign_open_)
    return fail(ec::stopped, "the partitions were taken back before they were assigned");
  std::map<std::int32_t, std::shared_ptr<split_queue>> fresh;
  for (const auto& s : starts) {
    if (!offered_.contains(s.partition.value))
      return fail(ec::stopped, fmt::format("partition {} was not offered", s.partition.value));
    auto queue = split(s);
    if (!queue)
      return tl::unexpected(queue.error());
    fresh[s.partition.value] = std::move(*queue);
  }
  if (auto done = add_to_assignment(starts); !done)
    return tl::unexpected(done.error());
  assign_open_ = false;
  for (const auto& s : starts)
    refetch(s.partition);
  std::vector<std::pair<partition_id, std::unique_ptr<partition_queue>>> out;
  for (auto& [p, queue] : fresh) {
    if (const auto old = reading_.find(p); old != reading_.end())
      old->second->revoke();
    reading_[p] = queue;
    out.emplace_back(partition_id{p}, std::make_unique<split_partition_queue>(queue));
  }
  return out;
}

void consumer_core::unassign(const std::vector<partition_id>& partitions) {
  const std::lock_guard lock(mutex_);
  if (closing_ || !main_)
    return;
  std::vector<partition_id> alone; // given back without the group having asked
  for (auto p : partitions) {
    if (const auto at = reading_.find(p.value); at != reading_.end())
      at->second->revoke();
    if (revoking_ && revoking_->remaining.erase(p.value) > 0)
      continue;
    offered_.erase(p.value);
    if (reading_.contains(p.value) &&
        !(revoking_ && std::find(revoking_->all.begin(), revoking_->all.end(), p) != revoking_->all.end()))
      alone.push_back(p);
  }
  // An eager group cannot be given part of an assignment back: librdkafka then keeps what it fetched of it, within its
  // limits.
  if (!alone.empty() && protocol_ != protocol::eager) {
    release_partitions(list_of(alone).get());
    for (auto p : alone)
      reading_.erase(p.value);
  }
  if (revoking_ && revoking_->remaining.empty())
    answer_revocation();
}

result<std::unique_ptr<partition_queue>> consumer_core::restart(partition_start start) {
  const std::lock_guard lock(mutex_);
  const auto p = start.partition.value;
  if (closing_ || !main_)
    return fail(ec::stopped, "the consumer is closed");
  if (!offered_.contains(p) || assign_open_)
    return fail(ec::stopped, fmt::format("partition {} is not assigned", p));
  if (revoking_ && (protocol_ == protocol::eager ||
                    std::find(revoking_->all.begin(), revoking_->all.end(), start.partition) != revoking_->all.end()))
    return fail(ec::stopped, fmt::format("partition {} is being taken back", p));
  const auto old = reading_.find(p);
  const bool was_reading = old != reading_.end();
  if (was_reading)
    old->second->revoke();
  auto queue = split(start);
  if (!queue)
    return tl::unexpected(queue.error());
  bool moved = false;
  if (was_reading) {
    // librdkafka before 2.1 takes this timeout for microseconds.
    const int wait = rd_kafka_version() < 0x020100ff ? seek_ms * 1000 : seek_ms;
    const auto list = list_of(std::vector<partition_start>{start});
    const rd_error_ptr e{rd_kafka_seek_partitions(main_->get(), list.get(), wait)};
    moved = !e && list->elems[0].err == RD_KAFKA_RESP_ERR_NO_ERROR;
    if (!moved && protocol_ != protocol::eager) {
      // It does not fetch at present (after an error it stopped for good): take it out and in again.
      release_partitions(list_of(std::vector<partition_id>{start.partition}).get());
    }
  }
  if (!moved) {
    if (auto done = add_to_assignment({start}); !done) {
      reading_.erase(p);
      return tl::unexpected(done.error());
    }
    refetch(start.partition);
  }
  reading_[p] = *queue;
  return std::make_unique<split_partition_queue>(*queue);
}

void consumer_core::commit(const std::vector<partition_start>& positions) {
  const std::lock_guard lock(mutex_);
  // While the group rebalances a commit may cost the assignment (librdkafka before 2.10); it is only advice.
  if (closing_ || !main_ || by_hand() || assign_open_ || revoking_ || positions.empty())
    return;
  std::vector<partition_start> ours;
  for (const auto& s : positions)
    if (reading_.contains(s.partition.value))
      ours.push_back(s);
  if (!ours.empty())
    rd_kafka_commit(main_->get(), list_of(ours).get(), 1);
}

// On the asker's thread: a question to the partitions' leaders makes librdkafka's broker threads connect and look at
// their queues again, which they would otherwise do up to a second later.
void consumer_core::refetch(partition_id p) {
  {
    const std::lock_guard lock(refetch_mutex_);
    refetch_.insert(p.value);
    if (refetch_.size() > 1)
      return; // one is on its way
  }
  const bool posted = asker_->post([weak = weak_from_this()] {
    const auto self = weak.lock();
    if (!self)
      return;
    std::shared_ptr<handle> main;
    {
      const std::lock_guard lock(self->mutex_);
      main = self->main_;
    }
    std::vector<partition_start> ends;
    {
      const std::lock_guard lock(self->refetch_mutex_);
      for (auto q : self->refetch_)
        ends.push_back({partition_id{q}, offset{RD_KAFKA_OFFSET_END}});
      self->refetch_.clear();
    }
    if (main)
      rd_kafka_offsets_for_times(main->get(), self->list_of(ends).get(), 100);
  });
  if (!posted) {
    const std::lock_guard lock(refetch_mutex_);
    refetch_.clear();
  }
}

} // namespace weir::kafka
