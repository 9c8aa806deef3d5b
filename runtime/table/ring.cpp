#include "runtime/table/ring.hpp"

#include <algorithm>
#include <tuple>
#include <utility>

namespace weir::table {
namespace {

std::size_t cost(const log_ring::entry& e) { return sizeof(e) + (e.value ? e.value->size() : 0); }

} // namespace

void log_ring::append(entry e) {
  ++head_.value;
  running_max_ = std::max(running_max_, e.at);
  e.running_max = running_max_;
  bytes_ += cost(e);
  entries_.push_back(std::move(e));
  while (entries_.size() > limits_.entries || (bytes_ > limits_.bytes && entries_.size() > 1))
    drop_first();
}

void log_ring::drop_first() {
  const auto& first = entries_.front();
  floor_ = std::max(floor_, first.at);
  bytes_ -= cost(first);
  entries_.pop_front();
}

void log_ring::apply(partition_id partition, const change_set& changes, version watermark) {
  for (std::size_t i = 0; i < changes.entries.size(); ++i) {
    const auto& from = changes.entries[i];
    append({version{changes.first.value + i}, {}, watermark, partition, from.at, from.time_ms, from.value});
  }
}

bool log_ring::load(std::span<const log_load> loads, version watermark) {
  bool lost = false;
  std::vector<entry> fresh;
  for (const auto& load : loads) {
    if (load.floor > load.after) {
      floor_ = std::max(floor_, load.floor);
      lost = true;
    }
    for (const auto& batch : load.batches)
      for (std::size_t i = 0; i < batch.entries.size(); ++i) {
        const version at{batch.first.value + i};
        const auto& from = batch.entries[i];
        if (at > load.after && at <= load.upto)
          fresh.push_back({at, {}, watermark, load.partition, from.at, from.time_ms, from.value});
      }
  }
  if (lost)
    arrive_anew(); // no cursor may lead across the hole
  std::sort(fresh.begin(), fresh.end(), [](const entry& a, const entry& b) {
    return std::tie(a.at, a.partition, a.offset) < std::tie(b.at, b.partition, b.offset);
  });
  for (auto& e : fresh)
    append(std::move(e));
  return lost;
}

void log_ring::trim(std::int64_t now_ms) {
  if (limits_.age_ms > 0)
    while (!entries_.empty() && entries_.front().time_ms < now_ms - limits_.age_ms)
      drop_first();
}

void log_ring::forget(partition_id partition) {
  std::erase_if(entries_, [&](const entry& e) { return e.partition == partition; });
  arrive_anew();
}

void log_ring::arrive_anew() {
  ++head_.value; // so that a cursor at the old head is not one before the first entry
  bytes_ = 0;
  for (auto& e : std::exchange(entries_, {}))
    append(std::move(e));
}

std::optional<arrival> log_ring::cursor_for(version seen) const {
  if (seen < floor_)
    return std::nullopt;
  const auto first =
      std::partition_point(entries_.begin(), entries_.end(), [&](const entry& e) { return e.running_max <= seen; });
  return arrival{head_.value - static_cast<std::uint64_t>(entries_.end() - first)};
}

std::vector<const log_ring::entry*> log_ring::newest(std::size_t most) const {
  const auto before = [](const entry* a, const entry* b) {
    return std::tie(a->at, a->partition, a->offset) < std::tie(b->at, b->partition, b->offset);
  };
  std::vector<const entry*> out;
  version least; // of the newest `most` so far: nothing whose running maximum is below it can be among them
  for (auto it = entries_.rbegin(); it != entries_.rend() && most > 0; ++it) {
    if (out.size() >= most && it->running_max < least)
      break;
    out.push_back(&*it);
    if (out.size() == most || (out.size() > most && out.size() % 1024 == 0)) {
      std::nth_element(out.begin(), out.end() - static_cast<std::ptrdiff_t>(most), out.end(), before);
      out.erase(out.begin(), out.end() - static_cast<std::ptrdiff_t>(most));
      least = (*std::min_element(out.begin(), out.end(), before))->at;
    }
  }
  std::sort(out.begin(), out.end(), before);
  if (out.size() > most)
    out.erase(out.begin(), out.end() - static_cast<std::ptrdiff_t>(most));
  return out;
}

} // namespace weir::table
