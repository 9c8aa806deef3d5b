#include "runtime/redis/tx_command.hpp"

#include "runtime/redis/layout.hpp"
#include "runtime/redis/scripts.hpp"

#include <algorithm>
#include <charconv>
#include <fmt/format.h>
#include <numeric>

namespace weir::redis {
namespace {

std::size_t digits(std::int64_t number) {
  char text[24];
  return static_cast<std::size_t>(std::to_chars(text, text + sizeof text, number).ptr - text);
}

void write_number(command_writer& to, std::int64_t number) {
  char text[24];
  to.raw({text, static_cast<std::size_t>(std::to_chars(text, text + sizeof text, number).ptr - text)});
}

// Outside of strings JSON may hold line ends, inside it may not: a blank in their place means the same.
void write_line(command_writer& to, std::string_view json) {
  for (auto at = json.find('\n'); at != std::string_view::npos; at = json.find('\n')) {
    to.raw(json.substr(0, at));
    to.raw(" ");
    json.remove_prefix(at + 1);
  }
  to.raw(json);
}

struct bucket_slice {
  std::uint32_t bucket = 0;
  std::size_t from = 0, to = 0; // in `order`
  std::size_t place = 0;        // in KEYS
  std::uint64_t puts = 0, removals = 0;
};

// One table's part: its rows sorted by bucket, and which keys it needs.
struct plan {
  const table_write* write = nullptr;
  std::size_t expiry = 0, changes = 0, log = 0; // places in KEYS, 0: none
  std::vector<std::uint32_t> order;             // indexes of rows, by bucket; within a bucket in their own order
  std::vector<bucket_slice> buckets;
  std::uint64_t indexed = 0, to_expire = 0;
};

void sort_by_bucket(plan& p) {
  const auto& rows = p.write->changes->rows;
  const auto mask_count = p.write->buckets;
  std::vector<std::uint32_t> of(rows.size());
  if (mask_count / 8 > rows.size()) { // few rows in many buckets: a counting sort would mostly clear memory
    for (std::size_t i = 0; i < rows.size(); ++i)
      of[i] = bucket_of(rows[i].key, mask_count);
    p.order.resize(rows.size());
    std::iota(p.order.begin(), p.order.end(), 0u);
    std::stable_sort(p.order.begin(), p.order.end(), [&](auto a, auto b) { return of[a] < of[b]; });
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (p.buckets.empty() || p.buckets.back().bucket != of[p.order[i]])
        p.buckets.push_back({.bucket = of[p.order[i]], .from = i, .to = i});
      p.buckets.back().to = i + 1;
    }
    return;
  }
  std::vector<std::uint32_t> starts(mask_count + 1, 0);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    of[i] = bucket_of(rows[i].key, mask_count);
    ++starts[of[i] + 1];
  }
  std::partial_sum(starts.begin(), starts.end(), starts.begin());
  for (std::uint32_t b = 0; b < mask_count; ++b)
    if (starts[b] != starts[b + 1])
      p.buckets.push_back({.bucket = b, .from = starts[b], .to = starts[b + 1]});
  p.order.resize(rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i)
    p.order[starts[of[i]]++] = static_cast<std::uint32_t>(i);
}

bool power_of_two(std::uint32_t n) { return n != 0 && (n & (n - 1)) == 0; }

} // namespace

