#include "runtime/batch/reduce.hpp"

#include <gtest/gtest.h>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <random>

namespace weir::batch {
namespace {

using json = nlohmann::json;

job_config rollup(std::vector<std::string> group_by = {"/site"}) {
  job_config job;
  job.name = "rollup";
  job.group_by = std::move(group_by);
  job.fields = {{"n", function::count, ""},
                {"total", function::sum, "/v"},
                {"mean", function::avg, "/v"},
                {"high", function::max, "/v"}};
  return job;
}

std::string shown(const reducer& r) {
  std::string out;
  for (const auto& [key, row] : r.rows())
    out += key + "=" + row + " ";
  return out;
}

TEST(reducer, groups_filters_and_counts) {
  auto job = rollup();
  job.where.all.push_back({"/v", comparison::gte, {scalar(std::int64_t{0})}});
  reducer r(job);
  for (const auto* row :
       {R"({"site":"b","v":1})", R"({"site":"a","v":2.5})", R"({"site":"b","v":3})", R"({"site":"b","v":-1})",
        R"({"v":1})", R"({"site":null,"v":1})", "broken", R"({"site":7,"v":0})"})
    EXPECT_TRUE(r.add(row));
  EXPECT_EQ(shown(r), R"(7={"n":1,"total":0,"mean":0.0,"high":0} a={"n":1,"total":2.5,"mean":2.5,"high":2.5} )"
                      R"(b={"n":2,"total":4,"mean":2.0,"high":3} )");
  EXPECT_EQ(r.counts().read, 8u);
  EXPECT_EQ(r.counts().filtered, 1u);
  EXPECT_EQ(r.counts().skipped, 3u);
  EXPECT_EQ(r.groups(), 3u);
}

TEST(reducer, without_a_group_there_is_one_row_also_for_nothing) {
  reducer r(rollup({}));
  EXPECT_EQ(shown(r), R"(all={"n":0,"total":null,"mean":null,"high":null} )");
  EXPECT_TRUE(r.add(R"({"v":4})"));
  EXPECT_EQ(shown(r), R"(all={"n":1,"total":4,"mean":4.0,"high":4} )");
}

TEST(reducer, several_group_fields_make_one_key_that_tells_their_values_apart) {
  auto job = rollup({"/site", "/kind", "/at/rack"});
  job.fields.resize(1);
  reducer r(job);
  for (const auto* row :
       {R"({"site":"a","kind":"b","at":{"rack":1}})", R"({"site":"a","kind":"b","at":{"rack":"1"}})",
        R"({"site":"a\",\"b","kind":"c","at":{"rack":1}})", R"({"site":"a","kind":"b\",\"c","at":{"rack":1}})",
        R"({"site":"","kind":true,"at":{"rack":-0.5}})", R"({"site":"ü\n","kind":"b","at":{"rack":1}})"})
    EXPECT_TRUE(r.add(row));
  EXPECT_EQ(shown(r), R"(["","true","-0.5"]={"n":1} ["a","b","1"]={"n":2} ["a","b\",\"c","1"]={"n":1} )"
                      R"(["a\",\"b","c","1"]={"n":1} ["ü\u000a","b","1"]={"n":1} )");
  EXPECT_TRUE(r.add(R"({"site":"a","kind":"b"})"));                  // a part is missing
  EXPECT_TRUE(r.add(R"({"site":"a","kind":null,"at":{"rack":1}})")); // or is no key
  EXPECT_EQ(r.counts().skipped, 2u);
  const std::string half(500, 'x');
  EXPECT_TRUE(
      r.add(json{{"site", half}, {"kind", half}, {"at", {{"rack", std::string(14, 'x')}}}}.dump())); // 1,024 in all
  EXPECT_EQ(r.counts().skipped, 2u);
  EXPECT_TRUE(r.add(json{{"site", half}, {"kind", half}, {"at", {{"rack", std::string(15, 'x')}}}}.dump()));
  EXPECT_EQ(r.counts().skipped, 3u);
}

TEST(reducer, keys_of_several_fields_read_back_as_what_they_were_made_of) {
  const auto seed = std::random_device{}();
  std::cout << "seed " << seed << '\n';
  std::mt19937 random(seed);
  auto job = rollup({"/a", "/b"});
  job.fields.resize(1);
  std::map<std::pair<std::string, std::string>, int> plain;
  reducer r(job);
  constexpr std::string_view letters = "\"\\,[] a\n/~";
  const auto word = [&] {
    std::string out;
    for (auto n = random() % 4; n > 0; --n)
      out += letters[random() % letters.size()];
    return out;
  };
  for (int i = 0; i < 5'000; ++i) {
    const auto a = word(), b = word();
    ++plain[{a, b}];
    ASSERT_TRUE(r.add(json{{"a", a}, {"b", b}}.dump()));
  }
  const auto rows = r.rows();
  ASSERT_EQ(rows.size(), plain.size());
  for (const auto& [key, row] : rows) {
    const auto parts = json::parse(key).get<std::vector<std::string>>();
    ASSERT_EQ(json::parse(row)["n"], plain.at({parts.at(0), parts.at(1)})) << key;
  }
}

TEST(reducer, too_many_groups_are_an_error) {
  reducer r(rollup(), 2);
  EXPECT_TRUE(r.add(R"({"site":1})"));
  EXPECT_TRUE(r.add(R"({"site":2})"));
  EXPECT_TRUE(r.add(R"({"site":1})"));
  const auto third = r.add(R"({"site":3})");
  ASSERT_FALSE(third);
  EXPECT_EQ(third.error().code, ec::overloaded);
  reducer other(rollup(), 2);
  EXPECT_TRUE(other.add(R"({"site":4})"));
  EXPECT_FALSE(r.merge(other));
}

TEST(reducer, parts_merged_in_partition_order_equal_a_plain_reduction) {
  const auto seed = std::random_device{}();
  std::cout << "seed " << seed << '\n';
  std::mt19937 random(seed);
  for (int round = 0; round < 20; ++round) {
    std::vector<reducer> parts;
    std::map<std::string, std::vector<std::int64_t>> plain;
    for (int p = 0; p < 4; ++p) {
      auto& r = parts.emplace_back(rollup());
      for (int i = 0; i < 50; ++i) {
        const auto site = "s" + std::to_string(random() % 7);
        const auto v = static_cast<std::int64_t>(random() % 1000);
        plain[site].push_back(v);
        ASSERT_TRUE(r.add(json{{"site", site}, {"v", v}}.dump()));
      }
    }
    for (std::size_t p = 1; p < parts.size(); ++p)
      ASSERT_TRUE(parts[0].merge(parts[p]));
    EXPECT_EQ(parts[0].counts().read, 200u);
    const auto rows = parts[0].rows();
    ASSERT_EQ(rows.size(), plain.size());
    for (const auto& [key, row] : rows) {
      std::int64_t sum = 0, high = -1;
      for (const auto v : plain[key])
        sum += v, high = std::max(high, v);
      const auto n = plain[key].size();
      ASSERT_EQ(
          json::parse(row),
          (json{
              {"n", n}, {"total", sum}, {"mean", static_cast<double>(sum) / static_cast<double>(n)}, {"high", high}}));
    }
  }
}

} // namespace
} // namespace weir::batch
