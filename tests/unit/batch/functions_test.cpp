// Every function of a job beside an oracle that keeps all values.
#include "runtime/batch/group_state.hpp"
#include "runtime/batch/reduce.hpp"

#include "tests/unit/batch/random.hpp"

#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

namespace weir::batch {
namespace {

using batch_test::choices;
using batch_test::seed_of_run;
using json = nlohmann::json;

constexpr std::uint64_t percent = quantile_sketch::whole / 100;

const std::vector<aggregate_field> all_functions{{"n", function::count, ""},
                                                 {"sum", function::sum, "/v"},
                                                 {"low", function::min, "/v"},
                                                 {"high", function::max, "/v"},
                                                 {"mean", function::avg, "/v"},
                                                 {"one", function::first, "/v"},
                                                 {"now", function::last, "/v"},
                                                 {"var", function::var, "/v"},
                                                 {"dev", function::stddev, "/v"},
                                                 {"per_s", function::rate, ""},
                                                 {"v_per_s", function::rate, "/v"},
                                                 {"kinds", function::distinct, "/m"},
                                                 {"most", function::top, "/m", 3},
                                                 {"p50", function::percentile, "/v", 50 * percent},
                                                 {"p99", function::percentile, "/v", 99 * percent}};

job_config job_of(std::vector<aggregate_field> fields, std::vector<std::string> group_by = {"/g"}) {
  job_config job;
  job.name = "j";
  job.group_by = std::move(group_by);
  job.fields = std::move(fields);
  return job;
}

struct row {
  json value;
  stamp at;
};

std::vector<row> random_rows(choices& random) {
  std::vector<row> rows(random.below(400));
  const bool whole = random.one_in(2); // sums of integers are exact
  std::int64_t position = 0;
  for (auto& r : rows) {
    r.value["g"] = "g" + std::to_string(random.below(4));
    if (!random.one_in(8))
      r.value["v"] = whole || random.one_in(4) ? json(static_cast<std::int64_t>(random.below(2'000)) - 1'000)
                     : random.one_in(10)       ? json(nullptr)
                     : random.one_in(10)       ? json("7")
                                               : json(random.unit() * 500 - 100);
    switch (random.below(6)) {
    case 0: r.value["m"] = random.below(4); break;
    case 1: r.value["m"] = std::to_string(random.below(4)); break;      // other values than the numbers
    case 2: r.value["m"] = static_cast<double>(random.below(4)); break; // the same
    case 3: r.value["m"] = random.one_in(2); break;
    case 4: r.value["m"] = json::array({1}); break; // no value
    default: break;
    }
    r.at = {static_cast<std::int64_t>(1'000'000 + random.below(60'000)),
            partition_id{static_cast<int>(random.below(3))}, offset{++position}};
  }
  return rows;
}

// Compares by value: a sum of doubles depends on the order in its last bits.
bool close(double a, double b, double scale) { return std::fabs(a - b) <= 1e-9 * std::max(1.0, scale); }

struct oracle {
  std::vector<row> rows; // of one group

  std::vector<double> numbers() const {
    std::vector<double> out;
    for (const auto& r : rows)
      if (const auto v = r.value.find("v"); v != r.value.end() && v->is_number())
        out.push_back(v->get<double>());
    return out;
  }

  json picked(bool newest) const {
    const row* best = nullptr;
    for (const auto& r : rows)
      if (const auto v = r.value.find("v"); v != r.value.end() && v->is_number())
        if (!best || (newest ? r.at > best->at : r.at < best->at))
          best = &r;
    return best ? best->value["v"] : json(nullptr);
  }

  std::map<std::string, std::uint64_t> texts() const {
    std::map<std::string, std::uint64_t> out;
    for (const auto& r : rows)
      if (const auto m = r.value.find("m"); m != r.value.end() && m->is_primitive() && !m->is_null())
        ++out[m->is_number_float() ? std::to_string(static_cast<int>(m->get<double>())) : m->dump()];
    return out;
  }

  void check(const json& shown, double seconds) const {
    auto v = numbers();
    const auto n = static_cast<double>(v.size());
    double sum = 0, magnitude = 0;
    for (const auto x : v)
      sum += x, magnitude += std::fabs(x);
    EXPECT_EQ(shown["n"], rows.size());
    EXPECT_EQ(shown["one"], picked(false));
    EXPECT_EQ(shown["now"], picked(true));
    if (seconds > 0)
      EXPECT_DOUBLE_EQ(shown["per_s"].get<double>(), static_cast<double>(rows.size()) / seconds);
    else
      EXPECT_TRUE(shown["per_s"].is_null());
    const auto different = texts();
    EXPECT_EQ(shown["kinds"], different.size());
    check_top(shown["most"], different);
    if (v.empty()) {
      for (const auto* name : {"sum", "low", "high", "mean", "var", "dev", "p50", "p99", "v_per_s"}) {
        EXPECT_TRUE(shown[name].is_null()) << name;
      }
      return;
    }
    std::sort(v.begin(), v.end());
    EXPECT_TRUE(close(shown["sum"].get<double>(), sum, magnitude));
    EXPECT_TRUE(close(shown["mean"].get<double>(), sum / n, magnitude));
    EXPECT_EQ(shown["low"].get<double>(), v.front());
    EXPECT_EQ(shown["high"].get<double>(), v.back());
    if (seconds > 0) {
      EXPECT_TRUE(close(shown["v_per_s"].get<double>(), sum / seconds, magnitude / seconds));
    }
    check_spread(shown, v, sum / n);
    for (const auto& [name, p] : {std::pair{"p50", 50u}, {"p99", 99u}}) {
      const auto exact = v[(v.size() - 1) * p / 100];
      EXPECT_LE(std::fabs(shown[name].get<double>() - exact), 0.01 * (1 + 1e-9) * std::fabs(exact)) << name;
    }
  }

  static void check_spread(const json& shown, const std::vector<double>& v, double mean) {
    if (v.size() < 2) {
      EXPECT_TRUE(shown["var"].is_null());
      EXPECT_TRUE(shown["dev"].is_null());
      return;
    }
    long double squares = 0;
    for (const auto x : v)
      squares += (static_cast<long double>(x) - mean) * (static_cast<long double>(x) - mean);
    const auto variance = static_cast<double>(squares / static_cast<long double>(v.size() - 1));
    EXPECT_TRUE(close(shown["var"].get<double>(), variance, variance));
    EXPECT_TRUE(close(shown["dev"].get<double>(), std::sqrt(variance), std::sqrt(variance)));
  }

  static void check_top(const json& shown, const std::map<std::string, std::uint64_t>& different) {
    std::vector<std::pair<std::string, std::uint64_t>> order(different.begin(), different.end());
    std::stable_sort(order.begin(), order.end(), [](const auto& a, const auto& b) { return a.second > b.second; });
    order.resize(std::min<std::size_t>(order.size(), 3));
    ASSERT_EQ(shown.size(), order.size());
    for (std::size_t i = 0; i < order.size(); ++i)
      EXPECT_EQ(shown[i], (json{{"value", json::parse(order[i].first)}, {"count", order[i].second}}));
  }
};

// In any number of parts and any order, some of them by way of a checkpoint.
reducer reduced(choices& random, const job_config& job, std::vector<row> rows) {
  std::shuffle(rows.begin(), rows.end(), random.engine());
  std::vector<reducer> parts;
  for (auto n = 1 + random.below(5); n > 0; --n)
    parts.emplace_back(job);
  for (const auto& r : rows) {
    auto& part = parts[random.below(parts.size())];
    EXPECT_TRUE(part.add(r.value.dump(), r.at));
    if (random.one_in(50)) {
      reducer again(job);
      EXPECT_TRUE(again.restore(part.save()));
      part = std::move(again);
    }
  }
  while (parts.size() > 1) {
    std::shuffle(parts.begin(), parts.end(), random.engine());
    const auto last = std::move(parts.back());
    parts.pop_back();
    EXPECT_TRUE(parts[0].merge(last));
  }
  return std::move(parts[0]);
}

TEST(functions, give_the_oracle_s_answer_in_any_split_and_order) {
  const auto seed = seed_of_run();
  for (std::uint64_t round = 0; round < 150; ++round) {
    choices random(seed + round);
    auto job = job_of(all_functions, random.one_in(4) ? std::vector<std::string>{} : std::vector<std::string>{"/g"});
    if (random.one_in(2))
      job.last = duration{1 + random.below(100'000)};
    const auto rows = random_rows(random);
    std::map<std::string, oracle> groups;
    if (job.group_by.empty())
      groups["all"];
    std::int64_t oldest = INT64_MAX, newest = INT64_MIN;
    for (const auto& r : rows) {
      groups[job.group_by.empty() ? "all" : r.value["g"].get<std::string>()].rows.push_back(r);
      oldest = std::min(oldest, r.at.time_ms);
      newest = std::max(newest, r.at.time_ms);
    }
    const auto seconds = job.last          ? static_cast<double>(job.last->count()) / 1000
                         : newest > oldest ? static_cast<double>(newest - oldest) / 1000
                                           : 0.0;
    const auto shown = reduced(random, job, rows).rows();
    ASSERT_EQ(shown.size(), groups.size());
    for (const auto& [key, text] : shown) {
      SCOPED_TRACE("round " + std::to_string(round) + " " + key + " " + text);
      groups.at(key).check(json::parse(text), seconds);
    }
    if (HasFailure())
      return;
  }
}

TEST(functions, that_add_up_no_doubles_give_the_same_text_in_any_split_and_order) {
  const auto seed = seed_of_run();
  std::vector<aggregate_field> fields;
  for (const auto& f : all_functions)
    if (f.name != "sum" && f.name != "mean" && f.name != "var" && f.name != "dev" && f.name != "v_per_s" &&
        f.name != "low" && f.name != "high") // of 1 and 1.0, the earlier one is shown
      fields.push_back(f);
  for (std::uint64_t round = 0; round < 50; ++round) {
    choices random(seed + round);
    const auto rows = random_rows(random);
    const auto job = job_of(fields);
    EXPECT_EQ(reduced(random, job, rows).rows(), reduced(random, job, rows).rows());
  }
}

std::string only_row(const reducer& r) { return r.rows().at(0).second; }

TEST(first_and_last, go_by_time_then_partition_then_position) {
  for (const bool turned : {false, true}) {
    std::vector<std::pair<std::string, stamp>> rows{{R"({"v":1})", {5, partition_id{1}, offset{1}}},
                                                    {R"({"v":2})", {5, partition_id{0}, offset{9}}},
                                                    {R"({"v":3})", {5, partition_id{1}, offset{2}}},
                                                    {R"({"v":4})", {5, partition_id{0}, offset{8}}}};
    if (turned)
      std::reverse(rows.begin(), rows.end());
    reducer r(job_of({{"a", function::first, "/v"}, {"z", function::last, "/v"}}, {}));
    for (const auto& [text, at] : rows)
      ASSERT_TRUE(r.add(text, at));
    EXPECT_EQ(only_row(r), R"({"a":4,"z":3})");
  }
}

TEST(first_and_last, of_one_stamp_go_by_value) {
  for (const bool turned : {false, true}) {
    std::vector<std::string> rows{R"({"v":1.0})", R"({"v":7})", R"({"v":1})"};
    if (turned)
      std::reverse(rows.begin(), rows.end());
    reducer r(job_of({{"a", function::first, "/v"}, {"z", function::last, "/v"}}, {}));
    for (const auto& text : rows)
      ASSERT_TRUE(r.add(text));
    EXPECT_EQ(only_row(r), R"({"a":1,"z":7})");
  }
}

TEST(variance, keeps_its_digits_far_from_zero) {
  reducer r(job_of({{"v", function::var, "/v"}}, {}));
  for (const auto v : {1e9 + 4, 1e9 + 7, 1e9 + 13, 1e9 + 16})
    ASSERT_TRUE(r.add(json{{"v", v}}.dump()));
  EXPECT_EQ(only_row(r), R"({"v":30.0})");
}

TEST(a_rate, is_taken_over_the_window_or_else_over_the_times_of_all_rows) {
  auto job = job_of({{"r", function::rate, ""}, {"b", function::rate, "/bytes"}});
  const auto rows = [&] {
    reducer r(job);
    EXPECT_TRUE(r.add(R"({"g":"a","bytes":100})", {1'000, {}, {}}));
    EXPECT_TRUE(r.add(R"({"g":"b","bytes":50})", {2'000, {}, {}}));
    EXPECT_TRUE(r.add(R"({"g":"b"})", {5'000, {}, {}}));
    return r.rows();
  };
  EXPECT_EQ(rows(), (decltype(rows()){{"a", R"({"r":0.25,"b":25.0})"}, {"b", R"({"r":0.5,"b":12.5})"}}));
  job.last = duration{10'000};
  EXPECT_EQ(rows(), (decltype(rows()){{"a", R"({"r":0.1,"b":10.0})"}, {"b", R"({"r":0.2,"b":5.0})"}}));
  job.last.reset();
  reducer one(job);
  EXPECT_TRUE(one.add(R"({"g":"a"})", {1'000, {}, {}}));
  EXPECT_EQ(only_row(one), R"({"r":null,"b":null})"); // no time passed
}

TEST(distinct_and_top, tell_values_apart_by_type_and_numbers_by_value) {
  reducer r(job_of({{"d", function::distinct, "/m"}, {"t", function::top, "/m", 10}}, {}));
  for (const auto* m : {"1", "1.0", "1e0", "\"1\"", "true", "\"true\"", "null", "[1]", "{}", "-0.0", "0", "0.5",
                        "1e300", "18446744073709551615", "-9223372036854775808"})
    ASSERT_TRUE(r.add(std::string(R"({"m":)") + m + "}"));
  ASSERT_TRUE(r.add("{}"));
  const auto row = json::parse(only_row(r));
  EXPECT_EQ(row["d"], 9);
  EXPECT_EQ(row["t"][0].dump(), R"({"count":3,"value":1})");
  EXPECT_EQ(row["t"][1].dump(), R"({"count":2,"value":0})");
  EXPECT_EQ(row["t"].size(), 9u);
}

TEST(top, leaves_out_what_is_too_long_to_keep) {
  reducer r(job_of({{"d", function::distinct, "/m"}, {"t", function::top, "/m", 10}}, {}));
  ASSERT_TRUE(r.add(json{{"m", std::string(longest_top_text - 2, 'x')}}.dump())); // with its quotes just right
  ASSERT_TRUE(r.add(json{{"m", std::string(longest_top_text - 1, 'x')}}.dump()));
  const auto row = json::parse(only_row(r));
  EXPECT_EQ(row["d"], 2);
  EXPECT_EQ(row["t"].size(), 1u);
}

TEST(a_plan, shares_states_between_fields) {
  const group_plan plan(all_functions);
  EXPECT_EQ(plan.cells.size(), 6u); // first, last, moments, distinct, top, percentiles
  EXPECT_EQ(plan.reads.size(), 2u);
}

TEST(a_reducer, bounds_what_sketches_take) {
  const auto job = job_of({{"d", function::distinct, "/m"}});
  reducer r(job, 1'000, 100'000);
  result<void> added;
  int rows = 0;
  for (; added && rows < 100'000; ++rows)
    added = r.add(json{{"g", rows % 10}, {"m", rows}}.dump());
  ASSERT_FALSE(added);
  EXPECT_EQ(added.error().code, ec::overloaded);
  EXPECT_GT(rows, 1'000);
  EXPECT_LT(rows, 10'000);
  EXPECT_LE(r.save().size(), 110'000u);
}

TEST(a_reducer, goes_on_from_a_checkpoint_of_an_earlier_version) {
  reducer r(job_of({{"n", function::count, ""}, {"s", function::sum, "/v"}}));
  ASSERT_TRUE(r.restore("1 3 0 1 1\n1 33\na{\"v\":1,\"state\":{\"n\":2,\"s\":[2,7]}}"));
  EXPECT_EQ(r.counts().read, 3u);
  EXPECT_EQ(only_row(r), R"({"n":2,"s":7})");
}

TEST(a_reducer, refuses_a_damaged_checkpoint_and_stays_as_it_was) {
  choices random(seed_of_run());
  const auto job = job_of(all_functions);
  reducer r(job);
  for (const auto& each : random_rows(random))
    ASSERT_TRUE(r.add(each.value.dump(), each.at));
  const auto text = r.save();
  reducer other(job);
  ASSERT_TRUE(other.add(R"({"g":"x"})"));
  const auto before = other.rows();
  for (std::size_t cut = 0; cut < text.size(); cut += 1 + text.size() / 200)
    EXPECT_FALSE(other.restore(std::string_view(text).substr(0, cut))) << cut;
  EXPECT_FALSE(other.restore(text + "x"));
  EXPECT_FALSE(other.restore("3" + text.substr(1)));
  EXPECT_EQ(other.rows(), before);
  EXPECT_TRUE(other.restore(text));
  EXPECT_EQ(other.rows(), r.rows());
}

} // namespace
} // namespace weir::batch
