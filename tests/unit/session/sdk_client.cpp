#include "tests/unit/session/world.hpp"

#include "runtime/table/fossil.hpp"

#include <algorithm>

namespace weir::simulation {

void sdk_client::send(const json& command) { link_->policy.on_message(command.dump(), world_.now_ms); }

void sdk_client::drop() {
  if (!link_)
    return;
  link_->gone = true;
  link_->policy.on_closed();
  link_->to_client.clear();
  link_.reset();
  connected_ = subscribed = flow_ = false;
  pages_.clear();
}

void sdk_client::step() {
  if (!link_) {
    link_ = world_.open();
    next_id_ = 1;
    send({{"id", next_id_++}, {"connect", {{"name", "js"}}}});
    connected_ = true; // the SDK sends its subscriptions in the same batch
    start_flow();
    return;
  }
  if (may_leave && world_.random.chance(2)) {
    drop();
    return;
  }
  if (may_leave && subscribed && world_.random.chance(1)) { // leaves the table and comes back over the same connection
    send({{"id", next_id_++}, {"unsubscribe", {{"channel", channel_}}}});
    subscribed = false;
    start_flow();
    return;
  }
  if (connected_ && !subscribed && !flow_) {
    start_flow();
    return;
  }
  if (auto message = link_->take())
    receive(message->first, message->second);
}

bool sdk_client::settled() const {
  return link_ && subscribed && link_->to_client.empty() && link_->from_publisher.empty() &&
         link_->policy.lagging() == 0;
}

void sdk_client::start_flow() {
  flow_ = true;
  pages_.clear();
  if (world_.options.kind == table_kind::log) {
    json subscribe{{"channel", table_name}, {"flag", 1}};
    subscribe.update(wishes);
    if (recover_) {
      subscribe["recover"] = true;
      if (offset.value_or(0) > 0)
        subscribe["offset"] = *offset;
      if (!epoch.empty())
        subscribe["epoch"] = epoch;
    }
    send({{"id", next_id_++}, {"subscribe", subscribe}});
    return;
  }
  recovering_ = recover_ && offset && !epoch.empty();
  flow_offset_ = recovering_ ? *offset : 0;
  flow_epoch_ = recovering_ ? epoch : "";
  if (!recovering_) {
    ask_state("");
    return;
  }
  json subscribe{{"channel", channel_},  {"type", 1},      {"phase", 1}, {"offset", flow_offset_},
                 {"epoch", flow_epoch_}, {"recover", true}};
  subscribe.update(wishes);
  send({{"id", next_id_++}, {"subscribe", subscribe}});
}

void sdk_client::make_wishes() {
  auto& random = world_.random;
  json data = json::object();
  if (world_.options.kind == table_kind::log) { // all entries: what a log is checked for
    if (random.chance(60))
      wishes["data"] = {{"max_rate", std::to_string(5 + random.below(100)) + "/s"}};
    return;
  }
  if (random.chance(60))
    wishes["flag"] = 1;
  if (random.chance(50))
    wishes["delta"] = "fossil";
  if (random.chance(30))
    data["tags"] = true;
  if (random.chance(40))
    data["max_rate"] = std::to_string(20 + random.below(200)) + "/s";
  filter_ = static_cast<int>(random.below(5));
  filtered = filter_ > 0;
  switch (filter_) {
  case 1: data["where"] = {{"/m", 0}}; break;
  case 2: data["where"] = {{"key", {{"in", {"k0", "k1"}}}}}; break;
  case 3: data["where"] = {{"key", {{"prefix", "k"}}}, {"/s", {{"gt", 3}}}}; break;
  case 4:
    only_key_ = "k" + std::to_string(random.below(world_.options.keys));
    channel_ = table_name + '/' + only_key_;
    break;
  default: break;
  }
  if (!data.empty())
    wishes["data"] = data;
}

std::map<std::string, std::uint64_t> sdk_client::wanted_of(const std::map<std::string, std::uint64_t>& all) const {
  std::map<std::string, std::uint64_t> out;
  for (const auto& [key, sequence] : all)
    if (filter_ == 0 || (filter_ == 1 && sequence % 2 == 0) || (filter_ == 2 && (key == "k0" || key == "k1")) ||
        (filter_ == 3 && sequence > 3) || (filter_ == 4 && key == only_key_))
      out.emplace(key, sequence);
  return out;
}

json sdk_client::data_of(const json& p) {
  if (p.value("removed", false)) {
    bases_.erase(p["key"]);
    return json::object();
  }
  if (!p["data"].is_string())
    return p["data"];
  auto text = p["data"].get<std::string>();
  if (p.value("delta", false)) {
    ++deltas;
    const auto made = table::apply_fossil_delta(bases_[p["key"]], text);
    if (!made) {
      world_.blame("a delta against what the client does not have: " + p.dump());
      return {{"s", 0}};
    }
    text = *made;
  }
  bases_[p["key"]] = text;
  return json::parse(text);
}

void sdk_client::ask_state(const std::string& cursor) {
  json subscribe{{"channel", channel_}, {"type", 1}, {"phase", 2}};
  subscribe.update(wishes);
  if (world_.random.chance(50))
    subscribe["limit"] = 1 + world_.random.below(4);
  if (!cursor.empty())
    subscribe["cursor"] = cursor;
  if (!flow_epoch_.empty()) {
    subscribe["offset"] = flow_offset_;
    subscribe["epoch"] = flow_epoch_;
  }
  send({{"id", next_id_++}, {"subscribe", subscribe}});
}

bool sdk_client::interrupted() {
  if (!may_leave || !world_.random.chance(1))
    return false;
  drop();
  return true;
}

void sdk_client::receive(const std::string& text, bool push) {
  std::vector<json> lines;
  for (std::size_t at = 0; at < text.size();) {
    const auto end = std::min(text.find('\n', at), text.size());
    lines.push_back(json::parse(text.substr(at, end - at)));
    at = end + 1;
  }
  if (push && world_.options.without == sabotage::offset_early && lines.back()["push"]["pub"].contains("offset"))
    for (auto& line : lines)
      line["push"]["pub"]["offset"] = lines.back()["push"]["pub"]["offset"];
  if (push && world_.options.without == sabotage::offset_of_newest)
    for (const auto& p : world_.partitions)
      lines.back()["push"]["pub"]["offset"] =
          std::max<std::uint64_t>(p.last, lines.back()["push"]["pub"].value("offset", 0));
  for (const auto& line : lines) {
    if (line.contains("id"))
      on_reply(line);
    else if (line.contains("push"))
      on_push(line["push"]);
    if (!link_ || interrupted())
      return;
  }
}

void sdk_client::on_reply(const json& reply) {
  if (!flow_ || reply["id"] != next_id_ - 1)
    return; // connect, unsubscribe, or of an earlier flow
  if (reply.contains("error")) {
    flow_ = false;
    const int code = reply["error"]["code"];
    if (code == client_error::unrecoverable) {
      ++unrecoverable;
      offset.reset();
      epoch.clear();
      recover_ = false;
    } else if (!reply["error"].value("temporary", false)) {
      world_.blame("a client got error " + reply.dump());
    }
    return; // subscribes again
  }
  const auto& result = reply["subscribe"];
  if (world_.options.kind == table_kind::log) {
    on_stream_reply(result);
    return;
  }
  if (result.value("phase", 0) == 0) {
    on_map_live(result);
    return;
  }
  if (flow_epoch_.empty()) {
    flow_epoch_ = result["epoch"];
    flow_offset_ = result["offset"];
  }
  if (flow_epoch_ != result["epoch"].get<std::string>()) {
    flow_epoch_.clear();
    pages_.clear();
    ask_state("");
    return;
  }
  for (const auto& entry : result.value("state", json::array()))
    pages_.push_back(entry);
  if (!result.contains("cursor")) {
    world_.blame("a page of state without a cursor");
    return;
  }
  ask_state(result["cursor"]);
}

void sdk_client::on_map_live(const json& result) {
  flow_ = false;
  if (!flow_epoch_.empty() && flow_epoch_ != result["epoch"].get<std::string>()) {
    flow_epoch_.clear();
    recovering_ = false;
    pages_.clear();
    offset.reset();
    recover_ = false;
    flow_ = true;
    ask_state("");
    return;
  }
  subscribed = true;
  short_id_ = result.value("id", 0u);
  const bool recovered = result.value("recovered", false);
  const auto publications = result.value("publications", json::array());
  // Without offsets it is a part only; the rest comes as pushes.
  const bool complete = publications.empty() || publications[0].contains("offset");
  const std::uint64_t top = result.value("offset", std::uint64_t{0});
  recover_ = result.value("recoverable", false);
  epoch = result["epoch"];
  if (!recovered) {
    ++syncs;
    bases_.clear();
    std::set<std::string> once;
    std::map<std::string, std::uint64_t> fresh;
    for (const auto& entry : result.value("state", json::array()))
      pages_.push_back(entry);
    for (const auto& entry : pages_) {
      if (!once.insert(entry["key"]).second)
        world_.blame("a key came twice in state: " + entry.dump());
      if (entry.value("removed", false))
        world_.blame("a removed row in state: " + entry.dump());
      fresh[entry["key"]] = data_of(entry)["s"];
    }
    for (const auto& p : publications) {
      const auto data = data_of(p);
      if (p.value("removed", false))
        fresh.erase(p["key"]);
      else
        fresh[p["key"]] = data["s"];
    }
    // In a reply that is a part only, rows that changed meanwhile may be missing for a moment.
    for (const auto& [key, sequence] : std::map(state))
      if (!fresh.contains(key))
        complete ? update({{"key", key}, {"removed", true}}) : void(state.erase(key));
    for (const auto& [key, sequence] : fresh)
      update({{"key", key}, {"data", {{"s", sequence}}}});
    pages_.clear();
    offset = top;
    whole = complete;
    world_.check_position(*this);
    return;
  }
  ++recoveries;
  whole = false;
  offset = !publications.empty() && publications[0].contains("offset")
               ? publications[0]["offset"].get<std::uint64_t>() - 1
               : top;
  world_.check_position(*this);
  for (const auto& p : publications) {
    if (p.contains("offset"))
      offset = p["offset"];
    update(p);
    world_.check_position(*this);
    if (interrupted())
      return;
  }
  offset = top;
  whole = complete;
  world_.check_position(*this);
}

void sdk_client::on_stream_reply(const json& result) {
  flow_ = false;
  subscribed = true;
  short_id_ = result.value("id", 0u);
  recover_ = result.value("recoverable", false);
  offset = result.value("offset", std::uint64_t{0});
  epoch = result["epoch"];
  if (result.value("recovered", false)) {
    ++recoveries;
  } else {
    newest.clear();
    result.value("was_recovering", false) ? ++unrecoverable : ++syncs;
  }
  for (const auto& p : result.value("publications", json::array())) {
    take_entry(p);
    if (interrupted())
      return;
  }
}

void sdk_client::on_push(const json& push) {
  if (!subscribed)
    return;
  if (push.contains("unsubscribe")) {
    ++pushed_away;
    if (push["unsubscribe"]["code"] < 2500)
      world_.blame("a final unsubscribe");
    subscribed = false;
    start_flow();
    return;
  }
  const auto& p = push["pub"];
  if (push.contains("id") ? push["id"] != short_id_ : push["channel"] != channel_)
    world_.blame("a push for somebody else: " + push.dump());
  if (world_.options.kind == table_kind::log) {
    take_entry(p);
    return;
  }
  update(p);
  if (p.value("offset", std::uint64_t{0}) > 0) {
    offset = p["offset"];
    whole = true;
  }
  world_.check_position(*this);
}

// At least once, in order by partition: each entry is the next one, or was there before.
void sdk_client::take_entry(const json& p) {
  const auto partition = std::stoi(p["tags"]["p"].get<std::string>());
  const std::int64_t at = std::stoll(p["tags"]["o"].get<std::string>());
  auto known = newest.find(partition);
  if (known == newest.end())
    known = newest.emplace(partition, at - 1).first;
  if (at > known->second + 1)
    world_.blame("client " + std::to_string(index_) + ": lost entries before " + p.dump() + ", had up to " +
                 std::to_string(known->second));
  known->second = std::max(known->second, at);
  if (p.value("offset", std::uint64_t{0}) > 0)
    offset = p["offset"];
}

void sdk_client::update(const json& p) {
  const std::string key = p["key"];
  const auto data = data_of(p);
  const std::uint64_t sequence = p.value("removed", false) ? 0 : data["s"].get<std::uint64_t>();
  if (sequence == 0)
    state.erase(key);
  else
    state[key] = sequence;
  if (world_.options.same_keys_everywhere || epoch != world_.true_epoch())
    return;
  if (reached_epoch_ != epoch) {
    reached_.clear();
    reached_epoch_ = epoch;
  }
  const auto at = world_.find_in_history(key, sequence, reached_[key]);
  if (!at)
    world_.blame("client " + std::to_string(index_) + ": a row went back: " + p.dump());
  else
    reached_[key] = *at;
}

} // namespace weir::simulation
