// The rules of the scripts, each against a real redis-server.
#include "runtime/redis/layout.hpp"
#include "tests/unit/redis/fixture.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace weir::redis::test {
namespace {

using rows = std::vector<std::optional<stored_row>>;

class script : public ::testing::Test {
protected:
  static void SetUpTestSuite() { shared_client() = std::make_unique<client>(shared_server().config()); }
  static void TearDownTestSuite() { shared_client().reset(); }
  static std::unique_ptr<client>& shared_client() {
    static std::unique_ptr<client> c;
    return c;
  }
  void SetUp() override {
    c().await_up();
    auto head = c().claim(p);
    ASSERT_TRUE(head) << head.error().message;
    first_head = *head;
    me = owner(p, first_head);
  }
  client& c() { return *shared_client(); }
  server& redis() { return shared_server(); }

  tx_result applied(transaction tx) {
    auto r = c().submit(std::move(tx));
    EXPECT_TRUE(r) << r.error().message;
    if (!r)
      return {};
    EXPECT_EQ(r->status, tx_status::applied);
    return *r;
  }
  rows load(const std::string& table, std::vector<std::string> keys, std::uint32_t buckets = 4) {
    auto r = answer_of<rows>([&](auto done) { c()->load_rows(p, {table, 1}, buckets, keys, done); });
    EXPECT_TRUE(r);
    return r ? *r : rows{};
  }
  std::string value_of(const std::string& table, const std::string& key) {
    auto r = load(table, {key});
    return r.size() == 1 && r[0] ? r[0]->value : "(none)";
  }
  partition_state head() {
    auto r = c().head(p);
    EXPECT_TRUE(r);
    return r ? *r : partition_state{};
  }
  std::string key(const std::string& rest = "") { return p.prefix() + rest; }

