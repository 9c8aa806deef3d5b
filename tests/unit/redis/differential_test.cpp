// The store in memory (which the actors' tests stand on) answers as the scripts in Redis do, over random operations.
//
// Clocks are taken out of the comparison by hints far in the future: versions are then the same on both sides. Epochs
// come from two clocks; they are compared by the claim that made them.
#include "tests/support/memory_store.hpp"
#include "tests/unit/redis/fixture.hpp"

#include <algorithm>
#include <cstdlib>
#include <fmt/format.h>
#include <random>

namespace weir::redis::test {
namespace {

constexpr std::size_t operations = 6000;
constexpr std::uint64_t base = 4'000'000'000'000'000; // far beyond both clocks

class comparison {
public:
  comparison(std::uint64_t seed, client& c) : random_(seed), real_(c.store()), memory_(options(seed)) {
    sides_.resize(2);
    for (auto& s : sides_)
      s.key = fresh_partition();
  }
  static support::memory_store::options options(std::uint64_t seed) {
    support::memory_store::options o;
    o.now = [] { return std::uint64_t{1000}; };
    o.seed = seed;
    o.change_log_bytes = log_bytes;
    return o;
  }
  static constexpr std::size_t log_bytes = 1500;

  void step() {
    auto& s = sides_[below(sides_.size())];
    const auto what = below(100);
    if (what < 6 || s.epochs.size() == 1)
      claim(s);
    else if (what < 60)
      apply(s);
    else if (what < 66)
      head(s);
    else
      read(s);
  }
  std::map<tx_status, std::size_t> statuses;
  std::size_t kept = 0, refused_claims = 0;

private:
  struct id {
    std::size_t epoch = 0; // which claim
    std::uint64_t n = 0;
  };
  struct side {
    partition_key key;
    std::vector<std::pair<owner_epoch, owner_epoch>> epochs{{{}, {}}}; // real, memory
    id tail;
    std::uint64_t n = 0;
    std::vector<std::pair<transaction_ptr, transaction_ptr>> sent;
    std::pair<stream_epoch, stream_epoch> stream;
  };

  std::uint64_t below(std::uint64_t n) { return random_() % n; }
  bool chance(int percent) { return below(100) < static_cast<std::uint64_t>(percent); }
  version hint() { return version{chance(70) ? base + below(1u << 20) : below(1000)}; }
  std::string key() { return "k" + std::to_string(below(14)); }
  table_ref rows_table() { return {chance(70) ? "m" : "n", 1}; }

  template <class T, class Call>
  std::pair<result<T>, result<T>> both(Call call) {
    auto a = answer_of<T>([&](auto done) { call(real_, done); });
    auto b = answer_of<T>([&](auto done) { call(static_cast<store&>(memory_), done); });
    EXPECT_EQ(a.has_value(), b.has_value()) << (a ? "" : a.error().message) << (b ? "" : b.error().message);
    if (!a && !b) {
      EXPECT_EQ(a.error().code, b.error().code) << a.error().message;
    }
    return {std::move(a), std::move(b)};
  }

  void compare(side& s, const partition_state& a, const partition_state& b) {
    EXPECT_EQ(a.fresh, b.fresh);
    EXPECT_EQ(a.owner, b.owner);
    EXPECT_EQ(a.last, b.last);
    EXPECT_EQ(a.mark, b.mark);
    EXPECT_EQ(a.batch.n, b.batch.n);
    EXPECT_EQ(a.server_changed, b.server_changed);
    auto made = std::find_if(s.epochs.begin(), s.epochs.end(), [&](auto& e) { return e.first == a.batch.epoch; });
    ASSERT_NE(made, s.epochs.end());
    EXPECT_EQ(made->second, b.batch.epoch);
    ASSERT_EQ(a.tables.size(), b.tables.size());
    for (const auto& [name, t] : a.tables) {
      ASSERT_TRUE(b.tables.contains(name)) << name;
      EXPECT_EQ(t.next, b.tables.at(name).next) << name;
      EXPECT_EQ(t.changed, b.tables.at(name).changed) << name;
      EXPECT_EQ(t.records, b.tables.at(name).records) << name;
    }
    EXPECT_EQ(a.stream == s.stream.first, b.stream == s.stream.second);
    s.stream = {a.stream, b.stream};
  }

