// Lanes: filters, single keys, paces, deltas, tags, short names, events, history.
#include "runtime/config/condition.hpp"
#include "runtime/table/fossil.hpp"
#include "runtime/table/value_index.hpp"
#include "tests/unit/view/view_test.hpp"

#include <gtest/gtest.h>
#include <map>
#include <random>

namespace {

using namespace weir;
using namespace weir::view_test;
using table::channel;
using table::map_phase;
using table::subscribe_request;

subscribe_request wants(std::string_view where = {}, std::string key = {}) {
  subscribe_request r;
  r.map = true;
  r.phase = map_phase::state;
  if (!where.empty()) {
    auto parsed = parse_condition(where);
    EXPECT_TRUE(parsed.ok()) << where;
    r.lane.rows.where = parsed.value;
    r.lane.rows.where_text = canonical_text(parsed.value);
  }
  if (!key.empty()) {
    r.lane.rows.one_key = true;
    r.lane.rows.key = std::move(key);
  }
  return r;
}

struct ready : channel {
  explicit ready(table::channel_options o = options())
      : channel(table_of(table_kind::latest), 1, {partition(0)}, std::move(o)) {
    load({stored(0, 10, 10, {{"a", R"({"n":1})"}, {"b", R"({"n":2})"}, {"c", R"({"n":3})"}})}, 0);
  }
};

std::vector<json> of_lane(const table::flushed& out, table::lane_id lane) {
  std::vector<json> pubs;
  for (const auto& l : out.lanes)
    if (l.lane == lane)
      for (const auto& f : l.frames)
        for (const auto& line : lines(f))
          pubs.push_back(line["push"]["pub"]);
  return pubs;
}

TEST(lanes, a_filtered_subscriber_gets_its_rows_and_the_removal_of_one_that_stops_matching) {
  ready c;
  const auto reply = c.subscribe(wants(R"({"/n":{"gte":2}})"), 0);
  ASSERT_TRUE(reply.live);
  EXPECT_EQ(json::parse(reply.body)["state"].size(), 2u);
  apply(c, rows(0, 10, 20, {{"a", R"({"n":5})"}, {"b", R"({"n":0})"}, {"d", R"({"n":1})"}}));
  const auto pubs = of_lane(c.flush(0), reply.lane);
  ASSERT_EQ(pubs.size(), 2u) << "d never matched: nobody hears of it";
  EXPECT_EQ(pubs[0]["key"], "a");
  EXPECT_EQ(pubs[1]["key"], "b");
  EXPECT_EQ(pubs[1]["removed"], true);
  EXPECT_EQ(pubs[1]["offset"], 20);
}

TEST(lanes, a_filter_has_an_epoch_of_its_own_and_equal_filters_share_it_and_their_frames) {
  ready c;
  const auto all = c.subscribe(wants(), 0), some = c.subscribe(wants(R"({"/n":2,"/m":{"ne":1}})"), 0),
             same = c.subscribe(wants(R"({"/m":{"ne":1},"/n":2})"), 0);
  EXPECT_NE(json::parse(all.body)["epoch"], json::parse(some.body)["epoch"]);
  EXPECT_EQ(json::parse(same.body)["epoch"], json::parse(some.body)["epoch"]);
  EXPECT_EQ(same.lane, some.lane);
  EXPECT_NE(all.lane, some.lane);
}

TEST(lanes, one_key_is_a_channel_of_its_own) {
  ready c;
  const auto reply = c.subscribe(wants({}, "b"), 0);
  EXPECT_EQ(json::parse(reply.body)["state"].size(), 1u);
  apply(c, rows(0, 10, 20, {{"a", R"({"n":9})"}}));
  EXPECT_TRUE(c.flush(0).lanes.empty()) << "not its key";
  apply(c, rows(0, 20, 30, {{"b", ""}}));
  const auto out = c.flush(0);
  ASSERT_EQ(out.lanes.size(), 1u);
  EXPECT_EQ(lines(out.lanes[0].frames[0])[0]["push"]["channel"], "machines/b");
  const auto absent = c.subscribe(wants({}, "nothing"), 0);
  EXPECT_TRUE(absent.live);
  EXPECT_FALSE(json::parse(absent.body).contains("state"));
}

TEST(lanes, a_resume_from_before_the_selection_was_made_removes_what_does_not_match_now) {
  ready c;
  apply(c, rows(0, 10, 20, {{"b", R"({"n":0})"}, {"c", R"({"n":7})"}}));
  (void)c.flush(0);
  auto r = wants(R"({"/n":{"gte":2}})");
  const auto fresh = c.subscribe(r, 0);
  r.phase = map_phase::stream;
  r.recover = r.has_position = true;
  r.offset = version{10};
  r.epoch = json::parse(fresh.body)["epoch"];
  const auto body = json::parse(c.subscribe(r, 0).body);
  ASSERT_EQ(body["publications"].size(), 2u);
  for (const auto& p : body["publications"])
    EXPECT_EQ(p.value("removed", false), p["key"] == "b");
}

TEST(lanes, who_may_see_some_rows_only_is_told_no_other_keys_and_starts_over) {
  ready c;
  apply(c, rows(0, 10, 20, {{"b", R"({"n":0})"}, {"c", R"({"n":7})"}}));
  (void)c.flush(0);
  for (const auto& key : {"", "b"}) {
    auto r = wants(R"({"/n":{"gte":2}})", key);
    r.lane.rows.partial = true;
    const auto fresh = c.subscribe(r, 0);
    ASSERT_TRUE(fresh.live);
    r.phase = map_phase::stream;
    r.recover = r.has_position = true;
    r.offset = version{10}; // from before the selection was made: what went since would have to be told by the key
    r.epoch = json::parse(fresh.body)["epoch"];
    EXPECT_EQ(c.subscribe(r, 0).code, 112);
    r.offset = version{20};
    EXPECT_TRUE(c.subscribe(r, 0).live) << "what the selection remembers can be resumed from";
  }
}

TEST(lanes, a_pace_holds_changes_back_and_sends_the_newest_when_it_is_due) {
  ready c;
  auto r = wants();
  r.lane.interval_ms = 1000;
  const auto reply = c.subscribe(r, 0);
  apply(c, rows(0, 10, 20, {{"a", R"({"n":5})"}}));
  EXPECT_EQ(of_lane(c.flush(100), reply.lane).size(), 1u) << "the first goes at once";
  apply(c, rows(0, 20, 21, {{"a", R"({"n":6})"}}));
  EXPECT_FALSE(c.dirty(500));
  EXPECT_TRUE(c.flush(500).lanes.empty());
  EXPECT_EQ(c.next_due_ms(), 1100);
  apply(c, rows(0, 21, 22, {{"a", R"({"n":7})"}, {"b", ""}}));
  const auto pubs = of_lane(c.flush(1100), reply.lane);
  ASSERT_EQ(pubs.size(), 2u) << "the newest of each key, and no removal is left out";
  EXPECT_EQ(pubs[0]["data"]["n"], 7);
  EXPECT_EQ(pubs[1]["removed"], true);
  EXPECT_FALSE(c.next_due_ms());
}

TEST(lanes, one_that_falls_behind_what_is_kept_ends_and_the_others_go_on) {
  auto o = options();
  o.view.tombstones = 1;
  ready c(o);
  auto paced = wants();
  paced.lane.interval_ms = 1000;
  const auto slow = c.subscribe(paced, 0), quick = c.subscribe(wants(), 0);
  auto narrow = wants({}, "c");
  narrow.lane.interval_ms = 1000;
  const auto slow_elsewhere = c.subscribe(narrow, 0);
  apply(c, rows(0, 10, 20, {{"c", "1"}}));
  EXPECT_EQ(c.flush(0).lanes.size(), 3u);
  apply(c, rows(0, 20, 21, {{"a", ""}, {"b", ""}}), 1);
  EXPECT_EQ(of_lane(c.flush(1), quick.lane).size(), 2u);
  c.tick(1); // drops the older of the removals, which the slow lane has not sent
  apply(c, rows(0, 21, 22, {{"c", "2"}}), 2);
  EXPECT_EQ(of_lane(c.flush(2), quick.lane).size(), 1u);

  ASSERT_TRUE(c.dirty(1000));
  const auto out = c.flush(1000);
  EXPECT_FALSE(out.reset);
  EXPECT_EQ(out.ended, std::vector{slow.lane});
  EXPECT_TRUE(of_lane(out, slow.lane).empty());
  EXPECT_EQ(of_lane(out, slow_elsewhere.lane).size(), 1u) << "no removal of its rows was dropped";
  EXPECT_EQ(c.lanes(), 2u);
  EXPECT_TRUE(c.catch_up(slow.lane, slow.at, 1000).gone);
  EXPECT_FALSE(c.dirty(1000)) << "it ends once";

  paced.phase = map_phase::stream;
  paced.recover = paced.has_position = true;
  paced.offset = version{20};
  paced.epoch = c.epoch();
  EXPECT_EQ(c.subscribe(paced, 1000).code, 112) << "its sessions were not told of a, so they get everything again";
  paced.phase = map_phase::state;
  paced.recover = paced.has_position = false;
  const auto again = c.subscribe(paced, 1000);
  EXPECT_TRUE(again.live);
  EXPECT_NE(again.lane, slow.lane);
}

TEST(lanes, a_slow_lane_of_a_log_that_keeps_little_ends_and_the_others_go_on) {
  auto o = options();
  o.ring.entries = 3;
  channel c(table_of(table_kind::log), 1, {partition(0)}, o);
  c.load({stored(0, 10, 10)}, 0);
  subscribe_request r;
  const auto quick = c.subscribe(r, 0);
  r.lane.interval_ms = 1000;
  const auto slow = c.subscribe(r, 0);
  std::size_t got = 0;
  for (std::uint64_t i = 0; i < 6; ++i) {
    apply(c, entries(0, 10 + i, 11 + i, static_cast<std::int64_t>(i), 1));
    got += of_lane(c.flush(1), quick.lane).size();
  }
  EXPECT_EQ(got, 6u);
  const auto out = c.flush(1001);
  EXPECT_FALSE(out.reset);
  EXPECT_EQ(out.ended, std::vector{slow.lane});
}

TEST(lanes, a_clock_that_was_set_back_holds_no_lane_longer_than_its_pace) {
  ready c;
  auto r = wants();
  r.lane.interval_ms = 1000;
  const auto slow = c.subscribe(r, 10'000), quick = c.subscribe(wants(), 10'000);
  apply(c, rows(0, 10, 20, {{"a", "1"}}));
  EXPECT_EQ(c.flush(10'000).lanes.size(), 2u);
  apply(c, rows(0, 20, 21, {{"a", "2"}}));
  EXPECT_EQ(of_lane(c.flush(5'000), quick.lane).size(), 1u);
  EXPECT_EQ(c.next_due_ms(), 6'000);
  EXPECT_EQ(of_lane(c.flush(6'000), slow.lane).size(), 1u);
}

TEST(lanes, only_those_whose_rows_changed_are_woken) {
  ready c;
  std::vector<table::lane_id> lanes;
  for (const auto* key : {"a", "b", "c"}) {
    auto r = wants({}, key);
    r.lane.interval_ms = 1000;
    lanes.push_back(c.subscribe(r, 0).lane);
  }
  apply(c, rows(0, 10, 20, {{"b", "1"}}));
  const auto out = c.flush(0);
  ASSERT_EQ(out.lanes.size(), 1u);
  EXPECT_EQ(out.lanes[0].lane, lanes[1]);
  EXPECT_FALSE(c.next_due_ms());
  apply(c, rows(0, 20, 21, {{"b", "2"}, {"c", "2"}}));
  EXPECT_EQ(of_lane(c.flush(1), lanes[2]).size(), 1u);
  EXPECT_EQ(c.next_due_ms(), 1000) << "b waits for its pace";
  c.close(lanes[1]);
  EXPECT_FALSE(c.next_due_ms()) << "nobody is left to wait for";
}

TEST(lanes, tags_tell_the_records_time_its_age_and_what_was_left_out) {
  ready c;
  auto r = wants();
  r.lane.tags = true;
  r.lane.interval_ms = 1000;
  const auto reply = c.subscribe(r, 0);
  apply(c, rows(0, 10, 20, {{"a", R"({"n":5})"}}), 100);
  auto pubs = of_lane(c.flush(100), reply.lane);
  EXPECT_EQ(pubs.at(0)["tags"], (json{{"t", "20"}, {"age", "80"}})) << "rows are stamped with their version here";
  apply(c, rows(0, 20, 21, {{"a", R"({"n":6})"}, {"b", R"({"n":6})"}}), 100);
  apply(c, rows(0, 21, 22, {{"a", R"({"n":7})"}}), 100);
  const auto out = c.flush(1100);
  pubs = of_lane(out, reply.lane);
  ASSERT_EQ(pubs.size(), 2u);
  EXPECT_FALSE(pubs[0]["tags"].contains("conflated"));
  EXPECT_EQ(pubs[1]["tags"]["conflated"], "1");
  EXPECT_EQ(out.lanes[0].frames[0].conflated, 1u);
  EXPECT_EQ(out.lanes[0].frames[0].publications, 2u);
}

TEST(lanes, conflation_in_a_selection_counts_its_own_changes_only) {
  ready c;
  auto r = wants(R"({"key":{"prefix":"a"}})");
  r.lane.interval_ms = 1000;
  const auto reply = c.subscribe(r, 0);
  for (std::uint64_t i = 0; i < 5; ++i) {
    apply(c, rows(0, 10 + i, 11 + i, {{"a", R"({"n":5})"}, {"b", R"({"n":5})"}}));
    (void)c.dirty(1); // each round looks at its changes once
  }
  const auto out = c.flush(1000);
  ASSERT_EQ(of_lane(out, reply.lane).size(), 1u);
  EXPECT_EQ(out.lanes[0].frames[0].conflated, 4u);
}

TEST(lanes, deltas_are_told_against_what_the_lane_was_sent_and_catch_ups_are_whole) {
  ready c;
  auto r = wants();
  r.lane.delta = true;
  const std::string filling(100, 'f');
  const auto row = [&](int n) { return R"({"filling":")" + filling + R"(","n":)" + std::to_string(n) + "}"; };
  const auto reply = c.subscribe(r, 0);
  EXPECT_EQ(json::parse(reply.body)["delta"], true);
  EXPECT_TRUE(json::parse(reply.body)["state"][0]["data"].is_string());
  EXPECT_TRUE(reply.exact);
  apply(c, rows(0, 10, 20, {{"a", row(1)}}));
  auto pubs = of_lane(c.flush(0), reply.lane);
  EXPECT_FALSE(pubs.at(0).contains("delta")) << "nobody knows what its sessions had";
  EXPECT_EQ(pubs[0]["data"], row(1));
  const auto before = c.head();
  apply(c, rows(0, 20, 21, {{"a", row(2)}}));
  pubs = of_lane(c.flush(0), reply.lane);
  EXPECT_EQ(pubs.at(0)["delta"], true);
  EXPECT_EQ(table::apply_fossil_delta(row(1), pubs[0]["data"].get<std::string>()), row(2));
  EXPECT_LT(pubs[0]["data"].get<std::string>().size(), 40u);
  const auto late = c.catch_up(reply.lane, before, 0);
  EXPECT_EQ(lines(late.part)[0]["push"]["pub"]["data"], row(2));
  r.lane.interval_ms = 100;
  EXPECT_FALSE(json::parse(c.subscribe(r, 0).body).contains("delta")) << "not with a pace";
}

TEST(lanes, short_ids_name_the_channel_by_the_number_of_the_reply) {
  ready c;
  auto r = wants();
  r.lane.short_id = true;
  const auto reply = c.subscribe(r, 0), second = c.subscribe(r, 0);
  const auto id = json::parse(reply.body)["id"];
  EXPECT_GT(id, 0);
  EXPECT_EQ(json::parse(second.body)["id"], id);
  apply(c, rows(0, 10, 20, {{"a", "1"}}));
  const auto push = lines(c.flush(0).lanes.at(0).frames.at(0)).at(0)["push"];
  EXPECT_EQ(push["id"], id);
  EXPECT_FALSE(push.contains("channel"));
}

TEST(lanes, events_are_lines_of_a_stream_with_an_id_where_the_position_is_complete) {
  ready c;
  auto r = wants();
  r.lane.events = true;
  const auto reply = c.subscribe(r, 0);
  apply(c, rows(0, 10, 20, {{"a", "1"}, {"b", ""}}));
  const auto out = c.flush(0);
  ASSERT_EQ(out.lanes.size(), 1u);
  EXPECT_EQ(out.lanes[0].frames.at(0).frame->bytes, "data: {\"key\":\"a\",\"data\":1}\n\nid: " + c.epoch() +
                                                        ":20\ndata: {\"key\":\"b\",\"removed\":true,\"data\":{}}\n\n");
}

TEST(lanes, too_many_conditions_are_refused_and_one_that_nobody_uses_makes_room) {
  auto o = options();
  o.conditions = 2;
  ready c(o);
  const auto above = [](int n) { return wants(R"({"/n":{"gt":)" + std::to_string(n) + "}}"); };
  const auto a = c.subscribe(above(1), 0), b = c.subscribe(above(2), 0);
  EXPECT_EQ(c.subscribe(above(3), 0).code, 106);
  EXPECT_EQ(c.subscribe(above(2), 0).code, 0) << "one that is there already";
  EXPECT_EQ(c.subscribe(wants({}, "a"), 0).code, 0) << "keys are found by an index";
  EXPECT_EQ(c.subscribe(wants(R"({"/n":3})"), 0).code, 0) << "so are values";
  c.close(a.lane);
  c.tick(o.idle_selection_ms + 1);
  EXPECT_EQ(c.subscribe(above(3), o.idle_selection_ms + 1).code, 0);
}

TEST(lanes, as_many_conditions_as_users_can_ask_a_field_to_equal_something) {
  auto o = options();
  o.conditions = 2;
  o.keys = 1'000;
  ready c(o);
  std::vector<table::lane_id> lanes;
  for (int n = 0; n < 1'000; ++n) {
    const auto reply = c.subscribe(wants(R"({"/n":)" + std::to_string(n) + "}"), 0);
    ASSERT_EQ(reply.code, 0) << n;
    ASSERT_EQ(json::parse(reply.body)["state"].size(), n >= 1 && n <= 3 ? 1u : 0u) << n;
    lanes.push_back(reply.lane);
  }
  for (int n = 1'000; n < 1'003; ++n) // two of them look at every change
    EXPECT_EQ(c.subscribe(wants(R"({"/n":)" + std::to_string(n) + "}"), 0).code, n < 1'002 ? 0 : 106) << n;
  apply(c, rows(0, 10, 20, {{"a", R"({"n":700.0})"}, {"b", ""}, {"d", R"({"n":3})"}}));
  const auto out = c.flush(0);
  EXPECT_EQ(out.lanes.size(), 4u) << "1, which a left, 2, which b left, 3 and 700";
  EXPECT_EQ(of_lane(out, lanes[1]).at(0)["removed"], true);
  EXPECT_EQ(of_lane(out, lanes[2]).at(0)["removed"], true);
  EXPECT_EQ(of_lane(out, lanes[3]).at(0)["key"], "d");
  EXPECT_EQ(of_lane(out, lanes[700]).at(0)["key"], "a");
  for (const auto lane : lanes)
    c.close(lane);
  c.tick(o.idle_selection_ms + 1);
  EXPECT_EQ(c.subscribe(wants(R"({"/n":1002})"), o.idle_selection_ms + 1).code, 0);
  apply(c, rows(0, 20, 30, {{"a", R"({"n":3})"}, {"d", ""}})); // nothing of those that went is looked at
  EXPECT_TRUE(c.flush(o.idle_selection_ms + 2).lanes.empty());
}

TEST(lanes, so_many_conditions_of_one_value_are_looked_up_and_as_many_more_look_at_every_change) {
  auto o = options();
  o.conditions = 2;
  ready c(o);
  const auto both = [](int above) { return wants(R"({"/n":3,"/m":{"gt":)" + std::to_string(above) + "}}"); };
  for (int i = 0; i < 4; ++i)
    EXPECT_EQ(c.subscribe(both(i), 0).code, 0) << i;
  EXPECT_EQ(c.subscribe(both(4), 0).code, 106);
}

TEST(lanes, so_many_fields_are_looked_up_and_conditions_on_others_look_at_every_change) {
  auto o = options();
  o.conditions = 2;
  ready c(o);
  const auto on = [](std::size_t field) { return wants(R"({"/f)" + std::to_string(field) + R"(":1})"); };
  for (std::size_t i = 0; i < table::value_index::most_fields + 2; ++i)
    EXPECT_EQ(c.subscribe(on(i), 0).code, 0) << i;
  EXPECT_EQ(c.subscribe(on(100), 0).code, 106);
}

// Whatever a condition is found by, its subscriber's rows are those that match.
TEST(lanes, what_a_condition_is_found_by_changes_nothing_in_what_it_chooses) {
  const std::vector<std::string> texts = {
      "null", "true",  "false",  "0",      "1",   "1.0", "-0.0", "2.5", "18446744073709551615",
      "1e30", R"("")", R"("1")", R"("a")", "[1]", "{}"};
  const std::vector<std::string> wheres = {R"({"/v":null})",
                                           R"({"/v":true})",
                                           R"({"/v":0})",
                                           R"({"/v":1})",
                                           R"({"/v":1.0})",
                                           R"({"/v":2.5})",
                                           R"({"/v":18446744073709551615})",
                                           R"({"/v":1e30})",
                                           R"({"/v":""})",
                                           R"({"/v":"1"})",
                                           R"({"/v":"a"})",
                                           R"({"/v":{"in":[1,"a",true]}})",
                                           R"({"/v":{"in":["a","b"]},"/w":{"gte":1}})",
                                           R"({"/w":2,"/v":"a"})",
                                           R"({"any":[{"/v":1},{"/w":1}]})",
                                           R"({"/w":{"ne":1}})"};
  for (unsigned seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    auto plain = options();
    plain.keys = 0; // none is found by a value: each looks at every change
    ready found, looking(plain);
    std::map<table::lane_id, std::size_t> which[2];
    std::vector<std::map<std::string, json>> shown[2];
    channel* both[] = {&found, &looking};
    for (int side = 0; side < 2; ++side) {
      shown[side].resize(wheres.size());
    }
    std::uint64_t at = 10;
    const auto subscribe = [&](std::size_t i) {
      for (int side = 0; side < 2; ++side) {
        const auto reply = both[side]->subscribe(wants(wheres[i]), 0);
        ASSERT_EQ(reply.code, 0) << wheres[i];
        which[side][reply.lane] = i;
        auto body = json::parse(reply.body);
        for (const auto& row : body["state"])
          shown[side][i][row["key"]] = row["data"];
      }
    };
    for (std::size_t i = 0; i < wheres.size() / 2; ++i)
      subscribe(i);
    for (int step = 0; step < 60; ++step) {
      if (step == 30)
        for (std::size_t i = wheres.size() / 2; i < wheres.size(); ++i)
          subscribe(i);
      std::vector<std::pair<std::string, std::string>> changed;
      for (unsigned n = random() % 4; n > 0; --n) {
        const auto key = std::string(1, static_cast<char>('a' + random() % 6));
        changed.emplace_back(key, random() % 5 == 0 ? ""
                                                    : R"({"v":)" + texts[random() % texts.size()] + R"(,"w":)" +
                                                          std::to_string(random() % 3) + "}");
      }
      for (auto* c : both)
        apply(*c, rows(0, at, at + 10, changed));
      at += 10;
      if (random() % 3 == 0)
        continue;
      for (int side = 0; side < 2; ++side)
        for (const auto& l : both[side]->flush(0).lanes)
          for (const auto& f : l.frames)
            for (const auto& line : lines(f)) {
              const auto& pub = line["push"]["pub"];
              auto& of = shown[side][which[side].at(l.lane)];
              if (pub.contains("removed"))
                of.erase(pub["key"]);
              else
                of[pub["key"]] = pub["data"];
            }
      ASSERT_EQ(shown[0], shown[1]) << step;
    }
  }
}

TEST(lanes, a_lane_that_is_closed_leaves_its_laggards_to_begin_anew) {
  ready c;
  const auto reply = c.subscribe(wants(), 0);
  EXPECT_EQ(c.lanes(), 1u);
  c.close(reply.lane);
  EXPECT_EQ(c.lanes(), 0u);
  EXPECT_TRUE(c.catch_up(reply.lane, reply.at, 0).gone);
}

TEST(lanes, entries_of_a_log_are_found_by_what_a_field_equals) {
  auto o = options();
  o.ring.entries = 6;
  channel c(table_of(table_kind::log), 1, {partition(0)}, o);
  c.load({stored(0, 10, 10)}, 0);
  apply(c, entries(0, 10, 20, 100, 4)); // offsets 100..103
  const auto ask = [&](std::string_view where) {
    auto r = wants(where);
    r.map = false;
    return c.subscribe(r, 0);
  };
  const auto one = ask(R"({"/o":103})"), some = ask(R"({"/o":{"in":[101,105,111]}})"),
             later = ask(R"({"/o":{"gte":103}})");
  const auto history = [&](std::string_view where) {
    table::history_request h;
    h.limit = -1;
    return json::parse(c.history(h, wants(where).lane.rows, 0).body)["publications"].size();
  };
  EXPECT_EQ(history(R"({"/o":103})"), 1u);
  EXPECT_EQ(history(R"({"/o":{"in":[101,105,111]}})"), 1u);
  apply(c, entries(0, 23, 30, 104, 4)); // 104..107: 100 and 101 leave the ring
  auto out = c.flush(0);
  EXPECT_TRUE(of_lane(out, one.lane).empty());
  ASSERT_EQ(of_lane(out, some.lane).size(), 1u);
  EXPECT_EQ(of_lane(out, some.lane)[0]["data"]["o"], 105);
  EXPECT_EQ(of_lane(out, later.lane).size(), 4u);
  EXPECT_EQ(history(R"({"/o":{"in":[101,105,111]}})"), 1u) << "101 has left the ring";
  apply(c, entries(0, 33, 40, 108, 4));
  out = c.flush(0);
  ASSERT_EQ(of_lane(out, some.lane).size(), 1u);
  EXPECT_EQ(of_lane(out, some.lane)[0]["data"]["o"], 111);
  EXPECT_EQ(of_lane(out, later.lane).size(), 4u);
}

TEST(lanes, a_log_can_be_filtered_and_its_history_be_asked_for) {
  channel c(table_of(table_kind::log), 1, {partition(0)}, options());
  c.load({stored(0, 10, 10)}, 0);
  subscribe_request r;
  auto parsed = parse_condition(R"({"/o":{"gte":102}})");
  r.lane.rows.where = parsed.value;
  r.lane.rows.where_text = canonical_text(parsed.value);
  const auto reply = c.subscribe(r, 0);
  ASSERT_TRUE(reply.live);
  apply(c, entries(0, 10, 20, 100, 4)); // 20..23, offsets 100..103
  EXPECT_EQ(of_lane(c.flush(0), reply.lane).size(), 2u);

  table::history_request h;
  h.limit = 0;
  auto body = json::parse(c.history(h, {}, 0).body);
  EXPECT_EQ(body["offset"], 23);
  EXPECT_FALSE(body.contains("publications"));
  h.limit = 3;
  body = json::parse(c.history(h, {}, 0).body);
  ASSERT_EQ(body["publications"].size(), 3u);
  EXPECT_EQ(body["publications"][0]["offset"], 20);
  h.since = true;
  h.offset = version{21};
  h.limit = -1;
  body = json::parse(c.history(h, {}, 0).body);
  ASSERT_EQ(body["publications"].size(), 2u);
  EXPECT_EQ(body["publications"][0]["offset"], 22);
  h.reverse = true;
  body = json::parse(c.history(h, {}, 0).body);
  ASSERT_EQ(body["publications"].size(), 1u) << "what is before it, newest first";
  EXPECT_EQ(body["publications"][0]["offset"], 20);
  h.reverse = false;
  h.offset = version{5};
  EXPECT_EQ(c.history(h, {}, 0).code, 112);
  h = {};
  h.limit = -1;
  EXPECT_EQ(json::parse(c.history(h, r.lane.rows, 0).body)["publications"].size(), 2u);
}

TEST(fossil, a_delta_makes_the_target_of_the_source_whatever_they_are) {
  std::mt19937_64 random(7);
  const std::vector<std::string> words{"ä", "€", "a", "{\"cpu\":", "12.5", ",", "𝄞", "machine-00", "\"", "}"};
  const auto text = [&](std::size_t n) {
    std::string out;
    for (std::size_t i = 0; i < n; ++i)
      out += words[random() % words.size()];
    return out;
  };
  std::size_t made = 0;
  for (int i = 0; i < 3000; ++i) {
    const auto source = text(random() % 60);
    auto target = source;
    for (std::size_t k = random() % 3; k > 0; --k) { // replaced between characters only
      std::size_t at = target.empty() ? 0 : random() % target.size();
      while (at > 0 && at < target.size() && (static_cast<unsigned char>(target[at]) & 0xC0) == 0x80)
        --at;
      target = target.substr(0, at) + text(random() % 4) + (random() % 2 ? target.substr(at) : std::string());
    }
    const auto delta = table::fossil_delta(source, target, 1 << 20);
    if (!delta)
      continue;
    ++made;
    ASSERT_EQ(table::apply_fossil_delta(source, *delta), target) << source << " -> " << target;
    ASSERT_NO_THROW((void)json(*delta).dump()) << "it is UTF-8 as a whole";
  }
  EXPECT_GT(made, 2000u);
}

TEST(fossil, is_the_format_that_others_read) {
  // Made by the format's description: size, a copy, a literal, the checksum.
  const std::string source = "the quick brown fox jumps over the lazy dog";
  EXPECT_EQ(table::apply_fossil_delta("abcdefgh", "8\n8@0,3XlW~G;"), std::nullopt) << "a wrong checksum";
  const auto delta = table::fossil_delta(source, "the quick brown cat jumps over the lazy dog", 1000);
  ASSERT_TRUE(delta);
  EXPECT_TRUE(delta->starts_with("g\nG@0,3:cat")) << *delta;
  EXPECT_TRUE(delta->ends_with(";"));
  for (const auto* bad : {"", "8", "8\n", "8\nx", "8\n9@0,0;", "8\n8@1,0;", "~~~~~~~~\n0;", "2\n2:a"})
    EXPECT_FALSE(table::apply_fossil_delta("abcdefgh", bad)) << bad;
}

} // namespace