  partition_key p = fresh_partition();
  partition_state first_head;
  owner me{p, {}};
};

TEST_F(script, a_fresh_partition_gets_an_epoch_a_stream_and_the_servers_time) {
  EXPECT_TRUE(first_head.fresh);
  EXPECT_GT(first_head.epoch.value, 1'600'000'000'000'000u);
  EXPECT_GT(first_head.last.value, 1'600'000'000'000'000u);
  EXPECT_EQ(first_head.stream.value.size(), 16u + 1 + 16);
  EXPECT_EQ(first_head.batch, batch_id{});
  EXPECT_EQ(first_head.owner, "a");
  EXPECT_EQ(first_head.run_id.size(), 40u);
  EXPECT_FALSE(first_head.server_changed);
  auto nothing = c().head(fresh_partition());
  ASSERT_TRUE(nothing);
  EXPECT_TRUE(nothing->fresh);
  EXPECT_EQ(nothing->epoch.value, 0u);
}

TEST_F(script, a_claim_raises_the_epoch_and_keeps_the_stream_and_the_batch) {
  auto tx = me.next({put_rows("m", {{"k", "1"}})});
  applied(tx);
  auto second = c().claim(p, "b");
  ASSERT_TRUE(second);
  EXPECT_FALSE(second->fresh);
  EXPECT_GT(second->epoch, first_head.epoch);
  EXPECT_EQ(second->stream, first_head.stream);
  EXPECT_EQ(second->batch, tx.id);
  EXPECT_EQ(second->owner, "b");
}

TEST_F(script, the_epoch_rises_though_the_clock_went_back) {
  redis().command({"HSET", key(), "epoch", "4000000000000000"});
  auto head = c().claim(p, "a");
  ASSERT_TRUE(head);
  EXPECT_EQ(head->epoch.value, 4000000000000001u);
}

TEST_F(script, a_claim_lifts_last_to_time_and_hint_and_never_down) {
  auto lifted = c().claim(p, "a", -1, version{4000000000000000});
  ASSERT_TRUE(lifted);
  EXPECT_EQ(lifted->last.value, 4000000000000000u);
  auto again = c().claim(p, "a");
  ASSERT_TRUE(again);
  EXPECT_EQ(again->last.value, 4000000000000000u);
}

TEST_F(script, a_claim_of_a_lower_generation_of_another_owner_is_refused) {
  ASSERT_TRUE(c().claim(p, "a", 7));
  auto late = c().claim(p, "b", 6);
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code, ec::fenced);
  EXPECT_EQ(head().owner, "a");
  EXPECT_TRUE(c().claim(p, "a", 6)) << "the same owner may";
  ASSERT_TRUE(c().claim(p, "a", 7));
  EXPECT_TRUE(c().claim(p, "b", 7)) << "an equal generation is no lower one";
}

TEST_F(script, a_lower_generation_is_taken_when_the_owner_was_silent_for_long) {
  // A group that was deleted starts again at generation 1: without this the partition could never be claimed again.
  ASSERT_TRUE(c().claim(p, "a", 57));
  redis().command({"HSET", key(), "epoch", "1000000", "last", "1000000"});
  EXPECT_TRUE(c().claim(p, "b", 1));
}

TEST_F(script, a_claim_by_another_owner_on_another_server_renews_the_stream) {
  redis().command({"HSET", key(), "run_id", "another"});
  auto same = c().claim(p, "a");
  ASSERT_TRUE(same);
  EXPECT_FALSE(same->server_changed) << "the owner itself knows what it lost";
  EXPECT_EQ(same->stream, first_head.stream);
  EXPECT_EQ(redis().command({"HGET", key(), "run_id"}), "another") << "and the next owner must see it too";
  owner writer(p, *same);
  EXPECT_EQ(c().submit(writer.next())->status, tx_status::applied);
  EXPECT_EQ(redis().command({"HGET", key(), "run_id"}), "another")
      << "whoever writes: an earlier owner's transaction may be applied on top of a state that went back";
  auto other = c().claim(p, "b");
  ASSERT_TRUE(other);
  EXPECT_TRUE(other->server_changed);
  EXPECT_GT(other->stream, first_head.stream);
  auto third = c().claim(p, "c");
  ASSERT_TRUE(third);
  EXPECT_FALSE(third->server_changed);
  EXPECT_EQ(third->stream, other->stream);
}

TEST_F(script, a_renewed_stream_sorts_behind_the_old_one_whatever_the_clock_says) {
  redis().command({"HSET", key(), "run_id", "another", "stream", "9000000000000000-ffffffffffffffff"});
  auto head = c().claim(p, "b");
  ASSERT_TRUE(head);
  EXPECT_TRUE(head->stream.value.starts_with("9000000000000001-")) << head->stream.value;
}

TEST_F(script, rows_and_positions_change_in_one_transaction) {
  auto r = applied(me.next({put_rows("m", {{"k1", "{\"a\":1}"}, {"k2", "2"}})}, {{{"m", 1}, no_position, offset{42}}}));
  EXPECT_EQ(r.first, r.last);
  EXPECT_EQ(r.previous, std::vector<version>{version{}});
  EXPECT_EQ(r.epoch, first_head.stream);
  auto stored = load("m", {"k2", "absent", "k1"});
  ASSERT_EQ(stored.size(), 3u);
  EXPECT_EQ(stored[0]->value, "2");
  EXPECT_EQ(stored[0]->time_ms, 1001);
  EXPECT_EQ(stored[0]->at, offset{1});
  EXPECT_FALSE(stored[1]);
  EXPECT_EQ(stored[2]->value, "{\"a\":1}");
  auto h = head();
  EXPECT_EQ(h.tables["m@1"].next, offset{42});
  EXPECT_EQ(h.tables["m@1"].changed, r.last);
  EXPECT_EQ(h.last, r.last);
  auto second = applied(me.next({remove_rows("m", {"k1"}), put_rows("other", {{"x", "1"}})}));
  EXPECT_EQ(second.previous, (std::vector<version>{r.last, version{}}));
  EXPECT_EQ(value_of("m", "k1"), "(none)");
}

TEST_F(script, a_transaction_of_an_earlier_epoch_is_fenced) {
  ASSERT_TRUE(c().claim(p, "b"));
  auto r = c().submit(me.next({put_rows("m", {{"k", "zombie"}})}));
  ASSERT_TRUE(r);
  EXPECT_EQ(r->status, tx_status::fenced);
  EXPECT_EQ(value_of("m", "k"), "(none)");
}

TEST_F(script, a_partition_nobody_claimed_takes_nothing) {
  auto other = fresh_partition();
  partition_state none;
  auto r = c().submit(owner(other, none).next({put_rows("m", {{"k", "1"}})}));
  ASSERT_TRUE(r);
  EXPECT_EQ(r->status, tx_status::fenced);
}

TEST_F(script, a_transaction_sent_twice_is_applied_once_and_answers_already) {
  applied(me.next({put_rows("m", {{"k", "0"}})}));
  auto tx = me.next({put_rows("m", {{"k", "1"}})}, {{{"m", 1}, no_position, offset{5}}});
  auto once = applied(tx);
  auto again = c().submit(tx);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->status, tx_status::already);
  EXPECT_EQ(again->first, once.last);
  EXPECT_EQ(again->last, once.last);
  EXPECT_EQ(again->previous, once.previous);
}

TEST_F(script, a_transaction_that_follows_another_one_is_a_mismatch) {
  applied(me.next({put_rows("m", {{"k", "1"}})}));
  static_cast<void>(me.next());
  auto r = c().submit(me.next({put_rows("m", {{"k", "gap"}})}));
  ASSERT_TRUE(r);
  EXPECT_EQ(r->status, tx_status::mismatch);
  EXPECT_EQ(value_of("m", "k"), "1");
}

TEST_F(script, every_position_is_compared) {
  applied(me.next({}, {{{"a", 1}, no_position, offset{10}}, {{"b", 1}, no_position, offset{20}}}));
  auto before = head();
  auto r = c().submit(
      me.next({put_rows("a", {{"k", "1"}})}, {{{"a", 1}, offset{10}, offset{11}}, {{"b", 1}, offset{19}, offset{21}}}));
  ASSERT_TRUE(r);
  EXPECT_EQ(r->status, tx_status::mismatch);
  EXPECT_EQ(value_of("a", "k"), "(none)");
  EXPECT_EQ(head().tables["a@1"].next, offset{10}) << "nor was the first one moved";
  EXPECT_EQ(head().last, before.last);
}

TEST_F(script, two_transactions_in_a_pipeline_apply_in_order) {
  std::promise<tx_result> first, second;
  auto one = std::make_shared<const transaction>(me.next({put_rows("m", {{"k", "1"}})}));
  auto two = std::make_shared<const transaction>(me.next({put_rows("m", {{"k", "2"}})}));
  c()->writer(0).submit(one, [&](auto r) { first.set_value(*r); });
  c()->writer(0).submit(two, [&](auto r) { second.set_value(*r); });
  auto a = first.get_future().get(), b = second.get_future().get();
  EXPECT_EQ(a.status, tx_status::applied);
  EXPECT_EQ(b.status, tx_status::applied);
  EXPECT_EQ(b.previous[0], a.last);
  EXPECT_GT(b.last, a.last);
  EXPECT_EQ(value_of("m", "k"), "2");
}

TEST_F(script, what_follows_a_refused_transaction_in_the_pipeline_is_refused) {
  auto lost = me.next({put_rows("m", {{"k", "1"}})}); // never sent
  auto r = c().submit(me.next({put_rows("m", {{"k", "2"}})}));
  ASSERT_TRUE(r);
  EXPECT_EQ(r->status, tx_status::mismatch);
  EXPECT_EQ(applied(lost).status, tx_status::applied);
}

TEST_F(script, versions_never_repeat_though_last_is_ahead_of_the_clock) {
  const std::uint64_t ahead = 7000000000000001; // its last digit is lost by a conversion that keeps 14
  redis().command({"HSET", key(), "last", std::to_string(ahead)});
  for (std::uint64_t i = 1; i <= 12; ++i) {
    auto r = applied(me.next({put_rows("m", {{"k", std::to_string(i)}})}));
    EXPECT_EQ(r.last.value, ahead + i);
  }
  EXPECT_EQ(redis().command({"HGET", key(), "last"}), std::to_string(ahead + 12));
  EXPECT_EQ(redis().command({"HGET", key(), "v:m@1"}), std::to_string(ahead + 12));
}

TEST_F(script, numbers_keep_every_digit_up_to_two_to_the_53) {
  auto tx = me.next({append("l", {"1", "2"})}, {{{"l", 1}, no_position, offset{9223372036854775807}}});
  tx.hint = version{9007199254740989};
  auto r = applied(tx);
  EXPECT_EQ(r.first.value, 9007199254740989u);
  EXPECT_EQ(r.last.value, 9007199254740990u);
  EXPECT_EQ(head().tables["l@1"].next.value, 9223372036854775807) << "offsets are compared and kept as text";
  EXPECT_TRUE(redis().command({"XRANGE", key(":l:l@1"), "-", "+"}).starts_with("9007199254740989-0 "));
  auto beyond = me.next({append("l", {"1", "2"})});
  auto refused = c().submit(beyond);
  ASSERT_FALSE(refused) << static_cast<int>(refused->status) << " " << refused->last.value;
  EXPECT_EQ(refused.error().code, ec::redis_script);
  EXPECT_EQ(head().batch, tx.id);
}

TEST_F(script, a_heartbeat_moves_last_and_the_chain_and_nothing_else) {
  auto one = applied(me.next({put_rows("m", {{"k", "1"}})}));
  auto beat = applied(me.next());
  EXPECT_GT(beat.last, one.last);
  EXPECT_TRUE(beat.previous.empty());
  auto h = head();
  EXPECT_EQ(h.last, beat.last);
  EXPECT_EQ(h.tables["m@1"].changed, one.last);
}

TEST_F(script, a_log_reserves_a_version_for_each_record_and_packs_them_in_one_entry) {
  auto one = applied(me.next({append("l", {"{\"a\":1}", "{\"a\":2}", "{\"a\":3}"})}));
  EXPECT_EQ(one.last.value, one.first.value + 2);
  auto two = applied(me.next({append("l", {"4"}, 5000)}));
  EXPECT_GT(two.first, one.last);
  EXPECT_EQ(redis().command({"XLEN", key(":l:l@1")}), "2");
  auto r = answer_of<std::vector<stored_batch>>(
      [&](auto done) { c()->load_log(p, {"l", 1}, version{0}, version{1ull << 53}, 100, false, done); });
  ASSERT_TRUE(r);
  ASSERT_EQ(r->size(), 2u);
  EXPECT_EQ((*r)[0].first, one.first);
  ASSERT_EQ((*r)[0].entries.size(), 3u);
  EXPECT_EQ(*(*r)[0].entries[1].value, "{\"a\":2}");
  EXPECT_EQ((*r)[0].entries[1].time_ms, 1001);
  EXPECT_EQ((*r)[0].entries[1].at, offset{1});
  auto packed =
      answer_of<packed_log>([&](auto done) { c()->scan_log(p, {"l", 1}, version{0}, version{1ull << 53}, 100, done); });
  ASSERT_TRUE(packed);
  ASSERT_EQ(packed->batches.size(), 2u);
  EXPECT_EQ(packed->batches[0].first, one.first);
  EXPECT_EQ(packed->batches[0].records, 3u);
  auto rest = packed->batches[0].packed;
  std::vector<std::string> values;
  for (packed_record record; !rest.empty();) {
    ASSERT_TRUE(next_record(rest, record));
    EXPECT_EQ(record.time_ms, 1000 + record.at.value);
    values.emplace_back(record.value);
  }
  EXPECT_EQ(values, (std::vector<std::string>{"{\"a\":1}", "{\"a\":2}", "{\"a\":3}"}));
  for (const std::string_view damaged : {"x 1 {}", "1 x {}", "1", "\n1 2 {}"}) {
    auto text = damaged;
    packed_record record;
    EXPECT_FALSE(next_record(text, record)) << damaged;
  }
  auto newest = answer_of<std::vector<stored_batch>>(
      [&](auto done) { c()->load_log(p, {"l", 1}, version{0}, version{1ull << 53}, 1, true, done); });
  ASSERT_TRUE(newest);
  ASSERT_EQ(newest->size(), 1u);
  EXPECT_EQ((*newest)[0].first, two.first);
  auto heads = answer_of<std::vector<batch_head>>([&](auto done) { c()->log_heads(p, {"l", 1}, 100, done); });
  ASSERT_TRUE(heads);
  ASSERT_EQ(heads->size(), 2u);
  EXPECT_EQ((*heads)[0].first, one.first);
  EXPECT_EQ((*heads)[0].records, 3u);
  EXPECT_EQ((*heads)[0].oldest_ms, 1000);
  EXPECT_EQ((*heads)[0].newest_ms, 1002);
  EXPECT_EQ(head().tables["l@1"].records, 4u);
}

TEST_F(script, a_trim_drops_whole_entries_and_keeps_the_count) {
  applied(me.next({append("l", {"1", "2", "3"})}));
  auto two = applied(me.next({append("l", {"4"})}));
  table_write trim;
  trim.table = {"l", 1};
  trim.trim_below = two.first;
  trim.trimmed = 3;
  auto r = applied(me.next({trim}));
  EXPECT_EQ(r.previous[0], two.last);
  EXPECT_EQ(redis().command({"XLEN", key(":l:l@1")}), "1");
  EXPECT_EQ(head().tables["l@1"].records, 1u);
}

TEST_F(script, a_line_end_between_the_tokens_of_a_log_record_does_not_split_it) {
  applied(me.next({append("l", {"{\n\"a\":\n1}", "2"})}));
  auto r = answer_of<std::vector<stored_batch>>(
      [&](auto done) { c()->load_log(p, {"l", 1}, version{0}, version{1ull << 53}, 9, false, done); });
  ASSERT_TRUE(r);
  ASSERT_EQ((*r)[0].entries.size(), 2u);
  EXPECT_EQ(*(*r)[0].entries[0].value, "{ \"a\": 1}");
}

TEST_F(script, rows_and_keys_of_any_bytes_come_back_as_they_were) {
  const std::string strange("a\r\n b\0:7 \xff{}", 12);
  applied(me.next({put_rows("m", {{strange, strange}, {"", ""}})}));
  EXPECT_EQ(value_of("m", strange), strange);
  EXPECT_EQ(value_of("m", ""), "");
  auto log = answer_of<change_log>([&](auto done) { c()->load_changes(p, {"m", 1}, version{0}, done); });
  ASSERT_TRUE(log);
  ASSERT_EQ(log->entries.size(), 1u);
  EXPECT_EQ(log->entries[0].keys, (std::vector<std::string>{strange, ""}));
}

TEST_F(script, ten_thousand_rows_are_one_transaction) {
  std::vector<std::pair<std::string, std::string>> many;
  for (int i = 0; i < 10'000; ++i)
    many.emplace_back(fmt::format("key-{}", i), fmt::format("{{\"i\":{}}}", i));
  auto w = put_rows("m", many, 2); // two buckets: far more in one call than a Lua function takes
  w.ttl_ms = 60'000;
  auto r = applied(me.next({w}));
  auto count = answer_of<std::uint64_t>([&](auto done) { c()->count_rows(p, {"m", 1}, 2, done); });
  EXPECT_EQ(*count, 10'000u);
  EXPECT_EQ(redis().command({"ZCARD", key(":x:m@1")}), "10000");
  std::vector<std::string> keys;
  for (auto& [key, value] : many)
    keys.push_back(key);
  auto stored = load("m", keys, 2);
  for (std::size_t i = 0; i < many.size(); ++i)
    ASSERT_EQ(stored[i]->value, many[i].second);
  auto bucket = answer_of<std::vector<stored_row>>([&](auto done) { c()->load_bucket(p, {"m", 1}, 1, done); });
  EXPECT_NEAR(static_cast<double>(bucket->size()), 5000, 400) << "keys spread over the buckets";
  auto log = answer_of<change_log>([&](auto done) { c()->load_changes(p, {"m", 1}, version{0}, done); });
  EXPECT_EQ(log->entries[0].keys.size(), 10'000u);
  EXPECT_EQ(log->entries[0].at, r.last);
  auto gone = applied(me.next({remove_rows("m", keys, 2)}));
  EXPECT_EQ(*answer_of<std::uint64_t>([&](auto done) { c()->count_rows(p, {"m", 1}, 2, done); }), 0u);
  EXPECT_EQ(redis().command({"EXISTS", key(":x:m@1")}), "0");
  EXPECT_GT(gone.last, r.last);
}

TEST_F(script, the_expiry_index_follows_the_rows) {
  auto w = put_rows("m", {{"a", "1"}, {"b", "2"}, {"c", "3"}});
  w.ttl_ms = 500;
  applied(me.next({w}));
  auto due = answer_of<std::vector<stored_row>>([&](auto done) { c()->expired(p, {"m", 1}, 1501, 10, done); });
  ASSERT_EQ(due->size(), 2u);
  EXPECT_EQ((*due)[0].key, "a");
  EXPECT_EQ((*due)[0].time_ms, 1500);
  EXPECT_EQ((*due)[1].key, "b");
  auto removed = remove_rows("m", {"a"});
  applied(me.next({removed}));
  due = answer_of<std::vector<stored_row>>([&](auto done) { c()->expired(p, {"m", 1}, 1501, 10, done); });
  ASSERT_EQ(due->size(), 1u);
  EXPECT_EQ((*due)[0].key, "b");
  applied(me.next({put_rows("m", {{"b", "for ever"}})})); // the table has no ttl any more
  due = answer_of<std::vector<stored_row>>([&](auto done) { c()->expired(p, {"m", 1}, 9999, 10, done); });
  ASSERT_EQ(due->size(), 1u);
  EXPECT_EQ((*due)[0].key, "c");
}

TEST_F(script, expiry_keeps_rows_that_were_renewed_meanwhile) {
  auto w = put_rows("m", {{"a", "1"}, {"b", "2"}, {"c", "3"}});
  w.ttl_ms = 500;
  applied(me.next({w}));
  auto renewed = put_rows("m", {{"b", "new"}});
  renewed.changes->rows[0].at.time_ms = 9000;
  renewed.ttl_ms = 500;
  applied(me.next({renewed}));
  auto expiry = remove_rows("m", {"a", "b", "never", "c"});
  expiry.expire_up_to_ms = 2000;
  auto tx = me.next({put_rows("other", {{"x", "1"}}), expiry});
  auto r = applied(tx);
  ASSERT_EQ(r.kept.size(), 2u);
  EXPECT_TRUE(r.kept[0].empty());
  EXPECT_EQ(r.kept[1], (std::vector<std::uint32_t>{1, 2}));
  EXPECT_EQ(value_of("m", "a"), "(none)");
  EXPECT_EQ(value_of("m", "b"), "new");
  EXPECT_EQ(value_of("m", "c"), "(none)");
  auto log = answer_of<change_log>([&](auto done) { c()->load_changes(p, {"m", 1}, version{r.last.value - 1}, done); });
  ASSERT_EQ(log->entries.size(), 1u);
  auto keys = log->entries[0].keys;
  std::sort(keys.begin(), keys.end());
  EXPECT_EQ(keys, (std::vector<std::string>{"a", "c"})) << "only what was removed is a change";
  auto again = c().submit(tx);
  EXPECT_EQ(again->status, tx_status::already);
  EXPECT_EQ(again->kept, r.kept);
}

TEST_F(script, the_change_log_names_each_transactions_keys_behind_a_version) {
  auto one = applied(me.next({put_rows("m", {{"a", "1"}, {"b", "1"}})}));
  applied(me.next());
  auto two = applied(me.next({remove_rows("m", {"a"})}));
  auto all = answer_of<change_log>([&](auto done) { c()->load_changes(p, {"m", 1}, version{0}, done); });
  ASSERT_TRUE(all);
  EXPECT_EQ(all->floor, version{});
  ASSERT_EQ(all->entries.size(), 2u);
  EXPECT_EQ(all->entries[0].at, one.last);
  EXPECT_EQ(all->entries[0].keys, (std::vector<std::string>{"a", "b"}));
  auto later = answer_of<change_log>([&](auto done) { c()->load_changes(p, {"m", 1}, one.last, done); });
  ASSERT_EQ(later->entries.size(), 1u);
  EXPECT_EQ(later->entries[0].at, two.last);
  EXPECT_EQ(later->entries[0].keys, std::vector<std::string>{"a"});
}

TEST_F(script, a_dropped_change_raises_the_floor_to_its_version) {
  client small(shared_server().config(), {.change_log_bytes = 2000}); // entries of about 70 bytes
  small.await_up();
  std::vector<version> versions;
  for (int i = 0; i < 100; ++i) {
    auto r = small.submit(me.next({put_rows("m", {{fmt::format("k{}", i), "1"}})}));
    ASSERT_TRUE(r);
    versions.push_back(r->last);
  }
  auto log = answer_of<change_log>([&](auto done) { c()->load_changes(p, {"m", 1}, version{0}, done); });
  ASSERT_TRUE(log);
  ASSERT_LT(log->entries.size(), 32u);
  ASSERT_GT(log->entries.size(), 10u);
  const auto dropped = versions.size() - log->entries.size();
  EXPECT_EQ(log->floor, versions[dropped - 1]);
  for (std::size_t i = 0; i < log->entries.size(); ++i)
    EXPECT_EQ(log->entries[i].at, versions[dropped + i]);
}

TEST_F(script, the_mark_and_a_renewed_stream_are_stored) {
  auto tx = me.next();
  tx.mark = record_mark{offset{41}, 1234567, 0xdeadbeef};
  tx.renew_epoch = stream_epoch{"9000000000000000-abc"};
  auto r = applied(tx);
  EXPECT_EQ(r.epoch.value, "9000000000000000-abc");
  auto h = head();
  EXPECT_EQ(h.mark, tx.mark);
  EXPECT_EQ(h.stream, r.epoch);
}

TEST_F(script, a_key_of_the_wrong_type_stops_it_before_the_first_write) {
  for (const char* wrong : {":x:m@1", ":c:m@1", ":t:m@1:0", ":l:l@1"}) {
    redis().command({"SET", key(wrong), "mine"});
    auto before = head();
    auto m = put_rows("m", {{"k", "1"}}, 1);
    m.ttl_ms = 5;
    auto tx = me.next({put_rows("first", {{"k", "1"}}, 1), append("l", {"1"}), m},
                      {{{"m", 1}, before.tables["m@1"].next, offset{8}}});
    auto r = c().submit(tx);
    ASSERT_FALSE(r) << wrong;
    EXPECT_EQ(r.error().code, ec::redis_script);
    EXPECT_NE(r.error().message.find("WRONGTYPE"), std::string::npos) << r.error().message;
    EXPECT_EQ(redis().command({"EXISTS", key(":t:first@1:0")}), "0") << wrong;
    EXPECT_EQ(head().batch, before.batch);
    redis().command({"DEL", key(wrong)});
    applied(tx);
    redis().command({"DEL", key(":t:first@1:0")});
    redis().command({"DEL", key(":x:m@1"), key(":c:m@1"), key(":t:m@1:0"), key(":l:l@1")});
  }
}

TEST_F(script, a_stream_ahead_of_the_stored_version_stops_it_before_the_first_write) {
  redis().command({"XADD", key(":c:m@1"), "9000000000000000-0", "p", "0", "k", ""});
  auto r = c().submit(me.next({append("l", {"1"}), put_rows("m", {{"k", "1"}})}));
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error().code, ec::redis_script);
  EXPECT_EQ(redis().command({"EXISTS", key(":l:l@1")}), "0");
}

TEST_F(script, a_write_of_rows_and_entries_at_once_is_refused) {
  auto w = put_rows("m", {{"k", "1"}});
  w.changes->entries.push_back({1, offset{1}, std::make_shared<const std::string>("1")});
  auto r = c().submit(me.next({w}));
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error().code, ec::bad_argument);
}

TEST_F(script, a_full_redis_refuses_the_whole_transaction) {
  auto before = head();
  auto tx = me.next({put_rows("m", {{"k", "1"}})});
  redis().command({"CONFIG", "SET", "maxmemory", "1"});
  auto r = c().submit(tx);
  redis().command({"CONFIG", "SET", "maxmemory", "0"});
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error().code, ec::redis_cannot_write);
  EXPECT_EQ(head().batch, before.batch);
  EXPECT_EQ(value_of("m", "k"), "(none)");
  applied(tx);
}

TEST_F(script, meta_fields_are_set_once_and_swapped_only_from_the_expected) {
  const auto topology = p.topology;
  const auto once = [&](const char* v) {
    return *answer_of<std::string>([&](auto done) { c()->meta_once(topology, "f", v, done); });
  };
  const auto swap = [&](const char* e, const char* v) {
    return *answer_of<bool>([&](auto done) { c()->meta_swap(topology, "f", e, v, done); });
  };
  EXPECT_EQ(once("1"), "1");
  EXPECT_EQ(once("2"), "1");
  EXPECT_FALSE(swap("2", "3"));
  EXPECT_TRUE(swap("1", "3"));
  auto all = answer_of<std::map<std::string, std::string>>([&](auto done) { c()->load_meta(topology, done); });
  EXPECT_EQ(*all, (std::map<std::string, std::string>{{"f", "3"}}));
  EXPECT_EQ(redis().command({"HGET", "{" + topology + "}:meta", "f"}), "3");
}

TEST_F(script, everything_of_a_partition_lies_behind_its_hash_tag) {
  auto m = put_rows("m", {{"k", "1"}}, 1);
  m.ttl_ms = 5;
  applied(me.next({m, append("l", {"1"})}));
  EXPECT_EQ(redis().command({"EXISTS", key(), key(":t:m@1:0"), key(":x:m@1"), key(":c:m@1"), key(":l:l@1")}), "5");
  EXPECT_EQ(redis().command({"HGET", key(":t:m@1:0"), "k"}), "1000 0 1");
  EXPECT_EQ(redis().command({"HGET", key(), "n:l@1"}), "1");
}

} // namespace
} // namespace weir::redis::test
