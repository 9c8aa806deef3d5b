// The scheduler, and the reducers below it.
#include "tests/actors/job_stage.hpp"

#include <caf/exit_reason.hpp>
#include <fmt/format.h>
#include <gtest/gtest.h>

namespace {

using namespace weir;
using namespace weir::stage;

TEST(scheduler, fires_at_multiples_of_the_interval_and_writes_what_it_reduced) {
  scheduled w(counting(1s));
  w.put("a", R"({"v":3})");
  w.put("b", R"({"v":4})");
  w.advance(5500ms);
  const auto runs = w.runs();
  ASSERT_GE(runs.size(), 5u);
  for (std::size_t i = 0; i < runs.size(); ++i) {
    EXPECT_EQ(runs[i].status, "COMPLETED") << runs[i].message;
    EXPECT_EQ(runs[i].fire_ms % 1000, 0);
    if (i > 0) {
      EXPECT_EQ(runs[i - 1].fire_ms - runs[i].fire_ms, 1000);
    }
  }
  EXPECT_EQ(runs[0].read, 2u);
  EXPECT_EQ(runs[0].written, 1u);
  EXPECT_EQ(w.stored(), (json{{"n", 2}, {"total", 7}}));
  EXPECT_EQ(w.head(partition_key{topology_name, "job:sum", partition_id{0}}).tables["totals@1"].next.value,
            runs[0].fire_ms);
}

TEST(scheduler, never_runs_a_job_beside_itself_and_skips_what_it_missed) {
  scheduled w(counting(1s), latest("now"), true);
  w.put("a", R"({"v":3})");
  w.run();
  const auto jobs_only = [&](std::chrono::milliseconds by) {
    for (auto passed = 0ms; passed < by; passed += 100ms) {
      w.pass(100ms);
      while (w.jobs->try_run_once()) {
      }
    }
  };
  jobs_only(4500ms); // its questions have no answers
  EXPECT_TRUE(w.board.jobs()["sum"].running);
  EXPECT_EQ(w.board.jobs()["sum"].runs, 1u);
  w.run();
  ASSERT_EQ(w.runs().size(), 1u);
  const auto first = w.runs()[0].fire_ms;
  w.advance(1s);
  ASSERT_EQ(w.runs().size(), 2u);
  EXPECT_GE(w.runs()[0].fire_ms - first, 4000);
}

TEST(scheduler, answers_requests_to_run_a_job) {
  scheduled w(counting({}), latest("now"), true);
  w.put("a", R"({"v":3})");
  w.advance(3s);
  EXPECT_TRUE(w.runs().empty()); // on demand only
  w.demand();
  while (w.jobs->try_run_once()) {
  }
  EXPECT_TRUE(w.answers_got->empty());
  w.demand();
  while (w.jobs->try_run_once()) {
  }
  ASSERT_EQ(w.answers_got->size(), 1u);
  EXPECT_EQ(w.answers_got->at(0).status, 409u);
  w.run();
  ASSERT_EQ(w.answers_got->size(), 2u);
  EXPECT_EQ(w.answers_got->at(1).status, 200u);
  const auto body = json::parse(w.answers_got->at(1).body);
  EXPECT_EQ(body["status"], "COMPLETED");
  EXPECT_EQ(body["read"], 1);
  EXPECT_EQ(body["written"], 1);
  w.demand("nothing");
  w.run();
  EXPECT_EQ(w.answers_got->at(2).status, 404u);
  w.node->partition_counts[source_name] = 0;
  w.demand();
  w.run();
  EXPECT_EQ(w.answers_got->at(3).status, 503u);
}

TEST(scheduler, answers_a_request_by_its_deadline_though_the_run_goes_on) {
  scheduled w(counting({}), latest("now"), true);
  w.run();
  w.demand();
  for (int i = 0; i < 110; ++i) {
    w.pass(100ms);
    while (w.jobs->try_run_once()) {
    }
  }
  ASSERT_EQ(w.answers_got->size(), 1u);
  EXPECT_EQ(w.answers_got->at(0).status, 202u);
  w.run();
  EXPECT_EQ(w.answers_got->size(), 1u);
  EXPECT_EQ(w.runs().at(0).status, "COMPLETED");
}

TEST(scheduler, answers_who_does_not_wait_as_soon_as_redis_has_the_run) {
  scheduled w(counting({}), latest("now"), true);
  w.run();
  w.demand("sum", false);
  w.run();
  ASSERT_EQ(w.answers_got->size(), 1u); // not once more at its end
  EXPECT_EQ(w.answers_got->at(0).status, 202u);
  EXPECT_EQ(json::parse(w.answers_got->at(0).body)["status"], "STARTING");
  EXPECT_EQ(w.runs().at(0).status, "COMPLETED");
}

TEST(scheduler, a_failed_run_is_told_and_the_next_one_comes) {
  auto j = counting(1s);
  j.group_by = {"/g"};
  j.skip_limit = 0;
  scheduled w(j);
  w.put("a", R"({"v":3})");
  w.advance(1500ms);
  ASSERT_FALSE(w.runs().empty());
  EXPECT_EQ(w.runs().at(0).status, "FAILED");
  EXPECT_NE(w.runs().at(0).message.find("skip_limit"), std::string::npos) << w.runs().at(0).message;
  w.put("a", R"({"v":3,"g":"all"})");
  w.advance(1s);
  EXPECT_EQ(w.runs().at(0).status, "COMPLETED");
}

TEST(scheduler, an_error_that_passes_costs_a_retry_and_not_the_run) {
  std::size_t retried = 0;
  for (std::size_t skip = 0; skip < 8; ++skip) {
    scheduled w(counting({}));
    w.put("a", R"({"v":3})");
    w.advance(500ms);
    w.store->inject_read(support::fault::answer_error, skip);
    w.demand();
    ASSERT_TRUE(w.until([&] { return !w.runs().empty(); }, 60s)) << skip;
    w.store->clear_faults();
    EXPECT_EQ(w.runs().at(0).status, "COMPLETED") << skip << w.runs().at(0).message;
    EXPECT_EQ(w.stored(), (json{{"n", 1}, {"total", 3}})) << skip;
    retried += w.history().at(0)["retried"].get<std::size_t>();
  }
  EXPECT_GT(retried, 0u);
}

TEST(scheduler, without_retries_the_first_error_fails_the_run) {
  auto j = counting({});
  j.retries = 0;
  std::size_t failed = 0;
  for (std::size_t skip = 0; skip < 8; ++skip) {
    scheduled w(j);
    w.put("a", R"({"v":3})");
    w.advance(500ms);
    w.store->inject_read(support::fault::answer_error, skip);
    w.demand();
    ASSERT_TRUE(w.until([&] { return !w.runs().empty(); }, 60s)) << skip;
    failed += w.runs().at(0).status == "FAILED";
  }
  EXPECT_GT(failed, 0u);
}

TEST(scheduler, stops_a_run_and_starts_it_again_from_where_it_was) {
  auto j = counting({});
  scheduled w(j, latest("now"), true);
  w.put("a", R"({"v":3})");
  w.run();
  w.demand();
  const auto control = [&](actors::job_verb verb) {
    caf::anon_send(w.scheduler, actors::control_job{"sum", verb, [got = w.answers_got](http::response r) {
                                                      got->push_back(std::move(r));
                                                    }});
  };
  const auto actors_only = [&] {
    while (w.jobs->try_run_once()) {
    }
  };
  actors_only();
  control(actors::job_verb::stop);
  w.run();
  ASSERT_EQ(w.answers_got->size(), 2u);
  EXPECT_EQ(json::parse(w.answers_got->at(1).body)["status"], "STOPPED");
  EXPECT_EQ(w.runs().at(0).status, "STOPPED");
  EXPECT_TRUE(w.stored().empty());
  control(actors::job_verb::stop);
  w.run();
  EXPECT_EQ(w.answers_got->at(2).status, 409u);
  control(actors::job_verb::restart);
  w.run();
  ASSERT_EQ(w.answers_got->size(), 4u);
  EXPECT_EQ(json::parse(w.answers_got->at(3).body)["status"], "COMPLETED") << w.answers_got->at(3).body;
  EXPECT_EQ(w.stored(), (json{{"n", 1}, {"total", 3}}));
  EXPECT_EQ(w.runs().at(0).fire_ms, w.runs().at(1).fire_ms); // one instance, two executions
  control(actors::job_verb::restart);
  w.run();
  EXPECT_EQ(w.answers_got->at(4).status, 409u); // COMPLETED is not started again
}

TEST(scheduler, a_restart_that_was_asked_for_ends_with_the_lease) {
  scheduled w(counting({}), latest("now"), true);
  w.node->topo.scheduler.lease = 2s;
  w.put("a", R"({"v":3})");
  w.run();
  const auto actors_only = [&] {
    while (w.jobs->try_run_once()) {
    }
  };
  const auto control = [&](actors::job_verb verb) {
    caf::anon_send(w.scheduler, actors::control_job{"sum", verb, [got = w.answers_got](http::response r) {
                                                      got->push_back(std::move(r));
                                                    }});
  };
  w.demand();
  actors_only();
  control(actors::job_verb::stop);
  w.run();
  ASSERT_EQ(w.runs().at(0).status, "STOPPED");
  const auto answered = w.answers_got->size();
  control(actors::job_verb::restart);
  actors_only();
  ASSERT_EQ(w.answers_got->size(), answered) << "it looks into Redis first";
  w.pass(3s); // Redis says nothing
  actors_only();
  ASSERT_EQ(w.answers_got->size(), answered + 1);
  EXPECT_EQ(w.answers_got->back().status, 503u);
  w.advance(10s); // it schedules again: who asked has been told that nothing comes of it
  w.demand();
  w.run();
  EXPECT_EQ(w.runs().at(0).status, "COMPLETED");
  EXPECT_EQ(w.history().size(), 2u);
}

TEST(scheduler, an_abandoned_run_is_not_started_again) {
  scheduled w(counting({}), latest("now"), true);
  w.put("a", R"({"v":3})");
  w.run();
  w.demand();
  while (w.jobs->try_run_once()) {
  }
  const auto control = [&](actors::job_verb verb) {
    caf::anon_send(w.scheduler, actors::control_job{"sum", verb, [got = w.answers_got](http::response r) {
                                                      got->push_back(std::move(r));
                                                    }});
    w.run();
  };
  control(actors::job_verb::abandon);
  EXPECT_EQ(w.runs().at(0).status, "ABANDONED");
  control(actors::job_verb::restart);
  EXPECT_EQ(w.answers_got->back().status, 409u);
  w.demand();
  w.run();
  EXPECT_EQ(w.runs().at(0).status, "COMPLETED");
}

TEST(scheduler, a_fire_time_that_nobody_was_there_for_is_made_up_for_as_the_job_says) {
  for (const auto missed : {missed_policy::skip, missed_policy::once, missed_policy::all}) {
    auto j = counting(1s);
    j.missed = missed;
    scheduled w(j);
    w.put("a", R"({"v":3})");
    w.advance(1500ms);
    const auto before = w.runs().at(0).fire_ms;
    caf::anon_send(w.scheduler, actors::stop_work{});
    w.run();
    w.advance(5s);
    const auto here_again = w.wall_ms();
    w.start("b");
    w.advance(2s);
    auto made_up = -1; // the one before
    for (const auto& e : w.history())
      made_up += e["fire"] <= here_again;
    EXPECT_EQ(made_up, missed == missed_policy::skip ? 0 : missed == missed_policy::once ? 1 : 5);
    if (missed == missed_policy::once) {
      EXPECT_EQ(w.history().at(2)["fire"], before + 5000);
    }
  }
}

// The node is killed at a random moment, another one comes up; or it does not hear from Redis for longer than its lease
// and then goes on. Whatever happens, each execution ends once and the table has the rows of one that was read whole.
TEST(scheduler, an_execution_goes_on_with_another_scheduler_and_is_written_once) {
  const auto runs = number_from("WEIR_RUNS", 300), first = number_from("WEIR_SEED", 1);
  std::size_t taken_over = 0, fenced = 0;
  for (auto seed = first; seed < first + runs; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    auto j = counting({});
    j.group_by = {"/k"};
    j.chunk = 2;
    if (random() % 2)
      j.write_topic = "totals-topic";
    scheduled w(j, latest("now"), true);
    w.node->topo.scheduler.lease = 2s;
    for (int i = 0; i < 7; ++i)
      w.put(fmt::format("m{}", i), fmt::format(R"({{"v":{},"k":"g{}"}})", i, i));
    w.advance(3s);
    w.demand();
    const auto some_steps = [&](std::size_t most) {
      for (auto steps = random() % most; steps > 0; --steps) {
        while (w.jobs->try_run_once()) {
        }
        if (random() % 4 == 0)
          w.pass(std::chrono::milliseconds{random() % 300});
        if (!w.answers.empty()) {
          auto next = std::move(w.answers.front());
          w.answers.pop_front();
          next();
        }
      }
    };
    some_steps(16);
    const bool killed = random() % 2 == 0;
    if (killed)
      w.kill();
    else { // it pauses: its lease runs out, and what it writes arrives after the other one has taken over
      w.store->hold(1);
      w.store->jobs().drop_lease(topology_name, "a", [](auto) {});
    }
    w.start("b");
    // A row comes that would be the first of the result: what is computed anew has other chunks.
    w.put("a0", R"({"v":100,"k":"a0"})");
    w.advance(5s);
    if (!killed)
      w.store->release(1);
    some_steps(20);
    ASSERT_TRUE(w.until([&] { return !w.history().empty(); }, 60s));
    w.advance(5s);
    const auto history = w.history();
    ASSERT_EQ(history.size(), 1u);
    EXPECT_EQ(history[0]["status"], "COMPLETED") << history[0].dump();
    taken_over += history[0]["takeovers"].get<std::size_t>();
    const auto stored = w.rows(w.table("totals"), {topology_name, "job:sum", partition_id{0}});
    EXPECT_EQ(history[0]["written"], stored.size()); // none is left out
    ASSERT_EQ(stored.size(), 7u + stored.count("a0"));
    for (int i = 0; i < 7; ++i)
      EXPECT_EQ(stored.at(fmt::format("g{}", i)), fmt::format(R"({{"n":1,"total":{}}})", i));
    const auto counted = w.store->counted();
    fenced += counted.fenced_jobs + counted.fenced + counted.outdated;
  }
  EXPECT_GT(taken_over, runs / 4);
  EXPECT_GT(fenced, runs / 20);
}

TEST(scheduler, reads_of_a_log_only_the_window_before_the_fire_time) {
  auto j = counting(10s);
  j.read_table = "events";
  j.last = 10s;
  scheduled w(j, log_table("events"));
  const auto start = (w.wall_ms() / 10'000 + 1) * 10'000; // a fire time
  w.advance(std::chrono::milliseconds{start - w.wall_ms() + 50});
  const auto in_window = {start, start + 4000, start + 9999};
  for (const auto t : in_window)
    w.put("k", R"({"v":1})", 0, t);
  w.put("k", R"({"v":100})", 0, start - 1);
  w.put("k", R"({"v":100})", 0, start + 10'000);
  w.advance(10s);
  ASSERT_EQ(w.runs().at(0).fire_ms, start + 10'000);
  EXPECT_EQ(w.stored(), (json{{"n", 3}, {"total", 3}}));
}

TEST(scheduler, rows_for_a_topic_carry_their_job_and_fire_time_and_a_failed_delivery_fails_the_run) {
  auto j = counting(1s);
  j.write_topic = "totals-topic";
  j.retries = 0;
  scheduled w(j);
  w.put("a", R"({"v":3})");
  w.advance(1500ms);
  ASSERT_EQ(w.runs().at(0).status, "COMPLETED");
  const auto sent = w.producer.sent_to("totals-topic");
  ASSERT_FALSE(sent.empty());
  const std::map<std::string, std::string> headers(sent.back().headers.begin(), sent.back().headers.end());
  EXPECT_EQ(headers.at("weir.job"), "sum");
  EXPECT_EQ(headers.at("weir.fire"), std::to_string(w.runs().at(0).fire_ms));
  EXPECT_EQ(*sent.back().key, "all");
  w.producer.fail_with(error{ec::kafka_unreachable, "no brokers"});
  w.advance(1s);
  EXPECT_EQ(w.runs().at(0).status, "FAILED");
}

job_config exactly_once(std::optional<duration> every = {}) {
  auto j = counting(every);
  j.write_topic = "totals-topic";
  j.exactly_once = true;
  return j;
}

TEST(scheduler, a_result_is_one_transaction_of_its_job_where_the_topic_gets_it_exactly_once) {
  scheduled w(exactly_once(1s));
  w.put("a", R"({"v":3})");
  w.advance(2500ms);
  const auto done = w.transactions.committed();
  ASSERT_EQ(done.size(), w.runs().size());
  ASSERT_GE(done.size(), 2u);
  EXPECT_EQ(w.runs().at(0).status, "COMPLETED") << w.runs().at(0).message;
  EXPECT_EQ(done.back().id, w.runs().at(0).id);
  EXPECT_EQ(done.back().time_ms, w.runs().at(0).fire_ms);
  EXPECT_EQ(done.back().topic, "totals-topic");
  EXPECT_EQ(done.back().writer, w.topo.kafka.group + ".job.sum");
  ASSERT_EQ(done.back().rows->size(), 1u);
  EXPECT_EQ(done.back().rows->front().first, "all");
  const std::map<std::string, std::string> headers(done.back().headers.begin(), done.back().headers.end());
  EXPECT_EQ(headers.at("weir.execution"), done.back().id);
  EXPECT_TRUE(w.producer.sent_to("totals-topic").empty());
}

TEST(scheduler, a_transaction_whose_answer_was_lost_is_not_written_again) {
  scheduled w(exactly_once());
  w.put("a", R"({"v":3})");
  w.run();
  w.transactions.fail_with(error{ec::timeout, "no answer"}, true);
  w.demand();
  w.advance(100ms);
  EXPECT_TRUE(w.runs().empty());
  w.transactions.fail_with({});
  w.advance(10s);
  ASSERT_EQ(w.runs().size(), 1u);
  EXPECT_EQ(w.runs()[0].status, "COMPLETED") << w.runs()[0].message;
  EXPECT_EQ(w.transactions.committed().size(), 1u);
}

TEST(scheduler, a_topic_that_refuses_a_transaction_fails_the_execution) {
  scheduled w(exactly_once());
  w.put("a", R"({"v":3})");
  w.run();
  w.transactions.fail_with(error{ec::kafka_refused, "topic 'totals-topic': not for you"});
  w.demand();
  w.advance(1s);
  ASSERT_EQ(w.runs().size(), 1u);
  EXPECT_EQ(w.runs()[0].status, "FAILED");
  EXPECT_EQ(w.runs()[0].message, "topic 'totals-topic': not for you");
}

TEST(scheduler, a_node_that_stops_does_not_wait_for_the_brokers_of_a_transaction) {
  scheduled w(exactly_once());
  w.put("a", R"({"v":3})");
  w.run();
  bool looked = false;
  w.transactions.while_open([&](const std::function<bool()>& goes_on) {
    EXPECT_TRUE(goes_on());
    caf::anon_send(w.scheduler, actors::stop_work{});
    w.run();
    EXPECT_FALSE(goes_on());
    looked = true;
  });
  w.demand();
  w.advance(1s);
  EXPECT_TRUE(looked);
  EXPECT_TRUE(w.transactions.committed().empty());
}

TEST(scheduler, rows_that_are_skipped_go_to_the_dead_letter_topic_with_the_reason) {
  auto j = counting({});
  j.group_by = {"/g"};
  j.dead_letter = "dead";
  scheduled w(j);
  w.put("a", R"({"g":"x","v":3})");
  w.put("b", R"({"v":4})");
  w.put("c", R"({"g":{},"v":5})");
  w.run();
  w.demand();
  w.advance(1s);
  ASSERT_EQ(w.runs().size(), 1u);
  EXPECT_EQ(w.runs()[0].status, "COMPLETED") << w.runs()[0].message;
  EXPECT_EQ(w.runs()[0].skipped, 2u);
  std::map<std::string, std::string> buried;
  for (const auto& m : w.producer.sent_to("dead")) {
    buried[*m.key] = *m.value;
    const std::map<std::string, std::string> headers(m.headers.begin(), m.headers.end());
    EXPECT_EQ(headers.at("weir.job"), "sum");
    EXPECT_EQ(headers.at("weir.execution"), w.history().at(0)["id"].get<std::string>());
    EXPECT_NE(headers.at("weir.reason").find("group_by"), std::string::npos);
  }
  EXPECT_EQ(buried, (std::map<std::string, std::string>{{"b", R"({"v":4})"}, {"c", R"({"g":{},"v":5})"}}));
}

TEST(scheduler, an_execution_whose_dead_letters_cannot_be_brought_away_fails) {
  auto j = counting({});
  j.group_by = {"/g"};
  j.dead_letter = "dead";
  j.retries = 1;
  scheduled w(j);
  w.put("b", R"({"v":4})");
  w.run();
  w.producer.fail_with(error{ec::kafka_failed, "no brokers"});
  w.demand();
  w.advance(5s);
  ASSERT_EQ(w.runs().size(), 1u);
  EXPECT_EQ(w.runs()[0].status, "FAILED");
  EXPECT_NE(w.runs()[0].message.find("'dead': no brokers"), std::string::npos) << w.runs()[0].message;
  EXPECT_EQ(w.history().at(0)["retried"], 1);
}

TEST(scheduler, reads_no_faster_than_the_throttle) {
  for (const std::uint64_t throttle : {100u, 0u}) {
    auto j = counting({});
    j.throttle = throttle;
    auto input = latest("now");
    input.expected_rows = 1'000'000; // in many buckets, between which it waits
    scheduled w(j, input);
    for (int i = 0; i < 1'000; ++i)
      w.put(fmt::format("k{}", i), R"({"v":1})");
    w.run();
    w.demand();
    w.advance(4s);
    EXPECT_EQ(w.runs().size(), throttle == 0 ? 1u : 0u);
    w.advance(16s);
    ASSERT_EQ(w.runs().size(), 1u);
    EXPECT_EQ(w.runs()[0].read, 1'000u);
    EXPECT_EQ(w.runs()[0].status, "COMPLETED") << w.runs()[0].message;
  }
}

// Redis executes what a connection has asked for before it looks at the next connection.
TEST(scheduler, a_reducer_asks_for_the_rows_of_one_partition_at_a_time) {
  constexpr std::size_t reducers = 8, others = 3; // the lease, checkpoints
  auto j = counting({});
  j.throttle = 0;
  auto input = latest("now");
  input.expected_rows = 1'000'000; // in many buckets, some for each reducer
  scheduled w(j, input, true);
  w.node->partition_counts[source_name] = 16;
  w.put("a", R"({"v":3})");
  w.run();
  w.demand();
  std::size_t most = 0;
  for (int step = 0; w.runs().empty() && step < 10'000; ++step) {
    while (w.jobs->try_run_once()) {
    }
    if (w.board.jobs()["sum"].present.total > 0) // before, it is being counted
      most = std::max(most, w.answers.size());
    if (w.answers.empty()) {
      w.pass(50ms);
      continue;
    }
    auto next = std::move(w.answers.front());
    w.answers.pop_front();
    next();
  }
  ASSERT_FALSE(w.runs().empty());
  EXPECT_EQ(w.runs()[0].read, 1u);
  EXPECT_EQ(w.runs()[0].status, "COMPLETED") << w.runs()[0].message;
  EXPECT_GE(most, reducers);
  EXPECT_LE(most, reducers + others);
}

job_config grouping() {
  auto j = counting({});
  j.group_by = {"/k"};
  j.chunk = 2;
  return j;
}

table_config in_eight_shares() {
  auto t = latest("now");
  t.expected_rows = 64'000;
  return t;
}

TEST(scheduler, stores_one_checkpoint_after_the_other) {
  scheduled w(grouping(), in_eight_shares(), true);
  for (int i = 0; i < 40; ++i)
    w.put(fmt::format("m{}", i), fmt::format(R"({{"v":{},"k":"g{}"}})", i, i));
  w.advance(3s);
  w.demand();
  std::size_t before = 0, most = 0;
  for (int steps = 0; steps < 1'000 && w.history().empty(); ++steps) {
    while (w.jobs->try_run_once()) {
    }
    if (w.answers.empty())
      w.pass(100ms);
    else {
      auto next = std::move(w.answers.front());
      w.answers.pop_front();
      next();
    }
    const auto now = w.checkpoints();
    EXPECT_LE(now, before + 1);
    most = std::max(most, before = now);
  }
  EXPECT_EQ(most, 8u);
  ASSERT_FALSE(w.history().empty());
  EXPECT_EQ(w.history()[0]["status"], "COMPLETED");
}

TEST(scheduler, a_connection_to_redis_that_is_full_is_waited_for) {
  for (std::size_t skip = 0; skip < 40; ++skip) {
    scheduled w(grouping(), in_eight_shares());
    for (int i = 0; i < 10; ++i)
      w.put(fmt::format("m{}", i), fmt::format(R"({{"v":{},"k":"g{}"}})", i, i));
    w.advance(500ms);
    w.store->inject_read(support::fault::answer_error, skip, 1, ec::overloaded);
    w.demand();
    ASSERT_TRUE(w.until([&] { return !w.runs().empty(); }, 60s)) << skip;
    w.store->clear_faults();
    EXPECT_EQ(w.runs().at(0).status, "COMPLETED") << skip << w.runs().at(0).message;
    EXPECT_EQ(w.runs().at(0).written, 10u);
  }
}

TEST(scheduler, a_run_takes_its_parameters_and_an_execution_keeps_them) {
  auto j = counting({});
  j.parameters = {{"least", std::int64_t{2}}};
  j.where.all = {{"/v", comparison::gte, {std::int64_t{2}}, "least"}};
  scheduled w(j);
  for (int v = 0; v < 6; ++v)
    w.put(fmt::format("k{}", v), fmt::format(R"({{"v":{}}})", v));
  w.run();
  const auto run_with = [&](std::map<std::string, std::string> parameters) {
    caf::anon_send(w.scheduler, actors::run_job{"sum", std::move(parameters), [got = w.answers_got](http::response r) {
                                                  got->push_back(std::move(r));
                                                }});
    w.advance(1s);
    return w.answers_got->back();
  };
  EXPECT_EQ(run_with({}).status, 200u);
  EXPECT_EQ(w.stored()["n"], 4);
  EXPECT_EQ(run_with({{"least", "5"}}).status, 200u);
  EXPECT_EQ(w.stored()["n"], 1);
  EXPECT_EQ(w.history().at(0)["parameters"], (json{{"least", "5"}}));
  EXPECT_EQ(run_with({}).status, 200u); // only of that run
  EXPECT_EQ(w.stored()["n"], 4);
  for (const auto& [name, value] : {std::pair{"least", "many"}, {"most", "5"}}) {
    const auto refused = run_with({{name, value}});
    EXPECT_EQ(refused.status, 400u);
    EXPECT_NE(refused.body.find(name), std::string::npos) << refused.body;
  }
  EXPECT_EQ(w.history().size(), 3u);
}

} // namespace
