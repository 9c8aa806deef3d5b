#include "tests/unit/session/world.hpp"

#include <algorithm>
#include <utility>

namespace weir::simulation {
namespace {

http::frame_ptr plain_frame(std::string_view payload) {
  auto f = std::make_shared<http::frame>();
  f->bytes = payload;
  return f;
}

std::string key_name(std::uint64_t i) { return "k" + std::to_string(i); }

} // namespace

// --- the server's end of a connection

connection::connection(world& w, std::uint64_t number, std::size_t r)
    : world_(w), id(number), room(r),
      policy("c-" + std::to_string(number), "test",
             std::make_shared<http::table_directory>(http::table_directory{{table_name, w.options.kind}}), *this, *this,
             {}, w.now_ms) {}

void connection::subscribe(const std::string&, std::uint32_t generation, table::subscribe_request request) {
  auto self = world_.connections[id];
  world_.to_publisher.push_back([this, self, generation, request, &w = world_] {
    auto reply = w.channel->subscribe(request, w.now_ms);
    if (reply.live)
      w.live[id] = {self, generation, reply.lane};
    from_publisher.push_back(
        [this, generation, reply] { policy.on_subscribed(generation, reply, nullptr, world_.now_ms); });
  });
}

void connection::unsubscribe(const std::string&, std::uint32_t generation) {
  world_.to_publisher.push_back([this, generation, &w = world_] {
    if (const auto at = w.live.find(id); at != w.live.end() && at->second.generation == generation)
      w.leave(id);
  });
}

void connection::catch_up(const std::string&, std::uint32_t generation, table::lane_id lane, arrival from) {
  auto self = world_.connections[id];
  world_.to_publisher.push_back([this, self, generation, lane, from, &w = world_] {
    const auto reply = w.channel->catch_up(lane, from, w.now_ms);
    from_publisher.push_back([this, generation, reply] { policy.on_caught_up(generation, reply, world_.now_ms); });
  });
}

void connection::history(const std::string&, std::uint32_t ticket, table::history_request request,
                         table::selection_spec rows) {
  auto self = world_.connections[id];
  world_.to_publisher.push_back([this, self, ticket, request, rows, &w = world_] {
    const auto reply = w.channel->history(request, rows, w.now_ms);
    from_publisher.push_back([this, ticket, reply] { policy.on_history(ticket, reply); });
  });
}

std::optional<std::pair<std::string, bool>> connection::take() {
  if (to_client.empty())
    return std::nullopt;
  auto first = std::move(to_client.front());
  to_client.pop_front();
  pushes -= first.push ? 1 : 0;
  if (to_client.empty() && refused) {
    refused = false;
    policy.on_writable(world_.now_ms);
  }
  return std::pair{std::move(first.text), first.push};
}

// --- the world

world::world(std::uint64_t seed, world_options o) : random(seed), options(o) {
  table.name = table_name;
  table.kind = options.kind;
  table.key = options.same_keys_everywhere ? "/k" : "";
  table.fingerprint = "f00d";
  table.keep_count = 60;
  for (std::size_t i = 0; i < options.partitions; ++i) {
    partition_truth p;
    p.key = {"sim", "readings", partition_id{static_cast<std::int32_t>(i)}};
    partitions.push_back(std::move(p));
  }
  connections.emplace_back(); // numbers start at 1
  restart_publisher();
  for (std::size_t i = 0; i < options.clients; ++i) {
    clients.push_back(std::make_unique<sdk_client>(*this, i));
    if (options.wishes)
      clients.back()->make_wishes();
  }
}

void world::restart_publisher() {
  std::vector<partition_key> keys;
  for (const auto& p : partitions)
    keys.push_back(p.key);
  table::channel_options small;
  small.make_frame = plain_frame;
  small.instance = 1 + random.below(1u << 30);
  small.frame_bytes = 200 + random.below(400);
  small.page_bytes = 150 + random.below(500);
  small.late_bytes = 200 + random.below(2000);
  small.page_rows = static_cast<std::uint32_t>(1 + random.below(6));
  small.waiting_bytes = 2000 + random.below(4000);
  if (options.few_removals || (options.disturb && random.chance(50))) {
    small.view.tombstones = 1 + random.below(6);
    small.view.tombstone_ms = 200;
    small.ring.entries = 10 + random.below(40);
  }
  channel = std::make_unique<table::channel>(table, 1, keys, small);
  to_publisher.clear();
  load_.reset();
  reset_everyone();
}

void world::reset_everyone() {
  for (const auto& [id, l] : std::exchange(live, {}))
    tell_ended(l);
}

void world::end_lane(table::lane_id lane) {
  ++lanes_ended;
  std::erase_if(live, [&](const auto& l) {
    if (l.second.lane != lane)
      return false;
    if (options.without != sabotage::ended_lane_untold)
      tell_ended(l.second);
    return true;
  });
}

void world::tell_ended(const live_subscription& l) {
  if (!l.who->gone)
    l.who->from_publisher.push_back([c = l.who.get(), g = l.generation] { c->policy.on_reset(g); });
}

void world::leave(std::uint64_t id) {
  const auto lane = live.at(id).lane;
  live.erase(id);
  if (std::none_of(live.begin(), live.end(), [&](const auto& l) { return l.second.lane == lane; }))
    channel->close(lane);
}

std::shared_ptr<connection> world::open() {
  const auto id = next_connection_++;
  auto c = std::make_shared<connection>(*this, id, 1 + random.below(4));
  connections.push_back(c);
  return c;
}

std::string world::true_epoch() const {
  table::view_chain chain;
  for (const auto& p : partitions)
    (void)chain.load(chain.index_of(p.key), stream_epoch{p.epoch}, version{p.last}, version{p.changed});
  return chain.epoch_text(table.fingerprint, 1);
}

std::optional<std::size_t> world::find_in_history(const std::string& key, std::uint64_t sequence,
                                                  std::size_t from) const {
  const auto found = history.find(key);
  if (found == history.end())
    return sequence == 0 && from == 0 ? std::optional<std::size_t>{0} : std::nullopt;
  for (auto i = from; i <= found->second.size(); ++i) // 0 is the time before the first change
    if (sequence == (i == 0 ? 0 : found->second[i - 1].sequence))
      return i;
  return std::nullopt;
}

// I5: whoever is at version V has seen, for every key, the last change up to V or a later one. While a reply that was
// cut short is behind it, the weaker form that a resume relies on: what it has not seen changed again after V.
void world::check_position(const sdk_client& c) {
  if (options.same_keys_everywhere || options.kind == table_kind::log || !c.offset || c.epoch != true_epoch())
    return;
  for (const auto& [key, states] : history) {
    std::size_t due = 0;
    while (due < states.size() && states[due].at <= *c.offset)
      ++due;
    if (!c.whole && due < states.size())
      continue;
    const auto mine = c.state.find(key);
    if (!find_in_history(key, mine == c.state.end() ? 0 : mine->second, due)) {
      blame("a client at " + std::to_string(*c.offset) + " has not seen " + key + " of version " +
            std::to_string(states[due - 1].at));
      return;
    }
  }
}

void world::publish(partition_truth& p, change_set c) {
  if (options.disturb && !calm && random.chance(2)) {
    ++gaps;
    return; // lost on the way
  }
  if (!c.rows.empty() || !c.entries.empty())
    p.published = c.last.value;
  p.wire.push_back(std::make_shared<change_set>(std::move(c)));
}

void world::commit(partition_truth& p) {
  clock_ += 1 + random.below(5);
  change_set c;
  c.table = table_name;
  c.source = p.key;
  c.epoch = stream_epoch{p.epoch};
  c.previous = version{p.changed};
  c.first = version{std::max(p.last + 1, clock_ - random.below(3))};
  const auto n = 1 + random.below(4);
  if (options.kind == table_kind::log) {
    for (std::uint64_t i = 0; i < n; ++i)
      c.entries.push_back({static_cast<std::int64_t>(clock_), offset{p.next_offset++},
                           std::make_shared<const std::string>("{\"e\":1}")});
    c.last = version{c.first.value + n - 1};
    p.batches.push_back({c.first, c.entries});
    if (p.batches.size() > 40)
      p.batches.erase(p.batches.begin());
  } else {
    c.last = c.first;
    std::set<std::string> touched;
    table::logged_change logged{c.last, {}};
    for (std::uint64_t i = 0; i < n; ++i) {
      auto number = random.below(options.keys);
      if (!options.same_keys_everywhere)
        number = number * options.partitions + static_cast<std::uint64_t>(p.key.partition.value);
      const auto key = key_name(number);
      if (!touched.insert(key).second)
        continue;
      row_change row;
      row.key = key;
      row.at = {static_cast<std::int64_t>(clock_ - random.below(20)), p.key.partition, offset{p.next_offset++}};
      const bool remove = random.chance(30);
      const auto sequence = ++sequence_;
      if (!remove)
        row.value = std::make_shared<const std::string>(
            "{\"s\":" + std::to_string(sequence) + ",\"m\":" + std::to_string(sequence % 2) +
            (options.wishes ? ",\"filling\":\"" + std::string(60, 'f') + '"' : "") + "}");
      if (remove)
        p.rows.erase(key);
      else
        p.rows[key] = row;
      history[key].push_back({c.last.value, remove ? 0 : sequence});
      logged.keys.push_back(key);
      c.rows.push_back(std::move(row));
    }
    p.log.push_back(std::move(logged));
    if (random.chance(5))
      for (; p.log.size() > 3; p.log.erase(p.log.begin()))
        p.floor = p.log.front().at.value;
  }
  p.last = c.last.value;
  p.changed = p.last;
  publish(p, std::move(c));
}

void world::heartbeat(partition_truth& p) {
  clock_ += random.below(3);
  p.last = std::max(p.last, clock_);
  change_set c;
  c.table = table_name;
  c.source = p.key;
  c.epoch = stream_epoch{p.epoch};
  c.previous = version{p.changed};
  c.first = c.last = version{p.last};
  if (options.without == sabotage::heartbeat_unchained)
    c.previous = version{p.published};
  publish(p, std::move(c));
}

// Redis lost its newest writes: the partition is as it was a while ago, and has a new stream epoch.
void world::roll_back(partition_truth& p) {
  const auto index = static_cast<std::size_t>(&p - partitions.data());
  if (!saved_ || saved_->partition != index || random.chance(50)) {
    saved_ = snapshot{index, p, history};
    return;
  }
  auto wire = std::move(p.wire);
  const auto epoch = p.epoch;
  const auto last = p.last;
  for (auto& [key, states] : history)
    if (std::stoull(key.substr(1)) % options.partitions == index)
      states = saved_->history.contains(key) ? saved_->history.at(key) : std::vector<key_state>{};
  p = saved_->truth;
  p.wire = std::move(wire);
  p.epoch = std::to_string(10'001 + std::stoi(epoch) % 10'000).substr(1); // four digits: ordered as text
  p.last = std::max(last, clock_) + 1;
  p.changed = p.last; // the transaction that renewed the epoch
  p.floor = p.last;
  p.log.clear();
  saved_.reset();
}

void world::deliver(partition_truth& p) {
  if (p.wire.empty())
    return;
  auto next = p.wire.front();
  p.wire.pop_front();
  channel->apply({next}, now_ms);
}

void world::flush() {
  if (!channel->dirty(now_ms))
    return;
  auto out = channel->flush(now_ms);
  if (out.reset) {
    ++resets;
    reset_everyone();
    return;
  }
  for (const auto lane : out.ended)
    end_lane(lane);
  for (const auto& [lane, parts] : out.lanes)
    for (const auto& f : parts) {
      ++frames;
      for (const auto& [id, l] : live) {
        if (l.lane != lane || (options.disturb && !calm && random.chance(1)))
          continue; // a frame that never came
        l.who->from_publisher.push_back(
            [c = l.who.get(), g = l.generation, f, this] { c->policy.on_fan_out(g, f, now_ms); });
      }
    }
}

void world::load_step() {
  if (!load_) {
    const auto wanted = channel->wanted();
    if (wanted.empty())
      return;
    load_.emplace();
    load_->log_first = random.chance(50);
    for (const auto& key : wanted) {
      const auto& p = partitions[static_cast<std::size_t>(key.partition.value)];
      table::partition_load l;
      l.source = key;
      l.epoch = stream_epoch{p.epoch};
      l.last = version{p.last};
      l.changed = version{p.changed};
      load_->loads.push_back(std::move(l));
    }
    return;
  }
  if (load_->stage < 2) {
    const bool log_now = (load_->stage == 0) == load_->log_first;
    for (auto& l : load_->loads) {
      const auto& p = partitions[static_cast<std::size_t>(l.source.partition.value)];
      if (options.kind == table_kind::log) {
        l.batches = p.batches;
        l.floor = version{p.batches.empty() ? 0 : p.batches.front().first.value - 1};
      } else if (log_now) {
        l.changes = p.log;
        l.floor = version{p.floor};
      } else {
        l.rows.clear();
        for (const auto& [key, row] : p.rows)
          l.rows.push_back(row);
      }
    }
    ++load_->stage;
    return;
  }
  auto loads = std::move(load_->loads);
  load_.reset();
  for (auto& l : loads) {
    const auto& p = partitions[static_cast<std::size_t>(l.source.partition.value)];
    if (l.epoch.value != p.epoch)
      return; // read again
    l.settled = version{p.changed};
  }
  channel->load(std::move(loads), now_ms);
}

void world::handle_one_message(connection& c) {
  if (c.from_publisher.empty())
    return;
  auto next = std::move(c.from_publisher.front());
  c.from_publisher.pop_front();
  if (!c.gone)
    next();
}

void world::step() {
  now_ms += static_cast<std::int64_t>(random.below(8));
  auto& p = partitions[random.below(partitions.size())];
  switch (random.below(16)) {
  case 0:
  case 1:
    if (!calm)
      commit(p);
    break;
  case 2:
    if (!calm || random.chance(30))
      heartbeat(p);
    break;
  case 3:
  case 4:
  case 5: deliver(p); break;
  case 6:
  case 7: flush(); break;
  case 8: load_step(); break;
  case 9:
    channel->tick(now_ms);
    for (const auto& c : connections)
      if (c && !c->gone)
        c->policy.on_tick(now_ms);
    break;
  case 10:
    if (!options.disturb || calm)
      break;
    if (random.chance(6)) {
      load_.reset();
      channel->lost();
    } else if (random.chance(6) && !options.same_keys_everywhere && options.kind != table_kind::log) {
      roll_back(p);
    } else if (random.chance(3)) {
      restart_publisher();
    }
    break;
  case 11:
  case 12:
    if (!to_publisher.empty()) {
      auto next = std::move(to_publisher.front());
      to_publisher.pop_front();
      next();
    }
    break;
  default: {
    auto& client = *clients[random.below(clients.size())];
    if (client.link_ && random.chance(60))
      handle_one_message(*client.link_);
    else
      client.step();
  }
  }
}

bool world::settle() {
  calm = true;
  for (auto& c : clients)
    c->may_leave = false;
  for (int round = 0; round < 200; ++round) {
    for (auto& p : partitions) {
      if (round == 0)
        commit(p); // a frame that never came shows with the next one
      // What was lost on the way shows with the next heartbeat.
      heartbeat(p);
      while (!p.wire.empty())
        deliver(p);
    }
    if (round == 0) // a lane's last frame may have been left out, as one that a busy reactor did not take
      for (const auto& [id, l] : live)
        l.who->from_publisher.push_back(
            [c = l.who.get(), g = l.generation, this] { c->policy.on_left_out(g, now_ms); });
    for (int i = 0; i < 8 && (load_ || !channel->wanted().empty()); ++i)
      load_step();
    now_ms += 100;
    flush();
    for (int i = 0; i < 60; ++i) {
      while (!to_publisher.empty()) {
        auto next = std::move(to_publisher.front());
        to_publisher.pop_front();
        next();
      }
      for (auto& c : clients) {
        while (c->link_ && !c->link_->from_publisher.empty())
          handle_one_message(*c->link_);
        c->step();
      }
    }
    for (const auto& c : connections)
      if (c && !c->gone)
        c->policy.on_tick(now_ms);
    const bool rest = channel->ready() && channel->wanted().empty() && !channel->dirty(now_ms) &&
                      !channel->next_due_ms() && to_publisher.empty() &&
                      std::all_of(clients.begin(), clients.end(), [](const auto& c) { return c->settled(); });
    if (rest && round > 2)
      return true;
  }
  return false;
}

std::map<std::string, std::uint64_t> world::visible() const {
  std::map<std::string, row_change> best;
  for (const auto& p : partitions)
    for (const auto& [key, row] : p.rows)
      if (const auto known = best.find(key); known == best.end() || known->second.at < row.at)
        best[key] = row;
  std::map<std::string, std::uint64_t> out;
  for (const auto& [key, row] : best)
    out[key] = json::parse(*row.value)["s"];
  return out;
}

void world::compare_at_rest() {
  if (options.kind == table_kind::log) {
    for (const auto& c : clients)
      for (const auto& [partition, at] : c->newest)
        if (at != partitions[static_cast<std::size_t>(partition)].next_offset - 1)
          blame("at rest a client has entries up to " + std::to_string(at) + " of partition " +
                std::to_string(partition) + ", of " +
                std::to_string(partitions[static_cast<std::size_t>(partition)].next_offset));
    return;
  }
  const auto truth = visible();
  std::map<std::string, std::uint64_t> over_rest;
  std::string cursor;
  do {
    const auto page = channel->rest_page(static_cast<std::uint32_t>(1 + random.below(5)), cursor);
    const auto body = json::parse(page.body);
    for (const auto& [key, value] : body["rows"].items())
      if (!over_rest.emplace(key, value["s"]).second)
        blame("REST gave a key twice at rest");
    cursor = body.value("cursor", "");
  } while (!cursor.empty());
  if (over_rest != truth)
    blame("REST differs from the truth: " + json(over_rest).dump() + " / " + json(truth).dump());
  for (std::size_t i = 0; i < clients.size(); ++i)
    if (clients[i]->state != clients[i]->wanted_of(truth))
      blame("client " + std::to_string(i) + " differs from the truth: " + json(clients[i]->state).dump() + " / " +
            json(clients[i]->wanted_of(truth)).dump() + " " + clients[i]->wishes.dump());
}

} // namespace weir::simulation
