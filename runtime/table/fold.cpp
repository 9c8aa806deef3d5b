#include "runtime/table/fold.hpp"

#include "runtime/core/checksum.hpp"
#include "runtime/table/batch_rows.hpp"
#include "runtime/table/event_time.hpp"
#include "runtime/table/raw.hpp"
#include "runtime/table/record_reader.hpp"
#include "runtime/table/state_cache.hpp"
#include "runtime/table/where.hpp"

#include <algorithm>
#include <stdexcept>

namespace weir::table {

namespace {

constexpr std::string_view no_key = "no key";

struct folded_table {
  fold_table def;
  where filter;
  pointer key;
  bool by_record_key = false;
  selection select;
  pointer time;
  std::vector<pointer> fields;

  offset start;  // takes records from here on; fixed until restart
  offset stored; // the position as the last closed batch leaves it

  batch_rows rows;
  std::vector<log_entry> entries;
  std::size_t entry_bytes = 0;
  state_cache states;
  std::vector<std::optional<number>> values;
  std::int64_t newest_ms = 0;

  folded_table(fold_table t, offset from)
      : def(std::move(t)), filter(def.config.where), key(def.config.key),
        by_record_key(def.config.kind != table_kind::log && def.config.key.empty()), select(def.config.select),
        time(def.config.time), start(from), stored(from), states(def.config.fields), values(def.config.fields.size()) {
    for (const auto& f : def.config.fields)
      fields.emplace_back(f.pointer);
  }

  bool is(table_kind k) const { return def.config.kind == k; }

  void drop_open() {
    rows.clear();
    entries.clear();
    entry_bytes = 0;
    newest_ms = 0;
  }
};

} // namespace

struct partition_fold::impl {
  partition_key source;
  fold_options options;
  std::vector<folded_table> tables;
  record_reader reader;

  offset next;  // records below are known already
  offset ahead; // from here on every table takes part
  std::uint64_t number = 1, committed = 0;
  std::size_t aggregates = 0;

  // The open batch
  std::size_t records = 0;
  std::int64_t newest_ms = 0;
  offset last_at;
  std::int64_t last_time = 0;
  std::optional<std::uint32_t>
      last_sum; // else to be taken over last_key and the reader's buffer: a CRC for each record would be too dear
  bool last_has_key = false;
  std::string last_key;

  std::string row, selected; // scratch

  // The record key, checked at most once for each record.
  enum class key_check : std::uint8_t { unknown, good, bad };

  bool record_key(const std::optional<std::string_view>& key, key_check& check, std::string_view& out) {
    if (check == key_check::unknown)
      check = key && usable_record_key(*key) ? key_check::good : key_check::bad;
    if (check == key_check::good)
      out = *key;
    return check == key_check::good;
  }

  bool key_of(const folded_table& t, const std::optional<std::string_view>& key, key_check& check,
              std::string_view& out) {
    return t.by_record_key ? record_key(key, check, out) : reader.key_at(t.key, out);
  }

  offset position(const folded_table& t) const { return std::max(t.start, next); }

  void begin(const std::vector<offset>& positions) {
    if (positions.size() != tables.size())
      throw std::logic_error("a fold needs one position for each table");
    for (std::size_t i = 0; i < tables.size(); ++i) {
      tables[i].start = tables[i].stored = positions[i];
      tables[i].drop_open();
      tables[i].states.clear();
    }
    const auto [low, high] = std::minmax_element(positions.begin(), positions.end());
    next = positions.empty() ? offset{} : *low;
    ahead = positions.empty() ? offset{} : *high;
    records = 0;
    newest_ms = 0;
  }

  void note(offset at, std::int64_t time_ms, const std::optional<std::string_view>& key) {
    ++records;
    newest_ms = std::max(newest_ms, time_ms);
    next = offset{at.value + 1};
    last_at = at;
    last_time = time_ms;
    last_sum.reset();
    last_has_key = key.has_value();
    if (key)
      last_key.assign(*key);
  }

