// Private to runtime/kafka: the consumer over librdkafka without its face. Assignment is in rd_assignment.cpp, threads
// and events in rd_consumer_core.cpp.
#pragma once

#include "runtime/core/backoff.hpp"
#include "runtime/kafka/rd_asker.hpp"
#include "runtime/kafka/rd_consumer.hpp"
#include "runtime/kafka/rd_queue.hpp"
#include "runtime/kafka/settings.hpp"

#include <condition_variable>
#include <map>
#include <mutex>
#include <set>

namespace weir::kafka {

enum class protocol { none, eager, cooperative };

protocol protocol_of(rd_kafka_t* rk);
std::vector<partition_id> partitions_of(const rd_kafka_topic_partition_list_t* list);

// All of a consumer that its threads share. Lock order: mutex_, then a split_queue's. librdkafka is called with mutex_
// held: it never calls us back on anything that takes it.
class consumer_core : public std::enable_shared_from_this<consumer_core> {
public:
  consumer_core(kafka_config kafka, source_config source, consumer_options options)
      : kafka_(std::move(kafka)), source_(std::move(source)), options_(std::move(options)),
        component_("kafka/" + source_.name), group_(kafka_.group + "." + source_.name),
        asker_(std::make_shared<asker>(kafka_, source_.topic, group_, options_.client_id, component_)) {}

  asker& questions() { return *asker_; }
  bool by_hand() const { return options_.assign_by_hand; }

  void start(consumer::handlers h);
  result<std::vector<std::pair<partition_id, std::unique_ptr<partition_queue>>>>
  assign(const std::vector<partition_start>& starts);
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
  void answer_revocation();                                             // with mutex_ held
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
  backoff retry_{std::chrono::milliseconds{100}, std::chrono::seconds{5}};
  std::optional<std::chrono::steady_clock::time_point> describe_at_;
  rd_kafka_resp_err_t last_error_ = RD_KAFKA_RESP_ERR_NO_ERROR;
  std::chrono::steady_clock::time_point last_error_at_;

  std::mutex refetch_mutex_;
  std::set<std::int32_t> refetch_; // partitions with room again, for the next wake-up
};

} // namespace weir::kafka
