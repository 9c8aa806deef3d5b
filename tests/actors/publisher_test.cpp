// The publisher actor behind a real partition and writer, and the feed between them.
#include "runtime/metrics/registry.hpp"
#include "tests/actors/stage.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace {

using namespace weir;
using namespace weir::stage;

std::string value(std::uint64_t s, int v = 1) { return fmt::format(R"({{"s":{},"v":{}}})", s, v); }

// One partition whose changes reach a real publisher.
struct published : world {
  static world_options with(table_config t, bool delayed) {
    world_options o;
    o.tables = {std::move(t)};
    o.delayed_answers = delayed;
    return o;
  }
  explicit published(table_config t = latest("now"), bool delayed = false, std::chrono::milliseconds linger = 30s)
      : world(with(t, delayed)), node(make_node("a")), config(t) {
    end.publisher = own(actors::spawn_publisher(*system, {node, t, {t.name, 1}, end.inbox, linger}));
    caf::anon_send(end.publisher, actors::partitions_here{{key(0)}}); // as the source actor does
    partition = std::make_unique<lone_partition>(*this, lone_partition::options{.ends = {{t.name, end}}});
  }
  // As the source actor does once it knows.
  void tell_partitions() { caf::anon_send(end.publisher, actors::table_partitions{{key(0)}}); }
  subscriber& follow() {
    return *subscribers.emplace_back(
        std::make_unique<subscriber>(*this, end.publisher, config, subscribers.size() + 1));
  }
  double rows_in_memory() { return metrics["a"].get(weir::metrics::names::table_rows, config.name).value(); }
  void expect_fold(const subscriber& s) {
    EXPECT_TRUE(s.problem.empty()) << s.problem;
    EXPECT_TRUE(s.live);
    std::map<std::string, json> shown, due;
    for (const auto& [k, row] : s.rows)
      shown[k] = json::parse(row);
    for (const auto& r : log->records(partition_id{0})) {
      if (r.value)
        due[*r.key] = json::parse(*r.value);
      else
        due.erase(*r.key);
    }
    EXPECT_EQ(shown, due);
  }

  std::shared_ptr<actors::node_context> node;
  table_config config;
  table_end end;
  std::unique_ptr<lone_partition> partition;
  std::vector<std::unique_ptr<subscriber>> subscribers;
};

TEST(publisher, shows_what_is_stored_and_then_each_change) {
  published w;
  w.tell_partitions();
  w.put("a", value(1));
  w.put("b", value(2));
  w.run();
  auto& s = w.follow();
  s.subscribe();
  w.run();
  w.expect_fold(s);
  EXPECT_EQ(s.frames, 0u);
  w.put("a", value(3));
  w.log->append(partition_id{0}, "b", std::nullopt, w.wall_ms());
  w.put("c", value(4));
  w.run();
  w.expect_fold(s);
  EXPECT_GT(s.frames, 0u);
  EXPECT_EQ(s.position, w.head().last);
}

TEST(publisher, loads_the_view_once_for_many_subscribers) {
  published w(latest("now"), true);
  w.tell_partitions();
  w.put("a", value(1));
  w.run();
  for (int i = 0; i < 50; ++i)
    w.follow().subscribe();
  while (w.jobs->try_run_once()) {
  }
  EXPECT_EQ(w.answers.size(), 1u); // one question for the one partition
  w.run();
  for (auto& s : w.subscribers)
    w.expect_fold(*s);
}

TEST(publisher, drops_the_view_when_nobody_was_there_for_its_linger_and_loads_it_again) {
  published w(latest("now"), false, 5s);
  w.tell_partitions();
  w.put("a", value(1));
  auto& s = w.follow();
  s.subscribe();
  w.advance(10s);
  EXPECT_EQ(w.rows_in_memory(), 1);
  s.leave();
  w.advance(4s);
  EXPECT_EQ(w.rows_in_memory(), 1);
  w.advance(2s);
  EXPECT_EQ(w.rows_in_memory(), 0);
  w.put("b", value(2));
  w.run();
  s.subscribe();
  w.run();
  w.expect_fold(s);
}

TEST(publisher, a_subscriber_that_comes_back_gets_what_changed_in_between) {
  published w;
  w.tell_partitions();
  w.put("a", value(1));
  w.put("b", value(2));
  auto& s = w.follow();
  s.subscribe();
  w.run();
  s.leave();
  w.put("a", value(3));
  w.run();
  s.subscribe();
  w.run();
  EXPECT_EQ(s.recoveries, 1u);
  w.expect_fold(s);
}

