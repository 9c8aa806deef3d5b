#include "runtime/table/view.hpp"

#include "runtime/table/merge.hpp"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>
#include <utility>

namespace weir::table {
namespace {

constexpr std::size_t node_cost = sizeof(std::pair<const std::string, keyed_view::row>) + 2 * sizeof(void*) + 24;

bool same_bytes(const shared_bytes& a, const shared_bytes& b) { return a == b || (a && b && *a == *b); }

} // namespace

keyed_view::keyed_view(const table_config& table, view_limits limits) : table_(table), limits_(limits) {}

keyed_view::~keyed_view() = default;

std::size_t keyed_view::cost(const row& r) const {
  std::size_t n = node_cost + sizeof(place) + r.key.size() + (r.value ? r.value->size() : 0);
  if (r.parts)
    for (const auto& p : *r.parts)
      n += sizeof(p) + (p.value && p.value != r.value ? p.value->size() : 0);
  return n;
}

bool keyed_view::has_part(const row& r, partition_id partition) const {
  if (!r.parts)
    return r.value && r.of.partition == partition;
  return std::any_of(r.parts->begin(), r.parts->end(), [&](const part& p) { return p.partition == partition; });
}

bool keyed_view::same_part(const row& r, partition_id partition, const row_change& stored) const {
  if (!r.parts)
    return r.value && r.of.partition == partition && same_bytes(r.value, stored.value);
  return std::any_of(r.parts->begin(), r.parts->end(), [&](const part& p) {
    return p.partition == partition && p.at == stored.at && same_bytes(p.value, stored.value);
  });
}

// Takes the part into the row and gives what is to be seen of it then.
shared_bytes keyed_view::merged(row& r, partition_id partition, const stamp& of, const shared_bytes& value) const {
  const bool aggregate = table_.kind == table_kind::aggregate;
  if (!r.parts) {
    const bool other = r.value && r.of.partition != partition;
    if (!aggregate && !other) {
      r.of = of;
      r.of.partition = partition;
      return value;
    }
    if (other && !value)
      return r.value; // this partition had no part in it
    r.parts = std::make_unique<std::vector<part>>();
    if (other)
      r.parts->push_back({r.of.partition, r.of, r.value});
  }
  auto& parts = *r.parts;
  const auto at = std::lower_bound(parts.begin(), parts.end(), partition,
                                   [](const part& p, partition_id id) { return p.partition < id; });
  const bool present = at != parts.end() && at->partition == partition;
  if (!value) {
    if (present)
      parts.erase(at);
  } else if (present) {
    *at = {partition, of, value};
  } else {
    parts.insert(at, {partition, of, value});
  }
  auto seen = parts.empty() ? nullptr : visible_row(table_, parts);
  if (!aggregate && parts.size() <= 1) {
    if (!parts.empty()) {
      r.of = parts.front().at;
      r.of.partition = parts.front().partition;
    }
    r.parts.reset();
  }
  return seen;
}

void keyed_view::change(std::string_view key, partition_id partition, const stamp& of, const shared_bytes& value,
                        version at, std::int64_t now_ms) {
  auto found = rows_.find(key);
  const bool fresh = found == rows_.end();
  if (fresh) {
    found = rows_.try_emplace(std::string(key)).first;
    found->second.key = found->first;
  }
  row& r = found->second;
  const auto before = fresh ? 0 : cost(r);
  auto seen = merged(r, partition, of, value);
  const bool was_removed = !fresh && !r.value;
  r.value = std::move(seen);
  r.time_ms = of.time_ms;
  bytes_ += cost(r) - before;
  // A part that does not win moves the row too: in a view where the parts came in another order, a client saw it win.
  if (!r.value) {
    r.parts.reset();
    if (!was_removed)
      ++tombstone_count_;
    r.removed_ms = now_ms;
  } else if (was_removed) {
    --tombstone_count_;
  }
  if (!fresh) {
    places_[r.slot].who = nullptr;
    ++holes_;
  }
  move_to_end(r, at);
  if (!r.value)
    graves_.push_back({&r, r.place});
}

void keyed_view::move_to_end(row& r, version at) {
  r.at = std::max(r.at, at);
  running_max_ = std::max(running_max_, r.at);
  ++head_.value;
  r.place = head_;
  r.slot = places_.size();
  places_.push_back({&r, head_, running_max_});
  if (holes_ > 1024 && holes_ > places_.size() / 2)
    compact();
}

void keyed_view::compact() {
  std::erase_if(places_, [](const place& p) { return !p.who; });
  for (std::size_t i = 0; i < places_.size(); ++i)
    places_[i].who->slot = i;
  holes_ = 0;
}

void keyed_view::apply(const change_set& changes, std::int64_t now_ms) {
  for (const auto& c : changes.rows)
    change(c.key, changes.source.partition, c.at, c.value, changes.last, now_ms);
}

void keyed_view::load(std::span<const rows_load> loads, std::int64_t now_ms) {
  struct step {
    version at;
    partition_id partition;
    std::string_view key;
    const row_change* stored; // null: removed
  };
  std::vector<step> steps;
  for (std::size_t i = 0; i < loads.size(); ++i) {
    const auto& load = loads[i];
    std::unordered_map<std::string_view, version> logged;
    for (const auto& entry : load.changes)
      if (entry.at > load.after)
        for (const auto& key : entry.keys)
          logged[key] = std::max(logged[key], entry.at);
    if (load.floor > load.after)
      floor_ = std::max(floor_, load.floor);
    std::unordered_set<std::string_view> present;
    for (const auto& stored : load.rows) {
      present.insert(stored.key);
      const auto mention = logged.find(stored.key);
      const auto known = rows_.find(stored.key);
      if (mention == logged.end() && known != rows_.end() && same_part(known->second, load.partition, stored))
        continue;
      steps.push_back({mention == logged.end() ? std::max(load.floor, load.after) : mention->second, load.partition,
                       stored.key, &stored});
    }
    for (const auto& [key, at] : logged)
      if (!present.contains(key))
        steps.push_back({at, load.partition, key, nullptr});
    if (load.first)
      continue;
    for (const auto& [key, r] : rows_)
      if (has_part(r, load.partition) && !present.contains(key) && !logged.contains(key))
        steps.push_back({std::max(load.floor, load.after), load.partition, key, nullptr});
  }
  std::stable_sort(steps.begin(), steps.end(), [](const step& a, const step& b) { return a.at < b.at; });
  for (const auto& s : steps)
    change(s.key, s.partition, s.stored ? s.stored->at : stamp{}, s.stored ? s.stored->value : nullptr, s.at, now_ms);
}

void keyed_view::drop_tombstones(std::int64_t now_ms, version watermark) {
  while (!graves_.empty()) {
    const auto oldest = graves_.front();
    const bool voided = oldest.who->place != oldest.at;
    if (!voided) {
      const bool forced = graves_.size() > 4 * limits_.tombstones;
      const bool due = graves_.size() > limits_.tombstones || now_ms - oldest.who->removed_ms > limits_.tombstone_ms;
      if (!forced && (!due || oldest.who->at > watermark))
        return;
      row& r = *oldest.who;
      floor_ = std::max(floor_, r.at);
      dropped_ = std::max(dropped_, r.place);
      bytes_ -= cost(r);
      places_[r.slot].who = nullptr;
      ++holes_;
      --tombstone_count_;
      rows_.erase(rows_.find(r.key));
    }
    graves_.pop_front();
  }
}

const keyed_view::row* keyed_view::find(std::string_view key) const {
  const auto found = rows_.find(key);
  return found == rows_.end() || !found->second.value ? nullptr : &found->second;
}

std::size_t keyed_view::first_after(arrival from) const {
  return static_cast<std::size_t>(
      std::partition_point(places_.begin(), places_.end(), [&](const place& p) { return p.at <= from; }) -
      places_.begin());
}

std::optional<arrival> keyed_view::cursor_for(version seen) const {
  if (seen < floor_)
    return std::nullopt;
  const auto first =
      std::partition_point(places_.begin(), places_.end(), [&](const place& p) { return p.running_max <= seen; });
  return first == places_.end() ? head_ : arrival{first->at.value - 1};
}

} // namespace weir::table
