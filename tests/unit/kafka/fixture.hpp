// What the tests on the embedded broker share: a broker, a producer that waits, and a consumer whose handlers put
// things into a queue.
#pragma once

#include "runtime/kafka/embedded_broker.hpp"
#include "runtime/kafka/rd_consumer.hpp"
#include "runtime/kafka/rd_producer.hpp"
#include "tests/support/eventually.hpp"

#include <condition_variable>
#include <gtest/gtest.h>
#include <map>
#include <mutex>
#include <set>
#include <thread>

namespace weir::kafka {

using namespace std::chrono_literals;
using clock = std::chrono::steady_clock;

using support::eventually;

inline kafka_config at(const std::string& brokers) {
  kafka_config c;
  c.brokers = brokers;
  c.group = "test";
  return c;
}

inline source_config source_of(const std::string& topic) {
  source_config s;
  s.name = "source";
  s.topic = topic;
  return s;
}

// Calls an asynchronous question and waits for its answer.
template <class T, class Ask>
result<T> answer(Ask ask) {
  struct box {
    std::mutex mutex;
    std::condition_variable come;
    std::optional<result<T>> value;
  };
  const auto b = std::make_shared<box>();
  ask([b](result<T> r) {
    const std::lock_guard lock(b->mutex);
    b->value = std::move(r);
    b->come.notify_one();
  });
  std::unique_lock lock(b->mutex);
  if (!b->come.wait_for(lock, 30s, [&] { return b->value.has_value(); }))
    return fail(ec::timeout, "no answer at all");
  return std::move(*b->value);
}

// Sends all and waits for the deliveries; gives the number of failed ones.
inline int send_all(producer& to, std::vector<message> messages) {
  struct box {
    std::mutex mutex;
    std::condition_variable come;
    std::size_t done = 0;
    int failed = 0;
  };
  const auto b = std::make_shared<box>();
  const auto count = messages.size();
  for (auto& m : messages)
    to.send(std::move(m), [b](result<void> r) {
      const std::lock_guard lock(b->mutex);
      ++b->done;
      b->failed += r ? 0 : 1;
      b->come.notify_one();
    });
  std::unique_lock lock(b->mutex);
  if (!b->come.wait_for(lock, 30s, [&] { return b->done == count; }))
    return static_cast<int>(count - b->done) + b->failed;
  return b->failed;
}

inline message plain(const std::string& topic, std::int32_t partition, std::string key, std::string value) {
  message m;
  m.topic = topic;
  m.partition = partition;
  m.key = std::move(key);
  m.value = std::move(value);
  return m;
}

// What the handlers told, for a test's thread to look at.
struct told {
  std::mutex mutex;
  std::vector<std::pair<std::vector<partition_id>, std::int32_t>> assigned;
  std::vector<std::pair<std::vector<partition_id>, bool>> revoked;
  std::vector<std::pair<error, bool>> failed;

  consumer::handlers handlers() {
    return {
        .assigned =
            [this](std::vector<partition_id> p, std::int32_t g) {
              const std::lock_guard lock(mutex);
              assigned.emplace_back(std::move(p), g);
            },
        .revoked =
            [this](std::vector<partition_id> p, bool lost) {
              const std::lock_guard lock(mutex);
              revoked.emplace_back(std::move(p), lost);
            },
        .failed =
            [this](error e, bool fatal) {
              const std::lock_guard lock(mutex);
              failed.emplace_back(std::move(e), fatal);
            },
    };
  }
  std::size_t assignments() {
    const std::lock_guard lock(mutex);
    return assigned.size();
  }
  std::size_t revocations() {
    const std::lock_guard lock(mutex);
    return revoked.size();
  }
  std::pair<std::vector<partition_id>, std::int32_t> assignment(std::size_t i) {
    const std::lock_guard lock(mutex);
    return assigned.at(i);
  }
  std::pair<std::vector<partition_id>, bool> revocation(std::size_t i) {
    const std::lock_guard lock(mutex);
    return revoked.at(i);
  }
};

struct seen_record {
  std::int64_t at;
  std::int64_t time_ms;
  std::optional<std::string> key, value;
};

inline seen_record keep(const record& r) {
  seen_record s{r.at.value, r.time_ms, {}, {}};
  if (r.key)
    s.key = std::string(*r.key);
  if (r.value)
    s.value = std::string(*r.value);
  return s;
}

using queues = std::vector<std::pair<partition_id, std::unique_ptr<partition_queue>>>;

inline std::vector<partition_start> from_offset(const std::vector<partition_id>& partitions, std::int64_t at) {
  std::vector<partition_start> out;
  for (auto p : partitions)
    out.push_back({p, offset{at}});
  return out;
}

// A broker with topic "t", a producer, and a consumer by hand.
class embedded_test : public ::testing::Test {
protected:
  void SetUp() override { begin(4); }
  void TearDown() override {
    if (reader)
      reader->close(5s);
  }

  void begin(std::int32_t partitions) {
    auto started = embedded_broker::start({{"t", partitions}});
    ASSERT_TRUE(started) << started.error().message;
    broker = std::move(*started);
    auto made = make_producer(at(broker->bootstrap()));
    ASSERT_TRUE(made) << made.error().message;
    writer = std::move(*made);
  }

  void make_reader(consumer_options options = {}) {
    options.assign_by_hand = true;
    auto made = make_consumer(at(broker->bootstrap()), source_of("t"), options);
    ASSERT_TRUE(made) << made.error().message;
    reader = std::move(*made);
  }

  // Starts the reader and assigns all partitions from `at`.
  queues read_from(std::int64_t start) {
    if (!reader)
      make_reader();
    reader->start(heard.handlers());
    EXPECT_TRUE(eventually([&] { return heard.assignments() > 0; }));
    auto out = reader->assign(from_offset(heard.assignment(0).first, start));
    EXPECT_TRUE(out) << (out ? "" : out.error().message);
    return out ? std::move(*out) : queues{};
  }

  void produce(std::int32_t partition, int count, int first = 0, std::size_t size = 10) {
    std::vector<message> all;
    for (int i = first; i < first + count; ++i) {
      auto value = "v" + std::to_string(i);
      value.resize(std::max(size, value.size()), ' ');
      all.push_back(plain("t", partition, "k" + std::to_string(i), value));
    }
    ASSERT_EQ(send_all(*writer, std::move(all)), 0);
  }

  told heard; // outlives the consumer
  std::unique_ptr<embedded_broker> broker;
  std::unique_ptr<producer> writer;
  std::unique_ptr<consumer> reader;
};

// Drains until `count` records came or the deadline passed.
inline std::vector<seen_record> collect(partition_queue& queue, std::size_t count,
                                        std::chrono::milliseconds deadline = 20s) {
  std::vector<seen_record> out;
  eventually(
      [&] {
        const auto got = queue.drain(1000, [&](const record& r) {
          out.push_back(keep(r));
          return true;
        });
        return !got || out.size() >= count;
      },
      deadline);
  return out;
}

} // namespace weir::kafka