TEST(publisher, a_subscriber_that_missed_frames_catches_up) {
  published w;
  w.tell_partitions();
  auto& s = w.follow();
  s.subscribe();
  w.run();
  for (int i = 0; i < 10; ++i) {
    if (i % 3 == 0)
      s.skip_next_frame();
    w.put(fmt::format("k{}", i % 4), value(static_cast<std::uint64_t>(i)));
    w.run();
  }
  w.expect_fold(s);
}

TEST(publisher, sends_everybody_to_subscribe_again_on_a_new_epoch) {
  published w;
  w.tell_partitions();
  w.put("a", value(1));
  w.run();
  const auto saved = w.store->take_snapshot();
  w.put("a", value(2));
  w.put("b", value(3));
  for (int i = 0; i < 3; ++i)
    w.follow().subscribe();
  w.run();
  const auto epoch = w.subscribers[0]->epoch;
  w.store->link_down(0);
  w.store->roll_back(saved);
  w.store->new_run_id();
  w.store->link_up(0);
  ASSERT_TRUE(w.until([&] { return w.position("now") == offset{3}; }));
  w.advance(1s);
  for (auto& s : w.subscribers) {
    EXPECT_EQ(s->resets, 1u);
    EXPECT_NE(s->epoch, epoch);
    w.expect_fold(*s);
  }
}

TEST(publisher, an_overflown_inbox_is_healed_by_loading_again) {
  published w;
  w.end.inbox = std::make_shared<table::change_inbox>(300);
  w.end.publisher = w.own(actors::spawn_publisher(*w.system, {w.node, w.config, {"now", 1}, w.end.inbox}));
  w.partition->ends["now"] = w.end;
  w.partition->kill();
  w.partition->respawn();
  w.tell_partitions();
  auto& s = w.follow();
  s.subscribe();
  w.run();
  for (int i = 0; i < 40; ++i)
    w.put(fmt::format("key-number-{}", i), value(static_cast<std::uint64_t>(i)));
  w.advance(3s);
  EXPECT_GT(w.metrics["a"].get(weir::metrics::names::gaps, "now").value(), 0);
  w.expect_fold(s);
}

TEST(publisher, answers_with_a_temporary_error_when_it_cannot_load_in_time) {
  published w;
  w.tell_partitions();
  w.run();
  w.store->inject_read(support::fault::answer_error, 0, 1000);
  auto& s = w.follow();
  s.subscribe();
  w.advance(3500ms);
  EXPECT_EQ(s.refusals, 0u);
  w.advance(1s);
  EXPECT_EQ(s.refusals, 1u);
  EXPECT_TRUE(s.problem.empty()); // it was a temporary one
  w.store->clear_faults();
  s.query();
  w.advance(6s);
  w.expect_fold(s);
}

TEST(publisher, says_so_while_its_source_is_not_ready) {
  published w;
  auto& s = w.follow();
  s.subscribe();
  w.advance(5s);
  EXPECT_EQ(s.refusals, 1u);
  EXPECT_NE(s.last_message.find("source"), std::string::npos) << s.last_message;
  w.tell_partitions();
  s.query();
  w.run();
  w.expect_fold(s);
}

TEST(publisher, refuses_a_table_that_is_too_large_for_memory) {
  auto t = latest("now");
  t.max_view_bytes = 100;
  published w(t);
  w.tell_partitions();
  for (int i = 0; i < 20; ++i)
    w.put(fmt::format("k{}", i), value(1));
  w.run();
  auto& s = w.follow();
  s.subscribe();
  w.run();
  EXPECT_NE(s.problem.find("max_view_bytes"), std::string::npos) << s.problem;
}

