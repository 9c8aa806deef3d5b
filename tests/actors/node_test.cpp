// The node: what it checks before it starts, what it supervises, and how it ends. HTTP listens on a real port, nobody
// calls.
#include "actors/node.hpp"
#include "runtime/core/reactor.hpp"
#include "runtime/redis/identity.hpp"
#include "tests/actors/stage.hpp"
#include "tests/support/eventually.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <gtest/gtest.h>

namespace {

using namespace weir;
using namespace weir::stage;

struct whole_node : world {
  explicit whole_node(world_options options = {}) : world(std::move(options)) {
    topo.http.port = 0;
    topo.http.auth = "none";
    io.start();
  }
  ~whole_node() {
    if (node.actor && ended.empty()) {
      store->clear_faults();
      store->release(0);
      stop();
      advance(12s);
      EXPECT_EQ(ended.size(), 1u);
    }
    stop_http();
  }
  void stop_http() {
    node.actor = nullptr;
    if (node.server)
      node.server->close(1000);
    io.stop(); // before the server: what lives on a reactor is destroyed while it does not run
    node.server.reset();
  }
  void start(std::chrono::milliseconds drain_deadline = 10s) {
    actors::node_config c;
    c.node = make_node("a");
    c.reactors = {&io};
    c.drain_deadline = drain_deadline;
    c.on_end = [this](int code) { ended.push_back(code); };
    auto started = actors::start_node(*system, std::move(c));
    ASSERT_TRUE(started) << started.error().message;
    node = std::move(*started);
    own(node.actor);
  }
  // As an earlier node left it.
  void store_meta(const std::string& field, const std::string& text) {
    store->meta_once(topology_name, field, text, [](auto) {});
  }
  void stop() { caf::anon_send(node.actor, actors::stop_work{}); }

