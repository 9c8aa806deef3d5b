#include "actors/source.hpp"

#include "actors/partition.hpp"
#include "runtime/core/backoff.hpp"
#include "runtime/core/log.hpp"
#include "runtime/metrics/registry.hpp"
#include "runtime/redis/identity.hpp"

#include <caf/event_based_actor.hpp>
#include <caf/send.hpp>
#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>
#include <fmt/format.h>
#include <map>
#include <set>

namespace weir::actors {
namespace {

using namespace std::chrono_literals;

constexpr int exit_config = 78; // EX_CONFIG
constexpr auto tick = 100ms;
constexpr int ticks_per_second = 10;
constexpr int commit_every = 50;    // ticks
constexpr auto ask_deadline = 5s;   // questions to the brokers
constexpr int start_patience = 150; // ticks: partitions without a start by then are left out of the first assignment
constexpr auto close_deadline = 3s;

struct owned_partition {
  partition_actor actor;
  std::uint64_t life = 0;
  std::int32_t generation = -1;
  std::shared_ptr<feed_progress> progress = std::make_shared<feed_progress>();
  std::shared_ptr<std::atomic<std::int64_t>> position = std::make_shared<std::atomic<std::int64_t>>(-1);
  std::optional<offset> start; // resolved, waits for the assignment
  bool answered = false;       // the start is known, or known not to be had
  bool reading = false;        // part of librdkafka's assignment
  backoff retry{200ms, 10s};
  int respawn_in = 0; // ticks; 0: not waiting
  std::int64_t committed = -1;
};

struct source_state {
  static inline const char* name = "source";

  source_actor::stateful_pointer<source_state> self;
  source_actor_config config;
  std::string label, waiting_key;
  std::shared_ptr<kafka::consumer> consumer;
  std::int32_t partition_count = 0;
  std::map<partition_id, owned_partition> owned;
  std::set<partition_id> leaving; // revoked: their actors finish what is in flight
  bool assigning = false;         // partitions were offered and librdkafka waits for assign()
  int assigning_ticks = 0;
  bool stopping = false;
  bool closing = false; // the consumer leaves the group
  bool started = false;
  std::uint64_t next_life = 1;
  std::uint64_t ticks = 0;
  std::uint64_t records_before = 0;
  backoff retry{200ms, 10s};
  int again_in = 0;          // ticks until the topic is asked for again
  int identity_again_in = 0; // ticks until the identity is stored again
  bool troubled = false;     // the message on the board is librdkafka's, until the brokers answer
  bool asking_brokers = false;
  int ask_brokers_in = 0; // ticks
  metrics::gauge up_gauge;

  explicit source_state(source_actor::stateful_pointer<source_state> s) : self(s) {}

  status_board& board() { return *config.node->board; }

  void wait_for(const std::string& reason) {
    board().waiting(waiting_key, reason);
    board().source(config.source.name, [&](source_status& s) {
      s.state = reason.empty() ? "running" : "starting";
      s.message = reason;
    });
  }

  void connected(bool is) {
    up_gauge.set(is ? 1 : 0);
    board().source(config.source.name, [&](source_status& s) { s.connected = is; });
  }

  // librdkafka tells trouble and never its end, and of a log that is silent nobody would miss a record.
  void ask_brokers() {
    if (asking_brokers || !consumer || stopping)
      return;
    asking_brokers = true;
    source_actor me = self;
    consumer->describe(ask_deadline, [me](result<kafka::topic_facts> facts) {
      caf::anon_send(me, brokers_answered{std::move(facts)});
    });
  }

  void on_brokers(const brokers_answered& m) {
    asking_brokers = false;
    if (stopping || !started)
      return;
    if (m.facts) {
      if (up_gauge.value() == 0)
        log::info(label, "the brokers answer again");
      connected(true);
      if (troubled)
        board().source(config.source.name, [](source_status& s) { s.message.clear(); });
      troubled = false;
      return;
    }
    const auto& why = m.facts.error();
    if (why.code == ec::kafka_unreachable || why.code == ec::kafka_refused || why.code == ec::timeout) {
      if (up_gauge.value() != 0)
        log::warn(label, "the brokers do not answer", {{"reason", why.message}});
      connected(false);
    }
    ask_brokers_in = ticks_per_second;
  }

  void block(const std::string& reason) {
    log::error(label, "blocked", {{"reason", reason}});
    board().waiting(waiting_key, reason);
    board().source(config.source.name, [&](source_status& s) {
      s.state = "blocked";
      s.message = reason;
    });
  }

  void start_work() {
    if (!consumer) {
      auto made = config.node->make_consumer(config.source);
      if (!made)
        return again(made.error());
      consumer = std::move(*made);
    }
    source_actor me = self;
    consumer->describe(ask_deadline, [me](result<kafka::topic_facts> facts) {
      caf::anon_send(me, topic_described{std::move(facts)});
    });
  }