TEST(publisher, answers_rest_from_the_view_and_describes_a_table_without_loading_it) {
  published w(latest("now"), false, 2s);
  w.tell_partitions();
  w.put("a", value(1));
  w.put("b", value(2));
  w.run();
  std::vector<table::rest_reply> got;
  const auto ask = [&](actors::view_query q) {
    q.respond = [&](table::rest_reply r) { got.push_back(std::move(r)); };
    caf::anon_send(w.end.publisher, q);
    w.run();
    return got.back();
  };
  actors::view_query description;
  description.kind = actors::view_query::what::description;
  const auto cold = json::parse(ask(description).body);
  EXPECT_EQ(cold["rows"], 2);
  EXPECT_EQ(w.rows_in_memory(), 0);
  actors::view_query row;
  row.kind = actors::view_query::what::row;
  row.rows.one_key = true;
  row.rows.key = "b";
  EXPECT_EQ(json::parse(ask(row).body)["s"], 2);
  row.rows.key = "c";
  EXPECT_EQ(ask(row).status, 404u);
  const auto page = json::parse(ask({}).body);
  EXPECT_EQ(page["rows"].size(), 2u);
  const auto warm = json::parse(ask(description).body);
  EXPECT_EQ(warm["rows"], 2);
  EXPECT_EQ(warm["epoch"], cold["epoch"]);
  EXPECT_EQ(got.size(), 5u); // each was answered once
}

TEST(publisher, a_log_gives_each_entry_once_and_in_order_though_answers_are_lost) {
  published w(log_table("events"));
  w.tell_partitions();
  w.put("k", value(0));
  w.run();
  auto& s = w.follow();
  std::map<std::int32_t, std::set<std::int64_t>> all;
  s.expected = &all;
  s.subscribe();
  w.run();
  for (std::int64_t i = 1; i < 30; ++i) {
    all[0].insert(i);
    if (i % 5 == 0)
      w.store->inject(0, i % 2 ? support::fault::drop_reply : support::fault::drop_request);
    w.put("k", value(static_cast<std::uint64_t>(i)));
    w.run();
    w.store->link_up(0);
    w.run();
    if (i % 7 == 0) {
      s.leave();
      s.subscribe();
    }
  }
  w.advance(1s);
  EXPECT_TRUE(s.problem.empty()) << s.problem;
  EXPECT_EQ(s.seen[0], std::vector<std::int64_t>(all[0].begin(), all[0].end()));
  EXPECT_EQ(s.recoveries, 4u);
}

TEST(publisher, a_lane_that_is_slower_than_what_the_log_keeps_ends_alone) {
  auto table = log_table("events");
  table.keep_count = 3;
  published w(table);
  w.tell_partitions();
  w.put("k", value(0));
  w.run();
  auto& quick = w.follow();
  auto& slow = w.follow();
  slow.interval_ms = 1'000;
  quick.subscribe();
  slow.subscribe();
  w.run();
  const auto subscriptions = [&] {
    return w.metrics["a"].get(weir::metrics::names::subscriptions, w.config.name).value();
  };
  EXPECT_EQ(subscriptions(), 2);
  for (std::uint64_t i = 1; i < 10; ++i) {
    w.put("k", value(i));
    w.run();
  }
  w.advance(2s);
  EXPECT_EQ(slow.resets, 1u);
  EXPECT_TRUE(slow.live) << "it has subscribed anew";
  EXPECT_EQ(quick.resets, 0u);
  EXPECT_EQ(quick.seen[0].size(), 9u);
  EXPECT_EQ(subscriptions(), 2);
  const auto before = slow.frames;
  w.put("k", value(10));
  w.advance(2s);
  EXPECT_EQ(slow.frames, before + 1);
  EXPECT_EQ(quick.seen[0].size(), 10u);
}

// -- what another node writes

// The same table on a second node, which owns no partition of it.
struct published_twice : published {
  explicit published_twice(table_config t = latest("now")) : published(t) {
    tell_partitions();
    elsewhere = own(actors::spawn_publisher(*system, {make_node("b"), t, {t.name, 1}, inbox}));
    caf::anon_send(elsewhere, actors::table_partitions{{key(0)}});
  }
  subscriber& follow_elsewhere() {
    return *subscribers.emplace_back(std::make_unique<subscriber>(*this, elsewhere, config, subscribers.size() + 1));
  }

  std::shared_ptr<table::change_inbox> inbox = std::make_shared<table::change_inbox>();
  actors::publisher_actor elsewhere;
};

