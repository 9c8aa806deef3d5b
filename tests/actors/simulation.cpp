#include "tests/actors/simulation.hpp"

#include "runtime/metrics/registry.hpp"

namespace weir::stage {
namespace {

world_options options_of(std::uint64_t seed) {
  auto brief = latest("brief");
  brief.ttl = std::chrono::milliseconds{brief_ttl_ms};
  return {.partitions = static_cast<std::int32_t>(1 + seed % 3),
          .tables = {latest("now"), aggregate("sums", "/g"), log_table("events"), brief},
          .writers = 2,
          .delayed_answers = true,
          .seed = seed};
}

} // namespace

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

} // namespace weir::stage
