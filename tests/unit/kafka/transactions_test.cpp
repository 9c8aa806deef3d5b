// What the embedded broker shows of transactions: it takes them, but neither hides what is aborted nor keeps marks.
// What real brokers do with them is seen in tests/system/test_job_kills.py.
#include "runtime/kafka/rd_transactions.hpp"
#include "tests/unit/kafka/fixture.hpp"

namespace weir::kafka {
namespace {

class embedded_transactions : public embedded_test {
protected:
  std::unique_ptr<transactions> made(transactions_options options = {}) {
    auto out = make_transactions(at(broker->bootstrap()), options);
    EXPECT_TRUE(out) << (out ? "" : out.error().message);
    return out ? std::move(*out) : nullptr;
  }
  static transaction with(std::vector<std::pair<std::string, std::string>> rows) {
    return {"test.job.j",
            "t",
            "1.1",
            1,
            {{"weir.execution", "1.1"}},
            std::make_shared<const std::vector<std::pair<std::string, std::string>>>(std::move(rows))};
  }
  static bool always() { return true; }
};

TEST_F(embedded_transactions, all_rows_are_in_the_topic_when_it_is_written) {
  const auto writes = made();
  std::vector<std::pair<std::string, std::string>> rows;
  for (int i = 0; i < 500; ++i)
    rows.emplace_back("k" + std::to_string(i), "v" + std::to_string(i));
  const auto written = writes->write(with(rows), always);
  ASSERT_TRUE(written) << written.error().message;
  EXPECT_TRUE(*written);
  std::vector<std::pair<std::string, std::string>> found;
  for (auto& [p, queue] : read_from(0)) {
    const auto range = answer<partition_range>([&, p = p](auto done) { reader->range(p, 5s, done); });
    ASSERT_TRUE(range);
    for (const auto& r : collect(*queue, static_cast<std::size_t>(range->high.value)))
      found.emplace_back(*r.key, *r.value);
  }
  std::sort(rows.begin(), rows.end());
  std::sort(found.begin(), found.end());
  EXPECT_EQ(found, rows);
}

TEST_F(embedded_transactions, a_local_queue_that_is_full_is_waited_for) {
  transactions_options options;
  options.queue_messages = 10;
  std::vector<std::pair<std::string, std::string>> rows(200, {"k", "v"});
  const auto written = made(options)->write(with(rows), always);
  ASSERT_TRUE(written) << written.error().message;
}

TEST_F(embedded_transactions, rows_that_are_too_large_are_not_tried_again) {
  broker->refuse_size(1);
  const auto by_the_broker = made()->write(with({{"k", "v"}}), always);
  ASSERT_FALSE(by_the_broker);
  EXPECT_EQ(by_the_broker.error().code, ec::bad_argument) << by_the_broker.error().message;
  transactions_options options;
  options.queue_bytes = 4'096;
  const auto by_the_queue = made(options)->write(with({{"k", std::string(3'000, 'v')}}), always);
  ASSERT_FALSE(by_the_queue);
  EXPECT_EQ(by_the_queue.error().code, ec::bad_argument) << by_the_queue.error().message;
}

TEST_F(embedded_transactions, nobody_waits_for_one_that_is_not_wanted_any_more) {
  const auto writes = made();
  int asked = 0;
  const auto written = writes->write(with({{"k", "v"}}), [&] { return ++asked == 0; });
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, ec::stopped);
}

TEST_F(embedded_transactions, brokers_that_are_not_there_are_waited_for_until_the_deadline) {
  transactions_options options;
  options.deadline = 2s;
  const auto writes = made(options);
  broker->set_down(true);
  const auto began = clock::now();
  const auto written = writes->write(with({{"k", "v"}}), always);
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, ec::timeout);
  EXPECT_GE(clock::now() - began, options.deadline);
}

TEST_F(embedded_transactions, settings_that_are_refused_are_told_at_once) {
  auto settings = at(broker->bootstrap());
  settings.properties = {{"linger.ms", "soon"}};
  const auto refused = make_transactions(settings);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ec::bad_topology);
}

} // namespace
} // namespace weir::kafka
