#include "actors/node.hpp"

#include "actors/api.hpp"
#include "actors/door.hpp"
#include "actors/job_writer.hpp"
#include "actors/redis_writer.hpp"
#include "actors/scheduler.hpp"
#include "actors/session.hpp"
#include "actors/source.hpp"
#include "runtime/core/backoff.hpp"
#include "runtime/core/log.hpp"
#include "runtime/redis/identity.hpp"

#include <atomic>
#include <caf/event_based_actor.hpp>
#include <caf/send.hpp>
#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>
#include <fmt/format.h>
#include <set>

namespace weir::actors {
namespace {

using namespace std::chrono_literals;

constexpr auto tick = 100ms;
constexpr int exit_config = 78;   // EX_CONFIG
constexpr int look_every = 20;    // ticks: whether Redis still has the topology's own hash
constexpr int exit_software = 70; // EX_SOFTWARE
constexpr int most_source_restarts = 10;
constexpr std::string_view label = "node";

enum class stage { checking, running, sources, writers, publishers, sessions, ended };

struct table_parts {
  std::shared_ptr<table::change_inbox> inbox = std::make_shared<table::change_inbox>();
  publisher_actor publisher;
  std::uint32_t generation = 1;
};

struct supervised_source {
  source_actor actor;
  backoff retry{500ms, 30s};
  int restarts = 0;
  int again_in = 0; // ticks
};

struct node_state {
  static inline const char* name = "node";

  node_actor::stateful_pointer<node_state> self;
  node_config config;
  std::map<std::string, table_parts> tables;
  std::shared_ptr<session_registry> sessions;
  std::shared_ptr<api> http;
  std::shared_ptr<http::server> server;
  gate_ptr gate;
  std::shared_ptr<std::atomic<bool>> looking = std::make_shared<std::atomic<bool>>(false); // at the JWKS file
  stage at = stage::checking;
  std::set<std::string> asked; // fields of the meta hash without an answer
  bool examined = false;
  backoff retry{200ms, 5s};
  int again_in = 0; // ticks until Redis is asked again
  std::vector<std::string> refusals;
  std::string born;         // what the topology's hash was marked with when this node saw it last
  bool asking_mark = false; // asked for the mark
  std::vector<redis_writer_actor> writers;
  std::map<std::string, supervised_source> sources;
  std::vector<job_writer_actor> job_writers;
  scheduler_actor scheduler;
  std::set<caf::actor_addr> open; // of the stage under way
  std::set<caf::actor_addr> dead; // ended by now, whenever that was
  std::uint64_t ticks = 0;
  int exit_code = 0;
  int drain_ticks = 0;

  explicit node_state(node_actor::stateful_pointer<node_state> s) : self(s) {}

  const topology& topo() const { return config.node->topo; }

  // -- checking what Redis holds

  void check() {
    if (at == stage::checking)
      config.node->board->waiting("node", "checks the state in Redis");
    node_actor me = self;
    if (!examined) {
      config.node->store->examine([me](auto warnings) { caf::anon_send(me, redis_examined{std::move(warnings)}); });
      return;
    }
    asked.clear();
    refusals.clear();
    if (at == stage::checking)
      ask("born", new_mark());
    ask("layout", std::string(redis::layout_version));
    for (const auto& [id, t] : topo().tables)
      ask("table:" + id, redis::definition_json(t, 1));
  }

  void ask(const std::string& field, const std::string& mine) {
    asked.insert(field);
    node_actor me = self;
    config.node->store->meta_once(topo().name, field, mine, [me, field](result<std::string> stored) {
      caf::anon_send(me, meta_answered{field, std::move(stored)});
    });
  }

  // Never given twice, so that a mark that was lost and set again is not taken for the old one.
  std::string new_mark() const { return fmt::format("{}.{}", config.node->incarnation, ticks); }

  // Redis may lose everything without any connection noticing (FLUSHALL). The mark is set once and never changed: where
  // it is another one, the hash is not the one that this node started on.
  void look() {
    if (asking_mark)
      return;
    asking_mark = true;
    node_actor me = self;
    config.node->store->meta_once(topo().name, "born", new_mark(), [me](result<std::string> stored) {
      caf::anon_send(me, meta_answered{"born", std::move(stored)});
    });
  }

  void on_look(const meta_answered& m) {
    asking_mark = false;
    if (!m.stored || *m.stored == born)
      return; // without an answer the links say that Redis is away
    born = *m.stored;
    log::error(label,
               "Redis lost this topology's state: storing definitions and identities again, reading all tables "
               "from Kafka again. Tables of jobs have rows again after their jobs' next run",
               {{"topology", topo().name}});
    check();
    for (auto& [id, s] : sources)
      if (s.actor)
        caf::anon_send(s.actor, state_lost{});
    for (const auto& w : job_writers)
      caf::anon_send(w, link_restored{});
  }

