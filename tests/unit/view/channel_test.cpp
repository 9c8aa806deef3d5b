#include "runtime/table/channel.hpp"

#include "runtime/config/condition.hpp"
#include "runtime/table/aggregate.hpp"
#include "runtime/table/view_chain.hpp"
#include "tests/unit/view/view_test.hpp"

#include <gtest/gtest.h>

namespace {

using namespace weir;
using namespace weir::view_test;
using table::channel;
using table::map_phase;
using table::subscribe_request;

subscribe_request state_page(std::string cursor = {}, std::uint32_t limit = 0) {
  subscribe_request r;
  r.map = true;
  r.phase = map_phase::state;
  r.cursor = std::move(cursor);
  r.limit = limit;
  return r;
}

subscribe_request resume(bool map, std::uint64_t offset, std::string epoch) {
  subscribe_request r;
  r.map = map;
  r.phase = map ? map_phase::stream : map_phase::live;
  r.recover = r.has_position = true;
  r.offset = version{offset};
  r.epoch = std::move(epoch);
  return r;
}

channel one_partition(table_kind kind, table::channel_options o = options()) {
  return channel(table_of(kind), 1, {partition(0)}, std::move(o));
}

TEST(channel, wants_all_its_partitions_before_it_is_ready) {
  channel c(table_of(table_kind::latest), 1, {partition(0), partition(1)}, options());
  EXPECT_EQ(c.wanted().size(), 2u);
  EXPECT_FALSE(c.ready());
  EXPECT_EQ(c.subscribe(state_page(), 0).code, 100);
  EXPECT_TRUE(c.subscribe(state_page(), 0).temporary);
  EXPECT_EQ(c.rest_page(0, "").status, 503u);
  c.load({stored(0, 10, 5)}, 0);
  EXPECT_FALSE(c.ready());
  c.load({stored(1, 12, 5)}, 0);
  EXPECT_TRUE(c.ready());
  EXPECT_TRUE(c.wanted().empty());
  EXPECT_EQ(c.watermark(), version{10});
}

TEST(channel, changes_that_come_while_a_partition_is_loaded_are_applied_behind_it) {
  auto c = one_partition(table_kind::latest);
  apply(c, rows(0, 5, 9, {{"a", "1"}}));  // in the load already
  apply(c, rows(0, 9, 11, {{"a", "2"}})); // after it
  c.load({stored(0, 10, 9, {{"a", "1"}})}, 0);
  EXPECT_EQ(c.rest_row("a").body, "2");
  EXPECT_TRUE(c.wanted().empty());
  EXPECT_EQ(c.watermark(), version{11});
}

TEST(channel, a_load_is_not_shown_before_the_changes_it_may_include_came) {
  auto c = one_partition(table_kind::latest);
  auto l = stored(0, 10, 9, {{"a", "2"}}); // row a is of version 12 already
  l.settled = version{12};
  c.load({l}, 0);
  EXPECT_FALSE(c.ready());
  EXPECT_TRUE(c.wanted().empty());
  apply(c, rows(0, 9, 11, {{"a", "1"}}));
  EXPECT_FALSE(c.ready());
  apply(c, rows(0, 11, 12, {{"a", "2"}}));
  EXPECT_TRUE(c.ready());
  EXPECT_EQ(c.rest_row("a").body, "2");
}

TEST(channel, a_load_whose_changes_never_come_is_wanted_again) {
  auto c = one_partition(table_kind::latest);
  auto l = stored(0, 10, 9);
  l.settled = version{12};
  c.load({l}, 1000);
  c.tick(2000);
  EXPECT_TRUE(c.wanted().empty());
  c.tick(3001);
  EXPECT_EQ(c.wanted().size(), 1u);
}

TEST(channel, a_missing_change_is_a_gap_that_a_load_heals) {
  auto c = one_partition(table_kind::latest);
  c.load({stored(0, 10, 10, {{"a", "1"}})}, 0);
  [[maybe_unused]] const auto all = everything(c);
  apply(c, rows(0, 15, 20, {{"b", "1"}})); // names 15 before it, which never came
  EXPECT_EQ(c.wanted().size(), 1u);
  EXPECT_EQ(c.watermark(), version{10});
  c.load({stored(0, 20, 20, {{"a", "2"}, {"b", "1"}})}, 0);
  EXPECT_EQ(c.watermark(), version{20});
  EXPECT_EQ(publications(c).size(), 2u);
  EXPECT_FALSE(flush(c).reset);
}

TEST(channel, a_heartbeat_shows_a_lost_change_and_else_moves_the_watermark) {
  auto c = one_partition(table_kind::latest);
  c.load({stored(0, 10, 10)}, 0);
  apply(c, heartbeat(0, 10, 30));
  EXPECT_EQ(c.watermark(), version{30});
  apply(c, heartbeat(0, 35, 40)); // something at 35 never came
  EXPECT_EQ(c.watermark(), version{30});
  EXPECT_EQ(c.wanted().size(), 1u);
}

TEST(channel, a_transaction_that_touched_the_table_without_changing_it_is_no_gap) {
  auto c = one_partition(table_kind::latest);
  c.load({stored(0, 10, 10)}, 0);
  apply(c, heartbeat(0, 10, 20)); // a trim, say: it counts as touched
  apply(c, rows(0, 20, 25, {{"a", "1"}}));
  EXPECT_TRUE(c.wanted().empty());
  EXPECT_EQ(c.watermark(), version{25});
}

TEST(channel, what_is_known_or_of_an_older_stream_epoch_is_dropped) {
  auto c = one_partition(table_kind::latest);
  c.load({stored(0, 10, 10, {{"a", "1"}})}, 0);
  apply(c, rows(0, 5, 10, {{"a", "9"}}));
  auto older = rows(0, 10, 20, {{"a", "9"}});
  older.epoch = stream_epoch{"0"};
  apply(c, older);
  EXPECT_EQ(c.rest_row("a").body, "1");
  EXPECT_TRUE(c.wanted().empty());
}

TEST(channel, a_lost_inbox_wants_everything_again_and_no_client_notices) {
  auto c = one_partition(table_kind::latest);
  c.load({stored(0, 10, 10, {{"a", "1"}, {"b", "1"}})}, 0);
  [[maybe_unused]] const auto all = everything(c);
  c.lost();
  EXPECT_EQ(c.wanted().size(), 1u);
  c.load({stored(0, 20, 20, {{"a", "2"}, {"b", "1"}})}, 0);
  const auto out = flush(c);
  EXPECT_FALSE(out.reset);
  ASSERT_EQ(out.frames.size(), 1u);
  EXPECT_EQ(lines(out.frames[0]).size(), 1u);
}

TEST(channel, a_new_stream_epoch_is_loaded_announced_and_changes_the_tables_epoch) {
  auto c = one_partition(table_kind::latest);
  c.load({stored(0, 10, 10, {{"a", "2"}})}, 0);
  [[maybe_unused]] const auto all = everything(c);
  const auto before = c.epoch();
  auto renewed = rows(0, 9, 20, {{"b", "1"}});
  renewed.epoch = stream_epoch{"2"};
  apply(c, renewed);
  ASSERT_EQ(c.wanted().size(), 1u);
  auto l = stored(0, 20, 20, {{"a", "1"}, {"b", "1"}}); // a's newest write was lost
  l.epoch = stream_epoch{"2"};
  c.load({l}, 0);
  EXPECT_NE(c.epoch(), before);
  EXPECT_TRUE(c.catch_up(all, arrival{1}, 0).gone) << "nothing of the new epoch before its announcement";
  const auto out = flush(c);
  EXPECT_TRUE(out.reset);
  EXPECT_TRUE(out.frames.empty());
  EXPECT_FALSE(flush(c).reset);
  EXPECT_EQ(c.subscribe(resume(true, 10, before), 0).code, 112);
}

TEST(channel, the_epoch_depends_on_definition_generation_and_partitions_but_not_on_their_order) {
  table::view_chain a, b;
  (void)a.load(a.index_of(partition(0)), stream_epoch{"1"}, version{5}, version{5});
  (void)a.load(a.index_of(partition(1)), stream_epoch{"2"}, version{9}, version{5});
  (void)b.load(b.index_of(partition(1)), stream_epoch{"2"}, version{6}, version{5});
  (void)b.load(b.index_of(partition(0)), stream_epoch{"1"}, version{7}, version{5});
  EXPECT_EQ(a.epoch_text("f", 1), b.epoch_text("f", 1));
  EXPECT_NE(a.epoch_text("f", 1), a.epoch_text("f", 2));
  EXPECT_NE(a.epoch_text("f", 1), a.epoch_text("g", 1));
  (void)b.load(0, stream_epoch{"3"}, version{8}, version{5});
  EXPECT_NE(a.epoch_text("f", 1), b.epoch_text("f", 1));
}

TEST(channel, a_frame_has_an_offset_on_its_last_publication_only_and_it_is_the_watermark) {
  channel c(table_of(table_kind::latest), 1, {partition(0), partition(1)}, options());
  c.load({stored(0, 10, 10), stored(1, 15, 15)}, 0);
  [[maybe_unused]] const auto all = everything(c);
  apply(c, rows(0, 10, 20, {{"a", "1"}, {"b", "1"}}));
  apply(c, rows(1, 15, 30, {{"c", "1"}}));
  const auto pubs = publications(c);
  ASSERT_EQ(pubs.size(), 3u);
  EXPECT_FALSE(pubs[0].contains("offset"));
  EXPECT_FALSE(pubs[1].contains("offset"));
  EXPECT_EQ(pubs[2]["offset"], 20) << "partition 0 is known up to 20 only";
}

TEST(channel, a_round_of_changes_is_split_into_bounded_frames_and_only_the_last_has_an_offset) {
  auto o = options();
  o.frame_bytes = 300;
  auto c = one_partition(table_kind::latest, o);
  c.load({stored(0, 10, 10)}, 0);
  [[maybe_unused]] const auto all = everything(c);
  std::vector<std::pair<std::string, std::string>> many;
  for (int i = 0; i < 20; ++i)
    many.emplace_back("k" + std::to_string(i), "{\"x\":1}");
  apply(c, rows(0, 10, 20, many));
  const auto out = flush(c);
  ASSERT_GT(out.frames.size(), 3u);
  std::size_t pushes = 0;
  for (std::size_t i = 0; i < out.frames.size(); ++i) {
    EXPECT_LE(out.frames[i].frame->bytes.size(), 330u);
    EXPECT_EQ(out.frames[i].from, i == 0 ? arrival{0} : out.frames[i - 1].to);
    for (const auto& line : lines(out.frames[i])) {
      ++pushes;
      EXPECT_EQ(line["push"]["pub"].contains("offset"), pushes == 20);
    }
  }
  EXPECT_EQ(pushes, 20u);
}

TEST(channel, one_row_larger_than_a_frame_still_goes_out_whole) {
  auto o = options();
  o.frame_bytes = o.page_bytes = 100;
  auto c = one_partition(table_kind::latest, o);
  c.load({stored(0, 10, 10)}, 0);
  [[maybe_unused]] const auto all = everything(c);
  const std::string big = "\"" + std::string(5000, 'x') + "\"";
  apply(c, rows(0, 10, 20, {{"a", big}, {"b", "1"}}));
  EXPECT_EQ(flush(c).frames.size(), 2u);
  EXPECT_NE(c.subscribe(state_page(), 0).body.find(big), std::string::npos);
}

TEST(channel, keys_and_names_are_escaped_and_values_go_out_as_they_are) {
  auto t = table_of(table_kind::latest);
  channel c(t, 1, {partition(0)}, options());
  c.load({stored(0, 10, 10)}, 0);
  [[maybe_unused]] const auto all = everything(c);
  apply(c, rows(0, 10, 20, {{"a\"\n\\\x01/ü", "{\"n\":1.50}"}}));
  const auto out = flush(c);
  EXPECT_NE(out.frames.at(0).frame->bytes.find("{\"n\":1.50}"), std::string::npos);
  ASSERT_EQ(lines(out.frames[0]).size(), 1u) << "no raw new line in a frame's line";
  EXPECT_EQ(lines(out.frames[0])[0]["push"]["pub"]["key"], "a\"\n\\\x01/ü");
}

TEST(channel, state_comes_in_pages_with_each_key_once_and_what_changed_meanwhile_in_the_last_reply) {
  auto c = one_partition(table_kind::latest);
  c.load({stored(0, 10, 10, {{"a", "1"}, {"b", "1"}, {"c", "1"}, {"d", "1"}})}, 0);
  auto first = c.subscribe(state_page("", 2), 0);
  EXPECT_FALSE(first.live);
  const auto page = json::parse(first.body);
  EXPECT_EQ(page["phase"], 2);
  EXPECT_EQ(page["offset"], 10);
  ASSERT_EQ(page["state"].size(), 2u);
  const std::string sent = page["state"][0]["key"];
  std::string unsent;
  for (const std::string k : {"a", "b", "c", "d"})
    if (k != sent && k != page["state"][1]["key"].get<std::string>())
      unsent = k;
  apply(c, rows(0, 10, 20, {{sent, ""}, {unsent, "2"}, {"e", "1"}}));
  auto last = c.subscribe(state_page(page["cursor"], 2), 0);
  EXPECT_TRUE(last.live);
  EXPECT_FALSE(last.more);
  EXPECT_EQ(last.at, c.head());
  const auto body = json::parse(last.body);
  EXPECT_FALSE(body.contains("phase"));
  EXPECT_EQ(body["offset"], 20);
  ASSERT_EQ(body["state"].size(), 1u) << "neither the one that went nor the one that moved";
  ASSERT_EQ(body["publications"].size(), 3u);
  for (const auto& p : body["publications"])
    EXPECT_EQ(p.value("removed", false), p["key"] == sent);
}

TEST(channel, a_cursor_of_another_life_or_epoch_or_of_nobody_starts_the_client_over) {
  auto o = options();
  auto c = one_partition(table_kind::latest, o);
  c.load({stored(0, 10, 10, {{"a", "1"}, {"b", "1"}})}, 0);
  const std::string cursor = json::parse(c.subscribe(state_page("", 1), 0).body)["cursor"];
  EXPECT_EQ(c.subscribe(state_page(cursor), 0).code, 0);
  o.instance = 8;
  auto other = one_partition(table_kind::latest, o);
  other.load({stored(0, 10, 10, {{"a", "1"}, {"b", "1"}})}, 0);
  EXPECT_EQ(other.subscribe(state_page(cursor), 0).code, 112);
  for (const char* bad :
       {"x", "7-1-1", "7-1-1-1-1", "7-1-1-", "7--1-1", "7-2-9-a", "ffffffffffffffffff-1-1-1", " 7-1-1-1"})
    EXPECT_EQ(c.subscribe(state_page(bad), 0).code, 112) << bad;
  auto wrong_epoch = state_page(cursor);
  wrong_epoch.epoch = "abc";
  EXPECT_EQ(c.subscribe(wrong_epoch, 0).code, 112);
}

TEST(channel, a_catch_up_of_a_map_is_sorted_by_version_and_every_offset_in_it_is_true) {
  channel c(table_of(table_kind::latest), 1, {partition(0), partition(1)}, options());
  c.load({stored(0, 10, 10), stored(1, 10, 10)}, 0);
  apply(c, rows(0, 10, 30, {{"a", "1"}}));
  apply(c, rows(1, 10, 20, {{"b", "1"}, {"c", "1"}}));
  apply(c, heartbeat(1, 20, 25));
  apply(c, rows(0, 30, 40, {{"d", "1"}}));
  const auto reply = c.subscribe(resume(true, 10, c.epoch()), 0);
  ASSERT_EQ(reply.code, 0);
  const auto body = json::parse(reply.body);
  EXPECT_EQ(body["recovered"], true);
  EXPECT_EQ(body["was_recovering"], true);
  EXPECT_EQ(body["offset"], 25);
  std::vector<std::pair<std::string, int>> got;
  for (const auto& p : body["publications"])
    got.emplace_back(p["key"], p["offset"]);
  std::sort(got.begin(), got.begin() + 2);
  EXPECT_EQ(got[0].first, "b");
  EXPECT_EQ(got[1].first, "c");
  EXPECT_EQ(std::min(got[0].second, got[1].second), 19) << "the version is not complete before its last row";
  EXPECT_EQ(std::max(got[0].second, got[1].second), 20);
  EXPECT_EQ(got[2], (std::pair<std::string, int>{"a", 25})) << "never above the watermark";
  EXPECT_EQ(got[3], (std::pair<std::string, int>{"d", 25}));
}

TEST(channel, a_catch_up_larger_than_a_page_keeps_the_clients_position_and_goes_on_as_frames) {
  auto o = options();
  o.page_bytes = 200;
  auto c = one_partition(table_kind::latest, o);
  c.load({stored(0, 10, 10)}, 0);
  [[maybe_unused]] const auto all = everything(c);
  for (std::uint64_t i = 0; i < 20; ++i)
    apply(c, rows(0, 10 + i, 11 + i, {{"k" + std::to_string(i), "1"}}));
  const auto reply = c.subscribe(resume(true, 10, c.epoch()), 0);
  EXPECT_TRUE(reply.live);
  EXPECT_TRUE(reply.more);
  const auto body = json::parse(reply.body);
  EXPECT_EQ(body["offset"], 10);
  for (const auto& p : body["publications"])
    EXPECT_FALSE(p.contains("offset"));
  const auto rest = c.catch_up(all, reply.at, 0);
  EXPECT_FALSE(rest.more);
  EXPECT_EQ(lines(rest.part).size() + body["publications"].size(), 20u);
  EXPECT_EQ(lines(rest.part).back()["push"]["pub"]["offset"], 30);
}

TEST(channel, a_position_below_the_floor_above_the_watermark_or_of_another_epoch_is_unrecoverable) {
  auto c = one_partition(table_kind::latest);
  c.load({stored(0, 10, 10, {{"a", "1"}})}, 0);
  EXPECT_EQ(c.subscribe(resume(true, 10, c.epoch()), 0).code, 0);
  EXPECT_EQ(c.subscribe(resume(true, 9, c.epoch()), 0).code, 112);
  EXPECT_EQ(c.subscribe(resume(true, 11, c.epoch()), 0).code, 112);
  EXPECT_EQ(c.subscribe(resume(true, 10, "abc"), 0).code, 112);
}

TEST(channel, a_resume_gets_a_removal_that_only_the_change_log_knows) {
  auto c = one_partition(table_kind::latest);
  auto l = stored(0, 20, 18, {{"a", "1"}});
  l.floor = version{5};
  l.changes = {{version{18}, {"gone"}}};
  c.load({l}, 0);
  const auto body = json::parse(c.subscribe(resume(true, 7, c.epoch()), 0).body);
  ASSERT_EQ(body["publications"].size(), 1u);
  EXPECT_EQ(body["publications"][0]["key"], "gone");
  EXPECT_EQ(body["publications"][0]["removed"], true);
}

TEST(channel, resuming_at_the_watermark_loses_nothing_while_partitions_interleave_and_one_is_idle) {
  channel c(table_of(table_kind::latest), 1, {partition(0), partition(1)}, options());
  c.load({stored(0, 10, 10), stored(1, 10, 10)}, 0);
  [[maybe_unused]] const auto all = everything(c);
  std::uint64_t last[2] = {10, 10}, offset = 10;
  const auto take = [&](int p, std::uint64_t at) {
    apply(c, rows(p, last[p], at, {{"k" + std::to_string(p), std::to_string(at)}}));
    last[p] = at;
    for (const auto& pub : publications(c))
      offset = pub.value("offset", offset);
  };
  take(0, 50);
  take(0, 60);
  EXPECT_EQ(offset, 10u) << "partition 1 is silent: nothing above 10 is certain";
  take(1, 40); // came late, below what was sent
  EXPECT_EQ(offset, 40u);
  auto body = json::parse(c.subscribe(resume(true, 40, c.epoch()), 0).body);
  EXPECT_EQ(body["publications"].size(), 1u);
  apply(c, heartbeat(1, 40, 70));
  body = json::parse(c.subscribe(resume(true, 40, c.epoch()), 0).body);
  EXPECT_EQ(body["offset"], 60);
}

TEST(channel, a_stream_resumes_with_the_offset_that_was_sent_and_whole_entries_in_order) {
  auto c = one_partition(table_kind::log);
  auto l = stored(0, 10, 10);
  c.load({l}, 0);
  [[maybe_unused]] const auto all = everything(c);
  apply(c, entries(0, 10, 20, 100, 3)); // 20..22
  const auto live = publications(c);
  ASSERT_EQ(live.size(), 3u);
  EXPECT_EQ(live[0]["tags"], (json{{"p", "0"}, {"o", "100"}}));
  EXPECT_FALSE(live[1].contains("offset"));
  EXPECT_EQ(live[2]["offset"], 22);
  subscribe_request fresh;
  auto body = json::parse(c.subscribe(fresh, 0).body);
  EXPECT_EQ(body["offset"], 22);
  EXPECT_FALSE(body.contains("was_recovering"));
  EXPECT_FALSE(body.contains("publications"));
  body = json::parse(c.subscribe(resume(false, 20, c.epoch()), 0).body);
  EXPECT_EQ(body["offset"], 20);
  EXPECT_EQ(body["recovered"], true);
  ASSERT_EQ(body["publications"].size(), 2u);
  EXPECT_EQ(body["publications"][0]["offset"], 21);
  EXPECT_EQ(body["publications"][1]["offset"], 22);
  body = json::parse(c.subscribe(resume(false, 20, ""), 0).body);
  EXPECT_EQ(body["recovered"], true) << "no epoch is any epoch";
}

TEST(channel, a_stream_position_that_is_lost_is_said_so_with_the_new_one) {
  auto c = one_partition(table_kind::log);
  c.load({stored(0, 10, 10)}, 0);
  for (const auto& lost : {resume(false, 10, "abc"), resume(false, 11, c.epoch()), resume(false, 3, c.epoch())}) {
    const auto reply = c.subscribe(lost, 0);
    const auto body = json::parse(reply.body);
    EXPECT_EQ(body["was_recovering"], true);
    EXPECT_EQ(body["recovered"], false);
    EXPECT_EQ(body["offset"], 10);
    EXPECT_TRUE(reply.live);
    auto strict = lost;
    strict.reject_unrecovered = true;
    EXPECT_EQ(c.subscribe(strict, 0).code, 112);
  }
}

TEST(channel, a_session_behind_the_ring_is_told_to_subscribe_anew) {
  auto o = options();
  o.ring.entries = 5;
  auto c = one_partition(table_kind::log, o);
  c.load({stored(0, 10, 10)}, 0);
  [[maybe_unused]] const auto all = everything(c);
  const auto from = c.head();
  apply(c, entries(0, 10, 20, 100, 4));
  (void)flush(c);
  EXPECT_FALSE(c.catch_up(all, from, 0).gone);
  apply(c, entries(0, 23, 30, 104, 4));
  (void)flush(c);
  EXPECT_TRUE(c.catch_up(all, from, 0).gone);
}

TEST(channel, sessions_that_fell_behind_together_share_one_frame) {
  auto c = one_partition(table_kind::latest);
  c.load({stored(0, 10, 10)}, 0);
  [[maybe_unused]] const auto all = everything(c);
  const auto from = c.head();
  apply(c, rows(0, 10, 20, {{"a", "1"}, {"b", "1"}}));
  apply(c, rows(0, 20, 21, {{"a", "2"}}));
  const auto one = c.catch_up(all, from, 0), two = c.catch_up(all, from, 0);
  EXPECT_EQ(one.part.frame, two.part.frame);
  EXPECT_EQ(lines(one.part).size(), 2u) << "the newest value of each key";
  apply(c, rows(0, 21, 22, {{"b", "2"}}));
  const auto three = c.catch_up(all, from, 0);
  EXPECT_NE(one.part.frame, three.part.frame);
  EXPECT_EQ(three.part.to, c.head());
}

TEST(channel, aggregates_show_the_merge_of_their_parts) {
  auto t = table_of(table_kind::aggregate);
  t.fields = {{"n", function::count, ""}};
  channel c(t, 1, {partition(0), partition(1)}, options());
  c.load({stored(0, 10, 10), stored(1, 10, 10)}, 0);
  [[maybe_unused]] const auto all = everything(c);
  // States as partitions keep them: each has counted one record.
  const auto one = [] {
    const std::vector<aggregate_field> fields{{"n", function::count, ""}};
    table::aggregate_state s(fields);
    const std::vector<std::optional<table::number>> none(1);
    s.add(none, {});
    return s.to_json(fields);
  }();
  apply(c, rows(0, 10, 20, {{"north", one}}));
  apply(c, rows(1, 10, 30, {{"north", one}}));
  EXPECT_EQ(json::parse(c.rest_row("north").body)["n"], 2);
  const auto pubs = publications(c);
  ASSERT_EQ(pubs.size(), 1u);
  EXPECT_EQ(pubs[0]["data"]["n"], 2);
}

TEST(channel, a_view_over_its_bound_takes_no_new_subscribers_and_goes_on_for_the_others) {
  auto t = table_of(table_kind::latest);
  t.max_view_bytes = 2000;
  channel c(t, 1, {partition(0)}, options());
  c.load({stored(0, 10, 10, {{"a", "1"}})}, 0);
  EXPECT_EQ(c.subscribe(state_page(), 0).code, 0);
  apply(c, rows(0, 10, 20, {{"b", "\"" + std::string(3000, 'x') + "\""}}));
  const auto refused = c.subscribe(state_page(), 0);
  EXPECT_EQ(refused.code, 106);
  EXPECT_NE(refused.message.find("max_view_bytes"), std::string::npos);
  EXPECT_EQ(c.subscribe(resume(true, 10, c.epoch()), 0).code, 0);
}

TEST(channel, the_ring_of_a_log_keeps_within_the_bound_and_refuses_nobody) {
  auto t = table_of(table_kind::log);
  t.max_view_bytes = 2000;
  channel c(t, 1, {partition(0)}, options());
  c.load({stored(0, 10, 10)}, 0);
  for (std::uint64_t v = 11; v < 61; ++v)
    apply(c, entries(0, v - 1, v, static_cast<std::int64_t>(v), 1));
  EXPECT_LT(c.bytes(), 3000u);
  EXPECT_EQ(c.subscribe(subscribe_request{}, 0).code, 0);
}

TEST(channel, the_wrong_type_of_subscription_is_refused) {
  auto keyed = one_partition(table_kind::latest);
  keyed.load({stored(0, 10, 10)}, 0);
  EXPECT_EQ(keyed.subscribe(subscribe_request{}, 0).code, 107);
  auto log = one_partition(table_kind::log);
  log.load({stored(0, 10, 10)}, 0);
  EXPECT_EQ(log.subscribe(state_page(), 0).code, 107);
}

TEST(channel, rest_gives_rows_in_pages_and_single_rows) {
  auto c = one_partition(table_kind::latest);
  c.load({stored(0, 10, 10, {{"a", "1"}, {"b", "{\"x\":2}"}, {"c", "3"}})}, 0);
  auto page = json::parse(c.rest_page(2, "").body);
  EXPECT_EQ(page["table"], "machines");
  EXPECT_EQ(page["epoch"], c.epoch());
  EXPECT_EQ(page["offset"], 10);
  EXPECT_EQ(page["rows"].size(), 2u);
  auto next = json::parse(c.rest_page(2, page["cursor"].get<std::string>()).body);
  EXPECT_EQ(next["rows"].size(), 1u);
  EXPECT_FALSE(next.contains("cursor"));
  page["rows"].update(next["rows"]);
  EXPECT_EQ(page["rows"], (json{{"a", 1}, {"b", {{"x", 2}}}, {"c", 3}}));
  EXPECT_EQ(c.rest_row("b").body, "{\"x\":2}");
  EXPECT_EQ(c.rest_row("z").status, 404u);
  EXPECT_EQ(c.rest_page(2, "nonsense").status, 400u);
  EXPECT_EQ(c.count(), 3u);
}

TEST(channel, rest_gives_the_rows_that_a_condition_chooses_in_pages) {
  auto c = one_partition(table_kind::latest);
  c.load({stored(0, 10, 10, {{"a", "{\"x\":1}"}, {"b", "{\"x\":2}"}, {"c", "{\"x\":3}"}, {"d", "{\"x\":2}"}})}, 0);
  table::selection_spec twos;
  auto parsed = parse_condition(R"({"/x":{"gte":2}})");
  ASSERT_TRUE(parsed.ok());
  twos.where = parsed.value;
  twos.where_text = canonical_text(twos.where);
  auto page = json::parse(c.rest_page(2, "", twos, 0).body);
  EXPECT_EQ(page["rows"].size(), 2u);
  const auto next = json::parse(c.rest_page(2, page["cursor"].get<std::string>(), twos, 0).body);
  EXPECT_FALSE(next.contains("cursor"));
  page["rows"].update(next["rows"]);
  EXPECT_EQ(page["rows"], (json{{"b", {{"x", 2}}}, {"c", {{"x", 3}}}, {"d", {{"x", 2}}}}));
}

TEST(channel, rest_gives_a_row_only_where_its_condition_holds) {
  auto c = one_partition(table_kind::latest);
  c.load({stored(0, 10, 10, {{"a", "{\"x\":1}"}})}, 0);
  const auto holds = [&](const char* where) {
    const auto reply = c.rest_row("a", parse_condition(where).value);
    EXPECT_TRUE(reply.status == 200 || reply.message == c.rest_row("nothing").message);
    return reply.status == 200;
  };
  EXPECT_TRUE(holds(R"({"/x":1})"));
  EXPECT_FALSE(holds(R"({"/x":2})"));
  EXPECT_FALSE(holds(R"({"/y":{"exists":true}})"));
  EXPECT_TRUE(holds(R"({"key":"a"})"));
  EXPECT_FALSE(holds(R"({"key":"b"})"));
}

TEST(channel, a_page_has_another_tag_once_anything_changed_and_the_same_before) {
  auto c = one_partition(table_kind::latest);
  c.load({stored(0, 10, 10, {{"a", "1"}})}, 0);
  const auto tag = c.rest_page(0, "").tag;
  EXPECT_FALSE(tag.empty());
  EXPECT_EQ(tag.find('"'), tag.npos);
  EXPECT_EQ(c.rest_page(0, "").tag, tag);
  table::selection_spec one;
  one.one_key = true;
  one.key = "a";
  EXPECT_NE(c.rest_page(0, "", one, 0).tag, tag); // who may see less has another page at the same address
  apply(c, rows(0, 10, 11, {{"a", "2"}}));
  EXPECT_NE(c.rest_page(0, "").tag, tag);
  auto o = options();
  o.instance = 8;
  auto again = one_partition(table_kind::latest, o);
  again.load({stored(0, 10, 10, {{"a", "1"}})}, 0);
  EXPECT_NE(again.rest_page(0, "").tag, tag); // arrivals are counted anew
}

TEST(channel, rest_gives_the_newest_entries_of_a_log_newest_last) {
  auto c = one_partition(table_kind::log);
  auto l = stored(0, 22, 22);
  l.floor = version{19};
  l.batches = {{version{20}, entries(0, 0, 20, 100, 3).entries}};
  c.load({l}, 0);
  const auto page = json::parse(c.rest_page(2, "").body);
  ASSERT_EQ(page["entries"].size(), 2u);
  EXPECT_EQ(page["entries"][1], (json{{"time", 1102}, {"partition", 0}, {"offset", 102}, {"value", {{"o", 102}}}}));
  EXPECT_EQ(page["offset"], 22);
  EXPECT_EQ(c.rest_row("a").status, 400u);
}

TEST(channel, what_waits_for_a_load_is_bounded_and_what_was_dropped_is_loaded_again) {
  auto o = options();
  o.waiting_bytes = 1000;
  auto c = one_partition(table_kind::latest, o);
  for (std::uint64_t i = 11; i < 100; ++i)
    apply(c, rows(0, i - 1, i, {{"k", "\"" + std::string(100, 'x') + "\""}}));
  EXPECT_LE(c.bytes(), 1500u);
  c.load({stored(0, 10, 10)}, 0);
  EXPECT_EQ(c.wanted().size(), 1u);
  c.load({stored(0, 99, 99, {{"k", "1"}})}, 0);
  EXPECT_TRUE(c.wanted().empty());
  EXPECT_EQ(c.watermark(), version{99});
}

} // namespace
