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
#include "actors/source.hpp"
#include "runtime/core/log.hpp"
#include "runtime/metrics/registry.hpp"
#include "runtime/table/merge.hpp"
#include "tests/actors/stage.hpp"

#include <array>
#include <cstdio>
#include <fmt/format.h>
#include <gtest/gtest.h>

namespace {

using namespace weir;
using namespace weir::stage;

constexpr std::int64_t brief_ttl_ms = 15'000;

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

std::string named(std::uint64_t seed) { return fmt::format("seed {}", seed); }

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

  fold_rows fold(std::int32_t p, offset below_this) const;
  std::string where_it_stands();
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

world_options options_of(std::uint64_t seed) {
  auto brief = latest("brief");
  brief.ttl = std::chrono::milliseconds{brief_ttl_ms};
  return {.partitions = static_cast<std::int32_t>(1 + seed % 3),
          .tables = {latest("now"), aggregate("sums", "/g"), log_table("events"), brief},
          .writers = 2,
          .delayed_answers = true,
          .seed = seed};
}

simulation::simulation(std::uint64_t seed) : seed_(seed), random_(seed * 7919), w_(options_of(seed)) {
  limits_.batch_records = 1 + below(6);
  limits_.drain_records = 1 + below(4);
  limits_.cached_states = 1 + below(8);
  busy_ = static_cast<unsigned>(50 + below(250));
  const bool narrow = chance(300);
  for (const std::string name : {"a", "b"}) {
    auto& n = nodes_.emplace_back();
    n.context = w_.make_node(name);
    const auto number = nodes_.size() - 1;
    n.context->board = &boards_[number];
    n.context->make_consumer = [this, number](const source_config&) -> result<std::unique_ptr<kafka::consumer>> {
      return std::make_unique<member>(group_, number, *w_.log);
    };
    n.writer = w_.own(actors::spawn_redis_writer(*w_.system, {n.context, number}));
    for (const auto& [id, t] : w_.topo.tables) {
      auto inbox = std::make_shared<table::change_inbox>(narrow ? 400 + below(1500) : 1u << 20);
      auto publisher = w_.own(actors::spawn_publisher(
          *w_.system, {n.context, t, {id, 1}, inbox, std::chrono::milliseconds{500 + below(4000)}}));
      n.tables.push_back({t, {id, 1}, inbox, publisher});
    }
    spawn_source(n);
  }
  const auto follow = [&](std::size_t node, const std::string& name) {
    for (const auto& t : nodes_[node].tables)
      if (t.config.name == name) {
        auto& s =
            subscribers_.emplace_back(std::make_unique<subscriber>(w_, t.publisher, t.config, subscribers_.size() + 1));
        if (name == "now")
          s->truth = &history_;
        if (name == "events")
          s->expected = &readable_;
        subscriber_node_.push_back(node);
        subscriber_table_.push_back(name);
        s->subscribe();
      }
  };
  for (const auto* name : {"now", "now", "sums", "events", "brief"})
    follow(0, name);
  follow(1, "now");
  follow(1, "events");
}

void simulation::spawn_source(simulated_node& n) {
  n.source = w_.own(
      actors::spawn_source(*w_.system, {n.context, w_.topo.sources.at(source_name), n.tables, {n.writer}, limits_}));
  n.source_dead = false;
}

// -- what happens
// -----------------------------------------------------------------------------------------------------------------------

void simulation::append() {
  const auto p = some_partition();
  const auto time = w_.wall_ms() - static_cast<std::int64_t>(below(3000));
  const bool shared = chance(250); // a key that comes by several partitions
  const auto key = shared ? fmt::format("s{}", below(3)) : fmt::format("p{}k{}", p.value, below(5));
  if (chance(30))
    w_.log->skip(p, 1 + static_cast<std::int64_t>(below(3)));
  if (chance(30)) {
    dead_[p.value].insert(w_.log->append(p, key, "no json", time).value);
    return;
  }
  std::optional<std::string> value;
  const auto sequence = ++sequence_;
  if (!chance(120))
    value = fmt::format(R"({{"s":{},"v":{},"g":"g{}"}})", sequence, below(1000), below(4));
  if (!shared)
    history_[key].push_back(value ? sequence : 0);
  const auto at = w_.log->end(p);
  if (value) // before its append: the log wakes who reads it
    readable_[p.value].insert(at.value);
  w_.log->append(p, key, value, time);
}

void simulation::run_some_job() {
  auto& jobs = w_.jobs->jobs;
  if (jobs.empty())
    return;
  std::swap(jobs.front(), jobs[below(jobs.size())]);
  w_.jobs->run_once();
}

void simulation::rebalance() {
  std::vector<member*> alive;
  for (auto* m : group_.members)
    if (m->started && !(calm_ && m->node != 0))
      alive.push_back(m);
  if (alive.empty())
    return;
  ++happened.rebalances;
  std::vector<std::pair<member*, std::vector<partition_id>>> offers;
  for (auto* m : alive)
    offers.emplace_back(m, std::vector<partition_id>{});
  for (std::int32_t n = 0; n < w_.log->partitions(); ++n) {
    const partition_id p{n};
    const auto chosen = below(alive.size());
    auto* to = alive[chosen];
    if (to->held.contains(p))
      continue; // it keeps it, or has to give it back first
    for (auto* m : std::vector<member*>(group_.members))
      if (m->held.contains(p) && !m->revoking.contains(p) && m != to &&
          (calm_ || !chance(250))) // else it goes on and does not know
        m->revoke(p, chance(300));
    to->held.insert(p);
    assigned_[n] = to->node;
    offers[chosen].second.push_back(p);
  }
  ++generation_;
  for (auto& [m, partitions] : offers) {
    if (partitions.empty())
      continue;
    trace("node {} gets {} partitions, generation {}", m->node, partitions.size(), generation_);
    w_.log->offer(m->index, partitions, generation_);
  }
}

bool simulation::nobody_reads_some_partition() const {
  for (std::int32_t p = 0; p < w_.log->partitions(); ++p)
    if (std::none_of(group_.members.begin(), group_.members.end(),
                     [&](const member* m) { return m->held.contains(partition_id{p}); }))
      return true;
  return false;
}

// Owners that were replaced and not told learn it now.
void simulation::forget_zombies() {
  for (auto* m : std::vector<member*>(group_.members))
    for (auto p : std::set<partition_id>(m->held))
      if (assigned_[p.value] != m->node && !m->revoking.contains(p))
        m->revoke(p, true);
}

void simulation::kill_some_partition() {
  std::vector<caf::scheduled_actor*> found;
  for (auto* job : w_.jobs->jobs)
    if (auto* a = dynamic_cast<caf::scheduled_actor*>(job); a && std::string_view(a->name()) == "partition")
      found.push_back(a);
  if (found.empty())
    return;
  ++happened.kills;
  trace("a partition's actor is killed");
  caf::anon_send_exit(caf::actor_cast<caf::actor>(found[below(found.size())]->ctrl()), caf::exit_reason::kill);
}

void simulation::fault() {
  const auto link = below(2);
  auto& s = *w_.store;
  switch (below(17)) {
  case 0: s.inject(link, support::fault::drop_request, below(3), 1 + below(2)); break;
  case 1: s.inject(link, support::fault::drop_reply, below(3), 1 + below(3)); break;
  case 2:
    s.inject(link, support::fault::answer_error, below(3), 1 + below(2),
             chance(500) ? ec::redis_cannot_write : ec::redis_script);
    break;
  case 3:
    s.inject_read(chance(500) ? support::fault::answer_error : support::fault::drop_reply, below(4), 1 + below(2));
    break;
  case 4:
    trace("link {} goes down", link);
    s.link_down(link);
    break;
  case 5:
  case 6: s.link_up(link); break;
  case 7: s.hold(link); break;
  case 8: s.release(link); break;
  case 9: saved_ = s.take_snapshot(); break;
  case 10:
    if (!chance(350))
      break;
    ++happened.rollbacks;
    trace("Redis fails over and loses its newest writes");
    s.link_down(0);
    s.link_down(1);
    if (saved_)
      s.roll_back(saved_);
    else
      s.flush_all();
    s.new_run_id();
    break;
  case 11: kill_some_partition(); break;
  case 12: w_.log->redeliver(some_partition(), offset{0}); break;
  case 13: w_.log->fail_next_drain(some_partition(), error{ec::kafka_failed, "a broken fetch"}); break;
  case 14:
    if (auto& members = group_.members; !members.empty() && chance(200)) {
      auto* m = members[below(members.size())];
      trace("a consumer of node {} fails for good", m->node);
      w_.log->fail(m->index, error{ec::kafka_fatal, "fenced"}, true);
    }
    break;
  case 15:
    if (auto& n = nodes_[below(nodes_.size())]; chance(200) && !n.source_dead) {
      ++happened.kills;
      trace("a source's actor is killed");
      caf::anon_send_exit(n.source, caf::exit_reason::kill);
      n.source_dead = true;
    }
    break;
  case 16:
    if (chance(500))
      w_.producer.fail_with(error{ec::kafka_unreachable, "no brokers"});
    else
      w_.producer.fail_with({});
    break;
  }
}

void simulation::disturb_subscriber() {
  auto& s = *subscribers_[below(subscribers_.size())];
  switch (below(4)) {
  case 0: s.leave(); break;
  case 1: s.forget(); break;
  case 2: s.skip_next_frame(); break;
  case 3: s.query(); break;
  }
}

void simulation::step() {
  if (chance(busy_))
    append();
  if (chance(80))
    w_.pass(std::chrono::milliseconds{1 + below(200)});
  if (chance(3))
    w_.pass(std::chrono::milliseconds{1000 + below(6000)});
  if (chance(25))
    fault();
  if (chance(4) || (chance(60) && nobody_reads_some_partition()))
    rebalance();
  if (chance(4))
    forget_zombies();
  if (chance(15))
    disturb_subscriber();
  if (chance(10))
    for (auto& n : nodes_)
      if (n.source_dead)
        spawn_source(n);
  if (chance(8))
    check_stored();
  if (!w_.answers.empty() && chance(400)) {
    auto next = std::move(w_.answers.front());
    w_.answers.pop_front();
    next();
  } else {
    run_some_job();
  }
  for (std::size_t i = 0; i < subscribers_.size(); ++i)
    if (!subscribers_[i]->problem.empty())
      blame(fmt::format("subscriber {} of {}: {}", i, subscriber_table_[i], subscribers_[i]->problem));
}

// -- the judge
// --------------------------------------------------------------------------------------------------------------------------

// The last record by key, below an offset; removed ones are gone.
simulation::fold_rows simulation::fold(std::int32_t p, offset below_this) const {
  fold_rows out;
  for (auto& r : w_.log->records(partition_id{p})) {
    const auto dead = dead_.find(p);
    if (r.at >= below_this || (dead != dead_.end() && dead->second.contains(r.at.value)))
      continue;
    if (r.value)
      out[*r.key] = r;
    else
      out.erase(*r.key);
  }
  return out;
}

void simulation::check_partition(std::int32_t p) {
  const auto now_position = w_.position("now", p);
  std::map<std::string, std::string> expected;
  for (const auto& [key, r] : fold(p, now_position))
    expected[key] = *r.value;
  if (const auto stored = w_.rows("now", p); stored != expected)
    blame(fmt::format("table now, partition {}, position {}: {} is stored, the log says {}", p, now_position.value,
                      json(stored).dump(), json(expected).dump()));

  const auto events_position = w_.position("events", p);
  std::vector<std::int64_t> stored, due;
  for (const auto& e : w_.entries("events", p))
    stored.push_back(e.at.value);
  for (const auto at : readable_[p])
    if (at < events_position.value)
      due.push_back(at);
  if (stored != due)
    blame(fmt::format("log events, partition {}, position {}: {} is stored, the log says {}", p, events_position.value,
                      json(stored).dump(), json(due).dump()));

  const auto sums_position = w_.position("sums", p);
  std::map<std::string, json> sums, stored_sums;
  for (const auto& r : w_.log->records(partition_id{p})) {
    if (r.at >= sums_position || !readable_[p].contains(r.at.value))
      continue;
    const auto v = json::parse(*r.value);
    auto& s = sums.try_emplace(v["g"], json::object()).first->second;
    s = {{"n", s.value("n", 0) + 1},
         {"total", s.value("total", std::int64_t{0}) + v["v"].get<std::int64_t>()},
         {"top", std::max(s.value("top", std::int64_t{-1}), v["v"].get<std::int64_t>())},
         {"newest", v["s"]}};
  }
  for (const auto& [key, state] : w_.rows("sums", p))
    stored_sums[key] = json::parse(*table::visible_row(
        w_.table("sums"), table::part{partition_id{p}, {}, std::make_shared<const std::string>(state)}));
  if (stored_sums != sums)
    blame(fmt::format("table sums, partition {}, position {}: {} is stored, the log says {}", p, sums_position.value,
                      json(stored_sums).dump(), json(sums).dump()));

  const auto lowest = std::min({now_position, events_position, sums_position, w_.position("brief", p)});
  std::set<std::int64_t> delivered;
  for (const auto& letter : w_.producer.sent_to("readings-dead")) {
    const std::map<std::string, std::string> h(letter.headers.begin(), letter.headers.end());
    if (h.at("weir.partition") == std::to_string(p))
      delivered.insert(std::stoll(h.at("weir.offset")));
  }
  for (const auto at : dead_[p])
    if (at < lowest.value && !delivered.contains(at))
      blame(
          fmt::format("partition {} stands at {}, but record {} is not in the dead letter topic", p, lowest.value, at));
}

void simulation::check_stored() {
  ++happened.checks;
  for (std::int32_t p = 0; p < w_.log->partitions(); ++p) {
    try {
      check_partition(p);
    } catch (const std::runtime_error&) {
      // One of the faults met the judge's own question.
    }
  }
}

std::map<std::string, std::string> simulation::visible(const std::string& name) const {
  std::map<std::string, std::pair<stamp, std::string>> best;
  for (std::int32_t p = 0; p < w_.log->partitions(); ++p)
    for (const auto& [key, r] : fold(p, w_.log->end(partition_id{p}))) {
      if (name == "brief" && r.time_ms + brief_ttl_ms <= w_.wall_ms())
        continue;
      const stamp at{r.time_ms, partition_id{p}, r.at};
      if (const auto known = best.find(key); known == best.end() || known->second.first < at)
        best[key] = {at, *r.value};
    }
  std::map<std::string, std::string> out;
  for (const auto& [key, row] : best)
    out[key] = json::parse(row.second).dump();
  return out;
}

std::map<std::string, json> simulation::visible_sums() const {
  std::map<std::string, json> out;
  for (std::int32_t p = 0; p < w_.log->partitions(); ++p)
    for (const auto& r : w_.log->records(partition_id{p})) {
      if (!readable_.contains(p) || !readable_.at(p).contains(r.at.value))
        continue;
      const auto v = json::parse(*r.value);
      auto& s = out.try_emplace(v["g"], json::object()).first->second;
      s = {{"n", s.value("n", 0) + 1},
           {"total", s.value("total", std::int64_t{0}) + v["v"].get<std::int64_t>()},
           {"top", std::max(s.value("top", std::int64_t{-1}), v["v"].get<std::int64_t>())}};
    }
  return out;
}

std::string simulation::where_it_stands() {
  std::string out;
  for (std::int32_t p = 0; p < w_.log->partitions(); ++p) {
    out += fmt::format("partition {} ends at {}:", p, w_.log->end(partition_id{p}).value);
    for (const auto& [id, t] : w_.topo.tables)
      out += fmt::format(" {} {}", id, w_.position(id, p).value);
    for (const auto* m : group_.members)
      out += fmt::format("; consumer {} of node {}{}{}", m->index, m->node,
                         m->held.contains(partition_id{p}) ? " holds it" : "",
                         m->revoking.contains(partition_id{p}) ? ", to be given back" : "");
    out += ". ";
  }
  for (auto& board : boards_)
    out += json(board.waits()).dump() + " ";
  return out;
}

void simulation::settle() {
  calm_ = true;
  trace("no more faults");
  auto& s = *w_.store;
  s.clear_faults();
  w_.producer.fail_with({});
  for (auto& n : nodes_)
    if (n.source_dead)
      spawn_source(n);
  for (std::size_t link = 0; link < 2; ++link) {
    s.release(link);
    s.link_down(link); // what was sent into the void is settled by a reconnect
    w_.run();
    s.link_up(link);
  }
  caf::anon_send(nodes_[1].source, actors::stop_work{});
  const auto caught_up = [&] {
    for (auto* m : group_.members)
      if (m->node == 1 && m->started)
        return false;
    rebalance();
    forget_zombies();
    for (std::int32_t p = 0; p < w_.log->partitions(); ++p)
      for (const auto& [id, t] : w_.topo.tables)
        if (w_.position(id, p) != w_.log->end(partition_id{p}))
          return false;
    return true;
  };
  const auto tail = [&] {
    for (std::int32_t p = 0; p < w_.log->partitions(); ++p) {
      const auto key = fmt::format("p{}k0", p);
      history_[key].push_back(++sequence_);
      const partition_id id{p};
      readable_[p].insert(w_.log->end(id).value);
      w_.log->append(id, key, fmt::format(R"({{"s":{},"v":1,"g":"g0"}})", sequence_), w_.wall_ms());
    }
  };
  tail(); // so that gaps before the end, as compaction leaves them, do not hide it
  if (!w_.until(caught_up, 200s))
    return blame("the log is not read to its end: " + where_it_stands());
  w_.advance(20s, 250ms); // rows of `brief` end
  tail();
  if (!w_.until(caught_up, 60s))
    return blame("the end of the log is not read");
  w_.advance(2s);
  check_stored();
  std::string different;
  const auto equal = [&] {
    for (std::size_t i = 0; i < subscribers_.size(); ++i) {
      if (subscriber_node_[i] != 0)
        continue;
      auto& sub = *subscribers_[i];
      if (!sub.problem.empty())
        return true; // told below
      sub.query();
      const auto& name = subscriber_table_[i];
      different = fmt::format("subscriber {} of {}", i, name);
      if (!sub.live)
        return false;
      if (name == "now" || name == "brief") {
        std::map<std::string, std::string> shown;
        for (const auto& [key, row] : sub.rows)
          shown[key] = json::parse(row).dump();
        if (const auto due = visible(name); shown != due) {
          different += fmt::format(": {} is shown, the log says {}", json(shown).dump(), json(due).dump());
          return false;
        }
      } else if (name == "events") {
        for (const auto& [p, newest] : sub.newest())
          if (newest != *readable_[p].rbegin()) {
            different += fmt::format(": partition {} is shown up to {}, of {}", p, newest, *readable_[p].rbegin());
            return false;
          }
      } else if (name == "sums") {
        std::map<std::string, json> shown;
        for (const auto& [key, row] : sub.rows) {
          shown[key] = json::parse(row);
          shown[key].erase("newest");
        }
        if (const auto due = visible_sums(); shown != due) {
          different += fmt::format(": {} is shown, the log says {}", json(shown).dump(), json(due).dump());
          return false;
        }
      }
    }
    return true;
  };
  if (!w_.until(equal, 10s))
    blame("at rest: " + different);
  for (std::size_t i = 0; i < subscribers_.size(); ++i) {
    auto& sub = *subscribers_[i];
    if (!sub.problem.empty())
      blame(fmt::format("subscriber {} of {}: {}", i, subscriber_table_[i], sub.problem));
    happened.resets += sub.resets;
    happened.recoveries += sub.recoveries;
    happened.unrecoverable += sub.unrecoverable;
    happened.frames += sub.frames;
  }
  happened.store = s.counted();
}

totals run(std::uint64_t runs, std::uint64_t first = 1) {
  log::setup(number_from("WEIR_TRACE", 0) ? log::level::info : log::level::error, log::format::text);
  totals all;
  const auto only = number_from("WEIR_SEED", 0);
  runs = number_from("WEIR_RUNS", runs);
  for (auto seed = only ? only : first; seed < (only ? only + 1 : first + runs); ++seed) {
    simulation s(seed);
    const auto steps = 500 + seed * 37 % 3000;
    for (std::uint64_t i = 0; i < steps && s.problem.empty(); ++i)
      s.step();
    if (s.problem.empty())
      s.settle();
    ++all.runs;
    if (!s.problem.empty()) {
      std::fprintf(stderr, "seed %llu: %s\n", static_cast<unsigned long long>(seed), s.problem.c_str());
      if (all.failed++ == 0)
        all.first = named(seed) + ": " + s.problem;
    }
    const auto& h = s.happened;
    all.rollbacks += h.rollbacks;
    all.kills += h.kills;
    all.rebalances += h.rebalances;
    all.resets += h.resets;
    all.recoveries += h.recoveries;
    all.unrecoverable += h.unrecoverable;
    all.frames += h.frames;
    all.checks += h.checks;
    all.store.applied += h.store.applied;
    all.store.mismatch += h.store.mismatch;
    all.store.fenced += h.store.fenced;
    all.store.claims += h.store.claims;
    all.store.refused_claims += h.store.refused_claims;
  }
  std::printf("%zu runs: %zu transactions applied, %zu mismatched, %zu fenced, %zu claims, %zu refused; %zu failovers, "
              "%zu kills, %zu rebalances; %zu "
              "frames, %zu resets, %zu recoveries, %zu unrecoverable; %zu checks; %zu failed\n",
              all.runs, all.store.applied, all.store.mismatch, all.store.fenced, all.store.claims,
              all.store.refused_claims, all.rollbacks, all.kills, all.rebalances, all.frames, all.resets,
              all.recoveries, all.unrecoverable, all.checks, all.failed);
  return all;
}

TEST(simulation, store_and_subscribers_end_with_the_fold_of_the_log_whatever_fails_on_the_way) {
  const auto all = run(300);
  EXPECT_EQ(all.failed, 0u) << all.first << "\n(WEIR_SEED=<seed> repeats it)";
  if (std::getenv("WEIR_SEED") || std::getenv("WEIR_RUNS"))
    return;
  // The faults have met the guards.
  EXPECT_GT(all.store.mismatch, all.runs / 30);
  EXPECT_GT(all.store.fenced, all.runs / 4);
  EXPECT_GT(all.store.refused_claims, 0u);
  EXPECT_GT(all.rollbacks, all.runs / 4);
  EXPECT_GT(all.kills, all.runs / 4);
  EXPECT_GT(all.resets, all.runs / 4);
  EXPECT_GT(all.recoveries, all.runs / 4);
}

} // namespace
