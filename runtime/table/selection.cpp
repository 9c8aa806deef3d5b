#include "runtime/table/selection.hpp"

#include "runtime/core/hash.hpp"

#include <algorithm>

namespace weir::table {

std::string selection_spec::text() const {
  if (all())
    return {};
  return (one_key ? "k" + key : "w") + '\n' + where_text;
}

std::string selection_spec::hash() const {
  if (all())
    return {};
  const auto hash = stable_hash(text());
  static constexpr char digits[] = "0123456789abcdef";
  std::string out;
  for (int shift = 60; shift >= 24; shift -= 4)
    out += digits[(hash >> shift) & 15];
  return out;
}

std::optional<std::vector<std::string>> row_selection::keys_of(const selection_spec& spec) {
  if (spec.one_key)
    return std::vector{spec.key};
  for (const auto& t : spec.where.all) {
    if (t.pointer != row_key_name || (t.op != comparison::eq && t.op != comparison::in))
      continue;
    std::vector<std::string> keys;
    for (const auto& o : t.operands)
      if (const auto* text = std::get_if<std::string>(&o))
        keys.push_back(*text);
    std::sort(keys.begin(), keys.end());
    keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
    return keys;
  }
  return std::nullopt;
}

row_selection::row_selection(const selection_spec& spec, const keyed_view& view, view_limits limits,
                             record_reader& reader)
    : limits_(limits), filter_(spec.where), one_key_(spec.one_key), key_(spec.key), keys_(keys_of(spec)) {
  std::vector<const keyed_view::row*> found;
  const auto take = [&](const keyed_view::row& r) {
    if (r.value && (!needs_fields() || reader.read(*r.value).empty()) && chooses(r.key, r.value, reader))
      found.push_back(&r);
  };
  if (keys_) {
    for (const auto& key : *keys_)
      if (const auto* r = view.find(key))
        take(*r);
    std::sort(found.begin(), found.end(), [](const auto* a, const auto* b) { return a->place < b->place; });
  } else {
    view.walk({}, [&](const keyed_view::row& r) {
      take(r);
      return true;
    });
  }
  for (const auto* r : found)
    add(*r, true, 0);
  head_ = dropped_ = view.head();
  running_max_ = floor_ = view.newest();
  changes_ = 0;
}

bool row_selection::chooses(std::string_view key, const shared_bytes& value, const record_reader& reader) const {
  return value && (!one_key_ || key == key_) && filter_.matches(key, reader);
}

void row_selection::feed(const keyed_view::row& r, const record_reader& reader, std::int64_t now_ms) {
  add(r, chooses(r.key, r.value, reader), now_ms);
}

void row_selection::add(const keyed_view::row& r, bool in, std::int64_t now_ms) {
  auto found = entries_.find(r.key);
  if (!in && (found == entries_.end() || !found->second.value))
    return;
  const bool fresh = found == entries_.end();
  if (fresh) {
    found = entries_.try_emplace(std::string(r.key)).first;
    found->second.key = found->first;
  }
  entry& e = found->second;
  if (!fresh) {
    places_[e.slot].who = nullptr;
    ++holes_;
    if (!e.value)
      --removed_;
  }
  e.value = in ? r.value : nullptr;
  e.at = r.at;
  e.time_ms = r.time_ms;
  put(e, r.place);
  if (!in) {
    ++removed_;
    e.removed_ms = now_ms;
    graves_.push_back({&e, e.place});
  }
}

void row_selection::put(entry& e, arrival at) {
  head_ = at;
  ++changes_;
  e.place = at;
  e.slot = places_.size();
  running_max_ = std::max(running_max_, e.at);
  places_.push_back({&e, at, running_max_});
  if (holes_ > 256 && holes_ > places_.size() / 2)
    compact();
}

void row_selection::compact() {
  std::erase_if(places_, [](const place& p) { return !p.who; });
  for (std::size_t i = 0; i < places_.size(); ++i)
    places_[i].who->slot = i;
  holes_ = 0;
}

void row_selection::tick(std::int64_t now_ms) {
  while (!graves_.empty()) {
    const auto oldest = graves_.front();
    if (oldest.who->place == oldest.at && !oldest.who->value) {
      if (graves_.size() <= limits_.tombstones && now_ms - oldest.who->removed_ms <= limits_.tombstone_ms)
        return;
      dropped_ = std::max(dropped_, oldest.at);
      floor_ = std::max(floor_, oldest.who->at);
      places_[oldest.who->slot].who = nullptr;
      ++holes_;
      --removed_;
      entries_.erase(entries_.find(oldest.who->key));
    }
    graves_.pop_front();
  }
}

const row_selection::entry* row_selection::find(std::string_view key) const {
  const auto found = entries_.find(key);
  return found == entries_.end() || !found->second.value ? nullptr : &found->second;
}

std::optional<arrival> row_selection::cursor_for(version seen) const {
  if (seen < floor_)
    return std::nullopt;
  const auto first =
      std::partition_point(places_.begin(), places_.end(), [&](const place& p) { return p.running_max <= seen; });
  return first == places_.end() ? head_ : arrival{first->at.value - 1};
}

std::size_t row_selection::first_after(arrival from) const {
  return static_cast<std::size_t>(
      std::partition_point(places_.begin(), places_.end(), [&](const place& p) { return p.at <= from; }) -
      places_.begin());
}

entry_selection::entry_selection(const selection_spec& spec, const log_ring& ring, record_reader& reader)
    : filter_(spec.where) {
  const arrival first = ring.first();
  for (auto at = first; at <= ring.head(); ++at.value)
    if (reader.read(*ring.at(at).value).empty())
      feed(at, first, reader);
}

void entry_selection::feed(arrival at, arrival first, const record_reader& reader) {
  while (!chosen_.empty() && chosen_.front() < first)
    chosen_.pop_front();
  if (filter_.matches(reader))
    chosen_.push_back(at);
}

std::optional<arrival> entry_selection::after(arrival from) const {
  const auto found = std::upper_bound(chosen_.begin(), chosen_.end(), from);
  return found == chosen_.end() ? std::nullopt : std::optional(*found);
}

std::size_t row_selection::bytes() const {
  return entries_.size() * (sizeof(entry) + 96) + places_.size() * sizeof(place);
}

} // namespace weir::table
