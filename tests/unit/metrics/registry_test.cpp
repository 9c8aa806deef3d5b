#include "runtime/metrics/registry.hpp"

#include <gtest/gtest.h>
#include <thread>
#include <vector>

using namespace weir::metrics;

namespace {

// Value of a series by its full text, as `name{label="x"}`; -1 when it is not there.
double series(const std::string& text, const std::string& name) {
  const auto at = ("\n" + text).find("\n" + name + " ");
  return at == std::string::npos ? -1 : std::stod(text.substr(at + name.size() + 1));
}

} // namespace

TEST(metrics, handles_of_the_same_name_and_labels_count_together) {
  registry r;
  auto a = r.get(names::records_read, "readings");
  auto b = r.get(names::records_read, std::string("readings"));
  auto other = r.get(names::records_read, "events");
  a.add(2);
  b.add();
  other.add(10);
  EXPECT_EQ(a.value(), 3);
  const auto text = r.scrape();
  EXPECT_EQ(series(text, "weir_records_read_total{source=\"readings\"}"), 3);
  EXPECT_EQ(series(text, "weir_records_read_total{source=\"events\"}"), 10);
  EXPECT_NE(text.find("# TYPE weir_records_read_total counter"), std::string::npos);
}

TEST(metrics, labels_take_values_in_the_order_of_their_names) {
  registry r;
  r.get(names::records_dead, "readings", "no_key").add(4);
  EXPECT_EQ(series(r.scrape(), "weir_records_dead_lettered_total{reason=\"no_key\",source=\"readings\"}"), 4);
}

TEST(metrics, label_values_are_escaped) {
  registry r;
  r.get(names::closes, "a\"b\\c\nd").add();
  EXPECT_EQ(series(r.scrape(), "weir_session_closes_total{code=\"a\\\"b\\\\c\\nd\"}"), 1);
}

TEST(metrics, a_histogram_counts_below_its_bounds) {
  registry r;
  auto h = r.get(names::freshness, "machines");
  h.observe(0.0004);
  h.observe(0.004);
  h.observe(1000);
  const auto text = r.scrape();
  EXPECT_EQ(series(text, "weir_freshness_seconds_bucket{table=\"machines\",le=\"0.0005\"}"), 1);
  EXPECT_EQ(series(text, "weir_freshness_seconds_bucket{table=\"machines\",le=\"0.005\"}"), 2);
  EXPECT_EQ(series(text, "weir_freshness_seconds_bucket{table=\"machines\",le=\"+Inf\"}"), 3);
  EXPECT_EQ(series(text, "weir_freshness_seconds_count{table=\"machines\"}"), 3);
}

TEST(metrics, a_dropped_series_is_gone_and_may_come_back) {
  registry r;
  r.get(names::lag, "readings", "3").set(7);
  r.get(names::lag, "readings", "4").set(8);
  r.drop(names::lag, "readings", "3");
  r.drop(names::lag, "readings", "99"); // was never there
  const std::string series_3 = "weir_lag_records{partition=\"3\",source=\"readings\"}";
  EXPECT_EQ(series(r.scrape(), series_3), -1);
  EXPECT_EQ(series(r.scrape(), "weir_lag_records{partition=\"4\",source=\"readings\"}"), 8);
  r.get(names::lag, "readings", "3").set(1);
  EXPECT_EQ(series(r.scrape(), series_3), 1);
}

TEST(metrics, the_process_describes_itself) {
  registry r;
  const auto text = r.scrape();
  EXPECT_GT(series(text, "process_resident_memory_bytes"), 1e6);
  EXPECT_GT(series(text, "process_cpu_seconds_total"), 0);
  EXPECT_GE(series(text, "process_open_fds"), 3);
  const double now = static_cast<double>(std::time(nullptr));
  EXPECT_NEAR(series(text, "process_start_time_seconds"), now, 600);
  EXPECT_LE(series(text, "process_start_time_seconds"), now + 2);
  EXPECT_EQ(series(text, "weir_build_info{version=\"" WEIR_VERSION "\"}"), 1);
}

TEST(metrics, hooks_run_before_each_scrape) {
  registry r;
  auto g = r.get(names::sessions);
  int n = 0;
  r.before_scrape([&] { g.set(++n); });
  EXPECT_EQ(series(r.scrape(), "weir_sessions"), 1);
  EXPECT_EQ(series(r.scrape(), "weir_sessions"), 2);
}

TEST(metrics, a_handle_of_nothing_counts_nowhere) {
  counter c;
  gauge g;
  histogram h;
  c.add();
  g.set(1);
  h.observe(1);
  EXPECT_EQ(c.value(), 0);
  EXPECT_EQ(g.value(), 0);
}

TEST(metrics, many_threads_count_while_others_scrape) {
  registry r;
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t)
    threads.emplace_back([&r, t] {
      auto mine = r.get(names::batches, std::to_string(t % 2));
      for (int i = 0; i < 10'000; ++i)
        mine.add();
    });
  for (int i = 0; i < 20; ++i)
    r.scrape();
  for (auto& t : threads)
    t.join();
  EXPECT_EQ(r.get(names::batches, "0").value() + r.get(names::batches, "1").value(), 30'000);
}
