#include "actors/publisher.hpp"

#include "actors/follower.hpp"
#include "actors/table_description.hpp"
#include "actors/view_loader.hpp"
#include "runtime/core/backoff.hpp"
#include "runtime/core/log.hpp"
#include "runtime/metrics/registry.hpp"

#include <algorithm>
#include <caf/event_based_actor.hpp>
#include <caf/send.hpp>
#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>
#include <deque>
#include <map>
#include <set>

namespace weir::actors {
namespace {

using namespace std::chrono_literals;
using clock = std::chrono::steady_clock;

constexpr auto tick = 250ms;

// A session's subscription that gets frames.
struct subscriber {
  table::lane_id lane;
  const void* reactor = nullptr;
};

// The sessions of a lane on one reactor.
struct lane_home {
  fan_out_actor actor;
  std::shared_ptr<http::lane_port> port;
  std::size_t members = 0;
};

using subscription_id = std::pair<session_id, std::uint32_t>; // the session's generation of it

// Somebody who came before the view was loaded.
struct waiting {
  std::variant<view_subscribe, view_query, view_history> who;
  std::int64_t since_ms = 0;
  std::uint64_t ticket = 0; // of the follower
};

// A partition as it was loaded, unless this node knows a newer transaction of that stream which Redis has not: then
// Redis went back, and perhaps an owner of before has written on top of it. The present owner begins a new stream when
// it notices. A newer one that came while the partition was loaded is no such thing, so the head is asked for again.
void only_known_history(const context_ptr& node, const partition_key& partition, result<loaded_partition> loaded,
                        std::function<void(result<table::partition_load>)> done) {
  if (!loaded)
    return done(tl::unexpected(loaded.error()));
  const auto stream = loaded->part.epoch;
  const auto newest = node->batches.of(partition, stream);
  node->batches.saw(partition, stream, loaded->batch);
  if (loaded->batch >= newest)
    return done(std::move(loaded->part));
  node->store->read_head(partition, [stream, newest, part = std::move(loaded->part),
                                     done = std::move(done)](result<redis::partition_state> head) mutable {
    if (!head)
      return done(tl::unexpected(head.error()));
    if (head->stream != stream || head->batch < newest)
      return done(fail(ec::redis_busy, "Redis went back, and the partition's owner has not begun a new stream yet"));
    done(std::move(part));
  });
}

struct publisher_state {
  static inline const char* name = "publisher";

  publisher_actor::stateful_pointer<publisher_state> self;
  publisher_config config;
  std::string label;
  std::vector<partition_key> partitions;   // empty: not known yet
  std::unique_ptr<table::channel> channel; // null: nobody wants the table
  std::uint64_t life = 0;                  // of the channel, or since the inbox overflowed
  std::set<partition_key> loading;
  std::int64_t load_again_ms = 0; // after a failed load; 0: at once
  backoff retry{100ms, 5s};
  follower others; // partitions of other nodes
  // This node's own: stream and newest change that Redis had when somebody asked.
  std::map<partition_key, std::pair<stream_epoch, version>> applied;
  std::map<subscription_id, subscriber> subscribers;
  std::map<table::lane_id, std::map<const void*, lane_home>> lanes;
  std::int64_t wake_ms = 0; // a flush_atom is under way for then; 0: none
  std::shared_ptr<const delivery_metrics> count;
  std::deque<waiting> queue;
  std::int64_t idle_since_ms = 0;
  std::int64_t ticks_ms = 0; // steady milliseconds as this actor last saw them
  metrics::gauge rows_gauge, bytes_gauge, watermark_age, subscriptions_gauge;
  metrics::counter publications, gaps, catch_ups;

  explicit publisher_state(publisher_actor::stateful_pointer<publisher_state> s) : self(s) {}

  // CAF's clock, so that tests move it.
  std::int64_t now_ms() const {
    return std::chrono::duration_cast<std::chrono::milliseconds>(self->clock().now().time_since_epoch()).count();
  }

  // -- the view