  void again(const error& why) {
    if (at == stage::running) { // stored again after a loss: the node goes on meanwhile
      log::warn(label, "cannot store the definitions again, trying again", {{"reason", why.message}});
      again_in = static_cast<int>(retry.next() / tick) + 1;
      return;
    }
    config.node->board->waiting("node", "Redis: " + why.message);
    if (again_in == 0)
      log::warn(label, "Redis is not ready, trying again", {{"reason", why.message}});
    again_in = static_cast<int>(retry.next() / tick) + 1;
  }

  void on_examined(const redis_examined& m) {
    if (at != stage::checking)
      return;
    if (!m.warnings) {
      if (m.warnings.error().code == ec::redis_unsuitable || m.warnings.error().code == ec::redis_refused)
        log::error(label, "Redis cannot be used as it is", {{"reason", m.warnings.error().message}});
      return again(m.warnings.error());
    }
    // The embedded server is without persistence on purpose.
    if (!topo().redis.embedded())
      for (const auto& w : *m.warnings)
        log::warn(label, w);
    examined = true;
    check();
  }

  void on_meta(const meta_answered& m) {
    if (at == stage::running && m.field == "born")
      return on_look(m);
    if ((at != stage::checking && at != stage::running) || asked.erase(m.field) == 0)
      return;
    if (!m.stored) {
      asked.clear();
      return again(m.stored.error());
    }
    if (m.field == "born") {
      born = *m.stored;
    } else if (m.field == "layout") {
      if (*m.stored != redis::layout_version)
        refusals.push_back(fmt::format("Redis holds the state of topology '{}' in layout {}, this program reads and "
                                       "writes layout {}. Use the program "
                                       "that wrote it, another topology name, or another database",
                                       topo().name, *m.stored, redis::layout_version));
    } else {
      const auto id = m.field.substr(6);
      const auto judged = redis::judge_definition(*m.stored, topo().tables.at(id));
      if (!judged.same)
        refusals.push_back(judged.difference);
      else if (at == stage::checking)
        tables.at(id).generation = judged.generation;
    }
    if (!asked.empty())
      return;
    if (!refusals.empty()) {
      std::string all;
      for (const auto& r : refusals)
        all += (all.empty() ? "" : "\n") + r;
      return config.node->give_up(exit_config, all);
    }
    if (at == stage::running)
      return retry.reset();
    start_work();
  }

  // -- starting

  void start_work() {
    at = stage::running;
    retry.reset();
    for (std::size_t i = 0; i < config.node->store->writers(); ++i) {
      writers.push_back(spawn_redis_writer(self->system(), {config.node, i}));
      self->monitor(writers.back());
    }
    for (const auto& [id, s] : topo().sources)
      start_source(id);
    std::vector<scheduled_job> jobs;
    for (const auto& [id, job] : topo().jobs) {
      scheduled_job scheduled{job, {}, {}, {}};
      if (!job.reader) {
        scheduled.input = topo().tables.at(job.read_table);
        scheduled.input_ref = {job.read_table, tables.at(job.read_table).generation};
      }
      if (!job.write_table.empty()) {
        auto& t = tables.at(job.write_table);
        scheduled.writer = spawn_job_writer(self->system(), {config.node,
                                                             topo().tables.at(job.write_table),
                                                             {job.write_table, t.generation},
                                                             t.inbox,
                                                             t.publisher,
                                                             writers[job_writers.size() % writers.size()]});
        job_writers.push_back(scheduled.writer);
        self->monitor(scheduled.writer);
      }
      jobs.push_back(std::move(scheduled));
    }
    scheduler = spawn_scheduler(self->system(), {config.node, std::move(jobs)});
    self->monitor(scheduler);
    http->scheduler(scheduler);
    config.node->board->ready("node");
  }

  void start_source(const std::string& id) {
    source_actor_config c{config.node, topo().sources.at(id), {}, writers};
    for (const auto& [table_id, t] : topo().tables)
      if (t.from == id) {
        auto& parts = tables.at(table_id);
        c.tables.push_back({t, {table_id, parts.generation}, parts.inbox, parts.publisher});
      }
    auto& s = sources[id];
    s.actor = spawn_source(self->system(), std::move(c));
    self->monitor(s.actor);
  }

  // -- supervision

