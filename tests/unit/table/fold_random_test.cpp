// The fold against a plain one over std::map and another JSON library, with random records, batch ends, lost batches
// and cache sizes.
#include "table_test.hpp"

#include "runtime/table/merge.hpp"

#include <gtest/gtest.h>
#include <map>
#include <nlohmann/json.hpp>

namespace weir::table {
namespace {

using json = nlohmann::json;
using testing::seeded;

struct record {
  std::int64_t at, time_ms;
  std::optional<std::string> key, value;
};

std::vector<record> random_log(std::mt19937_64& random, std::size_t n) {
  std::vector<record> log;
  std::int64_t at = 0;
  for (std::size_t i = 0; i < n; ++i) {
    at += 1 + static_cast<std::int64_t>(random() % 10 == 0 ? random() % 5 : 0); // compaction leaves gaps
    record r{at, 1'700'000'000'000 + static_cast<std::int64_t>(random() % 1000), {}, {}};
    if (random() % 20 != 0)
      r.key = "k" + std::to_string(random() % 15);
    json value = json::object();
    if (random() % 10 != 0)
      value["s"] = random() % 2 == 0 ? json("site" + std::to_string(random() % 6)) : json(random() % 6);
    switch (random() % 5) {
    case 0: value["v"] = random() % 1000; break;
    case 1: value["v"] = std::uniform_real_distribution<double>(-10, 10)(random); break;
    case 2: value["v"] = "text"; break;
    case 3: value["v"] = nullptr; break;
    default: break;
    }
    value["t"] = random() % 100;
    switch (random() % 25) {
    case 0: break; // a tombstone
    case 1: r.value = "{broken"; break;
    case 2: r.value = "[1]"; break;
    case 3: r.value = value.dump(2); break;
    default: r.value = value.dump();
    }
    log.push_back(std::move(r));
  }
  return log;
}

std::vector<fold_table> tables() {
  auto hot = testing::latest("hot", "/s");
  hot.config.where.all.push_back({"/t", comparison::gte, {scalar(std::uint64_t{50})}});
  hot.config.select = {{"value", "/v"}, {"t", "/t"}};
  return {testing::latest("machines"), hot, testing::aggregate("totals", "/s"), testing::aggregate("by_key"),
          testing::log_table("history")};
}

struct plain_state {
  std::uint64_t n = 0, seen = 0;
  bool real = false;
  std::int64_t whole = 0;
  double sum = 0;
  json low, high, one, now;

  void add(const json& v) {
    ++n;
    if (!v.is_number())
      return;
    ++seen;
    if (!real && v.is_number_integer()) {
      whole += v.get<std::int64_t>();
    } else {
      sum = (real ? sum : static_cast<double>(whole)) + v.get<double>();
      real = true;
    }
    if (low.is_null() || v < low)
      low = v;
    if (high.is_null() || v > high)
      high = v;
    if (one.is_null())
      one = v;
    now = v;
  }

  json row() const {
    const auto total = real ? sum : static_cast<double>(whole);
    return {{"n", n},     {"sum", seen == 0 ? json() : real ? json(sum) : json(whole)},
            {"low", low}, {"high", high},
            {"one", one}, {"mean", seen == 0 ? json() : json(total / static_cast<double>(seen))},
            {"now", now}};
  }
};

struct plain_fold {
  std::map<std::string, json> machines, hot;
  std::map<std::string, plain_state> totals, by_key;
  std::vector<json> history;
  std::size_t dead = 0;

