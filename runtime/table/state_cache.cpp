#include "runtime/table/state_cache.hpp"

namespace weir::table {

void state_cache::unlink(entry& e) {
  (e.older ? e.older->newer : oldest_) = e.newer;
  (e.newer ? e.newer->older : newest_) = e.older;
  e.older = e.newer = nullptr;
}

void state_cache::link_newest(entry& e) {
  e.older = newest_;
  (newest_ ? newest_->newer : oldest_) = &e;
  newest_ = &e;
}

void state_cache::add(std::string_view key, std::span<const std::optional<number>> values, const stamp& at,
                      std::uint64_t batch) {
  auto found = entries_.find(key);
  if (found == entries_.end()) {
    found = entries_.try_emplace(std::string(key), std::span<const aggregate_field>(fields_)).first;
    auto& fresh = found->second;
    fresh.key = &found->first;
    fresh.backlog = std::make_unique<waiting>();
    unasked_.push_back(fresh.key);
    ++awaited_;
    link_newest(fresh);
  }
  auto& e = found->second;
  if (e.batch != batch) {
    e.batch = batch;
    touched_.push_back(&e);
    unlink(e);
    link_newest(e);
  }
  e.at = at;
  if (!e.backlog) {
    e.state.add(values, at);
    return;
  }
  e.backlog->values.insert(e.backlog->values.end(), values.begin(), values.end());
  e.backlog->stamps.push_back(at);
  waiting_bytes_ += values.size_bytes() + sizeof(stamp);
}

std::vector<std::string> state_cache::unasked() {
  std::vector<std::string> keys;
  keys.reserve(unasked_.size());
  for (const auto* key : unasked_)
    keys.push_back(*key);
  unasked_.clear();
  return keys;
}

result<void> state_cache::supply(std::string_view key, const std::optional<std::string_view>& stored) {
  const auto found = entries_.find(key);
  if (found == entries_.end() || !found->second.backlog)
    return {};
  auto& e = found->second;
  if (stored) {
    auto state = aggregate_state::parse(fields_, *stored);
    if (!state)
      return tl::unexpected(state.error());
    e.state = std::move(*state);
  }
  const auto backlog = std::move(e.backlog);
  const auto width = fields_.size();
  for (std::size_t i = 0; i < backlog->stamps.size(); ++i)
    e.state.add(std::span(backlog->values).subspan(i * width, width), backlog->stamps[i]);
  waiting_bytes_ -= backlog->values.size() * sizeof(std::optional<number>) + backlog->stamps.size() * sizeof(stamp);
  --awaited_;
  return {};
}

std::size_t state_cache::take(std::vector<row_change>& out) {
  std::size_t bytes = 0;
  out.reserve(out.size() + touched_.size());
  for (const auto* e : touched_) {
    auto value = std::make_shared<const std::string>(e->state.to_json(fields_));
    bytes += e->key->size() + value->size();
    out.push_back({*e->key, std::move(value), e->at});
  }
  touched_.clear();
  return bytes;
}

void state_cache::shrink(std::size_t most, std::uint64_t committed) {
  while (entries_.size() > most && oldest_ && oldest_->batch <= committed) {
    auto& e = *oldest_;
    unlink(e);
    entries_.erase(entries_.find(*e.key));
  }
}

void state_cache::clear() {
  entries_.clear();
  touched_.clear();
  unasked_.clear();
  awaited_ = waiting_bytes_ = 0;
  oldest_ = newest_ = nullptr;
}

} // namespace weir::table