  void on_down(const caf::down_msg& m) {
    dead.insert(m.source);
    if (at != stage::running) {
      open.erase(m.source);
      if (at > stage::running)
        next_if_done();
      return;
    }
    for (auto& [id, s] : sources) {
      if (s.actor.address() != m.source)
        continue;
      if (++s.restarts > most_source_restarts)
        return config.node->give_up(
            exit_software, fmt::format("source '{}' ended {} times: {}", id, s.restarts, caf::to_string(m.reason)));
      log::error(label, "a source's actor ended, starting it again",
                 {{"source", id}, {"reason", caf::to_string(m.reason)}});
      config.node->board->waiting(source_label(id), "its actor ended and is started again");
      s.actor = nullptr;
      s.again_in = static_cast<int>(s.retry.next() / tick) + 1;
      return;
    }
    config.node->give_up(exit_software, "an actor that the node cannot do without ended: " + caf::to_string(m.reason));
  }

  // -- draining

  // As long as another node would take to let them in, within what is left of the drain's time.
  std::chrono::milliseconds time_to_close(std::size_t count) const {
    const auto ms = 1'000 * count / std::max<std::uint32_t>(topo().http.limits.upgrades_per_second, 1);
    return std::min<std::chrono::milliseconds>(std::chrono::milliseconds(ms), tick * drain_ticks / 2);
  }

  void on_stop() {
    if (at > stage::running)
      return;
    log::info(label, "stopping");
    drain_ticks = static_cast<int>(config.drain_deadline / tick);
    server->stop_accepting();
    config.node->board->waiting("node", "is stopping");
    at = stage::sources;
    if (scheduler)
      send_stop(scheduler);
    for (auto& [id, s] : sources)
      if (s.actor)
        send_stop(s.actor);
    next_if_done();
  }

  template <class Handle>
  void send_stop(const Handle& to) {
    if (dead.contains(to.address()))
      return;
    open.insert(to.address());
    caf::anon_send(to, stop_work{});
  }

  void next_if_done() {
    while (open.empty() && at != stage::ended) {
      switch (at) {
      case stage::checking:
      case stage::running: return;
      case stage::sources:
        at = stage::writers;
        for (const auto& w : job_writers)
          send_stop(w);
        break;
      case stage::writers:
        at = stage::publishers;
        for (auto& [id, t] : tables)
          send_stop(t.publisher);
        break;
      case stage::publishers:
        at = stage::sessions;
        for (const auto& w : writers)
          caf::anon_send_exit(w, caf::exit_reason::user_shutdown);
        sessions->shut_down(time_to_close(sessions->size()));
        break;
      case stage::sessions:
        if (sessions->size() > 0)
          return; // looked at again by the tick
        end();
        break;
      case stage::ended: return;
      }
    }
  }

  void end() {
    at = stage::ended;
    // What the deadline left behind; the process could not end while it ticks on.
    const auto end_now = [](const auto& actor) {
      if (actor)
        caf::anon_send_exit(actor, caf::exit_reason::kill);
    };
    end_now(scheduler);
    for (const auto& [id, s] : sources)
      end_now(s.actor);
    for (const auto& w : job_writers)
      end_now(w);
    for (const auto& [id, t] : tables)
      end_now(t.publisher);
    for (const auto& w : writers)
      end_now(w);
    log::info(label, "stopped");
    config.on_end(exit_code);
    self->quit();
  }

  // A file system may keep us waiting: one look at a time, and not here.
  void look_at_keys() {
    if (!gate->rereads() || looking->exchange(true))
      return;
    config.node->beside([looked = looking, at_gate = gate] {
      reload_keys(*at_gate);
      looked->store(false);
    });
  }