  reactor io{"io"};
  actors::running_node node;
  std::vector<int> ended;
};

// Polled, since the count may reach zero a moment after the last actor's work is done.
void no_actor_is_left(whole_node& w) {
  EXPECT_TRUE(support::eventually([&] { return w.system->registry().running() == 0; }))
      << w.system->registry().running() << " are";
}

TEST(node, reads_its_sources_and_becomes_ready) {
  whole_node w;
  w.start();
  w.put("k", R"({"v":1})");
  w.advance(1s);
  EXPECT_EQ(w.rows("now").size(), 1u);
  EXPECT_TRUE(w.board.waits().empty()) << json(w.board.waits()).dump();
  EXPECT_TRUE(w.given_up.empty());
}

// An actor says what it waits for once it runs. Looked at between any two messages, since a client that comes at such a
// moment would see the table begin anew when its partitions are claimed.
TEST(node, is_not_ready_at_any_moment_before_its_partitions_run) {
  world_options options;
  options.partitions = 3;
  options.writers = 2;
  whole_node w(std::move(options));
  const auto all_run = [&w] {
    const auto partitions = w.board.sources()[source_name].partitions;
    return partitions.size() == 3 &&
           std::all_of(partitions.begin(), partitions.end(), [](const auto& p) { return p.second.state == "running"; });
  };
  w.start();
  for (int messages = 0; !all_run(); ++messages) {
    ASSERT_FALSE(w.board.waits().empty()) << "after " << messages << " messages";
    ASSERT_LT(messages, 10'000);
    if (!w.jobs->try_run_once())
      w.pass(50ms);
  }
  EXPECT_TRUE(w.until([&] { return w.board.waits().empty(); })) << json(w.board.waits()).dump();
}

TEST(node, refuses_a_table_whose_definition_changed_and_names_the_difference) {
  whole_node w;
  auto before = w.table("now");
  before.fingerprint = "other";
  before.canonical = "latest by something else";
  w.store_meta("table:now", redis::definition_json(before, 1));
  w.start();
  w.put("k", R"({"v":1})");
  w.advance(1s);
  ASSERT_EQ(w.given_up.size(), 1u);
  EXPECT_EQ(w.given_up[0].first, 78);
  EXPECT_NE(w.given_up[0].second.find("latest by something else"), std::string::npos) << w.given_up[0].second;
  EXPECT_NE(w.given_up[0].second.find("latest of now"), std::string::npos) << w.given_up[0].second;
  EXPECT_EQ(w.store->counted().claims, 0u);
}

TEST(node, refuses_another_layout) {
  whole_node w;
  w.store_meta("layout", "999");
  w.start();
  w.advance(1s);
  ASSERT_EQ(w.given_up.size(), 1u);
  EXPECT_EQ(w.given_up[0].first, 78);
  EXPECT_NE(w.given_up[0].second.find("999"), std::string::npos);
}

TEST(node, refuses_the_state_of_another_kafka_cluster) {
  whole_node w;
  w.store_meta("source:readings", redis::to_json({"elsewhere", "readings-topic", 1}));
  w.start();
  w.put("k", R"({"v":1})");
  w.advance(1s);
  ASSERT_FALSE(w.given_up.empty());
  EXPECT_EQ(w.given_up[0].first, 78);
  EXPECT_NE(w.given_up[0].second.find("elsewhere"), std::string::npos);
  EXPECT_EQ(w.store->counted().claims, 0u);
}

TEST(node, blocks_a_source_whose_topic_was_made_anew_and_stays_up) {
  whole_node w;
  w.store_meta("source:readings", redis::to_json({"memory", "readings-topic", 5}));
  w.start();
  w.advance(2s);
  EXPECT_TRUE(w.given_up.empty());
  EXPECT_EQ(w.board.sources()[source_name].state, "blocked");
  EXPECT_NE(w.board.waits()["source/readings"].find("made anew"), std::string::npos);
  EXPECT_EQ(w.store->counted().claims, 0u);
}

TEST(node, waits_for_redis_and_kafka_and_says_what_it_waits_for) {
  whole_node w;
  w.store->inject_read(support::fault::answer_error, 0, 5);
  w.log->fail_questions(error{ec::kafka_unreachable, "no brokers"});
  w.start();
  w.run();
  EXPECT_FALSE(w.board.waits()["node"].empty());
  ASSERT_TRUE(w.until([&] { return w.board.waits()["node"].empty(); }));
  w.advance(1s);
  EXPECT_NE(w.board.waits()["source/readings"].find("no brokers"), std::string::npos) << json(w.board.waits()).dump();
  w.log->fail_questions({});
  w.put("k", R"({"v":1})");
  ASSERT_TRUE(w.until([&] { return !w.rows("now").empty(); }));
}

// Its partitions may be another node's when the consumer is made anew: nobody would clear what they waited for.
TEST(node, does_not_wait_for_the_partitions_of_a_consumer_that_is_gone) {
  whole_node w;
  w.start();
  w.advance(1s);
  ASSERT_TRUE(w.board.waits().empty());
  const auto before = w.store->take_snapshot();
  w.put("k", R"({"v":1})");
  w.advance(1s);
  w.log->fail_questions(error{ec::kafka_unreachable, "no brokers"});
  w.store->roll_back(before);
  w.put("k", R"({"v":2})"); // is refused; to claim again, it has to ask the brokers
  w.advance(1s);
  ASSERT_EQ(w.board.waits().count("partition/readings/0"), 1u);
  w.log->fail(0, error{ec::kafka_refused, "fenced"}, true);
  w.advance(2s);
  const auto waits = w.board.waits();
  EXPECT_EQ(waits.count("partition/readings/0"), 0u) << json(waits).dump();
  EXPECT_EQ(waits.count("source/readings"), 1u) << json(waits).dump();
}

TEST(node, says_that_the_brokers_went_away_and_that_they_are_back_though_no_record_comes) {
  whole_node w;
  w.start();
  w.advance(1s);
  const auto up = [&] { return w.metrics.at("a").get(metrics::names::kafka_up, source_name).value(); };
  const auto shown = [&] { return w.board.sources()[source_name]; };
  EXPECT_EQ(up(), 1);
  EXPECT_TRUE(shown().connected);
  w.log->fail_questions(error{ec::kafka_unreachable, "no brokers"});
  w.log->fail(0, error{ec::kafka_unreachable, "all brokers are down"}, false);
  w.advance(1s);
  EXPECT_EQ(up(), 0);
  EXPECT_FALSE(shown().connected);
  EXPECT_EQ(shown().message, "all brokers are down");
  EXPECT_TRUE(w.board.waits().empty()); // it serves what it has
  w.log->fail_questions({});
  w.advance(2s);
  EXPECT_EQ(up(), 1);
  EXPECT_TRUE(shown().connected);
  EXPECT_EQ(shown().message, "");
}

TEST(node, heartbeats_of_idle_partitions_keep_up_with_the_busy_one) {
  whole_node w({.partitions = 3});
  w.start();
  w.advance(1s);
  const auto before = w.head(2).last;
  for (int i = 0; i < 20; ++i) {
    w.put("k", R"({"v":1})", 0);
    w.advance(100ms);
  }
  for (std::int32_t p = 1; p < 3; ++p) {
    EXPECT_GT(w.head(p).last, before);
    // At most 300 ms behind; it may be ahead. Versions are microseconds.
    EXPECT_GT(w.head(p).last.value + 300'000u, w.head(0).last.value);
  }
  const auto quiet = w.store->counted().applied;
  w.advance(5s);
  EXPECT_LE(w.store->counted().applied, quiet + 3); // nobody beats where nobody writes
}

void kill_first(world& w, std::string_view name) {
  for (int i = 0; i < 20; ++i) {
    for (auto* job : w.jobs->jobs)
      if (auto* a = dynamic_cast<caf::scheduled_actor*>(job); a && std::string_view(a->name()) == name) {
        caf::anon_send_exit(caf::actor_cast<caf::actor>(a->ctrl()), caf::exit_reason::kill);
        return;
      }
    w.run();
    w.pass(100ms);
  }
  FAIL() << "no such actor at work: " << name;
}

TEST(node, starts_a_dead_source_or_partition_again) {
  whole_node w;
  w.start();
  w.advance(1s);
  for (const auto* name : {"partition", "source"}) {
    kill_first(w, name);
    const auto at = w.put("k", R"({"v":1})");
    ASSERT_TRUE(w.until([&] { return w.position("now") == offset{at.value + 1}; })) << name;
  }
  EXPECT_TRUE(w.given_up.empty());
}

TEST(node, ends_in_the_same_state_after_redis_lost_everything_though_no_record_comes) {
  whole_node w({.partitions = 2});
  w.start();
  w.advance(1s);
  w.put("a", R"({"v":1})", 0);
  w.put("b", R"({"v":2})", 1);
  ASSERT_TRUE(w.until([&] { return w.position("now", 0) == offset{1} && w.position("now", 1) == offset{1}; }));
  const auto before = std::pair{w.rows("now", 0), w.rows("now", 1)};
  const auto stream = w.head(0).stream;
  const auto meta = [&] {
    std::map<std::string, std::string> all;
    w.store->load_meta(topology_name, [&](auto m) { all = *m; });
    w.run();
    all.erase("born");
    return all;
  };
  const auto held = meta();
  ASSERT_EQ(held.size(), 3u); // layout, the table, the source
  w.store->flush_all();
  ASSERT_TRUE(w.until([&] { return w.position("now", 0) == offset{1} && w.position("now", 1) == offset{1}; }, 5s));
  w.advance(1s);
  EXPECT_EQ(std::pair(w.rows("now", 0), w.rows("now", 1)), before);
  EXPECT_LT(stream, w.head(0).stream);
  EXPECT_EQ(meta(), held);
  EXPECT_TRUE(w.given_up.empty());
  EXPECT_TRUE(w.board.waits().empty()) << json(w.board.waits()).dump();
}

TEST(node, reads_what_was_lost_again_also_where_it_began_at_the_end_of_the_log) {
  whole_node w;
  w.topo.sources.at(source_name).start = start_at::latest;
  w.put("old", R"({"v":1})");
  w.start();
  w.advance(1s);
  w.put("new", R"({"v":2})");
  ASSERT_TRUE(w.until([&] { return w.position("now") == offset{2}; }));
  ASSERT_EQ(w.rows("now").size(), 1u);
  w.store->flush_all();
  w.log->fail_questions(error{ec::kafka_unreachable, "no brokers"}); // it claims more than once
  w.advance(4s);
  w.log->fail_questions({});
  ASSERT_TRUE(w.until([&] { return w.position("now") == offset{2}; }));
  EXPECT_EQ(w.rows("now").size(), 1u);
  EXPECT_TRUE(w.rows("now").contains("new"));
}

TEST(node, gives_up_when_another_system_took_the_place_of_what_redis_lost) {
  whole_node w;
  w.start();
  w.advance(1s);
  w.store->flush_all();
  w.store_meta("source:readings", redis::to_json({"elsewhere", "readings-topic", 1}));
  w.advance(3s);
  ASSERT_FALSE(w.given_up.empty());
  EXPECT_EQ(w.given_up[0].first, 78);
  EXPECT_NE(w.given_up[0].second.find("elsewhere"), std::string::npos);
}

TEST(node, gives_up_loudly_when_an_actor_dies_that_it_cannot_do_without) {
  whole_node w;
  w.start();
  w.advance(1s);
  kill_first(w, "publisher");
  w.run();
  ASSERT_EQ(w.given_up.size(), 1u);
  EXPECT_EQ(w.given_up[0].first, 70);
}

TEST(node, drains_what_is_in_flight_and_commits_it_before_it_ends) {
  whole_node w;
  w.start();
  w.advance(1s);
  w.store->hold(0);
  w.put("k", R"({"v":1})");
  w.run();
  w.stop();
  w.put("late", R"({"v":2})");
  w.advance(1s);
  EXPECT_TRUE(w.ended.empty());
  EXPECT_FALSE(w.log->closed(0));
  w.store->release(0);
  w.advance(1s);
  EXPECT_EQ(w.ended, std::vector<int>{0});
  EXPECT_TRUE(w.log->closed(0));
  EXPECT_EQ(w.position("now"), offset{1});
  EXPECT_EQ(w.log->committed().at(partition_id{0}), offset{1});
  w.stop_http();
  w.run();
  no_actor_is_left(w);
}

TEST(node, ends_at_the_deadline_of_its_drain_whatever_hangs_and_leaves_no_actor_behind) {
  whole_node w({.partitions = 2});
  w.start(1s);
  w.advance(1s);
  w.store->hold(0);
  w.put("k", R"({"v":1})");
  w.run();
  w.stop();
  w.advance(800ms);
  EXPECT_TRUE(w.ended.empty());
  w.advance(500ms);
  EXPECT_EQ(w.ended.size(), 1u);
  w.stop_http();
  w.run();
  no_actor_is_left(w);
}

TEST(node, can_be_stopped_before_it_has_begun) {
  whole_node w;
  w.store->inject_read(support::fault::answer_error, 0, 1000);
  w.start();
  w.advance(1s);
  w.stop();
  w.advance(1s);
  EXPECT_EQ(w.ended.size(), 1u);
}

} // namespace
