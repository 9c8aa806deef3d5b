#include "runtime/table/view_chain.hpp"

#include <algorithm>

namespace weir::table {

std::uint32_t view_chain::index_of(const partition_key& source) {
  for (std::size_t i = 0; i < partitions_.size(); ++i)
    if (partitions_[i].source.partition == source.partition && partitions_[i].source == source)
      return static_cast<std::uint32_t>(i);
  partition p;
  p.source = source;
  partitions_.push_back(std::move(p));
  return static_cast<std::uint32_t>(partitions_.size() - 1);
}

chain_verdict view_chain::check(std::uint32_t index, const change_set& changes) const {
  const auto& p = partitions_[index];
  if (!p.loaded)
    return chain_verdict::gap;
  if (changes.epoch != p.epoch)
    return changes.epoch < p.epoch ? chain_verdict::old : chain_verdict::new_epoch;
  if (changes.last <= p.known)
    return chain_verdict::old;
  if (changes.previous < p.changed)
    return chain_verdict::new_epoch;
  return changes.previous <= p.known ? chain_verdict::accepted : chain_verdict::gap;
}

void view_chain::accept(std::uint32_t index, const change_set& changes) {
  auto& p = partitions_[index];
  p.known = changes.last;
  if (!changes.rows.empty() || !changes.entries.empty())
    p.changed = changes.last;
}

bool view_chain::load(std::uint32_t index, const stream_epoch& epoch, version last, version changed) {
  auto& p = partitions_[index];
  const bool went_back = p.loaded && (epoch != p.epoch || last < p.known);
  p.epoch = epoch;
  p.known = last;
  p.changed = std::min(changed, last);
  p.loaded = true;
  return went_back;
}

bool view_chain::all_loaded() const {
  return std::all_of(partitions_.begin(), partitions_.end(), [](const partition& p) { return p.loaded; });
}

version view_chain::watermark() const {
  if (partitions_.empty() || !all_loaded())
    return {};
  return std::min_element(partitions_.begin(), partitions_.end(),
                          [](const partition& a, const partition& b) { return a.known < b.known; })
      ->known;
}

std::string view_chain::epoch_text(std::string_view fingerprint, std::uint32_t generation) const {
  std::vector<const partition*> order;
  for (const auto& p : partitions_)
    order.push_back(&p);
  std::sort(order.begin(), order.end(), [](const partition* a, const partition* b) { return a->source < b->source; });
  std::uint64_t hash = 14695981039346656037ull; // FNV-1a
  const auto add = [&hash](std::string_view text) {
    for (const char c : text)
      hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ull;
    hash = (hash ^ 0xFFu) * 1099511628211ull; // ends a text: "ab","c" is not "a","bc"
  };
  add(fingerprint);
  add(std::to_string(generation));
  for (const auto* p : order) {
    add(p->source.prefix());
    add(p->epoch.value);
  }
  static constexpr char digits[] = "0123456789abcdef";
  std::string out;
  for (int shift = 60; shift >= 12; shift -= 4) // 52 bits are plenty to tell epochs apart
    out += digits[(hash >> shift) & 15];
  return out;
}

} // namespace weir::table
