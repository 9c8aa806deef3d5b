#include "runtime/kafka/rd_consumer.hpp"

#include "runtime/core/backoff.hpp"
#include "runtime/core/checksum.hpp"
#include "runtime/core/log.hpp"
#include "runtime/kafka/rd_asker.hpp"
#include "runtime/kafka/rd_queue.hpp"
#include "runtime/kafka/settings.hpp"

#include <algorithm>
#include <condition_variable>
#include <cstring>
#include <fmt/format.h>
#include <map>
#include <mutex>
#include <set>
#include <thread>

namespace weir::kafka {

std::uint32_t record_checksum(const std::optional<std::string_view>& key, const std::optional<std::string_view>& value) {
  return weir::record_checksum(key, value);
}

namespace {

using namespace std::chrono_literals;
using clock = std::chrono::steady_clock;

constexpr int poll_ms = 500;            // the event thread is woken for all that matters; this bounds what a lost wake-up costs
constexpr int seek_ms = 200;            // a seek is answered by librdkafka's own thread, at once
constexpr auto repeat_after = 5s;       // the same trouble is told again after that
constexpr auto leave_patience = 30s;    // a group that does not let go by then is left by silence
constexpr auto describe_patience = 5s;  // by hand: one try to learn the partitions

enum class protocol { none, eager, cooperative };

protocol protocol_of(rd_kafka_t* rk) {
  const char* name = rd_kafka_rebalance_protocol(rk);
  if (name && std::strcmp(name, "COOPERATIVE") == 0)
    return protocol::cooperative;
  if (name && std::strcmp(name, "EAGER") == 0)
    return protocol::eager;
  return protocol::none;
}

// The group's generation, from librdkafka's serialised group metadata: "CGMDv2:", then the generation in host order. -1: not told.
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

std::vector<partition_id> partitions_of(const rd_kafka_topic_partition_list_t* list) {
  std::vector<partition_id> out;
  for (int i = 0; list && i < list->cnt; ++i)
    out.emplace_back(list->elems[i].partition);
  return out;
}

// All of a consumer that its threads share. Lock order: mutex_, then a split_queue's. librdkafka is called with mutex_ held: it never calls us back
// on anything that takes it.
class core : public std::enable_shared_from_this<core> {
public:
  core(kafka_config kafka, source_config source, consumer_options options)
      : kafka_(std::move(kafka)), source_(std::move(source)), options_(std::move(options)), component_("kafka/" + source_.name),
        group_(kafka_.group + "." + source_.name),
        asker_(std::make_shared<asker>(kafka_, source_.topic, group_, options_.client_id, component_)) {}

  asker& questions() { return *asker_; }
  bool by_hand() const { return options_.assign_by_hand; }

  void start(consumer::handlers h);
  result<std::vector<std::pair<partition_id, std::unique_ptr<partition_queue>>>> assign(const std::vector<partition_start>& starts);
  void unassign(const std::vector<partition_id>& partitions);
  result<std::unique_ptr<partition_queue>> restart(partition_start start);
  void commit(const std::vector<partition_start>& positions);
  void close(std::chrono::milliseconds deadline);

private:
  struct revocation {
    std::set<std::int32_t> remaining; // of those that the actors had
    std::vector<partition_id> all;
  };

  result<void> open_main();
  void loop();
  void join_by_hand();
  void on_event(rd_kafka_event_t* event);
  void on_rebalance(rd_kafka_event_t* event);
  void on_error(rd_kafka_resp_err_t code, std::string_view text, bool fatal);
  void answer_revocation();                          // with mutex_ held
  void release_partitions(const rd_kafka_topic_partition_list_t* list); // likewise
  void leave_group();
  void finished();
  void refetch(partition_id p);
  void run_on_loop(std::function<void()> work);

  list_ptr list_of(const std::vector<partition_start>& starts) const;
  list_ptr list_of(const std::vector<partition_id>& partitions) const;
  // Tells librdkafka to read `add` besides what is read already.
  result<void> add_to_assignment(const std::vector<partition_start>& add);
  result<std::shared_ptr<split_queue>> split(partition_start start);
  result<void> check(rd_kafka_error_t* raw) const;
  consumer::handlers handlers() {
    const std::lock_guard lock(mutex_);
    return handlers_;
  }

