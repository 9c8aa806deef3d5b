#include "tests/support/memory_partitions.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace weir::support {

using namespace redis;

namespace {

constexpr std::uint64_t version_bound = 9007199254740992ull; // 2^53, as in the scripts
constexpr std::uint64_t claim_holds_us = 120'000'000;

std::string one_line(const shared_bytes& value) {
  std::string out = value ? *value : std::string{};
  std::replace(out.begin(), out.end(), '\n', ' ');
  return out;
}

bool power_of_two(std::uint32_t n) { return n != 0 && (n & (n - 1)) == 0; }

// How many versions the transaction takes.
result<std::uint64_t> versions_of(const transaction& tx) {
  std::uint64_t n = 1;
  for (const auto& w : tx.tables) {
    if (!power_of_two(w.buckets))
      return fail(ec::bad_argument, "the number of buckets is no power of two");
    if (w.changes && !w.changes->rows.empty() && !w.changes->entries.empty())
      return fail(ec::bad_argument, "a write has either rows or log entries");
    if (w.changes)
      n = std::max<std::uint64_t>(n, w.changes->entries.size());
  }
  return n;
}

bool positions_fit(const partition_state& head, const transaction& tx) {
  return std::all_of(tx.positions.begin(), tx.positions.end(), [&](const position_move& move) {
    auto at = head.tables.find(move.table.text());
    return (at == head.tables.end() ? no_position : at->second.next) == move.expect;
  });
}

} // namespace

result<partition_state> memory_partitions::claim(const claim_request& request, const server& at) {
  if (request.hint.value >= version_bound)
    return fail(ec::redis_script, "a version beyond 2^53 was asked for");
  auto& p = partitions_[request.partition];
  const auto us = at.now_us;
  const auto active = std::max(p.head.epoch.value, p.head.last.value);
  // Signed: `last` may be ahead of the clock.
  const auto age = static_cast<std::int64_t>(us) - static_cast<std::int64_t>(active);
  if (p.exists && request.generation >= 0 && p.generation > request.generation && p.head.owner != request.owner &&
      age < static_cast<std::int64_t>(claim_holds_us))
    return fail(ec::fenced, fmt::format("{} belongs to a later generation", request.partition.prefix()));
  const bool fresh = !p.exists;
  const bool moved = !fresh && !p.run_id.empty() && p.run_id != at.run_id;
  const bool changed = moved && p.head.owner != request.owner;
  if (fresh || changed) {
    std::uint64_t old = 0;
    if (!fresh)
      old = std::strtoull(p.head.stream.value.c_str(), nullptr, 10);
    p.head.stream = stream_epoch{fmt::format("{:016}-{}", std::max(us, old + 1), at.random_text())};
  }
  p.exists = true;
  p.head.epoch = owner_epoch{std::max(p.head.epoch.value + 1, us)};
  p.head.owner = request.owner;
  p.generation = request.generation;
  if (!moved || changed)
    p.run_id = at.run_id;
  p.head.last = version{std::max({p.head.last.value, us, request.hint.value})};
  auto out = p.head;
  out.fresh = fresh;
  out.server_changed = changed;
  out.run_id = at.run_id;
  return out;
}