  void again(const error& why) {
    wait_for(why.message);
    log::warn(label, "not ready yet", {{"reason", why.message}});
    again_in = static_cast<int>(retry.next() / tick) + 1;
  }

  void on_described(const topic_described& m) {
    if (stopping)
      return;
    if (!m.facts) {
      connected(false);
      return again(m.facts.error());
    }
    partition_count = m.facts->partitions;
    connected(true);
    identity = {m.facts->cluster_id, config.source.topic, m.facts->partitions};
    store_identity();
  }

  void store_identity() {
    source_actor me = self;
    config.node->store->meta_once(
        config.node->topo.name, "source:" + config.source.name, redis::to_json(identity),
        [me](result<std::string> stored) { caf::anon_send(me, identity_stored{std::move(stored)}); });
  }

  // A heartbeat of a partition whose state is gone is refused, so that it claims again and reads from the start: also
  // where no record would ever come to find it out.
  void on_state_lost() {
    if (stopping || !started)
      return; // the identity is not stored yet, or is about to be
    store_identity();
    for (auto& [p, o] : owned)
      if (o.actor)
        caf::anon_send(o.actor, heartbeat_due{});
  }

  redis::source_identity identity;

  void on_identity(const identity_stored& m) {
    if (stopping)
      return;
    if (started)
      return on_identity_again(m);
    if (!m.stored)
      return again(m.stored.error());
    const auto judged = redis::judge_source(config.source.name, *m.stored, identity);
    if (judged.verdict == redis::identity_verdict::foreign) {
      block(judged.reason);
      return config.node->give_up(exit_config, judged.reason);
    }
    if (judged.verdict == redis::identity_verdict::anew)
      return block(judged.reason);
    if (judged.verdict == redis::identity_verdict::grown) {
      log::warn(label, judged.reason);
      config.node->store->meta_swap(config.node->topo.name, "source:" + config.source.name, *m.stored,
                                    redis::to_json(identity), [](result<bool>) {
                                      // If it fails the growth is noticed, said and stored at the next start.
                                    });
    }
    retry.reset();
    started = true;
    config.node->partition_counts.at(config.source.name) = partition_count;
    for (const auto& t : config.tables)
      caf::anon_send(t.publisher, table_partitions{config.node->partitions_of(t.config)});
    wait_for("waits for partitions");
    source_actor me = self;
    consumer->start({
        .assigned =
            [me](std::vector<partition_id> p, std::int32_t generation) {
              caf::anon_send(me, partitions_assigned{std::move(p), generation});
            },
        .revoked = [me](std::vector<partition_id> p,
                        bool lost) { caf::anon_send(me, partitions_revoked{std::move(p), lost}); },
        .failed = [me](error what, bool fatal) { caf::anon_send(me, kafka_trouble{std::move(what), fatal}); },
    });
  }

  // Stored anew after Redis lost it. Another one may have come first.
  void on_identity_again(const identity_stored& m) {
    if (!m.stored) {
      log::warn(label, "cannot store the source's identity again", {{"reason", m.stored.error().message}});
      identity_again_in = ticks_per_second;
      return;
    }
    const auto judged = redis::judge_source(config.source.name, *m.stored, identity);
    if (judged.verdict == redis::identity_verdict::same || judged.verdict == redis::identity_verdict::grown)
      return;
    block(judged.reason);
    config.node->give_up(exit_config, judged.reason);
  }

  void spawn(partition_id p, owned_partition& o) {
    o.life = next_life++;
    o.answered = false;
    o.start.reset();
    o.actor = spawn_partition(
        self->system(),
        partition_config{config.node, config.source, config.tables, p, partition_count, o.generation, o.life,
                         config.writers[static_cast<std::size_t>(p.value) % config.writers.size()], self, consumer,
                         o.progress, o.position, config.limits});
    self->monitor(o.actor);
  }

  void on_assigned(const partitions_assigned& m) {
    if (stopping) {
      static_cast<void>(
          consumer->assign({})); // the group wants its answer even from a node that leaves; there is nothing to read
      return;
    }
    log::info(label, "partitions assigned", {{"count", m.partitions.size()}, {"generation", m.generation}});
    assigning = true;
    assigning_ticks = 0;
    for (auto p : m.partitions) {
      if (leaving.erase(p) > 0 || owned.contains(p))
        continue;
      auto& o = owned[p];
      o.generation = m.generation;
      spawn(p, o);
    }
    tell_own();
    try_assign(false);
  }