  const kafka_config kafka_;
  const source_config source_;
  const consumer_options options_;
  const std::string component_, group_;
  const std::shared_ptr<asker> asker_;

  std::mutex mutex_;
  std::condition_variable ended_;
  consumer::handlers handlers_;
  std::shared_ptr<handle> main_;
  queue_ptr events_;
  queue_limits limits_;
  protocol protocol_ = protocol::none;
  bool started_ = false, closing_ = false, ever_assigned_ = false;
  bool assign_open_ = false; // the group waits for assign()
  std::optional<revocation> revoking_;
  std::set<std::int32_t> offered_; // given to the handlers and not yet unassigned
  std::map<std::int32_t, std::shared_ptr<split_queue>> reading_;
  std::vector<std::function<void()>> posted_;
  int alive_ = 0; // threads that still hold something of librdkafka

  // The event thread's.
  backoff retry_{100ms, 5s};
  std::optional<clock::time_point> describe_at_;
  rd_kafka_resp_err_t last_error_ = RD_KAFKA_RESP_ERR_NO_ERROR;
  clock::time_point last_error_at_;

  std::mutex refetch_mutex_;
  std::set<std::int32_t> refetch_; // partitions with room again, for the next wake-up
};

list_ptr core::list_of(const std::vector<partition_start>& starts) const {
  list_ptr list{rd_kafka_topic_partition_list_new(static_cast<int>(starts.size()))};
  for (const auto& s : starts)
    rd_kafka_topic_partition_list_add(list.get(), source_.topic.c_str(), s.partition.value)->offset = s.at.value;
  return list;
}

list_ptr core::list_of(const std::vector<partition_id>& partitions) const {
  std::vector<partition_start> starts;
  for (auto p : partitions)
    starts.push_back({p, offset{RD_KAFKA_OFFSET_INVALID}});
  return list_of(starts);
}

result<void> core::check(rd_kafka_error_t* raw) const {
  const rd_error_ptr e{raw};
  if (!e)
    return {};
  return tl::unexpected(main_->about().translate(rd_kafka_error_code(e.get()), rd_kafka_error_string(e.get())));
}

result<void> core::open_main() {
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

void core::start(consumer::handlers h) {
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

void core::loop() {
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

void core::finished() {
  const std::lock_guard lock(mutex_);
  --alive_;
  ended_.notify_all();
}

void core::run_on_loop(std::function<void()> work) {
  const std::lock_guard lock(mutex_);
  if (closing_ || !events_)
    return;
  posted_.push_back(std::move(work));
  rd_kafka_queue_yield(events_.get());
}

void core::join_by_hand() {
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

void core::on_event(rd_kafka_event_t* event) {
  switch (rd_kafka_event_type(event)) {
  case RD_KAFKA_EVENT_REBALANCE:
    return on_rebalance(event);
  case RD_KAFKA_EVENT_ERROR:
    return on_error(rd_kafka_event_error(event), rd_kafka_event_error_string(event), rd_kafka_event_error_is_fatal(event) != 0);
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
        on_error(RD_KAFKA_RESP_ERR__FATAL, fmt::format("a record of partition {} came by the wrong queue", m->partition), true);
    }
    return;
  default:
    return;
  }
}

void core::on_error(rd_kafka_resp_err_t code, std::string_view text, bool fatal) {
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

void core::on_rebalance(rd_kafka_event_t* event) {
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

// Takes the partitions out of librdkafka's assignment, as the group's protocol wants it.
void core::release_partitions(const rd_kafka_topic_partition_list_t* list) {
  if (protocol_ == protocol::eager) {
    rd_kafka_assign(main_->get(), nullptr);
    return;
  }
  // Only those that are in the assignment, or librdkafka refuses all of them; an empty list is an answer to the group too.
  std::vector<partition_id> inside;
  for (auto p : partitions_of(list))
    if (reading_.contains(p.value))
      inside.push_back(p);
  if (auto done = check(rd_kafka_incremental_unassign(main_->get(), list_of(inside).get())); !done)
    log::warn(component_, "cannot give partitions back", {{"reason", done.error().message}});
}

void core::answer_revocation() {
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

result<std::shared_ptr<split_queue>> core::split(partition_start start) {
  return split_queue::split(main_, source_.topic, start, limits_, [weak = weak_from_this(), p = start.partition] {
    if (const auto self = weak.lock())
      self->refetch(p);
  });
}

result<void> core::add_to_assignment(const std::vector<partition_start>& add) {
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

result<std::vector<std::pair<partition_id, std::unique_ptr<partition_queue>>>> core::assign(const std::vector<partition_start>& starts) {
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

void core::unassign(const std::vector<partition_id>& partitions) {
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
  // An eager group cannot be given part of an assignment back: librdkafka then keeps what it fetched of it, within its limits.
  if (!alone.empty() && protocol_ != protocol::eager) {
    release_partitions(list_of(alone).get());
    for (auto p : alone)
      reading_.erase(p.value);
  }
  if (revoking_ && revoking_->remaining.empty())
    answer_revocation();
}

result<std::unique_ptr<partition_queue>> core::restart(partition_start start) {
  const std::lock_guard lock(mutex_);
  const auto p = start.partition.value;
  if (closing_ || !main_)
    return fail(ec::stopped, "the consumer is closed");
  if (!offered_.contains(p) || assign_open_)
    return fail(ec::stopped, fmt::format("partition {} is not assigned", p));
  if (revoking_ && (protocol_ == protocol::eager || std::find(revoking_->all.begin(), revoking_->all.end(), start.partition) != revoking_->all.end()))
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

void core::commit(const std::vector<partition_start>& positions) {
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

// On the asker's thread: a question to the partitions' leaders makes librdkafka's broker threads connect and look at their queues again, which
// they would otherwise do up to a second later.
void core::refetch(partition_id p) {
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

void core::leave_group() {
  auto* rk = main_->get();
  {
    const std::lock_guard lock(mutex_);
    for (auto& [p, queue] : reading_)
      queue->revoke();
  }
  // librdkafka before 2.3 crashes when a cooperative member leaves before its first assignment: the group will miss us by itself.
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

void core::close(std::chrono::milliseconds deadline) {
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
    log::warn(component_, "the brokers keep the consumer from closing; left behind", {{"deadline_ms", deadline.count()}});
}

class rd_consumer : public consumer {
public:
  explicit rd_consumer(std::shared_ptr<core> c) : core_(std::move(c)) {}
  ~rd_consumer() override { core_->close(0ms); }

  void start(handlers h) override { core_->start(std::move(h)); }
  result<std::vector<std::pair<partition_id, std::unique_ptr<partition_queue>>>> assign(std::vector<partition_start> starts) override {
    return core_->assign(starts);
  }
  void unassign(std::vector<partition_id> partitions) override { core_->unassign(partitions); }
  result<std::unique_ptr<partition_queue>> restart(partition_start start) override { return core_->restart(start); }
  void commit(std::vector<partition_start> positions) override { core_->commit(positions); }
  void describe(std::chrono::milliseconds deadline, std::function<void(result<topic_facts>)> done) override {
    core_->questions().describe(clock::now() + deadline, std::move(done));
  }
  void range(partition_id p, std::chrono::milliseconds deadline, std::function<void(result<partition_range>)> done) override {
    core_->questions().range(p, !core_->by_hand(), clock::now() + deadline, std::move(done));
  }
  void fingerprint(partition_id p, offset at, std::chrono::milliseconds deadline,
                   std::function<void(result<std::optional<record_print>>)> done) override {
    core_->questions().fingerprint(p, at, clock::now() + deadline, std::move(done));
  }
  void close(std::chrono::milliseconds deadline) override { core_->close(deadline); }

private:
  std::shared_ptr<core> core_;
};

} // namespace

result<std::unique_ptr<consumer>> make_consumer(const kafka_config& kafka, const source_config& source, consumer_options options) {
  auto shared = std::make_shared<core>(kafka, source, std::move(options));
  if (auto opened = shared->questions().open(); !opened)
    return tl::unexpected(opened.error());
  return std::make_unique<rd_consumer>(std::move(shared));
}

} // namespace weir::kafka
