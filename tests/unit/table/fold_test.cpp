#include "table_test.hpp"

#include "runtime/core/checksum.hpp"
#include "runtime/table/fold.hpp"

#include <gtest/gtest.h>

namespace weir::table {
namespace {

using testing::aggregate;
using testing::latest;
using testing::log_table;
using testing::no_text;
using testing::readings;
using testing::text;

std::unique_ptr<partition_fold> fold(std::vector<fold_table> tables, std::vector<offset> positions = {},
                                     fold_options options = {}) {
  if (positions.empty())
    positions.assign(tables.size(), redis::no_position);
  return std::make_unique<partition_fold>(readings(3), std::move(tables), std::move(positions), options);
}

const redis::table_write* find(const batch& b, std::string_view table) {
  for (const auto& w : b.tables)
    if (w.table.name == table)
      return &w;
  return nullptr;
}

// "key=value key-" of a table's rows, in order.
std::string rows(const batch& b, std::string_view table) {
  std::string out;
  const auto* w = find(b, table);
  if (w)
    for (const auto& r : w->changes->rows)
      out += (out.empty() ? "" : " ") + r.key + (r.value ? "=" + *r.value : "-");
  return out;
}

TEST(fold_latest, a_key_is_written_once_and_the_last_record_wins) {
  const auto f = fold({latest("machines")});
  EXPECT_TRUE(f->add(offset{0}, 5, "a", R"({"v":1})").taken);
  f->add(offset{1}, 6, "b", R"({"v":2})");
  f->add(offset{4}, 3, "a", R"( {"v":30000000000000000000.5} )");
  EXPECT_EQ(f->records(), 3u);
  EXPECT_GT(f->bytes(), 0u);
  const auto b = f->close();
  EXPECT_EQ(rows(b, "machines"), R"(a={"v":30000000000000000000.5} b={"v":2})");
  const auto& a = b.tables[0].changes->rows[0];
  EXPECT_EQ(a.at, (stamp{3, partition_id{3}, offset{4}})) << "log order decides, not the timestamp";
  EXPECT_EQ(b.tables[0].changes->source, readings(3));
  EXPECT_EQ(b.tables[0].changes->newest_record_ms, 6);
  EXPECT_EQ(b.records, 3u);
  EXPECT_EQ(b.number, 1u);
  EXPECT_EQ(f->records(), 0u);
  EXPECT_TRUE(f->close().empty());
}

TEST(fold_latest, the_last_of_tombstone_and_value_wins_within_a_batch) {
  const auto f = fold({latest("machines")});
  f->add(offset{0}, 1, "a", R"({"v":1})");
  EXPECT_TRUE(f->add(offset{1}, 2, "a", no_text).taken);
  f->add(offset{2}, 3, "b", no_text);
  f->add(offset{3}, 4, "b", R"({"v":2})");
  const auto b = f->close();
  EXPECT_EQ(rows(b, "machines"), R"(a- b={"v":2})");
  EXPECT_EQ(b.tables[0].changes->rows[0].at.at, offset{1});
}

TEST(fold_latest, a_tombstone_touches_only_tables_keyed_by_the_record_key) {
  const auto f = fold({latest("by_pointer", "/m"), aggregate("totals"), log_table("history")});
  const auto v = f->add(offset{0}, 1, "a", no_text);
  EXPECT_FALSE(v.taken);
  EXPECT_TRUE(v.dead_letter.empty());
  const auto unkeyed = f->add(offset{1}, 1, no_text, no_text);
  EXPECT_TRUE(unkeyed.dead_letter.empty()) << "nobody needed its key";
  const auto b = f->close();
  EXPECT_TRUE(b.tables.empty());
  EXPECT_EQ(b.positions.size(), 3u) << "positions move although nothing changed";
}

TEST(fold_latest, a_tombstone_without_a_usable_key_is_a_dead_letter) {
  const auto f = fold({latest("machines")});
  EXPECT_EQ(f->add(offset{0}, 1, no_text, no_text).dead_letter, "no key");
  EXPECT_EQ(f->add(offset{1}, 1, "\xFF", no_text).dead_letter, "no key");
  const auto later = fold({latest("old"), latest("added")}, {offset{10}, offset{0}});
  EXPECT_EQ(later->add(offset{0}, 1, no_text, no_text).dead_letter, "") << "it was one for `old` already";
}

TEST(fold, a_record_is_one_dead_letter_however_many_tables_miss_its_key_and_the_others_take_it) {
  const auto f =
      fold({latest("by_record"), latest("by_machine", "/m"), aggregate("by_site", "/s"), log_table("history")});
  const auto v = f->add(offset{0}, 1, no_text, R"({"m":null})");
  EXPECT_TRUE(v.taken);
  EXPECT_EQ(v.dead_letter, "no key");
  const auto b = f->close();
  EXPECT_EQ(b.tables.size(), 1u);
  EXPECT_EQ(find(b, "history")->changes->entries.size(), 1u);
}

TEST(fold, where_comes_before_the_key) {
  auto t = latest("hot", "/m");
  t.config.where.all.push_back({"/temp", comparison::gt, {scalar(std::int64_t{50})}});
  const auto f = fold({t});
  const auto cold = f->add(offset{0}, 1, no_text, R"({"temp":10})");
  EXPECT_FALSE(cold.taken);
  EXPECT_TRUE(cold.dead_letter.empty());
  EXPECT_EQ(f->add(offset{1}, 1, no_text, R"({"temp":60})").dead_letter, "no key");
  EXPECT_TRUE(f->add(offset{2}, 1, no_text, R"({"temp":60,"m":7})").taken);
  EXPECT_EQ(rows(f->close(), "hot"), R"(7={"temp":60,"m":7})");
}

TEST(fold, what_cannot_be_read_is_a_dead_letter_and_moves_the_position) {
  fold_options small;
  small.max_record_bytes = 100;
  const auto f = fold({latest("machines")}, {}, small);
  EXPECT_EQ(f->add(offset{0}, 1, "a", "nonsense").dead_letter, "not a JSON object");
  EXPECT_EQ(f->add(offset{1}, 1, "a", "").dead_letter, "empty");
  EXPECT_EQ(f->add(offset{2}, 1, "a", "{\"x\":\"" + std::string(100, 'x') + "\"}").dead_letter, "too large");
  EXPECT_EQ(f->add(offset{3}, 1, "\xFF", "{}").dead_letter, "no key");
  const auto b = f->close();
  EXPECT_TRUE(b.tables.empty());
  ASSERT_EQ(b.positions.size(), 1u);
  EXPECT_EQ(b.positions[0].expect, redis::no_position);
  EXPECT_EQ(b.positions[0].next, offset{4});
}

TEST(fold, each_table_takes_records_from_its_own_position_on) {
  const auto f = fold({latest("old"), latest("added"), latest("between")}, {offset{10}, redis::no_position, offset{5}});
  EXPECT_EQ(f->lowest_position(), redis::no_position);
  for (std::int64_t at = 3; at < 12; at += 2)
    f->add(offset{at}, at, "k" + std::to_string(at), "{}");
  const auto b = f->close();
  EXPECT_EQ(rows(b, "added"), "k3={} k5={} k7={} k9={} k11={}");
  EXPECT_EQ(rows(b, "between"), "k5={} k7={} k9={} k11={}");
  EXPECT_EQ(rows(b, "old"), "k11={}");
  ASSERT_EQ(b.positions.size(), 3u);
  EXPECT_EQ(b.positions[0].expect, offset{10});
  EXPECT_EQ(b.positions[2].expect, offset{5});
  for (const auto& p : b.positions)
    EXPECT_EQ(p.next, offset{12});
  f->add(offset{12}, 1, "x", "{}");
  EXPECT_EQ(f->close().positions[1].expect, offset{12});
}

TEST(fold, a_table_that_is_ahead_does_not_move_until_it_is_reached) {
  const auto f = fold({latest("old"), latest("added")}, {offset{100}, offset{0}});
  f->add(offset{0}, 1, "a", "{}");
  const auto b = f->close();
  ASSERT_EQ(b.positions.size(), 1u);
  EXPECT_EQ(b.positions[0].table.name, "added");
  EXPECT_EQ(f->position(0), offset{100});
  EXPECT_EQ(f->position(1), offset{1});
  EXPECT_EQ(f->lowest_position(), offset{1});
}

TEST(fold, records_below_every_position_are_ignored) {
  const auto f = fold({latest("machines")}, {offset{5}});
  EXPECT_FALSE(f->add(offset{4}, 1, "a", "nonsense").taken);
  EXPECT_TRUE(f->add(offset{4}, 1, "a", "nonsense").dead_letter.empty());
  EXPECT_EQ(f->records(), 0u);
  EXPECT_TRUE(f->add(offset{5}, 1, "a", "{}").taken);
  EXPECT_FALSE(f->add(offset{5}, 1, "a", "{}").taken) << "the same record again";
}

TEST(fold, a_table_added_later_makes_no_second_dead_letter_of_a_record) {
  const auto f =
      fold({latest("old", "/m"), latest("added", "/m"), latest("other", "/s")}, {offset{10}, offset{0}, offset{0}});
  EXPECT_TRUE(f->add(offset{0}, 1, no_text, "nonsense").dead_letter.empty());
  EXPECT_TRUE(f->add(offset{1}, 1, no_text, R"({"s":1})").dead_letter.empty()) << "`old` missed /m then";
  EXPECT_EQ(f->add(offset{2}, 1, no_text, R"({"m":1})").dead_letter, "no key")
      << "only `other` misses /s, for the first time";
  EXPECT_EQ(f->add(offset{10}, 1, no_text, "nonsense").dead_letter, "not a JSON object");
  EXPECT_EQ(f->add(offset{11}, 1, no_text, R"({"s":1})").dead_letter, "no key");
}

TEST(fold, rows_have_no_line_breaks_and_are_otherwise_as_they_came) {
  auto chosen = latest("chosen");
  chosen.config.select = {{"list", "/list"}, {"x", "/x"}};
  const auto f = fold({latest("whole"), chosen, log_table("history")});
  f->add(offset{0}, 1, "a", "{\"x\" : 1.50,\r\n\"list\":[1,\n2], \"s\":\"a\\nb\"}");
  f->add(offset{1}, 1, "b", R"({"x" : 1e2, "y":"\u00e9"})");
  const auto b = f->close();
  EXPECT_EQ(rows(b, "whole"), R"(a={"x":1.50,"list":[1,2],"s":"a\nb"} b={"x" : 1e2, "y":"\u00e9"})");
  EXPECT_EQ(rows(b, "chosen"), R"(a={"list":[1,2],"x":1.50} b={"x":1e2})");
  EXPECT_EQ(*find(b, "history")->changes->entries[0].value, R"({"x":1.50,"list":[1,2],"s":"a\nb"})");
}

TEST(fold_log, entries_carry_the_event_time_or_kafkas) {
  const auto f = fold({log_table("history", "/ts"), log_table("plain")});
  f->add(offset{0}, 700, no_text, R"({"ts":1714564800000})");
  f->add(offset{1}, 800, no_text, R"({"ts":"2024-05-01T12:00:01Z"})");
  f->add(offset{2}, 900, no_text, R"({"ts":"yesterday"})");
  f->add(offset{3}, 950, no_text, "{}");
  const auto b = f->close();
  const auto& entries = find(b, "history")->changes->entries;
  ASSERT_EQ(entries.size(), 4u);
  EXPECT_EQ(entries[0].time_ms, 1714564800000);
  EXPECT_EQ(entries[1].time_ms, 1714564801000);
  EXPECT_EQ(entries[2].time_ms, 900);
  EXPECT_EQ(entries[3].time_ms, 950);
  EXPECT_EQ(entries[3].at, offset{3});
  EXPECT_EQ(find(b, "plain")->changes->entries[0].time_ms, 700);
}

TEST(fold, the_mark_is_the_last_record_whatever_became_of_it) {
  fold_options small;
  small.max_record_bytes = 10;
  const auto f = fold({latest("machines")}, {}, small);
  const std::string big(20, 'x');
  const std::pair<text, text> records[] = {
      {"k", R"( {"v":1} )"}, {no_text, R"({"v":2})"}, {"k", "nonsense"}, {"k", no_text}, {"k", big}, {"", ""}};
  std::int64_t at = 0;
  for (const auto& [key, value] : records) {
    f->add(offset{at}, 1000 + at, key, value);
    const auto b = f->close();
    ASSERT_TRUE(b.mark);
    EXPECT_EQ(b.mark->at, offset{at});
    EXPECT_EQ(b.mark->time_ms, 1000 + at);
    EXPECT_EQ(b.mark->checksum, record_checksum(key, value)) << at;
    ++at;
  }
  EXPECT_EQ(record_checksum("12345", "6789"), 0xCBF43926u) << "CRC-32 of key then value";
}

TEST(fold, settings_of_the_table_go_with_its_write) {
  auto t = latest("machines");
  t.config.ttl = duration{1500};
  t.buckets = 8;
  t.ref.generation = 2;
  const auto f = fold({latest("other", "/never"), t});
  f->add(offset{0}, -1, "a", "{}");
  const auto b = f->close();
  ASSERT_EQ(b.tables.size(), 1u);
  EXPECT_EQ(b.table_indexes[0], 1u);
  EXPECT_EQ(b.tables[0].buckets, 8u);
  EXPECT_EQ(b.tables[0].ttl_ms, 1500);
  EXPECT_EQ(b.tables[0].table, (table_ref{"machines", 2}));
  EXPECT_EQ(b.tables[0].changes->rows[0].at.time_ms, 0) << "no timestamp counts as 0";
  EXPECT_EQ(b.bytes, 3u);
}

TEST(fold_aggregate, records_wait_for_the_stored_state_and_follow_it_in_order) {
  auto t = aggregate("totals", "/s");
  aggregate_state stored(t.config.fields);
  stored.add(std::vector<std::optional<number>>(7, number(1e16)), stamp{1, partition_id{3}, offset{0}});
  const auto f = fold({t}, {offset{1}});
  f->add(offset{1}, 2, no_text, R"({"s":"a","v":0.5})");
  f->add(offset{2}, 3, no_text, R"({"s":"b","v":7})");
  f->add(offset{3}, 4, no_text, R"({"s":"a","v":0.5})");
  auto missing = f->missing_states();
  ASSERT_EQ(missing.size(), 1u);
  EXPECT_EQ(missing[0].keys, (std::vector<std::string>{"a", "b"}));
  EXPECT_TRUE(f->missing_states().empty()) << "each is handed out once";
  EXPECT_EQ(f->awaited_states(), 2u);
  EXPECT_THROW((void)f->close(), std::logic_error);
  f->add(offset{4}, 5, no_text, R"({"s":"a","v":null})"); // while the load is under way
  EXPECT_TRUE(f->supply_state(0, "a", stored.to_json(t.config.fields)));
  EXPECT_TRUE(f->supply_state(0, "b", no_text));
  EXPECT_TRUE(f->supply_state(0, "b", no_text)) << "nobody waits for it any more";
  const auto b = f->close();
  auto expected = stored;
  for (const auto& [v, at] :
       {std::pair{std::optional(number(0.5)), 1}, {std::optional(number(0.5)), 3}, {std::optional<number>(), 4}})
    expected.add(std::vector<std::optional<number>>(7, v), stamp{at + 1, partition_id{3}, offset{at}});
  const auto& row = b.tables[0].changes->rows[0];
  EXPECT_EQ(row.key, "a");
  EXPECT_EQ(*row.value, expected.to_json(t.config.fields));
  EXPECT_EQ(row.at, (stamp{5, partition_id{3}, offset{4}}));
}

TEST(fold_aggregate, an_unreadable_stored_state_is_an_error_not_an_empty_one) {
  const auto f = fold({aggregate("totals")});
  f->add(offset{0}, 1, "a", "{}");
  EXPECT_FALSE(f->supply_state(0, "a", "rubbish"));
  EXPECT_EQ(f->awaited_states(), 1u);
}

TEST(fold_aggregate, a_state_leaves_the_cache_only_after_its_batch_is_stored) {
  fold_options tight;
  tight.cached_states = 2;
  const auto f = fold({aggregate("totals")}, {}, tight);
  std::int64_t at = 0;
  const auto batch_of = [&](std::initializer_list<const char*> keys) {
    for (const auto* key : keys) {
      f->add(offset{at}, at, key, "{}");
      ++at;
    }
    for (const auto& m : f->missing_states())
      for (const auto& key : m.keys)
        EXPECT_TRUE(f->supply_state(m.table, key, no_text));
    return f->close();
  };
  const auto one = batch_of({"a", "b", "c"});
  EXPECT_EQ(f->cached_states(), 3u) << "Redis may not have them yet";
  const auto two = batch_of({"a"});
  f->committed(one.number);
  EXPECT_EQ(f->cached_states(), 2u);
  f->add(offset{at}, at, "a", "{}");
  EXPECT_TRUE(f->missing_states().empty()) << "a is part of a batch under way";
  ++at;
  f->add(offset{at}, at, "b", "{}");
  EXPECT_EQ(f->missing_states().size(), 1u) << "b was the longest unused";
  EXPECT_TRUE(f->supply_state(0, "b", no_text));
  const auto three = f->close();
  f->drop_cache();
  EXPECT_EQ(f->cached_states(), 2u) << "c went, a and b are under way";
  f->committed(three.number);
  f->drop_cache();
  EXPECT_EQ(f->cached_states(), 0u);
  EXPECT_EQ(two.number, 2u);
}

TEST(fold, restart_forgets_the_open_batch_and_every_state) {
  const auto f = fold({aggregate("totals"), latest("machines"), log_table("history")});
  for (std::int64_t at = 0; at < 4; ++at)
    f->add(offset{at}, 1, "a", "{}");
  f->restart({offset{2}, offset{2}, offset{2}});
  EXPECT_EQ(f->records(), 0u);
  EXPECT_EQ(f->bytes(), 0u);
  EXPECT_EQ(f->awaited_states(), 0u);
  EXPECT_TRUE(f->supply_state(0, "a", no_text)) << "an answer that comes late is ignored";
  EXPECT_EQ(f->lowest_position(), offset{2});
  f->add(offset{2}, 1, "b", "{}");
  ASSERT_EQ(f->missing_states().size(), 1u);
  EXPECT_TRUE(f->supply_state(0, "b", no_text));
  const auto b = f->close();
  EXPECT_EQ(rows(b, "machines"), "b={}");
  EXPECT_EQ(b.positions[0].expect, offset{2});
  EXPECT_EQ(find(b, "history")->changes->entries.size(), 1u);
}

} // namespace
} // namespace weir::table