  verdict tombstone(offset at, std::int64_t time_ms, const std::optional<std::string_view>& key) {
    verdict v;
    auto check = key_check::unknown;
    bool missed = false, missed_before = false;
    for (auto& t : tables) {
      if (!t.is(table_kind::latest) || !t.by_record_key)
        continue;
      std::string_view row_key;
      if (!record_key(key, check, row_key)) {
        (at < t.start ? missed_before : missed) = true;
      } else if (at >= t.start) {
        t.rows.remove(row_key, time_ms, at);
        t.newest_ms = std::max(t.newest_ms, time_ms);
        v.taken = true;
      }
    }
    if (missed && !missed_before)
      v.dead_letter = no_key;
    return v;
  }

  // The record as a row: as it was read, without line breaks.
  std::string_view whole_row() {
    const auto text = reader.text();
    if (!has_line_break(text))
      return text;
    if (row.empty())
      append_minified(row, text);
    return row;
  }

  std::string_view row_of(folded_table& t) {
    if (t.select.empty())
      return whole_row();
    selected.clear();
    t.select.append_row(selected, reader.text());
    return selected;
  }

  // False: the table finds no key in the record.
  bool take(folded_table& t, offset at, std::int64_t time_ms, const std::optional<std::string_view>& key,
            key_check& check) {
    std::string_view row_key;
    if (!t.is(table_kind::log) && !key_of(t, key, check, row_key))
      return false;
    switch (t.def.config.kind) {
    case table_kind::latest: t.rows.put(row_key, row_of(t), time_ms, at); break;
    case table_kind::log: {
      auto value = std::make_shared<const std::string>(row_of(t));
      t.entry_bytes += value->size() + sizeof(log_entry);
      auto event_ms = time_ms;
      if (!t.time.tokens.empty())
        event_ms = event_time(reader.at(t.time)).value_or(time_ms);
      t.entries.push_back({event_ms, at, std::move(value)});
      break;
    }
    case table_kind::aggregate:
      for (std::size_t i = 0; i < t.fields.size(); ++i)
        if (t.def.config.fields[i].fn != function::count)
          t.values[i] = reader.number_at(t.fields[i]);
      t.states.add(row_key, t.values, stamp{time_ms, source.partition, at}, number);
      break;
    }
    t.newest_ms = std::max(t.newest_ms, time_ms);
    return true;
  }

  verdict fold(offset at, std::int64_t time_ms, const std::optional<std::string_view>& key) {
    verdict v;
    auto check = key_check::unknown;
    bool missed = false;
    row.clear();
    for (auto& t : tables) {
      if (at < t.start || !t.filter.matches(reader))
        continue;
      if (take(t, at, time_ms, key, check))
        v.taken = true;
      else
        missed = true;
    }
    if (!missed)
      return v;
    if (at < ahead) {
      std::string_view ignored;
      for (const auto& t : tables)
        if (at < t.start && !t.is(table_kind::log) && t.filter.matches(reader) && !key_of(t, key, check, ignored))
          return v;
    }
    v.dead_letter = no_key;
    return v;
  }

  std::size_t share() const { return aggregates == 0 ? 0 : options.cached_states / aggregates; }