  // The publishers read what other nodes write.
  void tell_own() {
    std::set<partition_key> own;
    for (const auto& [p, o] : owned)
      own.insert({config.node->topo.name, config.source.name, p});
    for (const auto& t : config.tables)
      caf::anon_send(t.publisher, partitions_here{own});
  }

  void on_start(const start_resolved& m) {
    auto at = owned.find(m.partition);
    if (at == owned.end() || at->second.life != m.life)
      return;
    auto& o = at->second;
    o.answered = true;
    if (!m.at)
      return try_assign(false); // blocked; the partition says why on the board
    o.start = *m.at;
    // One that is read already (its actor claimed again) is moved; the others come with the assignment under way.
    if (!assigning || o.reading)
      hand_queue(m.partition, o, consumer->restart({m.partition, *o.start}));
    try_assign(false);
  }

  void try_assign(bool now) {
    if (!assigning)
      return;
    if (!now)
      for (const auto& [p, o] : owned)
        if (!o.answered && o.respawn_in == 0)
          return;
    std::vector<kafka::partition_start> starts;
    for (auto& [p, o] : owned)
      if (o.start && !o.reading)
        starts.push_back({p, *o.start});
    assigning = false;
    auto queues = consumer->assign(starts);
    if (!queues) {
      log::error(label, "cannot assign", {{"reason", queues.error().message}});
      return again(queues.error());
    }
    for (auto& [p, queue] : *queues)
      if (auto at = owned.find(p); at != owned.end())
        hand_queue(p, at->second, std::move(queue));
    wait_for({});
  }

  void hand_queue(partition_id p, owned_partition& o, result<std::unique_ptr<kafka::partition_queue>> queue) {
    if (!queue) {
      log::warn(label, "cannot read a partition", {{"partition", p.value}, {"reason", queue.error().message}});
      caf::anon_send_exit(o.actor, caf::exit_reason::user_shutdown); // spawned again after its backoff
      return;
    }
    o.reading = true;
    o.start.reset();
    caf::anon_send(o.actor, queue_assigned{queue_ptr{std::move(*queue)}});
  }

  void on_revoked(const partitions_revoked& m) {
    log::info(label, "partitions revoked", {{"count", m.partitions.size()}, {"lost", m.lost}});
    std::vector<partition_id> idle; // nothing of ours reads them: given back at once
    for (auto p : m.partitions) {
      auto at = owned.find(p);
      if (at == owned.end()) {
        idle.push_back(p);
        continue;
      }
      leaving.insert(p);
      if (at->second.respawn_in > 0)
        forget(p);
      else
        caf::anon_send(at->second.actor, retire{m.lost});
    }
    if (!idle.empty())
      consumer->unassign(std::move(idle));
  }

  // A revoked partition's actor has ended.
  void forget(partition_id p) {
    if (stopping)
      commit();
    owned.erase(p);
    leaving.erase(p);
    tell_own();
    board().source(config.source.name, [&](source_status& s) { s.partitions.erase(p.value); });
    // Somebody else's from now on: a lag that nobody measures must not stand there. Here, since no actor of ours counts
    // in it any more.
    auto& m = *config.node->metrics;
    const auto number = std::to_string(p.value);
    m.drop(metrics::names::lag, config.source.name, number);
    m.drop(metrics::names::position, config.source.name, number);
    m.drop(metrics::names::batches_in_flight, config.source.name, number);
    board().ready(partition_label(config.source.name, p));
    if (consumer)
      consumer->unassign({p});
    if (!owned.empty())
      return;
    if (stopping)
      return finish();
    // Not a reason to be unready: a group with more members than partitions has such ones.
    board().source(config.source.name, [](source_status& s) {
      s.state = "waiting";
      s.message = "has no partitions at present: the group is about to give them anew, or gave them to others";
    });
    troubled = false;
  }

  void on_down(const caf::down_msg& m) {
    for (auto& [p, o] : owned) {
      if (o.actor.address() != m.source)
        continue;
      if (leaving.contains(p) || stopping)
        return forget(p);
      o.actor = nullptr;
      o.respawn_in = static_cast<int>(o.retry.next() / tick) + 1;
      board().waiting(partition_label(config.source.name, p), "its actor ended and is started again");
      log::warn(label, "a partition's actor ended, starting it again",
                {{"partition", p.value}, {"reason", caf::to_string(m.reason)}});
      return;
    }
  }

