#include "tests/actors/stage.hpp"

#include <algorithm>
#include <caf/event_based_actor.hpp>
#include <caf/typed_event_based_actor.hpp>

namespace {

std::mt19937_64& device() {
  static std::mt19937_64 engine{1};
  return engine;
}

} // namespace

// Takes the place of libstdc++'s: backoffs, epochs and cursors draw their seeds from here.
std::random_device::result_type std::random_device::_M_getval() { return static_cast<result_type>(device()()); }

namespace weir::stage {

using namespace actors;

void seed_random_devices(std::uint64_t seed) { device().seed(seed); }

std::uint64_t number_from(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text ? std::strtoull(text, nullptr, 10) : otherwise;
}

table_config latest(std::string name) {
  table_config t;
  t.name = std::move(name);
  t.from = source_name;
  t.expected_rows = 1000;
  t.fingerprint = "f-" + t.name;
  t.canonical = "latest of " + t.name;
  return t;
}

table_config aggregate(std::string name, std::string key_pointer) {
  auto t = latest(std::move(name));
  t.kind = table_kind::aggregate;
  t.key = std::move(key_pointer);
  t.fields = {{"n", function::count, ""},
              {"total", function::sum, "/v"},
              {"top", function::max, "/v"},
              {"newest", function::last, "/s"}};
  return t;
}

table_config log_table(std::string name) {
  auto t = latest(std::move(name));
  t.kind = table_kind::log;
  return t;
}

// -- world
// ----------------------------------------------------------------------------------------------------------------------------

world::world(world_options options) {
  seed_random_devices(options.seed);
  topo.name = topology_name;
  topo.kafka.brokers = "memory";
  topo.redis.url = "memory";
  auto& source = topo.sources[source_name];
  source.name = source_name;
  source.topic = "readings-topic";
  source.dead_letter = "readings-dead";
  for (auto& t : options.tables)
    topo.tables[t.name] = t;
  support::memory_store::options o;
  o.writers = options.writers;
  o.now = [this] { return now_us++; };
  if (options.delayed_answers)
    o.run = [this](std::function<void()> answer) { answers.push_back(std::move(answer)); };
  o.seed = options.seed;
  store = std::make_unique<support::memory_store>(std::move(o));
  log = support::memory_log::make(options.partitions);
  config.set("scheduler.policy", caf::atom("testing"));
  system = std::make_unique<caf::actor_system>(config);
  jobs = &dynamic_cast<caf::scheduler::test_coordinator&>(system->scheduler());
}

world::~world() {
  for (const auto& a : std::exchange(owned_, {}))
    caf::anon_send_exit(a, caf::exit_reason::kill);
  // Actors that tick for ever would keep the system's end waiting.
  for (int round = 0; system->registry().running() > 0 && round < 1000; ++round) {
    std::set<caf::actor_id> asked;
    for (auto* job : jobs->jobs)
      if (auto* a = dynamic_cast<caf::scheduled_actor*>(job); a && asked.insert(a->id()).second)
        caf::anon_send_exit(caf::actor_cast<caf::actor>(a->ctrl()), caf::exit_reason::kill);
    run();
    pass(500ms);
  }
  answers.clear();
  system.reset();
}

void world::run() {
  for (;;) {
    if (!answers.empty()) {
      auto next = std::move(answers.front());
      answers.pop_front();
      next();
    } else if (!jobs->try_run_once()) {
      return;
    }
  }
}

void world::pass(std::chrono::milliseconds by) {
  now_us += static_cast<std::uint64_t>(by.count()) * 1000;
  jobs->advance_time(by);
}

void world::advance(std::chrono::milliseconds by, std::chrono::milliseconds step) {
  run();
  while (by > 0ms) {
    const auto now = std::min(by, step);
    pass(now);
    run();
    by -= now;
  }
}

bool world::until(const std::function<bool()>& done, std::chrono::milliseconds patience) {
  run();
  for (auto waited = 0ms; !done(); waited += 50ms) {
    if (waited >= patience)
      return false;
    advance(50ms);
  }
  return true;
}

std::shared_ptr<node_context> world::make_node(const std::string& incarnation) {
  auto& node = nodes[incarnation];
  if (node)
    return node;
  node = std::make_shared<node_context>();
  node->topo = topo;
  node->node_name = "node-" + incarnation;
  node->incarnation = incarnation;
  node->store = store.get();
  node->producer = &producer;
  node->transactions = &transactions;
  node->make_consumer = [l = log](const source_config&) -> result<std::unique_ptr<kafka::consumer>> {
    return l->make_consumer();
  };
  node->wall_ms = [this] { return wall_ms(); };
  node->beside = [](std::function<void()> work) { work(); };
  node->metrics = &metrics[incarnation];
  node->board = &board;
  node->give_up = [this](int code, const std::string& why) { given_up.emplace_back(code, why); };
  for (const auto& [id, s] : topo.sources)
    node->partition_counts[id] = 0;
  return node;
}

redis::partition_state world::head(const partition_key& k) {
  return ask<redis::partition_state>(*this, [&](auto done) { store->read_head(k, done); });
}

offset world::position(const std::string& name, std::int32_t p) {
  const auto h = head(p);
  const auto at = h.tables.find(table_ref{name, 1}.text());
  return at == h.tables.end() ? redis::no_position : at->second.next;
}

std::map<std::string, std::string> world::rows(const table_config& t, const partition_key& k) {
  std::map<std::string, std::string> out;
  for (std::uint32_t b = 0; b < redis::table_buckets(t.expected_rows); ++b)
    for (auto& row :
         ask<std::vector<redis::stored_row>>(*this, [&](auto done) { store->load_bucket(k, {t.name, 1}, b, done); }))
      out[row.key] = row.value;
  return out;
}

std::map<std::string, std::string> world::rows(const std::string& name, std::int32_t p) {
  return rows(table(name), key(p));
}

std::vector<log_entry> world::entries(const std::string& name, std::int32_t p) {
  std::vector<log_entry> out;
  for (auto& packed : ask<std::vector<redis::stored_batch>>(*this, [&](auto done) {
         store->load_log(key(p), {name, 1}, {}, version{std::numeric_limits<std::int64_t>::max()}, 1'000'000, false,
                         done);
       }))
    out.insert(out.end(), packed.entries.begin(), packed.entries.end());
  return out;
}

offset world::put(std::string k, const std::string& value, std::int32_t p, std::int64_t time_ms) {
  return log->append(partition_id{p}, std::move(k), value, time_ms);
}

offset world::put(std::string k, const std::string& value, std::int32_t p) {
  return put(std::move(k), value, p, wall_ms());
}

// -- stand-ins
// ------------------------------------------------------------------------------------------------------------------------

table_end make_table_end(world& w) {
  table_end out;
  out.publisher =
      w.own(w.system->spawn([woken = out.woken](publisher_actor::pointer) -> publisher_actor::behavior_type {
        return {
            [woken](const inbox_ready&) { ++*woken; },
            [](const table_partitions&) {},
            [](const view_subscribe&) {},
            [](const view_unsubscribe&) {},
            [](const view_catch_up&) {},
            [](const view_history&) {},
            [](caf::flush_atom) {},
            [](const view_query&) {},
            [](const part_loaded&) {},
            [](const partitions_here&) {},
            [](const part_followed&) {},
            [](const own_head&) {},
            [](caf::tick_atom) {},
            [](const stop_work&) {},
        };
      }));
  return out;
}

lone_partition::lone_partition(world& world_, options o)
    : w(world_), node(w.make_node(o.incarnation)), number(o.partition), generation(o.generation), limits(o.limits),
      ends(std::move(o.ends)) {
  for (const auto& [name, t] : node->topo.tables)
    if (t.from == source_name && !ends.contains(name))
      ends[name] = make_table_end(w);
  writer = w.own(spawn_redis_writer(*w.system, {node, 0}));
  at->assign = o.assign;
  at->consumer = w.log->make_consumer();
  at->consumer->start({[](auto, auto) {}, [](auto, auto) {}, [](auto, auto) {}});
  owner = w.own(w.system->spawn([s = at](source_actor::pointer) -> source_actor::behavior_type {
    return {
        [](const partitions_assigned&) {},
        [](const partitions_revoked&) {},
        [](const kafka_trouble&) {},
        [](const brokers_answered&) {},
        [](const state_lost&) {},
        [s](const start_resolved& m) {
          s->starts.push_back(m);
          if (m.at && s->assign && m.life == s->life)
            s->hand(m.partition, *m.at);
        },
        [](const topic_described&) {},
        [](const identity_stored&) {},
        [](caf::tick_atom) {},
        [](const stop_work&) {},
    };
  }));
  respawn();
}

void lone_partition::respawn() {
  gone = std::make_shared<bool>(false);
  std::vector<source_table> tables;
  for (const auto& [name, end] : ends)
    tables.push_back({node->topo.tables.at(name), {name, 1}, end.inbox, end.publisher});
  at->actor = w.own(spawn_partition(*w.system, {node, node->topo.sources.at(source_name), tables, partition_id{number},
                                                w.log->partitions(), generation, ++at->life, writer, owner,
                                                at->consumer, progress, position, limits}));
  caf::actor_cast<caf::strong_actor_ptr>(at->actor)->get()->attach_functor([g = gone] { *g = true; });
}

void lone_partition::kill() {
  caf::anon_send_exit(at->actor, caf::exit_reason::kill);
  w.run();
}

void lone_partition::retire(bool lost) { caf::anon_send(at->actor, actors::retire{lost}); }

partition_status lone_partition::status() const { return w.board.sources()[source_name].partitions[number]; }

// -- subscriber
// -----------------------------------------------------------------------------------------------------------------------

subscriber::subscriber(world& w, publisher_actor publisher, table_config table, std::uint64_t id)
    : publisher_(std::move(publisher)), table_(std::move(table)), id_(id) {
  // Stands for the session and for its reactor.
  self_ =
      caf::actor_cast<session_actor>(w.own(w.system->spawn([at = here_](caf::event_based_actor* self) -> caf::behavior {
        const auto pass_on = [at](auto handler) {
          return [at, handler](const auto& m) {
            if (*at)
              ((*at)->*handler)(m);
          };
        };
        return {
            [f = pass_on(&subscriber::on_subscribed)](const subscribe_answered& m) { f(m); },
            [f = pass_on(&subscriber::on_fan_out)](const fan_out_arrived& m) { f(m); },
            [f = pass_on(&subscriber::on_caught_up)](const catch_up_arrived& m) { f(m); },
            [f = pass_on(&subscriber::on_reset)](const lane_ended& m) { f(m); },
            [](const history_arrived&) {},
            [self](const stop_work&) { self->quit(); },
        };
      })));
}

subscriber::~subscriber() { *here_ = nullptr; }

void subscriber::request(const table::subscribe_request& r) {
  asking = true;
  caf::anon_send(publisher_, view_subscribe{id_, generation_, self_, {caf::actor_cast<fan_out_actor>(self_), this}, r});
}

void subscriber::subscribe() {
  ++generation_;
  live = catching_up_ = false;
  table::subscribe_request r;
  r.map = table_.kind != table_kind::log;
  r.phase = r.map ? table::map_phase::state : table::map_phase::live;
  r.lane.interval_ms = interval_ms;
  recovering_ = has_position_;
  if (has_position_) {
    if (r.map)
      r.phase = table::map_phase::stream;
    r.recover = r.has_position = true;
    r.offset = position;
    r.epoch = epoch;
  }
  request(r);
}

void subscriber::leave() {
  caf::anon_send(publisher_, view_unsubscribe{id_, generation_});
  ++generation_; // what is under way belongs to the one that ended
  live = asking = catching_up_ = false;
}

void subscriber::forget() {
  leave();
  start_over();
}

void subscriber::start_over() {
  has_position_ = false;
  rows.clear();
  reached_.clear();
  newest_.clear();
}

void subscriber::query() {
  if (!live && !asking)
    subscribe();
}

void subscriber::on_subscribed(const subscribe_answered& m) {
  if (m.generation != generation_)
    return;
  asking = false;
  ++replies;
  if (m.reply.code == 112) {
    ++unrecoverable;
    start_over();
    return subscribe();
  }
  if (m.reply.code != 0) {
    ++refusals;
    last_message = m.reply.message;
    if (!m.reply.temporary)
      blame("refused: " + m.reply.message);
    return;
  }
  const auto body = json::parse(m.reply.body);
  if (!m.reply.live) {
    blame("a page of state where all fits into one");
    return;
  }
  live = true;
  cursor_ = m.reply.at;
  lane_ = m.reply.lane;
  port_ = m.port;
  const bool recovered = body.value("recovered", false);
  if (recovering_ && !recovered) { // a log's: whatever was missed is lost
    ++unrecoverable;
    start_over();
  } else if (recovering_) {
    ++recoveries;
  }
  if (!recovering_) {
    rows.clear();
    if (body["epoch"] != epoch)
      reached_.clear();
  }
  epoch = body["epoch"];
  for (const auto& entry : body.value("state", json::array()))
    take(entry);
  for (const auto& p : body.value("publications", json::array()))
    take(p);
  position = version{body.value("offset", std::uint64_t{0})};
  if (table_.kind == table_kind::log)
    for (const auto& p : body.value("publications", json::array()))
      position = version{p.value("offset", position.value)};
  has_position_ = true;
  if (m.reply.more) {
    catching_up_ = true;
    caf::anon_send(publisher_, view_catch_up{id_, generation_, self_, lane_, cursor_});
  }
}

void subscriber::on_fan_out(const fan_out_arrived& m) {
  m.port->deliver(m.changes, 0); // nobody is in it: only its count goes down
  if (!live || catching_up_ || m.port != port_)
    return;
  const bool fits = table_.kind == table_kind::log ? m.changes.from == cursor_ : m.changes.from <= cursor_;
  if (!fits || std::exchange(skip_, false)) {
    if (m.changes.to <= cursor_)
      return;
    catching_up_ = true;
    caf::anon_send(publisher_, view_catch_up{id_, generation_, self_, lane_, cursor_});
    return;
  }
  cursor_ = m.changes.to;
  if (m.changes.frame)
    take_frame(*m.changes.frame);
}

void subscriber::on_caught_up(const catch_up_arrived& m) {
  if (m.generation != generation_ || !live)
    return;
  catching_up_ = false;
  if (m.reply.gone) {
    ++resets;
    live = false;
    return subscribe();
  }
  cursor_ = m.reply.part.to;
  if (m.reply.part.frame)
    take_frame(*m.reply.part.frame);
  if (m.reply.more) {
    catching_up_ = true;
    caf::anon_send(publisher_, view_catch_up{id_, generation_, self_, lane_, cursor_});
  }
}

void subscriber::on_reset(const lane_ended& m) {
  if (!live || m.port != port_)
    return;
  ++resets;
  leave();
  subscribe();
}

void subscriber::take_frame(const http::frame& f) {
  ++frames;
  const std::string text(f.payload());
  for (std::size_t at = 0; at < text.size();) {
    const auto end = std::min(text.find('\n', at), text.size());
    const auto pub = json::parse(text.substr(at, end - at))["push"]["pub"];
    take(pub);
    if (pub.contains("offset")) {
      const version now{pub["offset"].get<std::uint64_t>()};
      if (now < position)
        blame("the position went back");
      position = now;
    }
    at = end + 1;
  }
}

void subscriber::take(const json& p) {
  if (table_.kind == table_kind::log) {
    const auto partition = static_cast<std::int32_t>(std::stol(p["tags"]["p"].get<std::string>()));
    const auto at = std::stoll(p["tags"]["o"].get<std::string>());
    const auto known = newest_.find(partition);
    if (known != newest_.end() && at <= known->second)
      return; // at least once
    if (known != newest_.end() && expected) {
      const auto& all = (*expected)[partition];
      const auto next = all.upper_bound(known->second);
      if (next == all.end() || *next != at)
        blame("entry " + std::to_string(at) + " of partition " + std::to_string(partition) + " came after " +
              std::to_string(known->second));
    }
    newest_[partition] = at;
    seen[partition].push_back(at);
    return;
  }
  const std::string key = p["key"];
  const bool removed = p.value("removed", false);
  if (removed)
    rows.erase(key);
  else
    rows[key] = p["data"].dump();
  if (!truth)
    return;
  const auto history = truth->find(key);
  if (history == truth->end())
    return;
  const auto sequence = removed ? 0 : p["data"].value("s", std::uint64_t{0});
  auto& reached = reached_[key];
  const auto from = history->second.begin() + static_cast<std::ptrdiff_t>(reached > 0 ? reached - 1 : 0);
  const auto found = std::find(from, history->second.end(), sequence);
  if (found != history->second.end())
    reached = static_cast<std::size_t>(found - history->second.begin()) + 1;
  else if (!removed || reached > 0)
    blame("key " + key + " was taken back to " + p.dump());
}

} // namespace weir::stage