TEST(publisher, follows_partitions_that_another_node_writes) {
  published_twice w;
  w.put("a", value(1));
  w.run();
  auto& s = w.follow_elsewhere();
  s.subscribe();
  w.run();
  w.expect_fold(s);
  for (std::uint64_t i = 2; i < 40; ++i) {
    if (i % 4 == 0)
      w.log->append(partition_id{0}, fmt::format("k{}", (i + 2) % 5), std::nullopt, w.wall_ms());
    else
      w.put(fmt::format("k{}", i % 5), value(i));
    w.advance(100ms);
  }
  w.advance(500ms);
  w.expect_fold(s);
  EXPECT_GT(s.frames, 5u);
  EXPECT_EQ(s.resets, 0u);
  EXPECT_EQ(w.metrics["b"].get(weir::metrics::names::gaps, "now").value(), 0); // it was never loaded again
  EXPECT_EQ(s.position, w.head().last);
}

TEST(publisher, answers_with_what_was_committed_before_the_question_whoever_writes) {
  published_twice w;
  w.put("a", value(1));
  auto& owner = w.follow();
  auto& s = w.follow_elsewhere();
  owner.subscribe();
  s.subscribe();
  w.run();
  s.leave();
  for (std::uint64_t i = 2; i < 10; ++i) {
    w.put("a", value(i));
    w.run(); // no time passes
    auto& fresh = w.follow_elsewhere();
    fresh.subscribe();
    w.run();
    w.expect_fold(fresh);
    actors::view_query row;
    row.kind = actors::view_query::what::row;
    row.rows.one_key = true;
    row.rows.key = "a";
    std::string got;
    row.respond = [&](table::rest_reply r) { got = r.body; };
    w.put("a", value(i, 2));
    w.run();
    caf::anon_send(w.elsewhere, row);
    w.run();
    EXPECT_EQ(got, value(i, 2));
  }
  // Somebody who was told more by the owner comes here.
  s.epoch = owner.epoch;
  s.position = owner.position;
  w.put("b", value(10));
  w.run();
  s.rows = owner.rows;
  s.subscribe();
  w.run();
  EXPECT_EQ(s.recoveries, 1u);
  w.expect_fold(s);
}

TEST(publisher, follows_a_log_that_another_node_writes) {
  published_twice w(log_table("events"));
  w.put("k", value(0));
  w.run();
  auto& s = w.follow_elsewhere();
  std::map<std::int32_t, std::set<std::int64_t>> all;
  s.expected = &all;
  s.subscribe();
  w.run();
  for (std::int64_t i = 1; i < 30; ++i) {
    all[0].insert(i);
    w.put("k", value(static_cast<std::uint64_t>(i)));
    w.advance(i % 3 == 0 ? 300ms : 10ms);
  }
  w.advance(500ms);
  EXPECT_TRUE(s.problem.empty()) << s.problem;
  EXPECT_EQ(s.seen[0], std::vector<std::int64_t>(all[0].begin(), all[0].end()));
  EXPECT_EQ(w.metrics["b"].get(weir::metrics::names::gaps, "events").value(), 0);
}

TEST(publisher, loads_a_followed_partition_whose_history_was_taken_back) {
  published_twice w;
  w.put("a", value(1));
  w.run();
  const auto saved = w.store->take_snapshot();
  w.put("a", value(2));
  w.put("b", value(3));
  auto& s = w.follow_elsewhere();
  s.subscribe();
  w.run();
  w.store->link_down(0);
  w.store->roll_back(saved);
  w.store->new_run_id();
  w.store->link_up(0);
  ASSERT_TRUE(w.until([&] { return w.position("now") == offset{3}; }));
  w.advance(3s);
  EXPECT_EQ(s.resets, 1u);
  w.expect_fold(s);
}

TEST(publisher, reads_no_partition_that_its_own_node_writes) {
  published_twice w;
  w.put("a", value(1));
  w.run();
  caf::anon_send(w.elsewhere, actors::partitions_here{{w.key(0)}});
  auto& s = w.follow_elsewhere();
  s.subscribe();
  w.run();
  w.put("a", value(2));
  w.advance(1s);
  w.expect_fold(s); // its owner has not spoken yet: still followed
  auto head = std::make_shared<change_set>();
  head->table = "now";
  head->source = w.key(0);
  head->epoch = w.head().stream;
  head->previous = head->first = head->last = w.head().last;
  if (w.inbox->put(head))
    caf::anon_send(w.elsewhere, actors::inbox_ready{});
  w.run();
  w.store->inject_read(support::fault::answer_error, 0, 1000); // whoever asks now gets no answer
  const auto before = s.frames;
  w.put("a", value(3));
  w.advance(2s);
  EXPECT_EQ(s.frames, before); // nothing told it, nothing was asked
  caf::anon_send(w.elsewhere, actors::partitions_here{});
  w.store->clear_faults();
  w.advance(1s);
  w.expect_fold(s);
}