  void claim(side& s) {
    claim_request q{s.key, chance(50) ? "a" : "b", static_cast<std::int32_t>(below(5)) - 1,
                    version{base + below(1u << 20)}};
    auto [a, b] = both<partition_state>([&](store& st, auto done) { st.claim(q, done); });
    if (!a || !b) {
      ++refused_claims;
      return;
    }
    s.epochs.emplace_back(a->epoch, b->epoch);
    s.n = 0;
    compare(s, *a, *b);
    auto known = memory_head(s);
    s.tail = {index_of(s, known.batch.epoch), known.batch.n};
  }

  std::size_t index_of(const side& s, owner_epoch memory_epoch) {
    auto made = std::find_if(s.epochs.begin(), s.epochs.end(), [&](auto& e) { return e.second == memory_epoch; });
    return static_cast<std::size_t>(made - s.epochs.begin());
  }

  partition_state memory_head(side& s) {
    return *answer_of<partition_state>([&](auto done) { memory_.read_head(s.key, done); });
  }

  table_write random_write(side& s) {
    if (chance(35)) { // a log
      table_write w;
      w.table = {"l", 1};
      if (chance(80)) {
        std::vector<std::string> values;
        for (auto n = below(5) + 1; n > 0; --n)
          values.push_back(fmt::format("{{\"v\":\n{}}}", below(100)));
        w = append("l", values, static_cast<std::int64_t>(below(5000)));
      }
      if (chance(30)) {
        auto heads =
            answer_of<std::vector<batch_head>>([&](auto done) { memory_.log_heads(s.key, {"l", 1}, 1000, done); });
        if (!heads->empty()) {
          const auto upto = below(heads->size()) + 1;
          for (std::size_t i = 0; i < upto; ++i)
            w.trimmed += (*heads)[i].records;
          w.trim_below = version{(*heads)[upto - 1].first.value + 1};
        }
      }
      return w;
    }
    std::vector<std::string> keys;
    for (auto n = below(6); n > 0; --n)
      keys.push_back(key());
    std::sort(keys.begin(), keys.end());
    keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
    std::shuffle(keys.begin(), keys.end(), random_);
    auto w = put_rows("m", {}, 4);
    w.table = rows_table();
    const bool expiry = chance(25);
    if (expiry)
      w.expire_up_to_ms = static_cast<std::int64_t>(below(6000));
    for (const auto& k : keys) {
      row_change row{
          k,
          nullptr,
          {static_cast<std::int64_t>(below(5000)), partition_id{3}, offset{static_cast<std::int64_t>(below(100))}}};
      if (!expiry && chance(70))
        row.value = std::make_shared<const std::string>(fmt::format("{{\"r\":{}}}", below(1000)));
      w.changes->rows.push_back(std::move(row));
    }
    if (chance(70))
      w.ttl_ms = 500;
    return w;
  }

  void apply(side& s) {
    if (!s.sent.empty() && chance(10)) { // the same again, the newest or an older one
      const auto i = chance(70) ? s.sent.size() - 1 : below(s.sent.size());
      send(s, s.sent[i]);
      return;
    }
    transaction tx;
    tx.partition = s.key;
    tx.hint = hint();
    std::size_t epoch = s.epochs.size() - 1;
    if (chance(5))
      epoch = below(s.epochs.size()); // a zombie
    auto follows = s.tail;
    if (chance(5))
      follows.n += 1;
    for (auto n = below(4); n > 0; --n) {
      auto w = random_write(s);
      if (std::none_of(tx.tables.begin(), tx.tables.end(), [&](auto& other) { return other.table == w.table; }))
        tx.tables.push_back(std::move(w));
    }
    auto known = memory_head(s);
    for (const char* name : {"m", "l"})
      if (chance(50)) {
        position_move move{{name, 1}, no_position, offset{static_cast<std::int64_t>(below(1000))}};
        if (auto t = known.tables.find(move.table.text()); t != known.tables.end())
          move.expect = t->second.next;
        if (chance(4))
          move.expect = offset{move.expect.value + 1};
        tx.positions.push_back(move);
      }
    if (chance(10))
      tx.mark = record_mark{offset{static_cast<std::int64_t>(below(100))}, 5, 7};
    if (chance(3))
      tx.renew_epoch = stream_epoch{fmt::format("{:016}-x", base + ++renewals_)};
    if (chance(2))
      tx.hint = version{(1ull << 53) - 1 - below(3)};
    if (tx.hint.value >= (1ull << 53) - 3 && chance(50))
      tx.hint = version{base}; // once last is there nothing can be applied any more: seldom
    else if (tx.hint.value >= (1ull << 53) - 3)
      tx.hint = version{1ull << 53};
    tx.id.n = ++s.n;
    auto real = std::make_shared<transaction>(tx), memory = std::make_shared<transaction>(tx);
    real->id.epoch = s.epochs[epoch].first;
    memory->id.epoch = s.epochs[epoch].second;
    real->follows = {s.epochs[follows.epoch].first, follows.n};
    memory->follows = {s.epochs[follows.epoch].second, follows.n};
    s.sent.emplace_back(real, memory);
    if (send(s, s.sent.back()))
      s.tail = {epoch, tx.id.n};
  }

