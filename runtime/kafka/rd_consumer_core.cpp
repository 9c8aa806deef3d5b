#include "runtime/kafka/rd_consumer_core.hpp"

#include "runtime/core/log.hpp"

#include <algorithm>
#include <cstring>
#include <fmt/format.h>
#include <thread>

namespace weir::kafka {
namespace {

using namespace std::chrono_literals;
using clock = std::chrono::steady_clock;

constexpr int poll_ms = 500; // the event thread is woken for all that matters; this bounds what a lost wake-up costs
constexpr auto repeat_after = 5s;      // the same trouble is told again after that
constexpr auto leave_patience = 30s;   // a group that does not let go by then is left by silence
constexpr auto describe_patience = 5s; // by hand: one try to learn the partitions

// The group's generation, from librdkafka's serialised group metadata: "CGMDv2:", then the generation in host order.
// -1: not told.
std::int32_t generation_of(rd_kafka_t* rk) {
  constexpr std::string_view mark = "CGMDv2:";
  const std::unique_ptr<rd_kafka_consumer_group_metadata_t, releaser<rd_kafka_consumer_group_metadata_destroy>> group{
      rd_kafka_consumer_group_metadata(rk)};
  void* bytes = nullptr;
  std::size_t size = 0;
  if (!group)
    return -1;
  if (const rd_error_ptr e{rd_kafka_consumer_group_metadata_write(group.get(), &bytes, &size)}; e)
    return -1;
  std::int32_t generation = -1;
  if (size >= mark.size() + sizeof generation && std::memcmp(bytes, mark.data(), mark.size()) == 0)
    std::memcpy(&generation, static_cast<const char*>(bytes) + mark.size(), sizeof generation);
  rd_kafka_mem_free(rk, bytes);
  return generation;
}

} // namespace

std::vector<partition_id> partitions_of(const rd_kafka_topic_partition_list_t* list) {
  std::vector<partition_id> out;
  for (int i = 0; list && i < list->cnt; ++i)
    out.emplace_back(list->elems[i].partition);
  return out;
}

protocol protocol_of(rd_kafka_t* rk) {
  const char* name = rd_kafka_rebalance_protocol(rk);
  if (name && std::strcmp(name, "COOPERATIVE") == 0)
    return protocol::cooperative;
  if (name && std::strcmp(name, "EAGER") == 0)
    return protocol::eager;
  return protocol::none;
}

list_ptr consumer_core::list_of(const std::vector<partition_start>& starts) const {
  list_ptr list{rd_kafka_topic_partition_list_new(static_cast<int>(starts.size()))};
  for (const auto& s : starts)
    rd_kafka_topic_partition_list_add(list.get(), source_.topic.c_str(), s.partition.value)->offset = s.at.value;
  return list;
}

list_ptr consumer_core::list_of(const std::vector<partition_id>& partitions) const {
  std::vector<partition_start> starts;
  for (auto p : partitions)
    starts.push_back({p, offset{RD_KAFKA_OFFSET_INVALID}});
  return list_of(starts);
}

result<void> consumer_core::check(rd_kafka_error_t* raw) const {
  const rd_error_ptr e{raw};
  if (!e)
    return {};
  return tl::unexpected(main_->about().translate(rd_kafka_error_code(e.get()), rd_kafka_error_string(e.get())));
}

result<void> consumer_core::open_main() {
  const auto known = asker_->known_partitions();
  limits_ = divide_budget(options_.queue_bytes, known > 0 ? known : options_.expected_partitions);
  auto conf = consumer_conf(kafka_, group_, options_.client_id, limits_, by_hand());
  if (!conf)
    return tl::unexpected(conf.error());
  auto opened = handle::open(RD_KAFKA_CONSUMER, std::move(*conf), make_context(kafka_, component_));
  if (!opened)
    return tl::unexpected(opened.error());
  rd_kafka_poll_set_consumer((*opened)->get());
  main_ = std::move(*opened);
  events_.reset(rd_kafka_queue_get_consumer(main_->get()));
  return {};
}

void consumer_core::start(consumer::handlers h) {
  std::optional<error> failure;
  {
    const std::lock_guard lock(mutex_);
    if (started_ || closing_)
      return;
    started_ = true;
    handlers_ = std::move(h);
    if (auto opened = open_main(); !opened) {
      failure = opened.error();
    } else if (by_hand()) {
      describe_at_ = clock::now();
    } else {
      const list_ptr topics{rd_kafka_topic_partition_list_new(1)};
      rd_kafka_topic_partition_list_add(topics.get(), source_.topic.c_str(), RD_KAFKA_PARTITION_UA);
      if (const auto code = rd_kafka_subscribe(main_->get(), topics.get()); code != RD_KAFKA_RESP_ERR_NO_ERROR)
        failure = main_->about().translate(code, {});
    }
    if (main_) {
      ++alive_;
      std::thread([self = shared_from_this()] { self->loop(); }).detach();
    }
  }
  if (failure)
    if (const auto tell = handlers(); tell.failed)
      tell.failed(*failure, true);
}

void consumer_core::loop() {
  for (;;) {
    std::vector<std::function<void()>> work;
    {
      const std::lock_guard lock(mutex_);
      if (closing_)
        break;
      work.swap(posted_);
    }
    for (auto& w : work)
      w();
    int wait = poll_ms;
    if (describe_at_) {
      const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(*describe_at_ - clock::now()).count();
      if (left <= 0)
        join_by_hand();
      else
        wait = std::min(wait, static_cast<int>(left) + 1);
    }
    if (const event_ptr event{rd_kafka_queue_poll(events_.get(), wait)})
      on_event(event.get());
  }
  leave_group();
  std::shared_ptr<handle> last;
  {
    const std::lock_guard lock(mutex_);
    events_.reset();
    last = std::move(main_);
    handlers_ = {};
  }
  last.reset();
  finished();
}

void consumer_core::finished() {
  const std::lock_guard lock(mutex_);
  --alive_;
  ended_.notify_all();
}

void consumer_core::run_on_loop(std::function<void()> work) {
  const std::lock_guard lock(mutex_);
  if (closing_ || !events_)
    return;
  posted_.push_back(std::move(work));
  rd_kafka_queue_yield(events_.get());
}

void consumer_core::join_by_hand() {
  describe_at_.reset();
  asker_->describe(clock::now() + describe_patience, [weak = weak_from_this()](result<topic_facts> facts) {
    const auto self = weak.lock();
    if (!self)
      return;
    self->run_on_loop([me = self.get(), facts = std::move(facts)] {
      const auto tell = me->handlers();
      if (!facts) {
        me->describe_at_ = clock::now() + me->retry_.next();
        if (tell.failed)
          tell.failed(facts.error(), false);
        return;
      }
      std::vector<partition_id> all;
      for (std::int32_t p = 0; p < facts->partitions; ++p)
        all.emplace_back(p);
      {
        const std::lock_guard lock(me->mutex_);
        me->assign_open_ = true;
        for (auto p : all)
          me->offered_.insert(p.value);
      }
      if (tell.assigned)
        tell.assigned(std::move(all), -1);
    });
  });
}

void consumer_core::on_event(rd_kafka_event_t* event) {
  switch (rd_kafka_event_type(event)) {
  case RD_KAFKA_EVENT_REBALANCE: return on_rebalance(event);
  case RD_KAFKA_EVENT_ERROR:
    return on_error(rd_kafka_event_error(event), rd_kafka_event_error_string(event),
                    rd_kafka_event_error_is_fatal(event) != 0);
  case RD_KAFKA_EVENT_OFFSET_COMMIT:
    if (const auto code = rd_kafka_event_error(event);
        code != RD_KAFKA_RESP_ERR_NO_ERROR && code != RD_KAFKA_RESP_ERR__NO_OFFSET)
      log::debug(component_, "advisory commit failed", {{"reason", rd_kafka_err2str(code)}});
    return;
  case RD_KAFKA_EVENT_FETCH:
    while (const auto* m = rd_kafka_event_message_next(event)) {
      if (m->err != RD_KAFKA_RESP_ERR_NO_ERROR)
        on_error(m->err, rd_kafka_message_errstr(m), false);
      else // every partition's queue is split off before it is fetched
        on_error(RD_KAFKA_RESP_ERR__FATAL,
                 fmt::format("a record of partition {} came by the wrong queue", m->partition), true);
    }
    return;
  default: return;
  }
}

void consumer_core::on_error(rd_kafka_resp_err_t code, std::string_view text, bool fatal) {
  if (code == RD_KAFKA_RESP_ERR__PARTITION_EOF)
    return;
  const auto now = clock::now();
  if (!fatal && code == last_error_ && now - last_error_at_ < repeat_after)
    return;
  last_error_ = code;
  last_error_at_ = now;
  auto what = main_->about().translate(code, text);
  if (fatal)
    what.code = ec::kafka_fatal;
  if (const auto tell = handlers(); tell.failed)
    tell.failed(std::move(what), fatal);
}

void consumer_core::on_rebalance(rd_kafka_event_t* event) {
  auto* list = rd_kafka_event_topic_partition_list(event);
  const auto partitions = partitions_of(list);
  switch (const auto code = rd_kafka_event_error(event); code) {
  case RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS: {
    const auto generation = generation_of(main_->get());
    {
      const std::lock_guard lock(mutex_);
      protocol_ = protocol_of(main_->get());
      assign_open_ = true;
      ever_assigned_ = true;
      for (auto p : partitions)
        offered_.insert(p.value);
    }
    if (const auto tell = handlers(); tell.assigned)
      tell.assigned(partitions, generation);
    return;
  }
  case RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS: {
    const bool lost = rd_kafka_assignment_lost(main_->get()) != 0;
    {
      const std::lock_guard lock(mutex_);
      protocol_ = protocol_of(main_->get());
      assign_open_ = false;
      revoking_ = revocation{{}, partitions};
      for (auto p : partitions)
        if (offered_.contains(p.value))
          revoking_->remaining.insert(p.value);
      if (revoking_->remaining.empty())
        answer_revocation();
    }
    if (const auto tell = handlers(); tell.revoked && !partitions.empty())
      tell.revoked(partitions, lost);
    return;
  }
  default: {
    const std::lock_guard lock(mutex_);
    release_partitions(list);
  }
    return on_error(code, "rebalance failed", false);
  }
}

void consumer_core::leave_group() {
  auto* rk = main_->get();
  {
    const std::lock_guard lock(mutex_);
    for (auto& [p, queue] : reading_)
      queue->revoke();
  }
  // librdkafka before 2.3 crashes when a cooperative member leaves before its first assignment: the group will miss us
  // by itself.
  const bool stay = protocol_of(rk) == protocol::cooperative && !ever_assigned_ && rd_kafka_version() < 0x020300ff;
  if (by_hand() || stay) {
    rd_kafka_assign(rk, nullptr);
    return;
  }
  const auto answer = [&](rd_kafka_event_t* event) {
    if (rd_kafka_event_type(event) != RD_KAFKA_EVENT_REBALANCE)
      return;
    const std::lock_guard lock(mutex_);
    protocol_ = protocol_of(rk);
    if (rd_kafka_event_error(event) != RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS)
      release_partitions(rd_kafka_event_topic_partition_list(event));
    else if (protocol_ == protocol::cooperative)
      static_cast<void>(check(rd_kafka_incremental_assign(rk, list_of(std::vector<partition_id>{}).get())));
    else
      rd_kafka_assign(rk, nullptr);
  };
  {
    // What the group still waits for.
    const std::lock_guard lock(mutex_);
    if (revoking_)
      answer_revocation();
    else if (assign_open_)
      static_cast<void>(add_to_assignment({}));
    assign_open_ = false;
  }
  const queue_ptr last{rd_kafka_queue_new(rk)};
  if (const rd_error_ptr e{rd_kafka_consumer_close_queue(rk, last.get())}; e)
    return;
  const auto until = clock::now() + leave_patience;
  while (!rd_kafka_consumer_closed(rk) && clock::now() < until) {
    if (const event_ptr event{rd_kafka_queue_poll(events_.get(), 0)})
      answer(event.get());
    if (const event_ptr event{rd_kafka_queue_poll(last.get(), 20)})
      answer(event.get());
  }
}

void consumer_core::close(std::chrono::milliseconds deadline) {
  const auto until = clock::now() + deadline;
  std::unique_lock lock(mutex_);
  if (closing_)
    return;
  closing_ = true;
  handlers_ = {};
  ++alive_;
  for (auto& [p, queue] : reading_)
    queue->revoke();
  if (events_)
    rd_kafka_queue_yield(events_.get());
  lock.unlock();
  asker_->stop([self = shared_from_this()] { self->finished(); });
  lock.lock();
  if (!ended_.wait_until(lock, until, [&] { return alive_ == 0; }))
    log::warn(component_, "the brokers keep the consumer from closing; left behind",
              {{"deadline_ms", deadline.count()}});
}

} // namespace weir::kafka