result<command_writer::bytes> encode(const transaction& tx, std::size_t change_log_bytes) {
  std::vector<plan> plans(tx.tables.size());
  std::vector<std::string> keys{layout::head_key(tx.partition)};
  const auto need = [&](std::string key) {
    keys.push_back(std::move(key));
    return keys.size();
  };
  std::size_t size = 512 + tx.positions.size() * 96;
  std::uint64_t reserved = 1;
  for (std::size_t i = 0; i < plans.size(); ++i) {
    auto& p = plans[i];
    const auto& w = tx.tables[i];
    p.write = &w;
    if (!power_of_two(w.buckets))
      return fail(ec::bad_argument, fmt::format("{}: the number of buckets is no power of two", w.table.text()));
    const bool has_rows = w.changes && !w.changes->rows.empty();
    const bool has_entries = w.changes && !w.changes->entries.empty();
    if (has_rows && has_entries)
      return fail(ec::bad_argument, fmt::format("{}: a write has either rows or log entries", w.table.text()));
    if (has_rows) {
      p.expiry = need(layout::expiry_key(tx.partition, w.table));
      p.changes = need(layout::change_log_key(tx.partition, w.table));
      sort_by_bucket(p);
      for (auto& b : p.buckets) {
        b.place = need(layout::bucket_key(tx.partition, w.table, b.bucket));
        for (auto at = b.from; at < b.to; ++at) {
          const auto& row = w.changes->rows[p.order[at]];
          if (row.value) {
            ++b.puts;
            size += row.value->size() + 40;
          } else if (w.expire_up_to_ms) {
            ++p.to_expire;
          } else {
            ++b.removals;
          }
          size += (row.key.size() + 16) * (w.ttl_ms ? 3 : 2) + 24;
        }
      }
      if (w.ttl_ms)
        for (const auto& b : p.buckets)
          p.indexed += b.puts;
    }
    if (has_entries || w.trim_below)
      p.log = need(layout::log_key(tx.partition, w.table));
    if (has_entries) {
      reserved = std::max<std::uint64_t>(reserved, w.changes->entries.size());
      for (const auto& entry : w.changes->entries)
        size += (entry.value ? entry.value->size() : 0) + 36;
    }
    size += 320;
  }
  const auto job = tx.guard ? need(layout::job_key(tx.partition)) : 0;
  for (const auto& key : keys)
    size += key.size() + 16;

  command_writer out(size);
  out.arg("EVALSHA").arg(apply_script().sha).arg(static_cast<std::uint64_t>(keys.size()));
  for (const auto& key : keys)
    out.arg(key);
  out.arg(tx.id.epoch.value).arg(to_string(tx.id)).arg(to_string(tx.follows)).arg(tx.hint.value).arg(reserved);
  out.arg(tx.renew_epoch ? std::string_view(tx.renew_epoch->value) : std::string_view{});
  out.arg(tx.mark ? layout::mark_text(*tx.mark) : std::string{});
  out.arg(static_cast<std::uint64_t>(tx.positions.size())).arg(static_cast<std::uint64_t>(tx.tables.size()));
  out.arg(static_cast<std::uint64_t>(change_log_bytes / 2));
  const auto guard = tx.guard.value_or(chunk_guard{});
  out.arg(static_cast<std::uint64_t>(job)).arg(guard.token).arg(guard.execution).arg(guard.chunk);
  for (const auto& move : tx.positions)
    out.arg("next:" + move.table.text()).arg(move.expect.value).arg(move.next.value);

  const auto number = [&](std::size_t n) { out.arg(static_cast<std::uint64_t>(n)); };
  std::string packed;
  for (const auto& p : plans) {
    const auto& w = *p.write;
    out.arg(w.table.text());
    number(p.expiry);
    number(p.changes);
    number(p.log);
    if (w.changes && !w.changes->entries.empty()) {
      const auto& entries = w.changes->entries;
      std::int64_t oldest = entries.front().time_ms, newest = oldest;
      std::size_t bytes = entries.size() - 1;
      for (const auto& e : entries) {
        oldest = std::min(oldest, e.time_ms);
        newest = std::max(newest, e.time_ms);
        bytes += digits(e.time_ms) + digits(e.at.value) + 2 + (e.value ? e.value->size() : 0);
      }
      number(entries.size());
      out.arg(oldest).arg(newest).arg(entries.front().at.value).arg(entries.back().at.value);
      out.begin(bytes);
      for (std::size_t i = 0; i < entries.size(); ++i) {
        if (i)
          out.raw("\n");
        write_number(out, entries[i].time_ms);
        out.raw(" ");
        write_number(out, entries[i].at.value);
        out.raw(" ");
        if (entries[i].value)
          write_line(out, *entries[i].value);
      }
      out.end();
    } else {
      out.arg("0").arg("").arg("").arg("").arg("").arg("");
    }
    if (w.trim_below)
      out.arg(w.trim_below->value);
    else
      out.arg("");
    out.arg(w.trimmed);
    if (w.expire_up_to_ms)
      out.arg(*w.expire_up_to_ms);
    else
      out.arg("");

    const auto* rows = w.changes ? &w.changes->rows : nullptr;
    packed.clear();
    if (rows)
      for (const auto& row : *rows)
        if (row.value || !w.expire_up_to_ms)
          layout::pack_key(packed, row.key);
    out.arg(packed);
    number(p.buckets.size());
    number(p.indexed);
    number(p.to_expire);
    for (const auto& b : p.buckets) {
      number(b.place);
      number(b.puts);
      number(b.removals);
      for (auto at = b.from; at < b.to; ++at) {
        const auto& row = (*rows)[p.order[at]];
        if (!row.value)
          continue;
        out.arg(row.key);
        out.begin(digits(row.at.time_ms) + digits(row.at.at.value) + 2 + row.value->size());
        write_number(out, row.at.time_ms);
        out.raw(" ");
        write_number(out, row.at.at.value);
        out.raw(" ");
        out.raw(*row.value);
        out.end();
      }
      if (b.removals)
        for (auto at = b.from; at < b.to; ++at)
          if (const auto& row = (*rows)[p.order[at]]; !row.value)
            out.arg(row.key);
    }
    if (p.indexed)
      for (const auto& row : *rows)
        if (row.value)
          out.arg(row.at.time_ms + *w.ttl_ms).arg(row.key);
    if (p.to_expire)
      for (const auto& b : p.buckets)
        for (auto at = b.from; at < b.to; ++at)
          if (const auto& row = (*rows)[p.order[at]]; !row.value) {
            number(b.place);
            out.arg(row.key);
            number(p.order[at]);
          }
  }
  return out.finish();
}