  bool send(side& s, std::pair<transaction_ptr, transaction_ptr> tx) {
    auto a = answer_of<tx_result>([&](auto done) { real_.writer(0).submit(tx.first, done); });
    auto b = answer_of<tx_result>([&](auto done) { memory_.writer(0).submit(tx.second, done); });
    EXPECT_EQ(a.has_value(), b.has_value()) << (a ? "" : a.error().message) << (b ? "" : b.error().message);
    if (!a || !b) {
      EXPECT_EQ(a.error().code, b.error().code);
      return false;
    }
    EXPECT_EQ(a->status, b->status);
    EXPECT_EQ(a->first, b->first);
    EXPECT_EQ(a->last, b->last);
    EXPECT_EQ(a->previous, b->previous);
    EXPECT_EQ(a->kept, b->kept);
    if (a->status == tx_status::applied && tx.first->renew_epoch)
      s.stream = {*tx.first->renew_epoch, *tx.first->renew_epoch};
    EXPECT_EQ(a->epoch == s.stream.first, b->epoch == s.stream.second);
    ++statuses[a->status];
    for (auto& k : a->kept)
      kept += k.size();
    return a->status == tx_status::applied;
  }

  void head(side& s) {
    auto [a, b] = both<partition_state>([&](store& st, auto done) { st.read_head(s.key, done); });
    if (a && b)
      compare(s, *a, *b);
  }

  static std::vector<std::tuple<std::string, std::string, std::int64_t, offset>> flat(std::vector<stored_row> rows) {
    std::vector<std::tuple<std::string, std::string, std::int64_t, offset>> out;
    for (auto& r : rows)
      out.emplace_back(r.key, r.value, r.time_ms, r.at);
    std::sort(out.begin(), out.end());
    return out;
  }

