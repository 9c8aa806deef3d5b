// Private to runtime/kafka: asks the brokers what a consumer wants to know, on a thread of its own, with a client
// instance of its own, so that questions never disturb reading. The instance is let go after some seconds without
// questions.
#pragma once

#include "proto/topology.hpp"
#include "runtime/kafka/consumer.hpp"
#include "runtime/kafka/rd_handle.hpp"

#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

namespace weir::kafka {

class asker : public std::enable_shared_from_this<asker> {
public:
  using clock = std::chrono::steady_clock;
  static constexpr std::size_t most_waiting = 10'000;

  asker(kafka_config kafka, std::string topic, std::string group, std::string client_id, std::string component);

  // Opens the client instance, which checks the settings. The thread starts with the first question.
  result<void> open();

  void describe(clock::time_point until, std::function<void(result<topic_facts>)> done);
  void range(partition_id p, bool committed, clock::time_point until,
             std::function<void(result<partition_range>)> done);
  void fingerprint(partition_id p, offset at, clock::time_point until,
                   std::function<void(result<std::optional<consumer::record_print>>)> done);
  // Runs `work` on the thread, after what waits there; `work` must be short and brings its own client instance. False:
  // stopped or too much waiting.
  bool post(std::function<void()> work);

  // Partitions of the topic as last described; 0: not known.
  std::int32_t known_partitions() const { return known_partitions_; }

  // What waits is answered with ec::stopped; what is under way may take up to its deadline, then `ended` runs on a
  // thread of its own making. Waits for nothing.
  void stop(std::function<void()> ended);

private:
  struct task {
    std::function<void(const error* instead)> run; // with an error: answer that, do nothing else
    bool asks = true;                              // needs handle_
  };

  bool add(task t);
  void loop();
  result<void> reopen();
  // What the errors of the instance say why a question failed.
  error explain(rd_kafka_resp_err_t code, std::string_view about);
  result<topic_facts> ask_facts(clock::time_point until);
  result<partition_range> ask_range(partition_id p, bool committed, clock::time_point until);
  result<std::optional<consumer::record_print>> read_print(partition_id p, offset at, clock::time_point until);

  const kafka_config kafka_;
  const std::string topic_, group_, client_id_, component_;
  std::mutex mutex_; // guards tasks_, stopping_, running_, ended_
  std::condition_variable wake_;
  std::deque<task> tasks_;
  bool stopping_ = false, running_ = false;
  std::function<void()> ended_;
  std::atomic<std::int32_t> known_partitions_{0};
  std::shared_ptr<handle> handle_; // the thread's, once it runs
};

} // namespace weir::kafka
