#include "tests/support/memory_log.hpp"

#include <algorithm>
#include <atomic>
#include <set>

namespace weir::support {

namespace {

using question = std::function<void()>;

} // namespace

// What a queue and its consumer share. `log` outlives both.
struct reader {
  partition_id partition;
  offset next;
  bool revoked = false;
  std::function<void()> ready;
};

struct member {
  kafka::consumer::handlers handlers;
  std::map<std::int32_t, std::shared_ptr<reader>> reading;
  std::set<std::int32_t> offered;
  bool auto_assign = true, started = false, closed = false;
};

struct memory_log::state {
  struct one_partition {
    std::deque<stored> records;
    offset low, end;
    std::optional<error> failure;
  };

  mutable std::mutex mutex; // guards all below and every reader
  std::vector<one_partition> partitions;
  std::string cluster_id;
  bool missing = false, held = false;
  std::optional<error> failing;
  std::deque<question> waiting;
  std::vector<std::shared_ptr<member>> members;
  std::map<partition_id, offset> committed;

  // Readers of the partition that have something to read; call the result without the lock.
  std::vector<std::function<void()>> wake(partition_id p) {
    std::vector<std::function<void()>> out;
    for (const auto& m : members)
      if (const auto at = m->reading.find(p.value); at != m->reading.end() && at->second->ready)
        out.push_back(at->second->ready);
    return out;
  }

  one_partition& at(partition_id p) { return partitions.at(static_cast<std::size_t>(p.value)); }
};

namespace {

void run(const std::vector<std::function<void()>>& calls) {
  for (const auto& c : calls)
    c();
}

error missing_topic() { return {ec::kafka_no_topic, "Kafka has no such topic"}; }

} // namespace

class memory_queue : public kafka::partition_queue {
public:
  memory_queue(std::shared_ptr<memory_log> log, memory_log::state& s, std::shared_ptr<reader> r)
      : log_(std::move(log)), state_(s), reader_(std::move(r)) {}
  ~memory_queue() override {
    const std::lock_guard lock(state_.mutex);
    reader_->ready = {};
  }

  result<std::size_t> drain(std::size_t most, const std::function<bool(const kafka::record&)>& take) override {
    std::vector<memory_log::stored> batch;
    offset next;
    {
      const std::lock_guard lock(state_.mutex);
      if (reader_->revoked)
        return fail(ec::stopped, "the partition is not read here any more");
      auto& p = state_.at(reader_->partition);
      if (p.failure) {
        auto e = std::move(*p.failure);
        p.failure.reset();
        return tl::unexpected(std::move(e));
      }
      if (reader_->next < p.low || reader_->next > p.end)
        return fail(ec::kafka_out_of_range, "the position is not in the log any more");
      for (const auto& r : p.records)
        if (r.at >= reader_->next && batch.size() < most)
          batch.push_back(r);
      next = reader_->next;
    }
    std::size_t taken = 0;
    for (const auto& r : batch) {
      kafka::record given{r.at, r.time_ms, {}, {}};
      if (r.key)
        given.key = *r.key;
      if (r.value)
        given.value = *r.value;
      ++taken;
      next = offset{r.at.value + 1};
      if (!take(given))
        break;
    }
    const std::lock_guard lock(state_.mutex);
    if (taken > 0 && !reader_->revoked)
      reader_->next = next;
    return taken;
  }

  void on_ready(std::function<void()> ready) override {
    std::function<void()> now;
    {
      const std::lock_guard lock(state_.mutex);
      reader_->ready = std::move(ready);
      const auto& p = state_.at(reader_->partition);
      if (!reader_->revoked && reader_->ready && (reader_->next < p.end || p.failure))
        now = reader_->ready;
    }
    if (now)
      now();
  }

  std::int64_t high_watermark() const override {
    const std::lock_guard lock(state_.mutex);
    return state_.at(reader_->partition).end.value;
  }

private:
  std::shared_ptr<memory_log> log_; // keeps state_
  memory_log::state& state_;
  std::shared_ptr<reader> reader_;
};

class memory_consumer : public kafka::consumer {
public:
  memory_consumer(std::shared_ptr<memory_log> log, std::shared_ptr<member> me)
      : log_(std::move(log)), state_(*log_->state_), me_(std::move(me)) {}
  ~memory_consumer() override { close(std::chrono::milliseconds{0}); }