  void want() {
    idle_since_ms = now_ms();
    if (channel || partitions.empty())
      return;
    table::channel_options options;
    options.make_frame = http::make_text_frame;
    options.new_short_id = [node = config.node] { return ++node->short_ids; };
    options.ring.entries = static_cast<std::size_t>(std::min<std::uint64_t>(config.table.keep_count, 100'000));
    if (config.table.keep_age)
      options.ring.age_ms = config.table.keep_age->count();
    channel = std::make_unique<table::channel>(config.table, config.ref.generation, partitions, std::move(options));
    ++life;
    loading.clear();
    others.abandon();
    load_again_ms = 0;
    load();
  }

  void drop() {
    channel.reset();
    ++life;
    loading.clear();
    others.abandon();
    applied.clear();
    rows_gauge.set(0);
    bytes_gauge.set(0);
  }

  void load() {
    if (!channel || now_ms() < load_again_ms)
      return;
    view_load_limits limits;
    limits.log_entries =
        static_cast<std::size_t>(std::min<std::uint64_t>(config.table.keep_count, 100'000)) / partitions.size() + 1;
    publisher_actor me = self;
    for (const auto& p : channel->wanted()) {
      if (!loading.insert(p).second)
        continue;
      if (channel->ready())
        gaps.add(); // it was whole before: something is missing, or Redis lost something
      load_partition(*config.node->store, config.table, config.ref, p, limits,
                     [me, p, n = life, node = config.node](result<loaded_partition> loaded) {
                       only_known_history(node, p, std::move(loaded), [me, p, n](result<table::partition_load> part) {
                         caf::anon_send(me, part_loaded{n, p, std::move(part)});
                       });
                     });
    }
  }

  void on_loaded(const part_loaded& m) {
    if (!channel || m.load != life)
      return;
    loading.erase(m.partition);
    if (!m.part) {
      load_again_ms = now_ms() + retry.next().count();
      log::warn(label, "cannot load", {{"partition", m.partition.prefix()}, {"reason", m.part.error().message}});
      return;
    }
    take(); // what was put before the load came belongs before it
    if (m.load != life) {
      load();
      return round();
    }
    std::vector<table::partition_load> loads;
    loads.push_back(*m.part);
    channel->load(std::move(loads), config.node->wall_ms());
    const auto wanted = channel->wanted();
    if (std::find(wanted.begin(), wanted.end(), m.partition) == wanted.end())
      retry.reset();
    else // Redis went back behind what is known, and its owner has not said so yet: asking at once would only be asking
         // again
      load_again_ms = now_ms() + retry.next().count();
    load();
    follow();
    round();
    serve_queue();
  }

  // -- what other nodes write

  void follow() {
    if (!channel || !others.due(now_ms(), channel->ready()))
      return;
    std::vector<std::pair<partition_key, table::known_version>> parts;
    for (const auto& p : others.followed())
      if (const auto known = channel->known(p))
        parts.emplace_back(p, *known);
    std::vector<partition_key> own;
    if (channel->ready() && others.asked())
      std::copy_if(partitions.begin(), partitions.end(), std::back_inserter(own),
                   [this](const auto& p) { return !others.followed().contains(p); });
    others.begin(now_ms(), parts.size() + own.size(), channel->ready());
    publisher_actor me = self;
    for (const auto& p : own)
      config.node->store->read_head(
          p, [me, key = p, n = life, table = config.ref.text()](result<redis::partition_state> head) {
            own_head told{n, key, {}};
            if (const auto at = head ? head->tables.find(table) : decltype(head->tables.end()){};
                head && at != head->tables.end())
              told.applied = {head->stream, at->second.changed};
            caf::anon_send(me, std::move(told));
          });
    for (const auto& [p, known] : parts)
      read_changes(*config.node->store, config.table, config.ref, p, known, config.node->batches.of(p, known.epoch),
                   [me, key = p, n = life, stream = known.epoch, node = config.node](result<changes_read> read) {
                     if (read)
                       node->batches.saw(key, stream, read->batch);
                     caf::anon_send(me, part_followed{n, key, std::move(read)});
                   });
  }

  void on_own_head(const own_head& m) {
    if (!channel || m.life != life)
      return;
    const bool last = others.arrived();
    applied[m.partition] = m.applied; // not the greatest: Redis may have gone back
    on_inbox();
    if (last)
      round_ended();
  }

  void round_ended() {
    serve_queue();
    follow();
  }

  // What Redis had of this node's own partitions has been acknowledged here as well, and nothing is missing.
  bool settled() const {
    return channel->wanted().empty() && std::all_of(applied.begin(), applied.end(), [this](const auto& part) {
             const auto known = channel->known(part.first);
             return others.followed().contains(part.first) ||
                    (known && std::pair(known->epoch, known->known) >= part.second);
           });
  }

  void on_followed(const part_followed& m) {
    if (!channel || m.life != life)
      return;
    const bool last = others.arrived();
    take(); // its owner may be this node by now, and the first to say so
    if (m.read && others.followed().contains(m.partition)) {
      if (m.read->whole)
        channel->want(m.partition);
      for (const auto& c : m.read->changes)
        publications.add(static_cast<double>(c->rows.size() + c->entries.size()));
      channel->apply(m.read->changes, config.node->wall_ms());
    }
    load();
    round();
    if (last)
      round_ended();
  }

  void take() {
    auto content = config.inbox->take();
    for (const auto& c : content.changes)
      others.heard(c->source);
    if (!channel)
      return;
    if (content.gap) {
      log::warn(label, "the inbox overflowed; loading the table again");
      channel->lost();
      ++life; // loads under way may have been read before what was lost
      loading.clear();
      others.abandon();
    }
    for (const auto& c : content.changes)
      publications.add(static_cast<double>(c->rows.size() + c->entries.size()));
    channel->apply(content.changes, config.node->wall_ms());
  }

  // Everything that changed since the last round becomes frames, made once for each lane and shared by all in it.
  void round() {
    if (!channel)
      return;
    const auto now = config.node->wall_ms();
    if (channel->dirty(now)) {
      auto out = channel->flush(now);
      if (out.reset)
        return reset();
      for (const auto lane : out.ended)
        end(lane);
      for (const auto& [lane, frames] : out.lanes)
        for (const auto& [reactor, home] : lanes[lane])
          for (const auto& part : frames)
            if (home.port->offer())
              caf::anon_send(home.actor, fan_out_arrived{home.port, count, part});
    }
    const auto due = channel->next_due_ms();
    if (due && (wake_ms == 0 || *due < wake_ms)) {
      wake_ms = *due;
      self->delayed_send(self, std::chrono::milliseconds(std::max<std::int64_t>(*due - now, 1)),
                         caf::flush_atom::value);
    }
  }

  // Its sessions unsubscribe, and subscribe anew.
  void end(table::lane_id lane) {
    const auto at = lanes.find(lane);
    if (at == lanes.end())
      return;
    for (const auto& [reactor, home] : at->second)
      caf::anon_send(home.actor, lane_ended{home.port});
    lanes.erase(at);
  }

  void reset() {
    while (!lanes.empty())
      end(lanes.begin()->first);
    subscribers.clear();
    count_subscriptions();
  }

  void on_inbox() {
    take();
    if (!channel)
      return;
    load();
    round();
  }

  // -- subscribers

  void count_subscriptions() { subscriptions_gauge.set(static_cast<double>(subscribers.size())); }

  void answer(const view_subscribe& m, table::subscribe_reply reply, std::shared_ptr<http::lane_port> port = nullptr) {
    caf::anon_send(m.from, subscribe_answered{m.generation, std::move(reply), std::move(port)});
  }

  static table::subscribe_reply refusal(int code, bool temporary, std::string message) {
    table::subscribe_reply reply;
    reply.code = code;
    reply.temporary = temporary;
    reply.message = std::move(message);
    return reply;
  }

  // Whether somebody who asks now can be answered from memory.
  bool up_to_date() {
    want();
    if (!channel)
      return false;
    on_inbox(); // what is committed by now is part of the answer
    return channel->ready() && others.followed().empty();
  }

  // False: too many wait already.
  template <class Question>
  bool wait(const Question& m) {
    if (queue.size() >= config.most_waiting)
      return false;
    queue.push_back({m, now_ms(), others.ticket()});
    follow();
    return true;
  }

  void on_subscribe(const view_subscribe& m) {
    if (up_to_date())
      return serve(m);
    if (!wait(m))
      answer(m, refusal(100, true, "the table is being loaded and too many wait for it"));
  }

  void serve(const view_subscribe& m) {
    auto request = m.request;
    if (config.table.max_rate)
      request.lane.interval_ms =
          std::max(request.lane.interval_ms, static_cast<std::uint32_t>(config.table.max_rate->count()));
    auto reply = channel->subscribe(request, config.node->wall_ms());
    if (!reply.live) // one that still pages through the state comes again, or not
      return answer(m, std::move(reply));
    auto& home = lanes[reply.lane][m.home.reactor];
    if (!home.port) {
      home.actor = m.home.actor;
      home.port = std::make_shared<http::lane_port>();
    }
    ++home.members;
    subscribers[{m.session, m.generation}] = {reply.lane, m.home.reactor};
    count_subscriptions();
    answer(m, std::move(reply), home.port);
  }

  void leave(const subscriber& who) {
    const auto lane = lanes.find(who.lane);
    if (lane == lanes.end())
      return;
    const auto home = lane->second.find(who.reactor);
    if (home == lane->second.end() || --home->second.members > 0)
      return;
    lane->second.erase(home);
    if (!lane->second.empty())
      return;
    lanes.erase(lane);
    if (channel)
      channel->close(who.lane);
  }

  void on_unsubscribe(const view_unsubscribe& m) {
    const auto at = subscribers.find({m.session, m.generation});
    if (at != subscribers.end()) {
      leave(at->second);
      subscribers.erase(at);
      count_subscriptions();
      idle_since_ms = now_ms();
    }
    std::erase_if(queue, [&](const waiting& w) {
      const auto* who = std::get_if<view_subscribe>(&w.who);
      return who && who->session == m.session && who->generation == m.generation;
    });
  }

  void on_catch_up(const view_catch_up& m) {
    table::catch_up_reply reply;
    if (!channel || !channel->ready()) {
      reply.gone = true;
    } else {
      on_inbox();
      reply = channel->catch_up(m.lane, m.at, config.node->wall_ms());
    }
    catch_ups.add();
    if (reply.gone)
      on_unsubscribe({m.session, m.generation});
    caf::anon_send(m.from, catch_up_arrived{m.generation, std::move(reply)});
  }

  void answer(const view_history& m, table::history_reply reply) {
    caf::anon_send(m.from, history_arrived{m.ticket, std::move(reply)});
  }

  static table::history_reply no_history(std::string why) {
    table::history_reply reply;
    reply.code = 100;
    reply.temporary = true;
    reply.message = std::move(why);
    return reply;
  }

  void on_history(const view_history& m) {
    if (up_to_date())
      return serve(m);
    if (!wait(m))
      answer(m, no_history("the table is being loaded and too many wait for it"));
  }

  void serve(const view_history& m) { answer(m, channel->history(m.request, m.rows, config.node->wall_ms())); }

  // -- REST

  static table::rest_reply rest_error(unsigned status, std::string code, std::string message) {
    table::rest_reply reply;
    reply.status = status;
    reply.code = std::move(code);
    reply.message = std::move(message);
    return reply;
  }

  void on_query(const view_query& m) {
    if (m.kind == view_query::what::description && (!channel || !channel->ready()))
      return describe_stored(*config.node, config.table, config.ref, partitions, m.respond);
    if (up_to_date())
      return serve(m);
    if (!wait(m))
      m.respond(rest_error(503, "overloaded", "the table is being loaded and too many wait for it"));
  }

  void serve(const view_query& m) {
    switch (m.kind) {
    case view_query::what::page:
      return m.respond(channel->rest_page(m.limit, m.cursor, m.rows, config.node->wall_ms()));
    case view_query::what::row: return m.respond(channel->rest_row(m.rows.key, m.rows.where));
    case view_query::what::description: {
      table::rest_reply reply;
      reply.body = table_description(config.table, channel->count(), channel->watermark(), channel->epoch());
      return m.respond(std::move(reply));
    }
    }
  }

  // -- who waits

  // In the order in which they came.
  void serve_queue() {
    on_inbox();
    while (channel && channel->ready() && !queue.empty() && others.served(queue.front().ticket) &&
           (others.followed().empty() || settled())) {
      const auto w = std::move(queue.front());
      queue.pop_front();
      std::visit([this](const auto& who) { serve(who); }, w.who);
    }
  }

  void on_tick() {
    self->delayed_send(self, tick, caf::tick_atom::value);
    const auto now = now_ms();
    while (!queue.empty() && now - queue.front().since_ms >= config.load_patience.count()) {
      auto w = std::move(queue.front());
      queue.pop_front();
      const auto* why =
          partitions.empty() ? "the table's source is not ready yet" : "the table could not be loaded in time";
      if (const auto* s = std::get_if<view_subscribe>(&w.who))
        answer(*s, refusal(100, true, why));
      else if (const auto* h = std::get_if<view_history>(&w.who))
        answer(*h, no_history(why));
      else
        std::get<view_query>(w.who).respond(rest_error(503, "not_ready", why));
    }
    if (!channel)
      return;
    channel->tick(config.node->wall_ms());
    load();
    follow();
    round();
    serve_queue(); // where the last partition of another node has become this one's
    rows_gauge.set(static_cast<double>(channel->count()));
    bytes_gauge.set(static_cast<double>(channel->bytes()));
    if (channel->ready())
      watermark_age.set(std::max(0.0, static_cast<double>(config.node->wall_ms()) / 1000 -
                                          static_cast<double>(channel->watermark().value) / 1e6));
    if (subscribers.empty() && queue.empty() && now - idle_since_ms >= config.linger.count())
      drop();
  }

  void on_partitions(const table_partitions& m) {
    if (m.partitions == partitions)
      return;
    partitions = m.partitions;
    others.set_partitions(partitions);
    if (channel) {
      reset();
      drop();
    }
    if (!queue.empty())
      want();
  }
};

publisher_actor::behavior_type publisher(publisher_actor::stateful_pointer<publisher_state> self,
                                         publisher_config config) {
  auto& s = self->state;
  s.config = std::move(config);
  s.label = "publisher/" + s.config.table.name;
  auto& m = *s.config.node->metrics;
  namespace names = metrics::names;
  const auto& t = s.config.table.name;
  s.rows_gauge = m.get(names::table_rows, t);
  s.bytes_gauge = m.get(names::table_bytes, t);
  s.watermark_age = m.get(names::watermark_age, t);
  s.subscriptions_gauge = m.get(names::subscriptions, t);
  s.publications = m.get(names::publications, t);
  s.gaps = m.get(names::gaps, t);
  s.catch_ups = m.get(names::catch_ups, t);
  s.count = delivery_metrics_of(*s.config.node, t);
  self->delayed_send(self, tick, caf::tick_atom::value);
  return {
      [self](const inbox_ready&) {
        self->state.on_inbox();
        if (!self->state.queue.empty())
          self->state.serve_queue();
      },
      [self](const table_partitions& m2) { self->state.on_partitions(m2); },
      [self](const view_subscribe& m2) { self->state.on_subscribe(m2); },
      [self](const view_unsubscribe& m2) { self->state.on_unsubscribe(m2); },
      [self](const view_catch_up& m2) { self->state.on_catch_up(m2); },
      [self](const view_history& m2) { self->state.on_history(m2); },
      [self](const view_query& m2) { self->state.on_query(m2); },
      [self](const part_loaded& m2) { self->state.on_loaded(m2); },
      [self](const partitions_here& m2) { self->state.others.set_own(m2.partitions); },
      [self](const part_followed& m2) { self->state.on_followed(m2); },
      [self](const own_head& m2) { self->state.on_own_head(m2); },
      [self](caf::tick_atom) { self->state.on_tick(); },
      [self](caf::flush_atom) {
        self->state.wake_ms = 0;
        self->state.on_inbox();
      },
      [self](const stop_work&) {
        self->state.on_inbox();
        self->quit();
      },
  };
}

} // namespace

std::shared_ptr<const delivery_metrics> delivery_metrics_of(const node_context& node, const std::string& table) {
  namespace names = metrics::names;
  return std::make_shared<const delivery_metrics>(delivery_metrics{node.metrics->get(names::frames, table),
                                                                   node.metrics->get(names::conflated, table),
                                                                   node.metrics->get(names::freshness, table)});
}

publisher_actor spawn_publisher(caf::actor_system& system, publisher_config config) {
  return system.spawn(publisher, std::move(config));
}

} // namespace weir::actors
