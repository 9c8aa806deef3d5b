// What the simulation is judged by: a plain fold of the log.
#include "tests/actors/simulation.hpp"

#include "runtime/table/merge.hpp"

namespace weir::stage {

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

void simulation::end_faults() {
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
}

bool simulation::caught_up() {
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
}

// A record at the end of each partition, so that gaps before it, as compaction leaves them, do not hide the end.
void simulation::append_tail() {
  for (std::int32_t p = 0; p < w_.log->partitions(); ++p) {
    const auto key = fmt::format("p{}k0", p);
    history_[key].push_back(++sequence_);
    const partition_id id{p};
    readable_[p].insert(w_.log->end(id).value);
    w_.log->append(id, key, fmt::format(R"({{"s":{},"v":1,"g":"g0"}})", sequence_), w_.wall_ms());
  }
}

// What a subscriber of the first node does not have as the log says; empty: nothing.
std::string simulation::not_shown_to(std::size_t i) {
  auto& sub = *subscribers_[i];
  sub.query();
  const auto& name = subscriber_table_[i];
  const auto who = fmt::format("subscriber {} of {}", i, name);
  if (!sub.live)
    return who;
  const auto differs = [&](const json& shown, const json& due) {
    return shown == due ? std::string{}
                        : fmt::format("{}: {} is shown, the log says {}", who, shown.dump(), due.dump());
  };
  if (name == "now" || name == "brief") {
    std::map<std::string, std::string> shown;
    for (const auto& [key, row] : sub.rows)
      shown[key] = json::parse(row).dump();
    return differs(shown, visible(name));
  }
  if (name == "sums") {
    std::map<std::string, json> shown;
    for (const auto& [key, row] : sub.rows) {
      shown[key] = json::parse(row);
      shown[key].erase("newest");
    }
    return differs(shown, visible_sums());
  }
  for (const auto& [p, newest] : sub.newest())
    if (newest != *readable_[p].rbegin())
      return fmt::format("{}: partition {} is shown up to {}, of {}", who, p, newest, *readable_[p].rbegin());
  return {};
}

std::string simulation::not_shown() {
  for (std::size_t i = 0; i < subscribers_.size(); ++i) {
    if (subscriber_node_[i] != 0)
      continue;
    if (!subscribers_[i]->problem.empty())
      return {}; // told by settle()
    if (auto what = not_shown_to(i); !what.empty())
      return what;
  }
  return {};
}

void simulation::settle() {
  end_faults();
  append_tail();
  if (!w_.until([this] { return caught_up(); }, 200s))
    return blame("the log is not read to its end: " + where_it_stands());
  w_.advance(20s, 250ms); // rows of `brief` end
  append_tail();
  if (!w_.until([this] { return caught_up(); }, 60s))
    return blame("the end of the log is not read");
  w_.advance(2s);
  check_stored();
  std::string different;
  if (!w_.until([&] { return (different = not_shown()).empty(); }, 10s))
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
  happened.store = w_.store->counted();
}

} // namespace weir::stage
