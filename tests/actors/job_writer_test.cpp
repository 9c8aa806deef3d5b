// The writer of a job's table.
#include "actors/result_merger.hpp"
#include "tests/actors/job_stage.hpp"

#include <caf/exit_reason.hpp>
#include <fmt/format.h>
#include <gtest/gtest.h>

namespace {

using namespace weir;
using namespace weir::stage;
using result_rows = std::vector<std::pair<std::string, std::string>>;

std::shared_ptr<const result_rows> five(const std::string& tag) {
  auto rows = std::make_shared<result_rows>();
  for (int i = 0; i < 5; ++i)
    rows->emplace_back(fmt::format("k{}", i), fmt::format(R"({{"by":"{}"}})", tag));
  return rows;
}

struct writers : world {
  writers() : world({.tables = {job_table("sum")}, .writers = 2}) {
    scheduler = own(
        system->spawn([reports = reports](actors::scheduler_actor::pointer) -> actors::scheduler_actor::behavior_type {
          return {
              [](const actors::run_job&) {},
              [](const actors::control_job&) {},
              [](const actors::share_progress&) {},
              [](const actors::lease_answered&) {},
              [](const actors::job_answered&) {},
              [](const actors::input_read&) {},
              [](const actors::input_counted&) {},
              [](const actors::reducer_done&) {},
              [](const actors::result_merged&) {},
              [reports](const actors::rows_written& m) { reports->push_back(m); },
              [](caf::tick_atom) {},
              [](const actors::stop_work&) {},
          };
        }));
  }
  // Of a node that schedules with that token.
  actors::job_writer_actor writer(const std::string& node, std::size_t link = 0, std::uint64_t token = 1) {
    auto context = make_node(node);
    const auto end = make_table_end(*this);
    auto redis_writer = own(actors::spawn_redis_writer(*system, {context, link}));
    auto made = own(actors::spawn_job_writer(
        *system, {context, table("totals"), {"totals", 1}, end.inbox, end.publisher, redis_writer}));
    store->jobs().adopt_job(job_key(), redis::fence_token{token}, [](auto) {});
    caf::anon_send(made, actors::lead{true, token});
    return made;
  }
  static partition_key job_key() { return {topology_name, "job:sum", partition_id{0}}; }
  void begin(std::int64_t fire, std::uint64_t token = 1) {
    redis::job_change c;
    c.job = job_key();
    c.token = redis::fence_token{token};
    c.id = std::to_string(fire) + ".1";
    c.fire_ms = fire;
    c.status = "STARTED";
    store->jobs().change_job(c, [](auto) {});
  }
  void end(std::int64_t fire, std::string status = "COMPLETED", std::uint64_t token = 1) {
    redis::job_change c;
    c.job = job_key();
    c.token = redis::fence_token{token};
    c.id = std::to_string(fire) + ".1";
    c.expect = {"STARTED"};
    c.status = std::move(status);
    c.ends = true;
    store->jobs().change_job(c, [](auto) {});
  }
  struct how {
    std::uint64_t run = 1, token = 1, chunks = 0;
    std::uint32_t chunk_rows = 2;
    bool replace = false;
  };
  void write(const actors::job_writer_actor& to, std::int64_t fire, std::shared_ptr<const result_rows> rows, how h) {
    caf::anon_send(to, actors::write_rows{"sum", h.run, fire, h.token, std::to_string(fire) + ".1", h.chunks,
                                          h.chunk_rows, h.replace, std::move(rows), scheduler});
  }
  void write(const actors::job_writer_actor& to, std::int64_t fire, std::shared_ptr<const result_rows> rows) {
    write(to, fire, std::move(rows), how{});
  }
  std::map<std::string, std::string> stored() { return world::rows(table("totals"), job_key()); }
  std::int64_t fire() { return head(job_key()).tables["totals@1"].next.value; }
  std::uint64_t chunks() {
    std::uint64_t out = 0;
    store->jobs().read_job(job_key(), [&](auto state) { out = state->chunks; });
    return out;
  }
  static std::map<std::string, std::string> as_map(const std::shared_ptr<const result_rows>& rows) {
    return {rows->begin(), rows->end()};
  }