  void add(const record& r) {
    if (!r.value) {
      if (r.key)
        machines.erase(*r.key);
      else
        ++dead;
      return;
    }
    const auto v = json::parse(*r.value, nullptr, false);
    if (!v.is_object()) {
      ++dead;
      return;
    }
    history.push_back(v);
    const auto field = [&](const char* name) { return v.contains(name) ? v[name] : json(); };
    const auto site = field("s");
    const auto site_key = site.is_string() ? site.get<std::string>() : site.dump();
    if (!r.key || site.is_null())
      ++dead; // `totals` needs /s, and two tables need the record key
    if (r.key) {
      machines[*r.key] = v;
      by_key[*r.key].add(field("v"));
    }
    if (!site.is_null()) {
      totals[site_key].add(field("v"));
      if (v["t"] >= 50) {
        json row = {{"t", v["t"]}};
        if (v.contains("v"))
          row["value"] = v["v"];
        hot[site_key] = row;
      }
    }
  }
};

// What Redis would hold.
struct stored {
  std::map<std::string, std::map<std::string, row_change>> rows;
  std::vector<log_entry> history;
  std::vector<offset> positions;

  void apply(const batch& b, const std::vector<fold_table>& defs) {
    for (const auto& p : b.positions)
      for (std::size_t i = 0; i < defs.size(); ++i)
        if (defs[i].ref == p.table) {
          ASSERT_EQ(positions[i], p.expect);
          positions[i] = p.next;
        }
    for (const auto& w : b.tables) {
      for (const auto& r : w.changes->rows) {
        if (r.value)
          rows[w.table.name][r.key] = r;
        else
          rows[w.table.name].erase(r.key);
      }
      history.insert(history.end(), w.changes->entries.begin(), w.changes->entries.end());
    }
  }
};

void supply_all(partition_fold& f, const std::vector<fold_table>& defs, const stored& redis) {
  for (const auto& m : f.missing_states())
    for (const auto& key : m.keys) {
      const auto table = redis.rows.find(defs[m.table].ref.name);
      testing::text state;
      if (table != redis.rows.end())
        if (const auto row = table->second.find(key); row != table->second.end())
          state = *row->second.value;
      ASSERT_TRUE(f.supply_state(m.table, key, state));
    }
}

// Folds `log` with random batch ends and loses some batches on the way; gives the number of dead letters of what was
// kept.
stored run(const std::vector<record>& log, std::mt19937_64& random, std::size_t& dead, bool faults) {
  const auto defs = tables();
  stored redis;
  redis.positions.assign(defs.size(), redis::no_position);
  fold_options options;
  options.cached_states = 2 * (1 + random() % 12);
  partition_fold f(testing::readings(), defs, redis.positions, options);
  const auto pace = 1 + random() % 60;
  std::vector<std::pair<batch, std::size_t>> flying; // closed, not applied yet
  std::size_t open_dead = 0;
  const auto land = [&](std::size_t leave) {
    while (flying.size() > leave) {
      redis.apply(flying.front().first, defs);
      f.committed(flying.front().first.number);
      dead += flying.front().second;
      flying.erase(flying.begin());
    }
  };
  for (std::size_t i = 0; i < log.size(); ++i) {
    const auto& r = log[i];
    const auto v = f.add(offset{r.at}, r.time_ms, r.key, r.value);
    open_dead += !v.dead_letter.empty();
    if (random() % 4 == 0)
      land(random() % 3);
    if (random() % pace == 0 || i + 1 == log.size()) {
      // States are read from what is applied; one under way must come from the cache.
      supply_all(f, defs, redis);
      flying.emplace_back(f.close(), open_dead);
      open_dead = 0;
    }
    if (faults && random() % 50 == 0 &&
        i + 1 != log.size()) { // the link broke: what flew is lost, and reading starts again
      flying.clear();
      open_dead = 0;
      f.restart(redis.positions);
      i = 0;
      while (i < log.size() && log[i].at < f.lowest_position().value)
        ++i;
      --i;
    }
  }
  land(0);
  return redis;
}

TEST(fold_random, equals_a_plain_fold_of_the_log) {
  auto random = seeded();
  for (int round = 0; round < 30; ++round) {
    const auto log = random_log(random, 400);
    plain_fold plain;
    for (const auto& r : log)
      plain.add(r);
    std::size_t dead = 0;
    auto redis = run(log, random, dead, false);
    const auto defs = tables();
    ASSERT_EQ(dead, plain.dead);
    const auto rows = [&](std::size_t table) {
      std::map<std::string, json> all;
      for (const auto& [key, row] : redis.rows[defs[table].ref.name])
        all[key] = json::parse(*visible_row(defs[table].config, part{partition_id{0}, row.at, row.value}));
      return all;
    };
    ASSERT_EQ(rows(0), plain.machines);
    ASSERT_EQ(rows(1), plain.hot);
    std::map<std::string, json> totals, by_key;
    for (const auto& [key, state] : plain.totals)
      totals[key] = state.row();
    for (const auto& [key, state] : plain.by_key)
      by_key[key] = state.row();
    ASSERT_EQ(rows(2), totals);
    ASSERT_EQ(rows(3), by_key);
    ASSERT_EQ(redis.history.size(), plain.history.size());
    for (std::size_t i = 0; i < redis.history.size(); ++i) {
      ASSERT_EQ(json::parse(*redis.history[i].value), plain.history[i]);
      ASSERT_EQ(redis.history[i].value->find('\n'), std::string::npos);
    }
  }
}

TEST(fold_random, any_batches_and_any_replay_give_the_same_bits) {
  auto random = seeded();
  for (int round = 0; round < 20; ++round) {
    const auto log = random_log(random, 300);
    std::size_t dead = 0, dead_again = 0;
    const auto one = run(log, random, dead, false);
    const auto two = run(log, random, dead_again, true);
    ASSERT_EQ(dead, dead_again);
    ASSERT_EQ(one.positions, two.positions);
    ASSERT_EQ(one.history.size(), two.history.size());
    ASSERT_EQ(one.rows.size(), two.rows.size());
    for (const auto& [name, rows] : one.rows) {
      const auto& others = two.rows.at(name);
      ASSERT_EQ(rows.size(), others.size());
      for (const auto& [key, row] : rows) {
        ASSERT_EQ(*row.value, *others.at(key).value) << name << '/' << key;
        ASSERT_EQ(row.at, others.at(key).at);
      }
    }
  }
}

TEST(fold_random, tables_at_different_positions_end_as_if_they_had_been_there_from_the_start) {
  auto random = seeded();
  const auto defs = tables();
  for (int round = 0; round < 20; ++round) {
    const auto log = random_log(random, 200);
    std::size_t dead = 0;
    const auto whole = run(log, random, dead, false);
    // The first two tables get half of the log alone; then all of them start together, the others from nothing.
    stored redis;
    redis.positions.assign(defs.size(), redis::no_position);
    std::size_t dead_early = 0;
    {
      const std::vector<fold_table> early(defs.begin(), defs.begin() + 2);
      partition_fold f(testing::readings(), early, {redis::no_position, redis::no_position});
      for (std::size_t i = 0; i < log.size() / 2; ++i)
        dead_early += !f.add(offset{log[i].at}, log[i].time_ms, log[i].key, log[i].value).dead_letter.empty();
      redis.apply(f.close(), defs);
    }
    partition_fold f(testing::readings(), defs, redis.positions);
    for (const auto& r : log)
      f.add(offset{r.at}, r.time_ms, r.key, r.value);
    supply_all(f, defs, redis);
    redis.apply(f.close(), defs);
    ASSERT_EQ(redis.positions, whole.positions);
    ASSERT_EQ(redis.history.size(), whole.history.size());
    for (const auto& [name, rows] : whole.rows) {
      const auto& others = redis.rows[name];
      ASSERT_EQ(rows.size(), others.size()) << name;
      for (const auto& [key, row] : rows)
        ASSERT_EQ(*row.value, *others.at(key).value) << name << '/' << key;
    }
  }
}

} // namespace
} // namespace weir::table
