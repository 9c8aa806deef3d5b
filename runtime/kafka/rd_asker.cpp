#include "runtime/kafka/rd_asker.hpp"

#include "runtime/core/checksum.hpp"
#include "runtime/kafka/settings.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <optional>

namespace weir::kafka {
namespace {

using namespace std::chrono_literals;

constexpr auto idle_for = 3s;
const error stopped_error{ec::stopped, "the consumer was closed"};

int left_ms(asker::clock::time_point until) {
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - asker::clock::now()).count();
  return static_cast<int>(std::clamp<std::int64_t>(left, 1, 600'000));
}

bool over(asker::clock::time_point until) { return asker::clock::now() >= until; }

} // namespace

asker::asker(kafka_config kafka, std::string topic, std::string group, std::string client_id, std::string component)
    : kafka_(std::move(kafka)), topic_(std::move(topic)), group_(std::move(group)), client_id_(std::move(client_id)),
      component_(std::move(component)) {}

result<void> asker::open() { return reopen(); }

result<void> asker::reopen() {
  if (handle_)
    return {};
  auto conf = asker_conf(kafka_, group_, client_id_);
  if (!conf)
    return tl::unexpected(conf.error());
  auto opened = handle::open(RD_KAFKA_CONSUMER, std::move(*conf), make_context(kafka_, component_));
  if (!opened)
    return tl::unexpected(opened.error());
  handle_ = std::move(*opened);
  return {};
}

bool asker::add(task t) {
  const std::lock_guard lock(mutex_);
  if (stopping_ || tasks_.size() >= most_waiting)
    return false;
  tasks_.push_back(std::move(t));
  if (!running_) {
    running_ = true;
    std::thread([self = shared_from_this()] { self->loop(); }).detach();
  }
  wake_.notify_one();
  return true;
}

template <class T, class Ask>
static std::function<void(const error*)> question(asker::clock::time_point until, std::function<void(result<T>)> done,
                                                  Ask ask) {
  return [until, done = std::move(done), ask = std::move(ask)](const error* instead) {
    if (instead)
      return done(tl::unexpected(*instead));
    if (over(until))
      return done(fail(ec::timeout, "the brokers did not answer in time: other questions took all of it"));
    done(ask());
  };
}

void asker::describe(clock::time_point until, std::function<void(result<topic_facts>)> done) {
  auto q = question<topic_facts>(until, done, [this, until] { return ask_facts(until); });
  if (!add({std::move(q)}))
    done(tl::unexpected(stopped_error));
}

void asker::range(partition_id p, bool committed, clock::time_point until,
                  std::function<void(result<partition_range>)> done) {
  auto q =
      question<partition_range>(until, done, [this, p, committed, until] { return ask_range(p, committed, until); });
  if (!add({std::move(q)}))
    done(tl::unexpected(stopped_error));
}

void asker::fingerprint(partition_id p, offset at, clock::time_point until,
                        std::function<void(result<std::optional<consumer::record_print>>)> done) {
  auto q = question<std::optional<consumer::record_print>>(until, done,
                                                           [this, p, at, until] { return read_print(p, at, until); });
  if (!add({std::move(q)}))
    done(tl::unexpected(stopped_error));
}

bool asker::post(std::function<void()> work) {
  return add({[work = std::move(work)](const error* instead) {
                if (!instead)
                  work();
              },
              false});
}

void asker::stop(std::function<void()> ended) {
  {
    const std::lock_guard lock(mutex_);
    if (stopping_)
      return;
    stopping_ = true;
    if (running_) {
      ended_ = std::move(ended);
      wake_.notify_one();
      return;
    }
  }
  // Even an idle instance may take its time to end.
  std::thread([idle = std::move(handle_), ended = std::move(ended)]() mutable {
    idle.reset();
    ended();
  }).detach();
}

void asker::loop() {
  std::unique_lock lock(mutex_);
  for (;;) {
    const bool woken = wake_.wait_for(lock, idle_for, [&] { return stopping_ || !tasks_.empty(); });
    if (stopping_)
      break;
    if (!woken) {
      // Nobody asks: end the thread too. The next question starts another.
      auto idle = std::move(handle_);
      handle_.reset();
      running_ = false;
      lock.unlock();
      return; // `idle` goes here, outside the lock
    }
    auto t = std::move(tasks_.front());
    tasks_.pop_front();
    lock.unlock();
    if (const auto opened = t.asks ? reopen() : result<void>{}; opened)
      t.run(nullptr);
    else
      t.run(&opened.error());
    t = {};
    lock.lock();
  }
  auto left = std::move(tasks_);
  tasks_.clear();
  auto ended = std::move(ended_);
  lock.unlock();
  for (auto& t : left)
    t.run(&stopped_error);
  handle_.reset();
  ended();
}

error asker::explain(rd_kafka_resp_err_t code, std::string_view about) {
  // A question that merely timed out does so because of something that was told as an event meanwhile.
  const auto& names = handle_->about();
  auto why = names.translate(code, {});
  const queue_ptr main{rd_kafka_queue_get_main(handle_->get())};
  while (const event_ptr event{rd_kafka_queue_poll(main.get(), 0)}) {
    if (rd_kafka_event_type(event.get()) != RD_KAFKA_EVENT_ERROR)
      continue;
    const auto told = rd_kafka_event_error(event.get());
    if (why.code != ec::kafka_refused && told != RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN)
      why = names.translate(told, rd_kafka_event_error_string(event.get()));
  }
  if (why.code == ec::timeout)
    why = {ec::kafka_unreachable, fmt::format("no answer from {} in time", names.clean(kafka_.brokers))};
  why.message = fmt::format("{}: {}", about, why.message);
  return why;
}

result<topic_facts> asker::ask_facts(clock::time_point until) {
  const topic_ptr topic{rd_kafka_topic_new(handle_->get(), topic_.c_str(), nullptr)};
  if (!topic)
    return fail(ec::kafka_failed, fmt::format("'{}' is no name for a topic", topic_));
  const rd_kafka_metadata_t* raw = nullptr;
  // A fresh instance now and then sleeps a second before it connects (librdkafka 2.0); asking again wakes it.
  auto code = RD_KAFKA_RESP_ERR__TIMED_OUT;
  for (int patience = 200; !over(until); patience *= 2) {
    code = rd_kafka_metadata(handle_->get(), 0, topic.get(), &raw, std::min(patience, left_ms(until)));
    if (code != RD_KAFKA_RESP_ERR__TIMED_OUT && code != RD_KAFKA_RESP_ERR__TRANSPORT)
      break;
  }
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
    return tl::unexpected(explain(code, "Kafka"));
  const std::unique_ptr<const rd_kafka_metadata_t, releaser<rd_kafka_metadata_destroy>> told{raw};
  topic_facts facts;
  for (int i = 0; i < told->topic_cnt; ++i) {
    const auto& t = told->topics[i];
    if (topic_ != t.topic)
      continue;
    if (t.err != RD_KAFKA_RESP_ERR_NO_ERROR && classify(t.err) != ec::kafka_no_topic)
      return tl::unexpected(explain(t.err, fmt::format("topic '{}'", topic_)));
    facts.partitions = t.err == RD_KAFKA_RESP_ERR_NO_ERROR ? t.partition_cnt : 0;
  }
  if (facts.partitions == 0)
    return fail(ec::kafka_no_topic,
                fmt::format("Kafka has no topic '{0}'. Create it (kafka-topics.sh --create --topic {0}) or correct the "
                            "source's \"topic\"",
                            topic_));
  if (char* id = rd_kafka_clusterid(handle_->get(), left_ms(until))) {
    facts.cluster_id = id;
    rd_kafka_mem_free(handle_->get(), id);
  }
  known_partitions_ = facts.partitions;
  return facts;
}

result<partition_range> asker::ask_range(partition_id p, bool committed, clock::time_point until) {
  const auto name = fmt::format("{}[{}]", topic_, p.value);
  // rd_kafka_query_watermark_offsets() forgets its deadline while a broker is away (librdkafka 2.0): ask for the log's
  // ends as for times.
  std::int64_t ends[2] = {RD_KAFKA_OFFSET_BEGINNING, RD_KAFKA_OFFSET_END};
  for (auto& end : ends) {
    const list_ptr list{rd_kafka_topic_partition_list_new(1)};
    auto* part = rd_kafka_topic_partition_list_add(list.get(), topic_.c_str(), p.value);
    part->offset = end;
    auto code = rd_kafka_offsets_for_times(handle_->get(), list.get(), left_ms(until));
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
      code = part->err;
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
      return tl::unexpected(explain(code, name));
    end = part->offset;
  }
  partition_range range{offset{ends[0]}, offset{ends[1]}, {}};
  if (!committed)
    return range;
  const list_ptr list{rd_kafka_topic_partition_list_new(1)};
  auto* part = rd_kafka_topic_partition_list_add(list.get(), topic_.c_str(), p.value);
  auto code = rd_kafka_committed(handle_->get(), list.get(), left_ms(until));
  if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
    code = part->err;
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
    return tl::unexpected(explain(code, fmt::format("group '{}', {}", group_, name)));
  if (part->offset >= 0)
    range.committed = offset{part->offset};
  return range;
}

result<std::optional<consumer::record_print>> asker::read_print(partition_id p, offset at, clock::time_point until) {
  const list_ptr list{rd_kafka_topic_partition_list_new(1)};
  rd_kafka_topic_partition_list_add(list.get(), topic_.c_str(), p.value)->offset = at.value;
  const auto name = fmt::format("{}[{}]", topic_, p.value);
  if (const auto code = rd_kafka_assign(handle_->get(), list.get()); code != RD_KAFKA_RESP_ERR_NO_ERROR)
    return tl::unexpected(explain(code, name));
  // Any question to the partition's leader has librdkafka fetch at once rather than within a second.
  const list_ptr ends{rd_kafka_topic_partition_list_new(1)};
  rd_kafka_topic_partition_list_add(ends.get(), topic_.c_str(), p.value)->offset = RD_KAFKA_OFFSET_END;
  rd_kafka_offsets_for_times(handle_->get(), ends.get(), std::min(left_ms(until), 100));
  result<std::optional<consumer::record_print>> out = std::optional<consumer::record_print>{};
  for (;;) {
    if (over(until)) {
      out = tl::unexpected(explain(RD_KAFKA_RESP_ERR__TIMED_OUT, name));
      break;
    }
    const message_ptr m{rd_kafka_consumer_poll(handle_->get(), std::min(left_ms(until), 100))};
    if (!m)
      continue;
    if (m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF || classify(m->err) == ec::kafka_out_of_range)
      break;
    if (m->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
      if (classify(m->err) == ec::kafka_unreachable)
        continue; // librdkafka tries again, within our deadline
      out = tl::unexpected(explain(m->err, name));
      break;
    }
    if (m->offset == at.value) {
      consumer::record_print print;
      auto kind = RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
      const auto time = rd_kafka_message_timestamp(m.get(), &kind);
      print.time_ms = kind == RD_KAFKA_TIMESTAMP_NOT_AVAILABLE ? -1 : time;
      std::optional<std::string_view> key, value;
      if (m->key)
        key.emplace(static_cast<const char*>(m->key), m->key_len);
      if (m->payload)
        value.emplace(static_cast<const char*>(m->payload), m->len);
      print.checksum = weir::record_checksum(key, value);
      out = std::optional{print};
    }
    break; // a later one: compaction or retention took it
  }
  rd_kafka_assign(handle_->get(), nullptr);
  return out;
}

} // namespace weir::kafka