  std::shared_ptr<std::vector<actors::rows_written>> reports = std::make_shared<std::vector<actors::rows_written>>();
  actors::scheduler_actor scheduler;
};

TEST(job_writer, stores_a_result_chunk_by_chunk_and_then_its_fire_time) {
  writers w;
  w.begin(1000);
  const auto a = w.writer("a");
  w.write(a, 1000, five("a"));
  w.run();
  ASSERT_EQ(w.reports->size(), 1u);
  EXPECT_EQ(*w.reports->at(0).written, 5u);
  EXPECT_EQ(w.stored(), writers::as_map(five("a")));
  EXPECT_EQ(w.fire(), 1000);
  EXPECT_EQ(w.chunks(), 3u);
}

TEST(job_writer, writes_a_result_once_whichever_answer_is_lost) {
  for (const auto f : {support::fault::drop_reply, support::fault::drop_request})
    for (std::size_t skip = 0; skip < 4; ++skip) {
      writers w;
      w.begin(1000);
      const auto a = w.writer("a");
      w.store->inject(0, f, skip);
      w.write(a, 1000, five("a"));
      w.run();
      w.store->link_up(0);
      ASSERT_TRUE(w.until([&] { return !w.reports->empty(); }));
      w.advance(2s);
      ASSERT_EQ(w.reports->size(), 1u);
      EXPECT_TRUE(w.reports->at(0).written);
      EXPECT_EQ(w.stored(), writers::as_map(five("a")));
      EXPECT_EQ(w.fire(), 1000);
      EXPECT_EQ(w.chunks(), 3u);
    }
}

TEST(job_writer, goes_on_behind_the_chunks_that_are_there_after_a_refusal) {
  for (std::size_t skip = 0; skip < 4; ++skip) {
    writers w;
    w.begin(1000);
    const auto a = w.writer("a");
    w.store->inject(0, support::fault::answer_error, skip, 1, ec::redis_script);
    w.write(a, 1000, five("a"));
    ASSERT_TRUE(w.until([&] { return !w.reports->empty(); }));
    EXPECT_TRUE(w.reports->at(0).written);
    EXPECT_EQ(w.stored(), writers::as_map(five("a")));
    EXPECT_EQ(w.chunks(), 3u);
    EXPECT_EQ(w.store->counted().claims, 2u);
  }
}

TEST(job_writer, another_scheduler_goes_on_behind_the_chunks_of_the_one_before_it) {
  writers w;
  w.begin(1000);
  const auto a = w.writer("a");
  w.store->inject(0, support::fault::drop_request, 2, 100); // the heartbeat and one chunk come through
  w.write(a, 1000, five("a"));
  w.run();
  const auto written = w.chunks();
  EXPECT_EQ(written, 1u);
  caf::anon_send_exit(a, caf::exit_reason::kill);
  w.run();
  const auto b = w.writer("b", 1, 2);
  // The rows are the same by the checkpoints; marked here to see who wrote which.
  w.write(b, 1000, five("b"), {.token = 2, .chunks = written});
  ASSERT_TRUE(w.until([&] { return !w.reports->empty(); }));
  EXPECT_EQ(*w.reports->back().written, 5u);
  auto mixed = writers::as_map(five("b"));
  for (const auto* key : {"k0", "k1"})
    mixed[key] = five("a")->at(0).second;
  EXPECT_EQ(w.stored(), mixed);
}

TEST(job_writer, one_whose_scheduler_was_taken_over_writes_nothing_more_and_says_so) {
  writers w;
  w.begin(1000);
  const auto a = w.writer("a");
  w.run();
  w.store->hold(0);
  w.write(a, 1000, five("a"));
  w.run();
  w.store->jobs().adopt_job(writers::job_key(), redis::fence_token{2},
                            [](auto) {}); // the pause is over, another one has it
  w.store->release(0);
  w.advance(5s);
  EXPECT_TRUE(w.stored().empty());
  EXPECT_GT(w.store->counted().outdated, 0u);
  EXPECT_EQ(w.store->counted().claims, 1u); // nor does it take the table from the one that writes now
  EXPECT_TRUE(w.reports->empty() || !w.reports->back().written);
}

TEST(job_writer, an_execution_that_is_over_writes_nothing_more) {
  writers w;
  w.begin(1000);
  const auto a = w.writer("a");
  w.run();
  w.store->hold(0);
  w.write(a, 1000, five("a"));
  w.run();
  w.end(1000, "FAILED"); // by its deadline
  w.store->release(0);
  w.advance(2s);
  EXPECT_TRUE(w.stored().empty());
}

TEST(job_writer, a_result_of_an_earlier_fire_time_than_the_stored_one_is_refused_not_taken_as_written) {
  writers w;
  w.begin(1000);
  const auto a = w.writer("a");
  w.write(a, 1000, five("a"));
  w.run();
  w.write(a, 500, five("b"), {.run = 2});
  w.run();
  ASSERT_EQ(w.reports->size(), 2u);
  ASSERT_FALSE(w.reports->at(1).written);
  EXPECT_EQ(w.reports->at(1).written.error().code, ec::mismatch);
  EXPECT_EQ(w.stored(), writers::as_map(five("a")));
  w.end(1000);
  w.begin(2000);
  w.write(a, 2000, five("b"), {.run = 3});
  w.run();
  EXPECT_EQ(w.stored(), writers::as_map(five("b")));
}

TEST(job_writer, replacing_removes_what_the_result_has_not_in_the_same_transaction) {
  writers w;
  w.begin(1000);
  const auto a = w.writer("a");
  w.write(a, 1000, five("a"));
  w.run();
  w.end(1000);
  w.begin(2000);
  auto rows = std::make_shared<result_rows>();
  rows->emplace_back("k3", R"({"by":"b"})");
  rows->emplace_back("new", R"({"by":"b"})");
  const auto before = w.store->counted().applied;
  w.write(a, 2000, rows, {.run = 2, .replace = true});
  w.run();
  EXPECT_EQ(w.stored(), writers::as_map(rows));
  EXPECT_EQ(w.store->counted().applied, before + 1);
  w.end(2000);
  w.begin(3000);
  w.write(a, 3000, std::make_shared<result_rows>(), {.run = 3, .replace = true});
  w.run();
  EXPECT_TRUE(w.stored().empty());
  EXPECT_EQ(w.fire(), 3000);
}

TEST(job_writer, takes_no_second_result_while_it_writes_one) {
  writers w;
  w.begin(1000);
  const auto a = w.writer("a");
  w.run();
  w.store->hold(0);
  w.write(a, 1000, five("a"));
  w.write(a, 2000, five("a"), {.run = 2});
  w.run();
  ASSERT_EQ(w.reports->size(), 1u);
  EXPECT_EQ(w.reports->at(0).run, 2u);
  EXPECT_EQ(w.reports->at(0).written.error().code, ec::overloaded);
  w.store->release(0);
  w.run();
  EXPECT_EQ(w.fire(), 1000);
}

} // namespace