namespace {

template <class Number>
Number next_number(std::string_view& text) {
  Number out{};
  auto [at, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  text.remove_prefix(std::min(text.size(), static_cast<std::size_t>(at - text.data()) + 1));
  return error == std::errc{} ? out : Number{};
}

} // namespace

result<tx_result> decode_answer(const transaction& tx, reply_view reply) {
  if (reply.is_error())
    return tl::unexpected(classify(reply.text()));
  if (reply.size() != 6)
    return fail(ec::redis_protocol, "Redis: the apply script's answer makes no sense");
  tx_result out;
  const auto status = reply[0].text();
  if (status == "applied")
    out.status = tx_status::applied;
  else if (status == "already")
    out.status = tx_status::already;
  else if (status == "mismatch")
    out.status = tx_status::mismatch;
  else if (status == "fenced")
    out.status = tx_status::fenced;
  else if (status == "outdated")
    out.status = tx_status::outdated;
  else
    return fail(ec::redis_protocol, "Redis: the apply script's answer makes no sense");
  out.first = version{static_cast<std::uint64_t>(reply[1].integer())};
  out.last = version{static_cast<std::uint64_t>(reply[2].integer())};
  out.epoch = stream_epoch{std::string(reply[3].text())};
  if (out.status != tx_status::applied && out.status != tx_status::already)
    return out;
  out.previous.reserve(tx.tables.size());
  auto previous = reply[4].text();
  for (std::size_t i = 0; i < tx.tables.size(); ++i)
    out.previous.push_back(version{next_number<std::uint64_t>(previous)});
  out.kept.resize(tx.tables.size());
  auto kept = reply[5].text();
  while (!kept.empty()) {
    const auto table = next_number<std::size_t>(kept);
    const auto row = next_number<std::uint32_t>(kept);
    if (table < out.kept.size())
      out.kept[table].push_back(row);
  }
  for (auto& rows : out.kept)
    std::sort(rows.begin(), rows.end());
  return out;
}

} // namespace weir::redis