  void on_tick() {
    self->delayed_send(self, tick, caf::tick_atom::value);
    if (++ticks % 10 == 0)
      look_at_keys();
    if ((at == stage::checking || at == stage::running) && again_in > 0 && --again_in == 0)
      check();
    if (at == stage::running && ticks % look_every == 0)
      look();
    if (at == stage::running)
      for (auto& [id, s] : sources)
        if (s.again_in > 0 && --s.again_in == 0)
          start_source(id);
    if (at > stage::running && at != stage::ended) {
      next_if_done();
      if (at != stage::ended && --drain_ticks <= 0) {
        log::warn(label, "the deadline of the drain passed; what is left ends now");
        end();
      }
    }
  }
};

node_actor::behavior_type node(node_actor::stateful_pointer<node_state> self, node_config config,
                               std::map<std::string, table_parts> tables, std::shared_ptr<session_registry> sessions,
                               std::shared_ptr<api> http, std::shared_ptr<http::server> server, gate_ptr gate) {
  auto& s = self->state;
  s.config = std::move(config);
  s.tables = std::move(tables);
  s.sessions = std::move(sessions);
  s.http = std::move(http);
  s.server = std::move(server);
  s.gate = std::move(gate);
  self->set_down_handler([self](const caf::down_msg& m) { self->state.on_down(m); });
  for (const auto& [id, t] : s.tables)
    self->monitor(t.publisher);
  self->delayed_send(self, tick, caf::tick_atom::value);
  s.check();
  return {
      [self](const meta_answered& m) { self->state.on_meta(m); },
      [self](const redis_examined& m) { self->state.on_examined(m); },
      [self](caf::tick_atom) { self->state.on_tick(); },
      [self](const stop_work&) { self->state.on_stop(); },
  };
}

} // namespace

result<running_node> start_node(caf::actor_system& system, node_config config) {
  const auto& topo = config.node->topo;
  auto gate = make_gate(config.node);
  if (!gate)
    return tl::unexpected(gate.error());
  std::map<std::string, table_parts> tables;
  std::map<std::string, publisher_actor> publishers;
  auto directory = std::make_shared<http::table_directory>();
  for (const auto& [id, t] : topo.tables) {
    auto& parts = tables[id];
    // The generation is settled once Redis was asked; until then nothing is loaded, since no source has told its
    // partitions.
    parts.publisher = spawn_publisher(system, {config.node, t, {id, 1}, parts.inbox});
    publishers[id] = parts.publisher;
    (*directory)[id] = t.kind;
  }
  // Series that only events would make are there from the start, at zero: an alert on a rate needs the zero before the
  // first event.
  auto& m = *config.node->metrics;
  m.get(metrics::names::sessions).set(0);
  m.get(metrics::names::bytes_sent).add(0);
  m.get(metrics::names::rollbacks).add(0);
  for (const auto* reason : {"connections", "address", "upgrades", "handshake", "head", "body", "message", "commands"})
    m.get(metrics::names::refused, reason).add(0);
  for (const auto* answer : {"applied", "already", "mismatch", "fenced", "error"})
    m.get(metrics::names::transactions, answer).add(0);
  if (!topo.jobs.empty())
    m.get(metrics::names::scheduling).set(0);
  for (const auto& [id, job] : topo.jobs) {
    for (const auto* status : {"completed", "failed", "stopped", "abandoned"})
      m.get(metrics::names::job_runs, id, status).add(0);
    m.get(metrics::names::job_takeovers, id).add(0);
    m.get(metrics::names::jobs_fenced, id).add(0);
    m.get(metrics::names::job_slowdown, id).set(1);
  }
  auto sessions = std::make_shared<session_registry>();
  auto http = std::make_shared<api>(config.node, publishers, sessions, config.assets, *gate);
  auto for_sessions = std::make_shared<session_config>();
  for_sessions->node = config.node;
  for_sessions->system = &system;
  for_sessions->tables = directory;
  for_sessions->publishers = publishers;
  for_sessions->registry = sessions;
  for (auto* r : config.reactors)
    for_sessions->hubs[r] = std::make_unique<fan_out_hub>(config.node, system, *r);
  for (const auto& [id, t] : topo.tables)
    for_sessions->deliveries[id] = delivery_metrics_of(*config.node, id);
  for_sessions->limits = http::session_limits_of(topo.http);
  for_sessions->gate = *gate;
  http::server_handlers handlers;
  handlers.request = [http](http::request r, http::responder respond) {
    http->handle(std::move(r), std::move(respond));
  };
  handlers.session = [shared = std::shared_ptr<const session_config>(for_sessions)](http::web_socket& socket) {
    return make_session(shared, socket);
  };
  handlers.answered = [metrics = config.node->metrics](unsigned status) {
    metrics->get(metrics::names::http_requests, std::to_string(status)).add();
  };
  handlers.refused = [metrics = config.node->metrics](std::string_view reason) {
    metrics->get(metrics::names::refused, reason).add();
  };
  handlers.sent = [bytes = m.get(metrics::names::bytes_sent)](std::uint64_t n) mutable {
    bytes.add(static_cast<double>(n));
  };
  config.node->board->waiting("node", "is starting"); // before anybody can ask
  auto server = http::listen(topo.http, http::limits_of(topo.http), config.reactors, std::move(handlers));
  if (!server)
    return tl::unexpected(server.error());
  std::shared_ptr<http::server> shared = std::move(*server);
  config.node->metrics->before_scrape([connections = config.node->metrics->get(metrics::names::http_connections),
                                       weak = std::weak_ptr(shared)]() mutable {
    if (const auto s = weak.lock())
      connections.set(static_cast<double>(s->connections()));
  });
  auto actor =
      system.spawn(node, std::move(config), std::move(tables), std::move(sessions), std::move(http), shared, *gate);
  return running_node{actor, std::move(shared)};
}

} // namespace weir::actors