  void start(handlers h) override {
    bool offer_all = false;
    {
      const std::lock_guard lock(state_.mutex);
      me_->handlers = std::move(h);
      me_->started = true;
      offer_all = me_->auto_assign;
    }
    if (offer_all)
      ask([this, me = me_, log = log_] { offer_everything(*log, *me); });
  }

  result<std::vector<std::pair<partition_id, std::unique_ptr<kafka::partition_queue>>>>
  assign(std::vector<kafka::partition_start> starts) override {
    const std::lock_guard lock(state_.mutex);
    std::vector<std::pair<partition_id, std::unique_ptr<kafka::partition_queue>>> out;
    if (me_->closed)
      return fail(ec::stopped, "the consumer is closed");
    for (const auto& s : starts)
      if (!me_->offered.contains(s.partition.value))
        return fail(ec::stopped, "the partition was not offered");
    for (const auto& s : starts)
      out.emplace_back(s.partition, read(s));
    return out;
  }

  void unassign(std::vector<partition_id> partitions) override {
    const std::lock_guard lock(state_.mutex);
    for (auto p : partitions) {
      stop_reading(p);
      me_->offered.erase(p.value);
    }
  }

  result<std::unique_ptr<kafka::partition_queue>> restart(kafka::partition_start start) override {
    const std::lock_guard lock(state_.mutex);
    if (me_->closed || !me_->offered.contains(start.partition.value))
      return fail(ec::stopped, "the partition is not assigned");
    return read(start);
  }

  void commit(std::vector<kafka::partition_start> positions) override {
    const std::lock_guard lock(state_.mutex);
    for (const auto& p : positions)
      state_.committed[p.partition] = p.at;
  }

  void describe(std::chrono::milliseconds, std::function<void(result<kafka::topic_facts>)> done) override {
    ask([log = log_, done = std::move(done)] {
      auto& s = *log->state_;
      std::unique_lock lock(s.mutex);
      result<kafka::topic_facts> out = kafka::topic_facts{s.cluster_id, static_cast<std::int32_t>(s.partitions.size())};
      if (s.failing)
        out = tl::unexpected(*s.failing);
      else if (s.missing)
        out = tl::unexpected(missing_topic());
      lock.unlock();
      done(std::move(out));
    });
  }

  void range(partition_id p, std::chrono::milliseconds,
             std::function<void(result<kafka::partition_range>)> done) override {
    ask([log = log_, p, done = std::move(done)] {
      auto& s = *log->state_;
      std::unique_lock lock(s.mutex);
      result<kafka::partition_range> out = kafka::partition_range{s.at(p).low, s.at(p).end, {}};
      if (const auto c = s.committed.find(p); c != s.committed.end())
        out->committed = c->second;
      if (s.failing)
        out = tl::unexpected(*s.failing);
      lock.unlock();
      done(std::move(out));
    });
  }

  void fingerprint(partition_id p, offset at, std::chrono::milliseconds,
                   std::function<void(result<std::optional<record_print>>)> done) override {
    ask([log = log_, p, at, done = std::move(done)] {
      auto& s = *log->state_;
      std::unique_lock lock(s.mutex);
      result<std::optional<record_print>> out = std::optional<record_print>{};
      for (const auto& r : s.at(p).records)
        if (r.at == at)
          out = std::optional{record_print{r.time_ms, kafka::record_checksum(r.key, r.value)}};
      if (s.failing)
        out = tl::unexpected(*s.failing);
      lock.unlock();
      done(std::move(out));
    });
  }

  void close(std::chrono::milliseconds) override {
    const std::lock_guard lock(state_.mutex);
    me_->closed = true;
    me_->handlers = {};
    while (!me_->reading.empty())
      stop_reading(partition_id{me_->reading.begin()->first});
    me_->offered.clear();
  }

  static void offer_everything(memory_log& log, member& m) {
    auto& s = *log.state_;
    std::vector<partition_id> all;
    std::function<void(std::vector<partition_id>, std::int32_t)> assigned;
    {
      const std::lock_guard lock(s.mutex);
      for (std::size_t p = 0; p < s.partitions.size(); ++p)
        all.emplace_back(static_cast<std::int32_t>(p));
      for (auto p : all)
        m.offered.insert(p.value);
      assigned = m.handlers.assigned;
    }
    if (assigned)
      assigned(std::move(all), -1);
  }

private:
  void ask(question q) {
    {
      const std::lock_guard lock(state_.mutex);
      if (state_.held) {
        state_.waiting.push_back(std::move(q));
        return;
      }
    }
    q();
  }