  void read(side& s) {
    const auto table = rows_table();
    switch (below(8)) {
    case 0: {
      std::vector<std::string> keys;
      for (auto n = below(20); n > 0; --n)
        keys.push_back(key());
      auto [a, b] = both<std::vector<std::optional<stored_row>>>(
          [&](store& st, auto done) { st.load_rows(s.key, table, 4, keys, done); });
      ASSERT_EQ(a->size(), b->size());
      for (std::size_t i = 0; i < a->size(); ++i) {
        ASSERT_EQ((*a)[i].has_value(), (*b)[i].has_value());
        if ((*a)[i]) {
          EXPECT_EQ(flat({*(*a)[i]}), flat({*(*b)[i]}));
        }
      }
      break;
    }
    case 1: {
      const auto bucket = static_cast<std::uint32_t>(below(4));
      auto [a, b] =
          both<std::vector<stored_row>>([&](store& st, auto done) { st.load_bucket(s.key, table, bucket, done); });
      EXPECT_EQ(flat(*a), flat(*b));
      break;
    }
    case 2: {
      auto [a, b] = both<std::uint64_t>([&](store& st, auto done) { st.count_rows(s.key, table, 4, done); });
      EXPECT_EQ(*a, *b);
      break;
    }
    case 3: {
      const bool reverse = chance(50);
      const auto most = static_cast<std::uint32_t>(below(20) + 1);
      auto [a, b] = both<std::vector<stored_batch>>([&](store& st, auto done) {
        st.load_log(s.key, {"l", 1}, version{base + 5000}, version{1ull << 53}, most, reverse, done);
      });
      ASSERT_EQ(a->size(), b->size());
      for (std::size_t i = 0; i < a->size(); ++i) {
        EXPECT_EQ((*a)[i].first, (*b)[i].first);
        ASSERT_EQ((*a)[i].entries.size(), (*b)[i].entries.size());
        for (std::size_t e = 0; e < (*a)[i].entries.size(); ++e) {
          EXPECT_EQ(*(*a)[i].entries[e].value, *(*b)[i].entries[e].value);
          EXPECT_EQ((*a)[i].entries[e].time_ms, (*b)[i].entries[e].time_ms);
        }
      }
      auto [c, d] = both<packed_log>([&](store& st, auto done) {
        st.scan_log(s.key, {"l", 1}, version{base + 5000}, version{1ull << 53}, most, done);
      });
      ASSERT_EQ(c->batches.size(), d->batches.size());
      for (std::size_t i = 0; i < c->batches.size(); ++i) {
        EXPECT_EQ(c->batches[i].first, d->batches[i].first);
        EXPECT_EQ(c->batches[i].records, d->batches[i].records);
        EXPECT_EQ(c->batches[i].packed, d->batches[i].packed);
      }
      break;
    }
    case 4: {
      const auto most = static_cast<std::uint32_t>(below(40) + 1);
      auto [a, b] =
          both<std::vector<batch_head>>([&](store& st, auto done) { st.log_heads(s.key, {"l", 1}, most, done); });
      ASSERT_EQ(a->size(), b->size());
      for (std::size_t i = 0; i < a->size(); ++i) {
        EXPECT_EQ((*a)[i].first, (*b)[i].first);
        EXPECT_EQ((*a)[i].records, (*b)[i].records);
        EXPECT_EQ((*a)[i].oldest_ms, (*b)[i].oldest_ms);
        EXPECT_EQ((*a)[i].newest_ms, (*b)[i].newest_ms);
      }
      break;
    }
    case 5: {
      const auto which = chance(85) ? table : table_ref{"l", 1};
      const auto after = version{chance(50) ? 0 : base + below(1u << 20)};
      auto [a, b] = both<change_log>([&](store& st, auto done) { st.load_changes(s.key, which, after, done); });
      EXPECT_EQ(a->floor, b->floor);
      ASSERT_EQ(a->entries.size(), b->entries.size());
      for (std::size_t i = 0; i < a->entries.size(); ++i) {
        EXPECT_EQ(a->entries[i].at, b->entries[i].at);
        auto x = a->entries[i].keys, y = b->entries[i].keys;
        std::sort(x.begin(), x.end());
        std::sort(y.begin(), y.end());
        EXPECT_EQ(x, y);
      }
      break;
    }
    case 6: {
      const auto now = static_cast<std::int64_t>(below(6000));
      auto [a, b] =
          both<std::vector<stored_row>>([&](store& st, auto done) { st.expired(s.key, table, now, 100, done); });
      EXPECT_EQ(flat(*a), flat(*b));
      break;
    }
    default: {
      const auto field = "f" + std::to_string(below(3)), value = std::to_string(below(3)),
                 expect = chance(30) ? "" : std::to_string(below(3));
      if (chance(50)) {
        auto [a, b] =
            both<std::string>([&](store& st, auto done) { st.meta_once(s.key.topology, field, value, done); });
        EXPECT_EQ(*a, *b);
      } else {
        auto [a, b] =
            both<bool>([&](store& st, auto done) { st.meta_swap(s.key.topology, field, expect, value, done); });
        EXPECT_EQ(*a, *b);
      }
      auto [a, b] =
          both<std::map<std::string, std::string>>([&](store& st, auto done) { st.load_meta(s.key.topology, done); });
      EXPECT_EQ(*a, *b);
    }
    }
  }

  std::mt19937_64 random_;
  store& real_;
  weir::support::memory_store memory_;
  std::vector<side> sides_;
  std::uint64_t renewals_ = 0;
};

TEST(differential, the_store_in_memory_answers_as_redis_does) {
  const char* given = std::getenv("WEIR_SEED");
  const std::uint64_t seed = given ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  std::cout << "seed " << seed << " (WEIR_SEED repeats it)\n";
  server redis;
  client c(redis.config(), {.change_log_bytes = comparison::log_bytes});
  c.await_up();
  comparison compare(seed, c);
  for (std::size_t i = 0; i < operations && !::testing::Test::HasFailure(); ++i) {
    SCOPED_TRACE(fmt::format("seed {} step {}", seed, i));
    compare.step();
  }
  if (::testing::Test::HasFailure())
    return;
  // The operations reached every rule.
  EXPECT_GT(compare.statuses[tx_status::applied], 1000u);
  EXPECT_GT(compare.statuses[tx_status::already], 20u);
  EXPECT_GT(compare.statuses[tx_status::mismatch], 20u);
  EXPECT_GT(compare.statuses[tx_status::fenced], 20u);
  EXPECT_GT(compare.kept, 20u);
  EXPECT_GT(compare.refused_claims, 5u);
}

} // namespace
} // namespace weir::redis::test