  void shrink(std::size_t most) {
    for (auto& t : tables)
      t.states.shrink(most, committed);
  }
};

partition_fold::partition_fold(partition_key source, std::vector<fold_table> tables, std::vector<offset> positions,
                               fold_options options)
    : impl_(std::make_unique<impl>()) {
  impl_->source = std::move(source);
  impl_->options = options;
  impl_->tables.reserve(tables.size());
  for (auto& t : tables) {
    if (t.config.kind == table_kind::aggregate)
      ++impl_->aggregates;
    impl_->tables.emplace_back(std::move(t), offset{});
  }
  impl_->begin(positions);
}

partition_fold::~partition_fold() = default;

verdict partition_fold::add(offset at, std::int64_t time_ms, const std::optional<std::string_view>& key,
                            const std::optional<std::string_view>& value) {
  auto& self = *impl_;
  if (at < self.next || self.tables.empty())
    return {};
  self.note(at, time_ms, key);
  const auto stamp_ms = std::max<std::int64_t>(time_ms, 0);
  if (!value) {
    self.last_sum = record_checksum(key, value);
    return self.tombstone(at, stamp_ms, key);
  }
  const auto reason = self.reader.read(*value, self.options.max_record_bytes);
  if (reason.empty())
    return self.fold(at, stamp_ms, key);
  if (self.reader.given().size() != value->size())
    self.last_sum = record_checksum(key, value);
  // A table that is past it has made it a dead letter already.
  return {false, at < self.ahead ? std::string_view{} : reason};
}

std::size_t partition_fold::records() const { return impl_->records; }

std::size_t partition_fold::bytes() const {
  std::size_t sum = 0;
  for (const auto& t : impl_->tables)
    sum += t.rows.bytes() + t.entry_bytes + t.states.waiting_bytes();
  return sum;
}

std::vector<missing_state> partition_fold::missing_states() {
  std::vector<missing_state> all;
  for (std::size_t i = 0; i < impl_->tables.size(); ++i)
    if (auto keys = impl_->tables[i].states.unasked(); !keys.empty())
      all.push_back({i, std::move(keys)});
  return all;
}

result<void> partition_fold::supply_state(std::size_t table, std::string_view key,
                                          const std::optional<std::string_view>& stored) {
  return impl_->tables.at(table).states.supply(key, stored);
}

std::size_t partition_fold::awaited_states() const {
  std::size_t sum = 0;
  for (const auto& t : impl_->tables)
    sum += t.states.awaited();
  return sum;
}

batch partition_fold::close() {
  auto& self = *impl_;
  if (awaited_states() > 0)
    throw std::logic_error("a batch is closed before its aggregate states are known");
  batch b;
  if (self.records == 0)
    return b;
  b.number = self.number++;
  b.records = self.records;
  b.newest_record_ms = self.newest_ms;
  const auto sum =
      self.last_sum ? *self.last_sum
                    : record_checksum(self.last_has_key ? std::optional<std::string_view>(self.last_key) : std::nullopt,
                                      self.reader.given());
  b.mark = redis::record_mark{self.last_at, self.last_time, sum};
  for (std::size_t i = 0; i < self.tables.size(); ++i) {
    auto& t = self.tables[i];
    if (const auto now = self.position(t); now != t.stored) {
      b.positions.push_back({t.def.ref, t.stored, now});
      t.stored = now;
    }
    if (t.rows.empty() && t.entries.empty() && !t.states.touched())
      continue;
    auto changes = std::make_shared<change_set>();
    changes->table = t.def.config.name;
    changes->source = self.source;
    changes->newest_record_ms = t.newest_ms;
    b.bytes += t.rows.take(self.source.partition, changes->rows);
    b.bytes += t.states.take(changes->rows);
    for (const auto& e : t.entries)
      b.bytes += e.value->size();
    changes->entries.swap(t.entries);
    t.drop_open();
    redis::table_write w;
    w.table = t.def.ref;
    w.buckets = t.def.buckets;
    if (t.is(table_kind::latest) && t.def.config.ttl)
      w.ttl_ms = t.def.config.ttl->count();
    w.changes = std::move(changes);
    b.tables.push_back(std::move(w));
    b.table_indexes.push_back(i);
  }
  self.records = 0;
  self.newest_ms = 0;
  self.shrink(self.share());
  return b;
}

void partition_fold::committed(std::uint64_t number) {
  impl_->committed = std::max(impl_->committed, std::min(number, impl_->number - 1));
  impl_->shrink(impl_->share());
}

void partition_fold::restart(std::vector<offset> positions) { impl_->begin(positions); }

void partition_fold::drop_cache() { impl_->shrink(0); }

offset partition_fold::position(std::size_t table) const { return impl_->position(impl_->tables.at(table)); }

offset partition_fold::lowest_position() const { return impl_->next; }

std::size_t partition_fold::cached_states() const {
  std::size_t sum = 0;
  for (const auto& t : impl_->tables)
    sum += t.states.size();
  return sum;
}

} // namespace weir::table