  std::unique_ptr<kafka::partition_queue> read(kafka::partition_start s) {
    stop_reading(s.partition);
    auto r = std::make_shared<reader>();
    r->partition = s.partition;
    r->next = s.at;
    me_->reading[s.partition.value] = r;
    return std::make_unique<memory_queue>(log_, state_, r);
  }

  void stop_reading(partition_id p) {
    const auto at = me_->reading.find(p.value);
    if (at == me_->reading.end())
      return;
    at->second->revoked = true;
    at->second->ready = {};
    me_->reading.erase(at);
  }

  std::shared_ptr<memory_log> log_;
  memory_log::state& state_;
  std::shared_ptr<member> me_;
};

memory_log::memory_log(std::unique_ptr<state> s) : state_(std::move(s)) {}
memory_log::~memory_log() = default;

std::shared_ptr<memory_log> memory_log::make(std::int32_t partitions, std::string cluster_id) {
  auto s = std::make_unique<state>();
  s->partitions.resize(static_cast<std::size_t>(partitions));
  s->cluster_id = std::move(cluster_id);
  return std::make_shared<memory_log>(std::move(s));
}

offset memory_log::append(partition_id p, std::optional<std::string> key, std::optional<std::string> value,
                          std::int64_t time_ms) {
  std::vector<std::function<void()>> calls;
  offset at;
  {
    const std::lock_guard lock(state_->mutex);
    auto& part = state_->at(p);
    at = part.end;
    part.records.push_back({at, time_ms, std::move(key), std::move(value)});
    part.end.value += 1;
    calls = state_->wake(p);
  }
  run(calls);
  return at;
}

void memory_log::skip(partition_id p, std::int64_t count) {
  const std::lock_guard lock(state_->mutex);
  state_->at(p).end.value += count;
}

void memory_log::trim(partition_id p, offset low) {
  std::vector<std::function<void()>> calls;
  {
    const std::lock_guard lock(state_->mutex);
    auto& part = state_->at(p);
    part.low = low;
    while (!part.records.empty() && part.records.front().at < low)
      part.records.pop_front();
    part.end = std::max(part.end, low);
    calls = state_->wake(p);
  }
  run(calls);
}

void memory_log::replace(partition_id p, offset next) {
  const std::lock_guard lock(state_->mutex);
  auto& part = state_->at(p);
  part.records.clear();
  part.low = part.end = next;
}

void memory_log::redeliver(partition_id p, offset from) {
  std::vector<std::function<void()>> calls;
  {
    const std::lock_guard lock(state_->mutex);
    for (const auto& m : state_->members)
      if (const auto at = m->reading.find(p.value); at != m->reading.end())
        at->second->next = std::max(from, state_->at(p).low);
    calls = state_->wake(p);
  }
  run(calls);
}

void memory_log::fail_next_drain(partition_id p, error e) {
  std::vector<std::function<void()>> calls;
  {
    const std::lock_guard lock(state_->mutex);
    state_->at(p).failure = std::move(e);
    calls = state_->wake(p);
  }
  run(calls);
}

std::vector<memory_log::stored> memory_log::records(partition_id p) const {
  const std::lock_guard lock(state_->mutex);
  const auto& r = state_->at(p).records;
  return {r.begin(), r.end()};
}

offset memory_log::end(partition_id p) const {
  const std::lock_guard lock(state_->mutex);
  return state_->at(p).end;
}

std::int32_t memory_log::partitions() const {
  const std::lock_guard lock(state_->mutex);
  return static_cast<std::int32_t>(state_->partitions.size());
}

void memory_log::fail_questions(std::optional<error> e) {
  const std::lock_guard lock(state_->mutex);
  state_->failing = std::move(e);
}

void memory_log::hold_questions() {
  const std::lock_guard lock(state_->mutex);
  state_->held = true;
}

void memory_log::release_questions() {
  std::deque<question> waiting;
  {
    const std::lock_guard lock(state_->mutex);
    state_->held = false;
    waiting.swap(state_->waiting);
  }
  for (const auto& q : waiting)
    q();
}

void memory_log::set_cluster_id(std::string id) {
  const std::lock_guard lock(state_->mutex);
  state_->cluster_id = std::move(id);
}

void memory_log::set_topic_missing(bool missing) {
  const std::lock_guard lock(state_->mutex);
  state_->missing = missing;
}

std::unique_ptr<kafka::consumer> memory_log::make_consumer(bool auto_assign) {
  auto m = std::make_shared<member>();
  m->auto_assign = auto_assign;
  {
    const std::lock_guard lock(state_->mutex);
    state_->members.push_back(m);
  }
  return std::make_unique<memory_consumer>(shared_from_this(), std::move(m));
}

std::size_t memory_log::consumers() const {
  const std::lock_guard lock(state_->mutex);
  return state_->members.size();
}

void memory_log::offer(std::size_t consumer, std::vector<partition_id> partitions, std::int32_t generation) {
  std::function<void(std::vector<partition_id>, std::int32_t)> call;
  {
    const std::lock_guard lock(state_->mutex);
    auto& m = *state_->members.at(consumer);
    for (auto p : partitions)
      m.offered.insert(p.value);
    call = m.handlers.assigned;
  }
  if (call)
    call(std::move(partitions), generation);
}

void memory_log::revoke(std::size_t consumer, std::vector<partition_id> partitions, bool lost) {
  std::function<void(std::vector<partition_id>, bool)> call;
  {
    const std::lock_guard lock(state_->mutex);
    call = state_->members.at(consumer)->handlers.revoked;
  }
  if (call)
    call(std::move(partitions), lost);
}

void memory_log::fail(std::size_t consumer, error e, bool fatal) {
  std::function<void(error, bool)> call;
  {
    const std::lock_guard lock(state_->mutex);
    call = state_->members.at(consumer)->handlers.failed;
  }
  if (call)
    call(std::move(e), fatal);
}

std::map<partition_id, offset> memory_log::reading(std::size_t consumer) const {
  const std::lock_guard lock(state_->mutex);
  std::map<partition_id, offset> out;
  for (const auto& [p, r] : state_->members.at(consumer)->reading)
    out[partition_id{p}] = r->next;
  return out;
}

bool memory_log::closed(std::size_t consumer) const {
  const std::lock_guard lock(state_->mutex);
  return state_->members.at(consumer)->closed;
}

std::map<partition_id, offset> memory_log::committed() const {
  const std::lock_guard lock(state_->mutex);
  return state_->committed;
}

void memory_producer::send(kafka::message m, std::function<void(result<void>)> done) {
  std::optional<error> refused;
  {
    const std::lock_guard lock(mutex_);
    if (held_) {
      waiting_.emplace_back(std::move(m), std::move(done));
      return;
    }
    refused = failure_;
    if (!refused)
      sent_.push_back(std::move(m));
  }
  if (!done)
    return;
  if (refused)
    done(tl::unexpected(*refused));
  else
    done({});
}

bool memory_producer::flush(std::chrono::milliseconds) {
  const std::lock_guard lock(mutex_);
  return waiting_.empty();
}

void memory_producer::fail_with(std::optional<error> e) {
  const std::lock_guard lock(mutex_);
  failure_ = std::move(e);
}

void memory_producer::hold() {
  const std::lock_guard lock(mutex_);
  held_ = true;
}

void memory_producer::release() {
  std::deque<std::pair<kafka::message, std::function<void(result<void>)>>> waiting;
  {
    const std::lock_guard lock(mutex_);
    held_ = false;
    waiting.swap(waiting_);
  }
  for (auto& [m, done] : waiting)
    send(std::move(m), std::move(done));
}

std::vector<kafka::message> memory_producer::sent() const {
  const std::lock_guard lock(mutex_);
  return sent_;
}

std::vector<kafka::message> memory_producer::sent_to(const std::string& topic) const {
  const std::lock_guard lock(mutex_);
  std::vector<kafka::message> out;
  std::copy_if(sent_.begin(), sent_.end(), std::back_inserter(out),
               [&](const kafka::message& m) { return m.topic == topic; });
  return out;
}

result<bool> memory_transactions::write(const kafka::transaction& what, const std::function<bool()>& goes_on) {
  if (while_open_)
    while_open_(goes_on);
  std::lock_guard lock(mutex_);
  if (!goes_on())
    return fail(ec::stopped, "not wanted any more");
  if (failure_ && !written_)
    return tl::unexpected(*failure_);
  auto& mark = marks_[what.writer];
  const bool there = mark == what.id;
  if (!there) {
    mark = what.id;
    committed_.push_back(what);
  }
  if (failure_)
    return tl::unexpected(*failure_);
  return !there;
}

void memory_transactions::fail_with(std::optional<error> e, bool written) {
  std::lock_guard lock(mutex_);
  failure_ = std::move(e);
  written_ = written;
}

std::vector<kafka::transaction> memory_transactions::committed() const {
  std::lock_guard lock(mutex_);
  return committed_;
}

} // namespace weir::support