// -- feed
// -----------------------------------------------------------------------------------------------------------------

struct fed : world {
  fed() : world({.tables = {latest("one"), latest("two")}}) {
    one = make_table_end(*this);
    two = make_table_end(*this);
    to = std::make_shared<actors::feed>(
        key(0),
        std::vector<actors::feed_table>{{{"one", 1}, one.inbox, one.publisher, version{5}},
                                        {{"two", 1}, two.inbox, two.publisher, version{}}},
        progress);
  }
  redis::transaction touching(const std::string& table, std::vector<row_change> rows,
                              std::optional<std::int64_t> expire = {}) {
    redis::transaction tx;
    redis::table_write write;
    write.table = {table, 1};
    write.expire_up_to_ms = expire;
    write.changes = std::make_shared<change_set>();
    write.changes->table = table;
    write.changes->source = key(0);
    write.changes->rows = std::move(rows);
    tx.tables.push_back(std::move(write));
    return tx;
  }
  static redis::tx_result at(std::uint64_t v, redis::tx_status s = redis::tx_status::applied) {
    redis::tx_result r;
    r.status = s;
    r.first = r.last = version{v};
    r.epoch = stream_epoch{"e"};
    return r;
  }
  static row_change put(std::string k) { return {std::move(k), std::make_shared<const std::string>("{}"), {}}; }
  static row_change gone(std::string k) { return {std::move(k), nullptr, {}}; }

  table_end one, two;
  std::shared_ptr<actors::feed_progress> progress = std::make_shared<actors::feed_progress>();
  actors::feed_ptr to;
};

TEST(feed, tells_the_touched_table_what_changed_and_the_others_that_nothing_did) {
  fed w;
  w.to->publish(w.touching("one", {fed::put("a")}), fed::at(10));
  w.to->publish(w.touching("two", {fed::put("b")}), fed::at(20));
  const auto one = w.one.inbox->take().changes, two = w.two.inbox->take().changes;
  ASSERT_EQ(one.size(), 2u);
  EXPECT_EQ(one[0]->previous, version{5});
  EXPECT_EQ(one[0]->last, version{10});
  EXPECT_EQ(one[0]->rows.size(), 1u);
  EXPECT_EQ(one[1]->previous, version{10});
  EXPECT_EQ(one[1]->last, version{20});
  EXPECT_TRUE(one[1]->rows.empty());
  ASSERT_EQ(two.size(), 2u);
  EXPECT_EQ(two[1]->previous, version{});
  EXPECT_EQ(two[1]->rows.size(), 1u);
  EXPECT_EQ(w.progress->known.load(), 20u);
  EXPECT_EQ(w.progress->changed.load(), 20u);
  w.to->publish({}, fed::at(30));
  EXPECT_EQ(w.progress->known.load(), 30u);
  EXPECT_EQ(w.progress->changed.load(), 20u);
}

TEST(feed, wakes_a_publisher_once_for_a_burst) {
  fed w;
  for (std::uint64_t i = 1; i <= 5; ++i)
    w.to->publish(w.touching("one", {fed::put("a")}), fed::at(i * 10));
  w.run();
  EXPECT_EQ(*w.one.woken, 1u);
  static_cast<void>(w.one.inbox->take());
  w.to->publish({}, fed::at(100));
  w.run();
  EXPECT_EQ(*w.one.woken, 2u);
}

TEST(feed, leaves_rows_out_that_an_expiry_kept) {
  fed w;
  auto answer = fed::at(10);
  answer.kept = {{0, 2}};
  w.to->publish(w.touching("one", {fed::gone("a"), fed::gone("b"), fed::gone("c")}, 1000), answer);
  const auto one = w.one.inbox->take().changes;
  ASSERT_EQ(one.at(0)->rows.size(), 1u);
  EXPECT_EQ(one[0]->rows[0].key, "b");
}

TEST(feed, makes_a_gap_where_only_the_lost_answer_knew_what_an_expiry_kept) {
  fed w;
  w.to->publish(w.touching("one", {fed::gone("a")}, 1000), fed::at(10, redis::tx_status::already));
  const auto one = w.one.inbox->take().changes;
  EXPECT_GT(one.at(0)->previous, one[0]->last);
}

} // namespace
