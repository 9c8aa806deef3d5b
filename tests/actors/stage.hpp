// Where actors are tested: CAF's test scheduler (one thread, virtual time), a store and a log in memory, and stand-ins
// for the actors around the one under test. Nothing here waits: the test moves the clock.
#pragma once

#include "actors/context.hpp"
#include "actors/feed.hpp"
#include "actors/partition.hpp"
#include "actors/publisher.hpp"
#include "actors/redis_writer.hpp"
#include "tests/support/memory_log.hpp"
#include "tests/support/memory_store.hpp"

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/scheduler/test_coordinator.hpp>
#include <caf/send.hpp>
#include <cstdlib>
#include <deque>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <random>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

namespace weir::stage {

using namespace std::chrono_literals;
using json = nlohmann::json;

inline const std::string topology_name = "plant";
inline const std::string source_name = "readings";

table_config latest(std::string name);
table_config aggregate(std::string name,
                       std::string key_pointer = {}); // n: count, total: sum /v, top: max /v, newest: last /s
table_config log_table(std::string name);

struct world_options {
  std::int32_t partitions = 1;
  std::vector<table_config> tables = {latest("now")};
  std::size_t writers = 1;
  bool delayed_answers = false; // the store's answers wait in `answers` until the test lets them come
  std::uint64_t seed = 1;
};

class world {
public:
  explicit world(world_options options = {});
  ~world();
  world(const world&) = delete;
  world& operator=(const world&) = delete;

  // All jobs in order, until there is none (and no answer waits).
  void run();
  // Time passes in steps, everything runs after each.
  void advance(std::chrono::milliseconds by, std::chrono::milliseconds step = 50ms);
  // Runs and advances until `done`, at most for `patience` of virtual time.
  bool until(const std::function<bool()>& done, std::chrono::milliseconds patience = 30s);
  // Moves both clocks, runs nothing.
  void pass(std::chrono::milliseconds by);
  std::int64_t wall_ms() const { return static_cast<std::int64_t>(now_us / 1000); }

  // The context of one more node: same store, log and topology.
  std::shared_ptr<actors::node_context> make_node(const std::string& incarnation);

  partition_key key(std::int32_t p) const { return {topology_name, source_name, partition_id{p}}; }
  redis::partition_state head(const partition_key& k);
  redis::partition_state head(std::int32_t p = 0) { return head(key(p)); }
  offset position(const std::string& table, std::int32_t p = 0);
  // What is stored: rows of a keyed table's partition by key; entries of a log in order of version.
  std::map<std::string, std::string> rows(const table_config& t, const partition_key& k);
  std::map<std::string, std::string> rows(const std::string& table, std::int32_t p = 0);
  std::vector<log_entry> entries(const std::string& table, std::int32_t p = 0);
  const table_config& table(const std::string& name) const { return topo.tables.at(name); }

  // Ends with the world. Actors that tick are found without.
  template <class Handle>
  Handle own(Handle h) {
    owned_.push_back(caf::actor_cast<caf::actor>(h));
    return h;
  }

  // Appends a JSON record under `key`.
  offset put(std::string k, const std::string& value, std::int32_t p = 0);
  offset put(std::string k, const std::string& value, std::int32_t p, std::int64_t time_ms);

  std::uint64_t now_us = 1'795'000'000'000'000; // Redis' clock and the wall clock
  topology topo;
  std::deque<std::function<void()>> answers; // with delayed_answers
  std::unique_ptr<support::memory_store> store;
  std::shared_ptr<support::memory_log> log;
  support::memory_producer producer;
  support::memory_transactions transactions;
  std::map<std::string, metrics::registry> metrics; // by node
  status_board board;
  std::vector<std::pair<int, std::string>> given_up;
  std::map<std::string, std::shared_ptr<actors::node_context>> nodes;
  caf::actor_system_config config;
  std::unique_ptr<caf::actor_system> system;
  caf::scheduler::test_coordinator* jobs = nullptr;

private:
  std::vector<caf::actor> owned_;
};

// The table's end of a feed: an inbox, and a publisher that only counts how often it was woken.
struct table_end {
  std::shared_ptr<table::change_inbox> inbox = std::make_shared<table::change_inbox>();
  actors::publisher_actor publisher;
  std::shared_ptr<std::size_t> woken = std::make_shared<std::size_t>(0);
};
table_end make_table_end(world& w);

// Questions of the test itself: answered at once, whatever the options say.
template <class T, class Ask>
T ask(world& w, Ask&& question) {
  std::optional<result<T>> got;
  const auto waiting = w.answers.size();
  question([&got](result<T> r) { got = std::move(r); });
  while (!got && w.answers.size() > waiting) {
    auto mine = std::move(w.answers.back());
    w.answers.pop_back();
    mine();
  }
  if (!got || !*got)
    throw std::runtime_error("the store did not answer: " + (got ? got->error().message : std::string{}));
  return **got;
}

// A writer for link 0 and one partition actor without a source actor: the stand-in answers a known start with a queue,
// as long as `assign` is set.
struct lone_partition {
  struct options {
    std::string incarnation = "a";
    std::int32_t partition = 0, generation = -1;
    actors::partition_limits limits{};
    std::map<std::string, table_end> ends{}; // those left out are made
    bool assign = true;
  };
  explicit lone_partition(world& on) : lone_partition(on, options{}) {}
  lone_partition(world& on, options o);
  void respawn(); // another actor for the same partition
  void kill();
  void retire(bool lost);
  bool ended() const { return *gone; }
  partition_status status() const;
  bool running() const { return status().state == "running"; }
  std::vector<change_set_ptr> published(const std::string& table) { return ends.at(table).inbox->take().changes; }
  std::int64_t committed_position() const { return position->load(); }

