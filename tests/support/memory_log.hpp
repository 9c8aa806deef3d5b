// A Kafka topic in memory and the two ports over it: for actor tests under virtual time. Nothing here has a thread or a
// clock: handlers, ready callbacks and answers run in the call that causes them, outside the lock. Thread-safe.
#pragma once

#include "runtime/kafka/consumer.hpp"
#include "runtime/kafka/producer.hpp"
#include "runtime/kafka/transactions.hpp"

#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace weir::support {

class memory_consumer;

class memory_log : public std::enable_shared_from_this<memory_log> {
public:
  struct stored {
    offset at;
    std::int64_t time_ms = 0;
    std::optional<std::string> key, value;
  };

  static std::shared_ptr<memory_log> make(std::int32_t partitions, std::string cluster_id = "memory");

  // --- the log ---
  offset append(partition_id p, std::optional<std::string> key, std::optional<std::string> value,
                std::int64_t time_ms = 0);
  // Leaves `count` offsets without a record, as compaction and transactions do.
  void skip(partition_id p, std::int64_t count);
  // Drops what is before `low`, as retention does: a reader below it gets kafka_out_of_range.
  void trim(partition_id p, offset low);
  // Another log behind the same offsets: empty, the next record gets offset `next`.
  void replace(partition_id p, offset next);
  // Readers of the partition get everything from `from` on once more, as librdkafka sometimes delivers records twice.
  void redeliver(partition_id p, offset from);
  // The next drain of the partition gives this error.
  void fail_next_drain(partition_id p, error e);
  std::vector<stored> records(partition_id p) const;
  offset end(partition_id p) const;
  std::int32_t partitions() const;

  // --- questions to the brokers ---
  // While set, describe(), range() and fingerprint() answer with it.
  void fail_questions(std::optional<error> e);
  // While held, questions and start() of a consumer wait; release_questions() answers them in order.
  void hold_questions();
  void release_questions();
  void set_cluster_id(std::string id);
  void set_topic_missing(bool missing);

  // --- the group ---
  // With auto_assign (the default) start() offers all partitions at once; without, the test calls offer().
  std::unique_ptr<kafka::consumer> make_consumer(bool auto_assign = true);
  // The consumers made so far, in order; closed ones are null handlers and do nothing.
  std::size_t consumers() const;
  void offer(std::size_t consumer, std::vector<partition_id> partitions, std::int32_t generation = 1);
  void revoke(std::size_t consumer, std::vector<partition_id> partitions, bool lost = false);
  void fail(std::size_t consumer, error e, bool fatal);
  // What the consumer reads at present, and where.
  std::map<partition_id, offset> reading(std::size_t consumer) const;
  bool closed(std::size_t consumer) const;
  // The last committed positions of the group.
  std::map<partition_id, offset> committed() const;

  struct state; // private to memory_log.cpp
  explicit memory_log(std::unique_ptr<state> s);
  ~memory_log();

private:
  friend class memory_consumer;
  std::unique_ptr<state> state_;
};

// Keeps what was sent. Deliveries are answered in send(), unless held.
class memory_producer : public kafka::producer {
public:
  void send(kafka::message m, std::function<void(result<void>)> done) override;
  bool flush(std::chrono::milliseconds deadline) override;

  // While set, sends are answered with it and nothing is kept.
  void fail_with(std::optional<error> e);
  void hold();
  void release();
  std::vector<kafka::message> sent() const; // delivered ones, in order
  std::vector<kafka::message> sent_to(const std::string& topic) const;

private:
  mutable std::mutex mutex_;
  std::optional<error> failure_;
  bool held_ = false;
  std::deque<std::pair<kafka::message, std::function<void(result<void>)>>> waiting_;
  std::vector<kafka::message> sent_;
};

// Keeps the newest committed result of each writer, as Kafka does, and all of them. Instantly.
class memory_transactions : public kafka::transactions {
public:
  result<bool> write(const kafka::transaction& what, const std::function<bool()>& goes_on) override;

  // While set, it is the answer; `written` says whether the brokers have the result all the same.
  void fail_with(std::optional<error> e, bool written = false);
  // Is called while a transaction is open, with what write() was given.
  void while_open(std::function<void(const std::function<bool()>& goes_on)> look) { while_open_ = std::move(look); }
  std::vector<kafka::transaction> committed() const; // in order

private:
  std::function<void(const std::function<bool()>&)> while_open_;
  mutable std::mutex mutex_;
  std::optional<error> failure_;
  bool written_ = false;
  std::map<std::string, std::string> marks_; // writer -> id
  std::vector<kafka::transaction> committed_;
};

} // namespace weir::support