result<tx_result> memory_partitions::apply(const transaction& tx, const server& at, std::size_t change_log_bytes,
                                           const std::function<bool()>& takes_chunk) {
  const auto n = versions_of(tx);
  if (!n)
    return tl::unexpected(n.error());
  auto& p = partitions_[tx.partition];
  tx_result out;
  const auto refuse = [&](tx_status s) {
    out.status = s;
    out.first = out.last = p.head.last;
    out.epoch = p.head.stream;
    return out;
  };
  if (!p.exists || p.head.epoch != tx.id.epoch)
    return refuse(tx_status::fenced);
  if (p.head.batch == tx.id) {
    refuse(tx_status::already);
    out.previous = p.previous;
    out.kept = p.kept;
    return out;
  }
  if (p.head.batch != tx.follows)
    return refuse(tx_status::mismatch);
  if (tx.guard && !takes_chunk())
    return refuse(tx_status::outdated);
  if (!positions_fit(p.head, tx))
    return refuse(tx_status::mismatch);
  const auto first = std::max({p.head.last.value + 1, at.now_us, tx.hint.value});
  const auto last = first + *n - 1;
  if (last >= version_bound)
    return fail(ec::redis_script, "a version beyond 2^53 was asked for");

  for (const auto& move : tx.positions)
    p.head.tables[move.table.text()].next = move.next;
  out.kept.resize(tx.tables.size());
  for (std::size_t i = 0; i < tx.tables.size(); ++i) {
    const auto& w = tx.tables[i];
    auto& state = p.head.tables[w.table.text()];
    auto& data = p.tables[w.table.text()];
    out.previous.push_back(state.changed);
    write_log(data, state, w, first);
    out.kept[i] = write_rows(data, state.changed, w, last, change_log_bytes);
    state.changed = version{last};
  }
  if (tx.renew_epoch)
    p.head.stream = *tx.renew_epoch;
  if (tx.mark)
    p.head.mark = tx.mark;
  p.previous = out.previous;
  p.kept = out.kept;
  p.head.last = version{last};
  p.head.batch = tx.id;
  out.first = version{first};
  out.last = version{last};
  out.epoch = p.head.stream;
  return out;
}

void memory_partitions::write_log(table_data& data, table_state& state, const table_write& w, std::uint64_t first) {
  const bool has_entries = w.changes && !w.changes->entries.empty();
  if (w.trim_below)
    data.log.erase(data.log.begin(), data.log.lower_bound(w.trim_below->value));
  if (has_entries) {
    stored_batch packed{version{first}, {}};
    for (const auto& e : w.changes->entries)
      packed.entries.push_back({e.time_ms, e.at, std::make_shared<const std::string>(one_line(e.value))});
    data.log.emplace(first, std::move(packed));
  }
  if (has_entries || w.trim_below) {
    const auto have = state.records + (has_entries ? w.changes->entries.size() : 0);
    state.records = have > w.trimmed ? have - w.trimmed : 0;
  }
}

std::vector<std::uint32_t> memory_partitions::write_rows(table_data& data, version previous, const table_write& w,
                                                         std::uint64_t last, std::size_t change_log_bytes) {
  std::vector<std::uint32_t> kept;
  if (!w.changes || w.changes->rows.empty())
    return kept;
  change entry;
  entry.previous = previous.value;
  std::size_t bytes = 64;
  const auto changed = [&](const std::string& key) {
    entry.keys.push_back(key);
    bytes += std::to_string(key.size()).size() + 1 + key.size();
  };
  for (std::uint32_t i = 0; i < w.changes->rows.size(); ++i) {
    const auto& row = w.changes->rows[i];
    auto& bucket = data.buckets[bucket_of(row.key, w.buckets)];
    if (row.value) {
      bucket[row.key] = {row.key, *row.value, row.at.time_ms, row.at.at};
      if (w.ttl_ms)
        data.expiry[row.key] = row.at.time_ms + *w.ttl_ms;
      else
        data.expiry.erase(row.key);
      changed(row.key);
    } else if (!w.expire_up_to_ms) {
      bucket.erase(row.key);
      data.expiry.erase(row.key);
      changed(row.key);
    } else if (auto at = data.expiry.find(row.key); at != data.expiry.end() && at->second <= *w.expire_up_to_ms) {
      bucket.erase(row.key);
      data.expiry.erase(at);
      changed(row.key);
    } else {
      kept.push_back(i);
    }
  }
  if (entry.keys.empty())
    return kept;
  data.changes.emplace(last, std::move(entry));
  data.half_bytes += bytes;
  if (data.half_bytes > change_log_bytes / 2) {
    data.changes.erase(data.changes.begin(), data.changes.lower_bound(data.half_from));
    data.half_bytes = bytes;
    data.half_from = last;
  }
  return kept;
}

