// The ingest path whole, driven by a seed: two nodes with their sources, partitions, writers and publishers over one
// log and one store in memory, jobs in random order, answers that come late, and faults: lost requests and answers,
// broken links, refused writes, a Redis that goes back in time, rebalances with owners that do not know it yet, killed
// actors, records handed over twice. Judged by a plain fold of the log:
//   - at any moment the stored state of a partition is the fold of exactly the records below its position;
//   - no position is above a record that could not be read and is not in the dead letter topic;
//   - no subscriber is shown an older state of a row than before within one epoch, or an entry of a log out of order or
//   after a hole;
//   - at rest, store and subscribers have exactly what the log says.
//
// WEIR_SEED=n runs one seed alone, WEIR_RUNS=n that many; WEIR_TRACE=1 tells the faults as they happen.
#pragma once

#include "actors/source.hpp"
#include "tests/actors/stage.hpp"

#include <array>
#include <cstdio>
#include <fmt/format.h>
#include <map>
#include <random>
#include <set>

namespace weir::stage {

inline constexpr std::int64_t brief_ttl_ms = 15'000;

struct member;

struct group {
  std::vector<member*> members;
};

// A consumer that knows what it holds.
struct member final : kafka::consumer {
  member(group& g, std::size_t node_, support::memory_log& log_)
      : of(g), node(node_), log(log_), inner(log.make_consumer(false)), index(log.consumers() - 1) {
    of.members.push_back(this);
  }
  ~member() override { std::erase(of.members, this); }

  void start(handlers h) override {
    inner->start(std::move(h));
    started = true;
  }
  result<std::vector<std::pair<partition_id, std::unique_ptr<kafka::partition_queue>>>>
  assign(std::vector<kafka::partition_start> s) override {
    return inner->assign(std::move(s));
  }
  void unassign(std::vector<partition_id> partitions) override {
    for (auto p : partitions) {
      held.erase(p);
      revoking.erase(p);
    }
    inner->unassign(std::move(partitions));
  }
  result<std::unique_ptr<kafka::partition_queue>> restart(kafka::partition_start s) override {
    return inner->restart(s);
  }
  void commit(std::vector<kafka::partition_start> p) override { inner->commit(std::move(p)); }
  void describe(std::chrono::milliseconds d, std::function<void(result<kafka::topic_facts>)> f) override {
    inner->describe(d, std::move(f));
  }
  void range(partition_id p, std::chrono::milliseconds d,
             std::function<void(result<kafka::partition_range>)> f) override {
    inner->range(p, d, std::move(f));
  }
  void fingerprint(partition_id p, offset at, std::chrono::milliseconds d,
                   std::function<void(result<std::optional<record_print>>)> f) override {
    inner->fingerprint(p, at, d, std::move(f));
  }
  void close(std::chrono::milliseconds d) override {
    inner->close(d);
    started = false;
    held.clear();
    revoking.clear();
  }

  void revoke(partition_id p, bool lost) {
    revoking.insert(p);
    log.revoke(index, {p}, lost);
  }

  group& of;
  std::size_t node;
  support::memory_log& log;
  std::unique_ptr<kafka::consumer> inner;
  std::size_t index;
  bool started = false;
  std::set<partition_id> held, revoking;
};

struct simulated_node {
  std::shared_ptr<actors::node_context> context;
  actors::redis_writer_actor writer;
  std::vector<actors::source_table> tables;
  actors::source_actor source;
  bool source_dead = false;
};

struct totals {
  std::size_t runs = 0, failed = 0, rollbacks = 0, kills = 0, rebalances = 0, resets = 0, recoveries = 0,
              unrecoverable = 0, frames = 0, checks = 0;
  support::memory_store::counts store;
  std::string first;
};

class simulation {
public:
  explicit simulation(std::uint64_t seed);
  void step();
  void settle();
  std::string problem;
  totals happened;

private:
  using fold_rows = std::map<std::string, support::memory_log::stored>;

  void blame(const std::string& what) {
    if (problem.empty())
      problem = what;
  }
  template <class... Args>
  void trace(fmt::format_string<Args...> f, Args&&... args) const {
    if (tracing_)
      std::fprintf(stderr, "%llu  %s\n", static_cast<unsigned long long>(w_.now_us / 1000 % 10'000'000),
                   fmt::format(f, std::forward<Args>(args)...).c_str());
  }
  std::uint64_t below(std::uint64_t n) { return random_() % n; }
  bool chance(unsigned per_mille) { return below(1000) < per_mille; }
  partition_id some_partition() {
    return partition_id{static_cast<std::int32_t>(below(static_cast<std::uint64_t>(w_.log->partitions())))};
  }

  void spawn_source(simulated_node& n);
  void append();
  void run_some_job();
  void rebalance();
  bool nobody_reads_some_partition() const;
  void forget_zombies();
  void fault();
  void kill_some_partition();
  void disturb_subscriber();

  // -- the judge
  fold_rows fold(std::int32_t p, offset below_this) const;
  std::string where_it_stands();
  void end_faults();
  void append_tail();
  bool caught_up();
  std::string not_shown();
  std::string not_shown_to(std::size_t subscriber);
  void check_stored();
  void check_partition(std::int32_t p);
  std::map<std::string, std::string> visible(const std::string& table) const;
  std::map<std::string, json> visible_sums() const;

  bool tracing_ = number_from("WEIR_TRACE", 0) != 0;
  std::uint64_t seed_;
  std::mt19937_64 random_;
  std::array<status_board, 2> boards_; // outlive the world, as the group does
  group group_;
  world w_;
  std::vector<simulated_node> nodes_;
  std::map<std::int32_t, std::size_t> assigned_; // by partition: the node that the group gave it to last
  std::int32_t generation_ = 1;
  std::uint64_t sequence_ = 0;
  actors::partition_limits limits_;
  std::map<std::string, std::vector<std::uint64_t>> history_;
  std::map<std::int32_t, std::set<std::int64_t>> readable_, dead_;
  std::vector<std::unique_ptr<subscriber>> subscribers_;
  std::vector<std::size_t> subscriber_node_;
  std::vector<std::string> subscriber_table_;
  std::shared_ptr<const support::memory_store::snapshot> saved_;
  bool calm_ = false;
  unsigned busy_ = 0; // appends in a thousand steps
};

} // namespace weir::stage