  void on_tick() {
    ++ticks;
    if (again_in > 0 && --again_in == 0 && !stopping) {
      if (started)
        on_consumer_lost();
      start_work();
    }
    if (ask_brokers_in > 0 && --ask_brokers_in == 0)
      ask_brokers();
    if (identity_again_in > 0 && --identity_again_in == 0 && !stopping)
      store_identity();
    if (assigning && ++assigning_ticks >= start_patience)
      try_assign(true);
    std::uint64_t newest = 0;
    for (auto& [p, o] : owned) {
      newest = std::max(newest, o.progress->changed.load());
      if (o.respawn_in > 0 && --o.respawn_in == 0)
        spawn(p, o);
    }
    for (auto& [p, o] : owned)
      if (o.progress->known < newest && o.actor)
        caf::anon_send(o.actor, heartbeat_due{});
    if (ticks % ticks_per_second == 0)
      board().source(config.source.name, [&](source_status& s) {
        // Smoothed over a few seconds: a number for people.
        const auto now = static_cast<double>(s.records - records_before);
        s.records_per_s += (now - s.records_per_s) * 0.3;
        if (s.records_per_s < 0.05)
          s.records_per_s = 0;
        records_before = s.records;
      });
    if (ticks % commit_every == 0)
      commit();
    self->delayed_send(self, tick, caf::tick_atom::value);
  }

  void commit() {
    if (!consumer || !config.node->commit_to_kafka)
      return;
    std::vector<kafka::partition_start> positions;
    for (auto& [p, o] : owned) {
      const auto at = o.position->load();
      if (o.reading && at >= 0 && at != o.committed) {
        positions.push_back({p, offset{at}});
        o.committed = at;
      }
    }
    if (!positions.empty())
      consumer->commit(std::move(positions));
  }

  void on_consumer_lost() {
    // A fatal error: the whole consumer is made anew; partitions claim again.
    for (auto& [p, o] : owned)
      if (o.actor)
        caf::anon_send(o.actor, retire{true});
      else
        board().ready(partition_label(config.source.name, p));
    owned.clear();
    leaving.clear();
    consumer.reset();
    started = false;
    assigning = false;
  }

  void on_trouble(const kafka_trouble& m) {
    log::warn(label, m.fatal ? "Kafka consumer failed for good, making it anew" : "Kafka has trouble",
              {{"reason", m.what.message}});
    board().source(config.source.name, [&](source_status& s) { s.message = m.what.message; });
    if (stopping)
      return;
    if (m.fatal) {
      connected(false);
      return again(m.what);
    }
    troubled = true;
    if (started)
      ask_brokers();
  }

  void on_stop() {
    if (closing)
      return self->quit(); // the consumer has left the group
    if (stopping)
      return;
    stopping = true;
    commit();
    for (auto& [p, o] : owned)
      if (o.actor)
        caf::anon_send(o.actor, retire{false});
    std::erase_if(owned, [](const auto& entry) { return !entry.second.actor; });
    if (owned.empty())
      finish();
  }

  void finish() {
    commit();
    if (!consumer)
      return self->quit();
    // Leaving the group may take seconds, and nothing in an actor waits. It says when it is done.
    closing = true;
    source_actor me = self;
    config.node->beside([me, leaving_consumer = std::move(consumer)]() mutable {
      leaving_consumer->close(close_deadline);
      leaving_consumer.reset();
      caf::anon_send(me, stop_work{});
    });
  }
};

source_actor::behavior_type source(source_actor::stateful_pointer<source_state> self, source_actor_config config) {
  auto& state = self->state;
  state.config = std::move(config);
  state.label = source_label(state.config.source.name);
  state.waiting_key = state.label;
  state.up_gauge = state.config.node->metrics->get(metrics::names::kafka_up, state.config.source.name);
  state.board().source(state.config.source.name, [&](source_status& s) { s.topic = state.config.source.topic; });
  state.wait_for("waits for Kafka");
  self->set_down_handler([self](const caf::down_msg& m) { self->state.on_down(m); });
  self->delayed_send(self, tick, caf::tick_atom::value);
  state.start_work();
  return {
      [self](const partitions_assigned& m) { self->state.on_assigned(m); },
      [self](const partitions_revoked& m) { self->state.on_revoked(m); },
      [self](const kafka_trouble& m) { self->state.on_trouble(m); },
      [self](const start_resolved& m) { self->state.on_start(m); },
      [self](const topic_described& m) { self->state.on_described(m); },
      [self](const brokers_answered& m) { self->state.on_brokers(m); },
      [self](const identity_stored& m) { self->state.on_identity(m); },
      [self](const state_lost&) { self->state.on_state_lost(); },
      [self](caf::tick_atom) { self->state.on_tick(); },
      [self](const stop_work&) { self->state.on_stop(); },
  };
}

} // namespace

std::string source_label(const std::string& source) { return "source/" + source; }

source_actor spawn_source(caf::actor_system& system, source_actor_config config) {
  config.node->board->waiting(source_label(config.source.name), "is starting");
  return system.spawn(source, std::move(config));
}

} // namespace weir::actors
