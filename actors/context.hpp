// What every actor of a node is given: the checked topology and the ports. Made by cli (or a test) before the actors
// start, outlives them.
#pragma once

#include "proto/topology.hpp"
#include "runtime/core/status.hpp"
#include "runtime/kafka/consumer.hpp"
#include "runtime/kafka/producer.hpp"
#include "runtime/kafka/transactions.hpp"
#include "runtime/metrics/registry.hpp"
#include "runtime/redis/store.hpp"

#include <algorithm>
#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace weir::ext {
class extensions;
}

namespace weir::actors {

// The newest transaction in the newest stream of each partition that this node knows of: made by itself, or read.
// Thread-safe.
class newest_batches {
public:
  void saw(const partition_key& partition, const stream_epoch& stream, const batch_id& batch) {
    std::lock_guard lock(mutex_);
    auto& known = batches_[partition];
    known = std::max(known, std::pair(stream, batch));
  }
  // In that stream; {0, 0}: none is known.
  batch_id of(const partition_key& partition, const stream_epoch& stream) const {
    std::lock_guard lock(mutex_);
    const auto at = batches_.find(partition);
    return at == batches_.end() || at->second.first != stream ? batch_id{} : at->second.second;
  }

private:
  mutable std::mutex mutex_;
  std::map<partition_key, std::pair<stream_epoch, batch_id>> batches_;
};

struct node_context {
  topology topo;
  std::string node_name;   // for people
  std::string incarnation; // unique to this run of the process: owners' names in claims begin with it
  redis::store* store = nullptr;
  kafka::producer* producer = nullptr;         // null: nothing in the topology writes to Kafka
  kafka::transactions* transactions = nullptr; // null: no job writes to its topic exactly once
  std::function<result<std::unique_ptr<kafka::consumer>>(const source_config&)> make_consumer;
  std::function<std::int64_t()> wall_ms; // milliseconds since 1970
  metrics::registry* metrics = nullptr;
  status_board* board = nullptr;
  std::function<void(int exit_code, const std::string& why)>
      give_up; // ends the node, loudly; sysexits codes. Any thread
  // Runs what may wait (leaving a consumer group) away from the actors; tests run it at once.
  std::function<void(std::function<void()>)> beside = [](std::function<void()> work) {
    std::thread(std::move(work)).detach();
  };
  std::shared_ptr<const ext::extensions> extensions; // what jobs' custom steps are made by; null: there are none
  // An actor that runs custom steps or transactions, which may wait, or that reduces or merges for long, has a thread
  // of its own.
  bool threads_for_steps = false;
  bool commit_to_kafka =
      true; // false where Redis does not outlive the node: a commit would promise a state that is gone

  // By source: the topic's number of partitions once it is known, else 0. The keys are made before the actors start.
  mutable std::map<std::string, std::atomic<std::int32_t>> partition_counts;

  // The partitions whose state makes up a table; empty: not known yet.
  std::vector<partition_key> partitions_of(const table_config& table) const;

  // The highest version this node has seen from anybody: goes into every transaction as its hint, so versions never run
  // backwards.
  mutable std::atomic<std::uint64_t> highest_version{0};

  void saw(version v) const {
    auto known = highest_version.load(std::memory_order_relaxed);
    while (known < v.value && !highest_version.compare_exchange_weak(known, v.value, std::memory_order_relaxed)) {
    }
  }
  mutable newest_batches batches;
  // Short names of channels (docs/client-protocol.md): one session may have several tables, so no two lanes of a node
  // share one. From 1.
  mutable std::atomic<std::uint32_t> short_ids{0};

  version hint() const { return version{highest_version.load(std::memory_order_relaxed)}; }
};

using context_ptr = std::shared_ptr<const node_context>;

} // namespace weir::actors
