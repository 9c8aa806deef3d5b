// Custom steps of jobs under the scheduler: what they may do, and what becomes of what they throw.
#include "tests/actors/job_stage.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <thread>
#include <weir/extension.hpp>

namespace {

using namespace weir;
using namespace weir::stage;

using rows_out = std::vector<ext::item>;

struct processing final : ext::processor {
  using work = std::function<void(ext::item, rows_out&)>;
  explicit processing(work w) : does(std::move(w)) {}
  void process(ext::item row, rows_out& into) override { does(std::move(row), into); }
  work does;
};

std::shared_ptr<ext::extensions> with_processor(processing::work work) {
  auto all = std::make_shared<ext::extensions>();
  all->add_processor("mine", [work](const ext::execution&) { return std::make_unique<processing>(work); });
  return all;
}

job_config processed(std::uint32_t retries = 0) {
  auto j = counting({});
  j.processor.name = "mine";
  j.retries = retries;
  return j;
}

// The job's one execution, asked for and waited for.
job_run_status ran(scheduled& w) {
  w.advance(500ms);
  w.demand();
  EXPECT_TRUE(w.until([&] { return !w.runs().empty(); }, 300s));
  return w.runs().empty() ? job_run_status{} : w.runs()[0];
}

TEST(custom_processor, changes_drops_splits_and_refuses_rows) {
  auto j = processed();
  j.dead_letter = "dead";
  scheduled w(j);
  w.node->extensions = with_processor([](ext::item row, rows_out& into) {
    if (row.key == "dropped")
      return;
    if (row.key == "refused")
      throw ext::skip("no such machine");
    if (row.key == "split")
      into.push_back({row.key, R"({"v":100})", row.time_ms});
    into.push_back({row.key, R"({"v":10})", row.time_ms});
  });
  for (const auto* key : {"changed", "dropped", "refused", "split"})
    w.put(key, R"({"v":1})");
  const auto run = ran(w);
  EXPECT_EQ(run.status, "COMPLETED") << run.message;
  EXPECT_EQ(w.stored(), (json{{"n", 3}, {"total", 120}}));
  EXPECT_EQ(run.read, 5u); // one became two
  EXPECT_EQ(run.filtered, 1u);
  EXPECT_EQ(run.skipped, 1u);
  const auto dead = w.producer.sent_to("dead");
  ASSERT_EQ(dead.size(), 1u);
  EXPECT_EQ(*dead[0].value, R"({"v":1})");
  const std::map<std::string, std::string> headers(dead[0].headers.begin(), dead[0].headers.end());
  EXPECT_EQ(headers.at("weir.reason"), "no such machine");
}

TEST(custom_processor, comes_before_derive) {
  auto j = processed();
  j.derive = {{"double", "/v * 2"}};
  j.fields = {{"total", function::sum, "/double"}};
  scheduled w(j);
  w.node->extensions = with_processor([](ext::item row, rows_out& into) {
    row.row = R"({"v":10})";
    into.push_back(std::move(row));
  });
  w.put("a", R"({"v":1})");
  EXPECT_EQ(ran(w).status, "COMPLETED");
  EXPECT_EQ(w.stored(), (json{{"total", 20}}));
}

TEST(custom_processor, an_exception_fails_the_execution_with_the_name_of_the_step) {
  scheduled w(processed(3));
  w.node->extensions = with_processor([](ext::item, rows_out&) { throw std::runtime_error("broke"); });
  w.put("a", R"({"v":1})");
  const auto run = ran(w);
  EXPECT_EQ(run.status, "FAILED");
  EXPECT_EQ(run.message, "processor 'mine': broke");
  EXPECT_EQ(w.history().at(0)["retried"], 0);
}

TEST(custom_processor, what_passes_by_itself_is_tried_again) {
  for (const int failures : {2, 3}) {
    scheduled w(processed(2));
    auto left = std::make_shared<int>(failures);
    w.node->extensions = with_processor([left](ext::item row, rows_out& into) {
      if ((*left)-- > 0)
        throw ext::try_again("not now");
      into.push_back(std::move(row));
    });
    w.put("a", R"({"v":1})");
    const auto run = ran(w);
    EXPECT_EQ(run.status, failures == 2 ? "COMPLETED" : "FAILED") << run.message;
    EXPECT_EQ(w.history().at(0)["retried"], 2);
  }
}

TEST(custom_processor, is_held_to_its_bounds) {
  scheduled many(processed());
  many.node->extensions = with_processor([](ext::item row, rows_out& into) { into.assign(ext::most_rows + 1, row); });
  many.put("a", R"({"v":1})");
  EXPECT_NE(ran(many).message.find("made 1001 rows of one"), std::string::npos);
  scheduled large(processed());
  large.node->extensions = with_processor([](ext::item row, rows_out& into) {
    row.row = R"({"v":")" + std::string(ext::most_row_bytes, 'x') + R"("})";
    into.push_back(std::move(row));
  });
  large.put("a", R"({"v":1})");
  const auto run = ran(large);
  EXPECT_EQ(run.status, "COMPLETED") << run.message;
  EXPECT_EQ(run.skipped, 1u);
}

TEST(custom_processor, one_that_is_not_registered_or_not_made_fails_the_execution) {
  scheduled without(processed());
  EXPECT_EQ(ran(without).message, "processor 'mine': this program registers none of that name");
  scheduled unmade(processed());
  auto all = std::make_shared<ext::extensions>();
  all->add_processor("mine", [](const ext::execution&) { return nullptr; });
  unmade.node->extensions = all;
  EXPECT_EQ(ran(unmade).message, "processor 'mine': its factory made nothing");
}

TEST(custom_steps, are_told_the_execution_its_parameters_and_their_config) {
  auto j = processed();
  j.processor.config = R"({"a":1})";
  j.writer = {"mine", R"({"b":2})"};
  j.parameters = {{"n", std::int64_t{3}}, {"site", std::string("\"north\"")}};
  scheduled w(j);
  std::vector<ext::execution> told;
  auto all = std::make_shared<ext::extensions>();
  all->add_processor("mine", [&](const ext::execution& e) {
    told.push_back(e);
    return std::make_unique<processing>([](ext::item, rows_out&) {});
  });
  all->add_writer("mine", [&](const ext::execution& e) -> std::unique_ptr<ext::writer> {
    told.push_back(e);
    throw std::runtime_error("no more is wanted");
  });
  w.node->extensions = all;
  w.advance(500ms);
  caf::anon_send(w.scheduler, actors::run_job{"sum", {{"n", "7"}}, {}});
  ASSERT_TRUE(w.until([&] { return !w.runs().empty(); }));
  EXPECT_EQ(w.runs()[0].message, "writer 'mine': no more is wanted");
  ASSERT_GE(told.size(), 2u);
  for (const auto* e : {&told.front(), &told.back()}) {
    EXPECT_EQ(e->job, "sum");
    EXPECT_EQ(e->id, w.runs()[0].id);
    EXPECT_EQ(e->fire_ms, w.runs()[0].fire_ms);
    EXPECT_EQ(e->parameters, R"({"n":7,"site":"\"north\""})");
  }
  EXPECT_EQ(told.front().config, R"({"a":1})");
  EXPECT_EQ(told.back().config, R"({"b":2})");
}