  world& w;
  std::shared_ptr<actors::node_context> node;
  std::int32_t number, generation;
  actors::partition_limits limits;
  std::map<std::string, table_end> ends;
  actors::redis_writer_actor writer;
  actors::source_actor owner;
  std::shared_ptr<bool> gone = std::make_shared<bool>(false);
  std::shared_ptr<actors::feed_progress> progress = std::make_shared<actors::feed_progress>();
  std::shared_ptr<std::atomic<std::int64_t>> position = std::make_shared<std::atomic<std::int64_t>>(-1);
  // Shared with the stand-in, which may outlive this.
  struct shared {
    std::shared_ptr<kafka::consumer> consumer;
    actors::partition_actor actor;
    std::uint64_t life = 0;
    std::vector<actors::start_resolved> starts;
    bool assign = true;
    void hand(partition_id p, offset at) {
      auto queue = consumer->restart({p, at});
      caf::anon_send(actor, actors::queue_assigned{actors::queue_ptr{std::move(*queue)}});
    }
  };
  std::shared_ptr<shared> at = std::make_shared<shared>();
};

// A session with one subscription, following the client protocol's rules. Checks on the way what must never happen;
// `problem` says the first.
class subscriber {
public:
  subscriber(world& w, actors::publisher_actor publisher, table_config table, std::uint64_t id);
  ~subscriber();
  subscriber(const subscriber&) = delete;
  subscriber& operator=(const subscriber&) = delete;

  void subscribe();                        // from its position if it has one, else anew
  void leave();                            // unsubscribes; keeps its position
  void forget();                           // and loses it
  void query();                            // asks again where it was answered with a temporary error
  void skip_next_frame() { skip_ = true; } // as a socket that is busy

  // By key: the log's sequence numbers in order, 0: a removal; only for keys that live in one partition. For checking
  // that nothing is taken back.
  std::map<std::string, std::vector<std::uint64_t>>* truth = nullptr;

  std::map<std::string, std::string> rows;                            // as shown
  std::map<std::int32_t, std::vector<std::int64_t>> seen;             // log: offsets by partition, repeats left out
  std::map<std::int32_t, std::set<std::int64_t>>* expected = nullptr; // log: offsets that there are
  const std::map<std::int32_t, std::int64_t>& newest() const {
    return newest_;
  } // log: by partition, as far as known without a hole
  bool live = false, asking = false;
  std::size_t resets = 0, recoveries = 0, unrecoverable = 0, refusals = 0, frames = 0, replies = 0;
  std::uint32_t interval_ms = 0; // the pace it asks for
  version position;
  std::string epoch;
  std::string problem;
  std::string last_message;

private:
  void request(const table::subscribe_request& r);
  void on_subscribed(const actors::subscribe_answered& m);
  void on_fan_out(const actors::fan_out_arrived& m);
  void on_caught_up(const actors::catch_up_arrived& m);
  void on_reset(const actors::lane_ended& m);
  void take_frame(const http::frame& f);
  void take(const json& publication);
  void start_over();
  void blame(const std::string& what) {
    if (problem.empty())
      problem = what;
  }

  std::shared_ptr<subscriber*> here_ =
      std::make_shared<subscriber*>(this); // null once this is gone; its actor lives longer
  actors::publisher_actor publisher_;
  table_config table_;
  session_id id_;
  actors::session_actor self_;
  std::uint32_t generation_ = 0;
  bool has_position_ = false, skip_ = false, catching_up_ = false;
  bool recovering_ = false;
  arrival cursor_;
  table::lane_id lane_;
  std::shared_ptr<http::lane_port> port_;
  std::map<std::string, std::size_t> reached_; // by key: index into truth, plus 1
  std::map<std::int32_t, std::int64_t> newest_;
};

// Named by the environment variable, else `otherwise`.
std::uint64_t number_from(const char* name, std::uint64_t otherwise);

// Every std::random_device of this executable gives numbers from this seed on, so that a run is repeated to the letter.
void seed_random_devices(std::uint64_t seed);

} // namespace weir::stage