partition_state memory_partitions::head(const partition_key& key) const {
  const auto at = partitions_.find(key);
  if (at != partitions_.end() && at->second.exists)
    return at->second.head;
  partition_state out;
  out.fresh = true;
  return out;
}

const memory_partitions::table_data* memory_partitions::find(const partition_key& key, const table_ref& table) const {
  auto p = partitions_.find(key);
  if (p == partitions_.end())
    return nullptr;
  auto t = p->second.tables.find(table.text());
  return t == p->second.tables.end() ? nullptr : &t->second;
}

std::vector<std::optional<stored_row>> memory_partitions::rows(const partition_key& key, const table_ref& table,
                                                               std::uint32_t buckets,
                                                               const std::vector<std::string>& keys) const {
  std::vector<std::optional<stored_row>> out(keys.size());
  if (const auto* t = find(key, table))
    for (std::size_t i = 0; i < keys.size(); ++i)
      if (auto b = t->buckets.find(bucket_of(keys[i], buckets)); b != t->buckets.end())
        if (auto r = b->second.find(keys[i]); r != b->second.end())
          out[i] = r->second;
  return out;
}

std::vector<stored_row> memory_partitions::bucket(const partition_key& key, const table_ref& table,
                                                  std::uint32_t bucket) const {
  std::vector<stored_row> out;
  if (const auto* t = find(key, table))
    if (auto b = t->buckets.find(bucket); b != t->buckets.end())
      for (const auto& [name, row] : b->second)
        out.push_back(row);
  return out;
}

std::uint64_t memory_partitions::count(const partition_key& key, const table_ref& table, std::uint32_t buckets) const {
  std::uint64_t out = 0;
  if (const auto* t = find(key, table))
    for (const auto& [b, rows] : t->buckets)
      if (b < buckets)
        out += rows.size();
  return out;
}

std::vector<stored_batch> memory_partitions::log(const partition_key& key, const table_ref& table, version from,
                                                 version to, std::uint32_t most, bool reverse) const {
  std::vector<stored_batch> out;
  if (const auto* t = find(key, table); t && from <= to) {
    for (auto at = t->log.lower_bound(from.value), end = t->log.upper_bound(to.value); at != end; ++at)
      out.push_back(at->second);
    if (reverse)
      std::reverse(out.begin(), out.end());
    out.resize(std::min<std::size_t>(out.size(), most));
  }
  return out;
}

std::vector<batch_head> memory_partitions::log_heads(const partition_key& key, const table_ref& table,
                                                     std::uint32_t most) const {
  std::vector<batch_head> out;
  if (const auto* t = find(key, table))
    for (const auto& [id, packed] : t->log) {
      if (out.size() >= most)
        break;
      auto [oldest, newest] = std::minmax_element(packed.entries.begin(), packed.entries.end(),
                                                  [](auto& a, auto& b) { return a.time_ms < b.time_ms; });
      out.push_back({packed.first, packed.entries.size(), oldest->time_ms, newest->time_ms});
    }
  return out;
}

change_log memory_partitions::changes(const partition_key& key, const table_ref& table, version after) const {
  change_log out;
  const auto* t = find(key, table);
  if (!t || t->changes.empty()) {
    if (auto p = partitions_.find(key); p != partitions_.end())
      if (auto s = p->second.head.tables.find(table.text()); s != p->second.head.tables.end())
        out.floor = s->second.changed;
    return out;
  }
  out.floor = version{t->changes.begin()->second.previous};
  for (auto at = t->changes.upper_bound(after.value); at != t->changes.end(); ++at)
    out.entries.push_back({version{at->first}, at->second.keys});
  return out;
}

std::vector<stored_row> memory_partitions::expired(const partition_key& key, const table_ref& table,
                                                   std::int64_t now_ms, std::uint32_t most) const {
  std::vector<stored_row> out;
  if (const auto* t = find(key, table))
    for (const auto& [name, when] : t->expiry)
      if (when <= now_ms)
        out.push_back({name, {}, when, {}});
  std::stable_sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.time_ms < b.time_ms; });
  out.resize(std::min<std::size_t>(out.size(), most));
  return out;
}

} // namespace weir::support