TEST(custom_processor, a_call_that_takes_too_long_is_counted) {
  for (const auto pause : {0ms, 1'050ms}) {
    scheduled w(processed());
    w.node->extensions = with_processor([pause](ext::item row, rows_out& into) {
      std::this_thread::sleep_for(
          pause); // the slow call itself: its length is measured in real time, and nothing is waited for
      into.push_back(std::move(row));
    });
    w.put("a", R"({"v":1})");
    EXPECT_EQ(ran(w).status, "COMPLETED");
    const auto line = fmt::format(R"(weir_job_step_slow_total{{job="sum",step="processor"}} {})", pause > 0ms ? 1 : 0);
    EXPECT_NE(w.metrics["a"].scrape().find(line), std::string::npos) << line;
  }
}

// Whole numbers from the share's own on, `each` with a call; place: the next one.
struct counting_reader final : ext::reader {
  struct seen {
    std::vector<std::optional<std::string>> places; // as objects were made
    std::map<std::uint64_t, std::size_t> given;     // how often each number was
  };
  counting_reader(std::shared_ptr<seen> log, const ext::share& share, std::uint64_t below)
      : log_(std::move(log)), step_(share.count), end_(below),
        next_(share.place ? std::stoull(*share.place) : share.index) {
    log_->places.push_back(share.place);
  }
  bool read(std::size_t, rows_out& into) override {
    for (int i = 0; i < 10 && next_ < end_; ++i, next_ += step_) {
      into.push_back({std::to_string(next_), fmt::format(R"({{"v":{}}})", next_), 0});
      ++log_->given[next_];
    }
    return next_ < end_;
  }
  std::string place() const override { return std::to_string(next_); }

  std::shared_ptr<seen> log_;
  std::uint64_t step_, end_, next_;
};

struct numbers_read {
  std::shared_ptr<counting_reader::seen> log = std::make_shared<counting_reader::seen>();
  std::shared_ptr<ext::extensions> steps(std::size_t shares, std::uint64_t below) const {
    auto all = std::make_shared<ext::extensions>();
    all->add_reader(
        "numbers",
        [log = log, below](const ext::execution&, const ext::share& share) {
          return std::make_unique<counting_reader>(log, share, below);
        },
        shares);
    return all;
  }
  static job_config job() {
    auto j = counting({});
    j.read_table.clear();
    j.reader.name = "numbers";
    j.throttle = 20;
    return j;
  }
};

TEST(custom_reader, gives_the_rows_of_all_its_shares_without_a_table) {
  numbers_read numbers;
  scheduled w(numbers_read::job());
  w.node->extensions = numbers.steps(3, 100);
  w.node->partition_counts[source_name] = 0; // of no meaning to it
  const auto run = ran(w);
  EXPECT_EQ(run.status, "COMPLETED") << run.message;
  EXPECT_EQ(run.read, 100u);
  EXPECT_EQ(w.stored(), (json{{"n", 100}, {"total", 4950}}));
  EXPECT_EQ(numbers.log->places.size(), 3u);
}

// 200 rows at 20 a second: killed in the middle, and before the first checkpoint.
TEST(custom_reader, a_takeover_goes_on_from_the_place_of_the_last_checkpoint) {
  for (const auto killed_after : {5'000ms, 400ms}) {
    const bool in_the_middle = killed_after > 1s;
    numbers_read before, after; // each node's own
    scheduled w(numbers_read::job());
    w.node->topo.scheduler.lease = 2s;
    w.node->extensions = before.steps(2, 200);
    w.make_node("b")->extensions = after.steps(2, 200);
    w.advance(3s);
    w.demand();
    w.advance(killed_after);
    ASSERT_TRUE(w.runs().empty());
    w.kill();
    w.start("b");
    ASSERT_TRUE(w.until([&] { return !w.history().empty(); }, 120s));
    EXPECT_EQ(w.history()[0]["status"], "COMPLETED") << w.history()[0].dump();
    EXPECT_EQ(w.history()[0]["takeovers"], 1);
    EXPECT_EQ(w.stored(), (json{{"n", 200}, {"total", 19'900}}));
    EXPECT_EQ(before.log->places, (std::vector<std::optional<std::string>>{std::nullopt, std::nullopt}));
    ASSERT_EQ(after.log->places.size(), 2u);
    for (const auto& place : after.log->places)
      EXPECT_EQ(place.has_value(), in_the_middle);
    EXPECT_EQ(after.log->given.size() == 200u, !in_the_middle); // else the first ones are not read again
    EXPECT_EQ(after.log->given.contains(0), !in_the_middle);
    EXPECT_TRUE(after.log->given.contains(199));
  }
}

struct patient_reader final : ext::reader {
  explicit patient_reader(std::shared_ptr<int> left) : left_(std::move(left)) {}
  bool read(std::size_t, rows_out& into) override {
    if ((*left_)-- > 0)
      return true;
    into.push_back({"k", R"({"v":7})", 0});
    return false;
  }
  std::string place() const override { return {}; }
  std::shared_ptr<int> left_;
};

TEST(custom_reader, that_has_no_rows_yet_is_asked_again_until_the_deadline) {
  for (const int asked : {20, 1'000'000}) {
    auto left = std::make_shared<int>(asked);
    auto all = std::make_shared<ext::extensions>();
    all->add_reader(
        "numbers", [left](const ext::execution&, const ext::share&) { return std::make_unique<patient_reader>(left); });
    auto j = numbers_read::job();
    j.deadline = 10s;
    scheduled w(j);
    w.node->extensions = all;
    const auto run = ran(w);
    EXPECT_EQ(run.status, asked == 20 ? "COMPLETED" : "FAILED") << run.message;
    if (asked != 20) {
      EXPECT_EQ(run.message, "not done within 10 s");
      EXPECT_GT(*left, asked - 150); // with a pause each time
    }
  }
}

struct noting_writer final : ext::writer {
  struct seen {
    struct call {
      std::string execution;
      std::size_t number, count;
      std::vector<std::string> keys;
      bool operator==(const call&) const = default;
    };
    std::vector<call> calls;
    std::function<void(std::size_t number)> before = [](std::size_t) {};
  };
  noting_writer(std::shared_ptr<seen> log, std::string execution) : log_(std::move(log)), id_(std::move(execution)) {}
  void write(const ext::chunk& part) override {
    std::vector<std::string> keys;
    for (const auto& row : part.rows)
      keys.push_back(row.key);
    log_->calls.push_back({id_, part.number, part.count, std::move(keys)});
    log_->before(part.number);
  }
  std::shared_ptr<seen> log_;
  std::string id_;
};

struct written {
  std::shared_ptr<noting_writer::seen> log = std::make_shared<noting_writer::seen>();
  std::shared_ptr<ext::extensions> steps() const {
    auto all = std::make_shared<ext::extensions>();
    all->add_writer("notes",
                    [log = log](const ext::execution& e) { return std::make_unique<noting_writer>(log, e.id); });
    return all;
  }
  static job_config job() {
    auto j = counting({});
    j.group_by = {"/g"};
    j.chunk = 2;
    j.writer.name = "notes";
    j.retries = 1;
    return j;
  }
  static void fill(scheduled& w) {
    for (int i = 0; i < 5; ++i)
      w.put(fmt::format("k{}", i), fmt::format(R"({{"v":{},"g":"g{}"}})", i, i));
  }
};

TEST(custom_writer, gets_the_result_in_chunks_after_the_table_and_before_the_topic) {
  written notes;
  auto j = written::job();
  j.write_topic = "totals-topic";
  scheduled w(j);
  w.node->extensions = notes.steps();
  std::size_t rows_in_table = 0, sent = 0;
  notes.log->before = [&](std::size_t) {
    rows_in_table = w.rows(w.table("totals"), {topology_name, "job:sum", partition_id{0}}).size();
    sent += w.producer.sent_to("totals-topic").size();
  };
  written::fill(w);
  const auto run = ran(w);
  EXPECT_EQ(run.status, "COMPLETED") << run.message;
  const auto id = w.history().at(0)["id"].get<std::string>();
  const std::vector<noting_writer::seen::call> expected{
      {id, 0, 3, {"g0", "g1"}}, {id, 1, 3, {"g2", "g3"}}, {id, 2, 3, {"g4"}}};
  EXPECT_EQ(notes.log->calls, expected);
  EXPECT_EQ(rows_in_table, 5u);
  EXPECT_EQ(sent, 0u);
  EXPECT_EQ(w.producer.sent_to("totals-topic").size(), 5u);
}

TEST(custom_writer, may_be_all_that_a_job_writes_to_and_gets_an_empty_result_too) {
  written notes;
  auto j = written::job();
  j.write_table.clear();
  scheduled w(j);
  w.node->extensions = notes.steps();
  EXPECT_EQ(ran(w).status, "COMPLETED");
  ASSERT_EQ(notes.log->calls.size(), 1u);
  EXPECT_EQ(notes.log->calls[0].count, 1u);
  EXPECT_TRUE(notes.log->calls[0].keys.empty());
}

TEST(custom_writer, one_that_fails_for_now_is_given_the_same_chunks_again) {
  written notes;
  scheduled w(written::job());
  w.node->extensions = notes.steps();
  bool failed = false;
  notes.log->before = [&](std::size_t number) {
    if (number == 1 && !std::exchange(failed, true)) {
      w.put("late", R"({"v":9,"g":"a-first"})"); // does not change what is written again
      throw ext::try_again("the disk is full");
    }
  };
  written::fill(w);
  const auto run = ran(w);
  EXPECT_EQ(run.status, "COMPLETED") << run.message;
  EXPECT_EQ(w.history().at(0)["retried"], 1);
  const auto& calls = notes.log->calls;
  ASSERT_EQ(calls.size(), 5u);
  EXPECT_EQ(calls[0], calls[2]);
  EXPECT_EQ(calls[1], calls[3]);
  EXPECT_EQ(calls[4].keys, std::vector<std::string>{"g4"});
}

TEST(custom_writer, one_that_throws_anything_else_fails_the_execution_at_once) {
  written notes;
  scheduled w(written::job());
  w.node->extensions = notes.steps();
  notes.log->before = [](std::size_t) { throw 7; };
  written::fill(w);
  const auto run = ran(w);
  EXPECT_EQ(run.status, "FAILED");
  EXPECT_EQ(run.message, "writer 'notes': an exception that is no std::exception");
  EXPECT_EQ(notes.log->calls.size(), 1u);
}

} // namespace
