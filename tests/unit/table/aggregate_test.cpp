#include "table_test.hpp"

#include "runtime/table/aggregate.hpp"

#include <gtest/gtest.h>
#include <limits>

namespace weir::table {
namespace {

using testing::all_fields;
using testing::seeded;

const auto fields = all_fields();

std::optional<number> i(std::int64_t v) { return number(v); }
std::optional<number> u(std::uint64_t v) { return number(v); }
std::optional<number> d(double v) { return number(v); }

stamp at(std::int64_t time, std::int32_t partition, std::int64_t place) {
  return {time, partition_id{partition}, offset{place}};
}

// One value in all fields.
void add(aggregate_state& s, std::optional<number> v, stamp when = {}) {
  const std::vector<std::optional<number>> values(fields.size(), v);
  s.add(values, when);
}

aggregate_state of(std::initializer_list<std::optional<number>> values, std::int32_t partition = 0) {
  aggregate_state s(fields);
  std::int64_t n = 0;
  for (const auto& v : values)
    add(s, v, at(n, partition, n)), ++n;
  return s;
}

aggregate_state again(const aggregate_state& s) {
  auto parsed = aggregate_state::parse(fields, s.to_json(fields));
  EXPECT_TRUE(parsed) << s.to_json(fields);
  return parsed ? std::move(*parsed) : aggregate_state(fields);
}

TEST(aggregate_state, shows_null_where_nothing_was_seen_and_fields_in_the_topologys_order) {
  EXPECT_EQ(of({}).to_row(fields), R"({"n":0,"sum":null,"low":null,"high":null,"mean":null,"one":null,"now":null})");
  EXPECT_EQ(of({std::nullopt, std::nullopt}).to_row(fields),
            R"({"n":2,"sum":null,"low":null,"high":null,"mean":null,"one":null,"now":null})");
  EXPECT_EQ(of({i(3), std::nullopt, i(-1), d(2.5)}).to_row(fields),
            R"({"n":4,"sum":4.5,"low":-1,"high":3,"mean":1.5,"one":3,"now":2.5})");
  EXPECT_EQ(of({i(3), i(4)}).to_row(fields), R"({"n":2,"sum":7,"low":3,"high":4,"mean":3.5,"one":3,"now":4})");
}

TEST(aggregate_state, integer_sums_are_exact_to_64_bits_and_beyond_shown_as_a_double) {
  EXPECT_NE(of({i(9007199254740993), i(2)}).to_row(fields).find(R"("sum":9007199254740995,)"), std::string::npos);
  EXPECT_NE(of({i(INT64_MAX), i(INT64_MAX)}).to_row(fields).find(R"("sum":18446744073709551614,)"), std::string::npos);
  EXPECT_NE(of({u(UINT64_MAX), u(UINT64_MAX)}).to_row(fields).find(R"("sum":36893488147419103232.0,)"),
            std::string::npos);
  EXPECT_NE(of({i(INT64_MIN), i(INT64_MIN)}).to_row(fields).find(R"("sum":-18446744073709551616.0,)"),
            std::string::npos);
  EXPECT_NE(of({u(UINT64_MAX), i(1), i(-1)}).to_row(fields).find(R"("sum":18446744073709551615,)"), std::string::npos)
      << "nothing was lost on the way";
}

TEST(aggregate_state, doubles_are_added_in_log_order_from_the_first_one_on) {
  const auto s = of({i(9007199254740993), d(0.5), i(1)});
  std::string expected;
  append(expected, (static_cast<double>(9007199254740993) + 0.5) + 1.0);
  EXPECT_NE(s.to_row(fields).find("\"sum\":" + expected + ","), std::string::npos) << s.to_row(fields);
}

TEST(aggregate_state, a_total_that_is_not_finite_is_null_but_kept) {
  const auto s = of({d(1.7e308), d(1.7e308)});
  EXPECT_NE(s.to_row(fields).find(R"("sum":null,)"), std::string::npos);
  EXPECT_TRUE(again(s).identical(s));
  const auto none = of({d(1.7e308), d(1.7e308)});
  auto both = none;
  both.merge(of({d(-1.7e308), d(-1.7e308)}));
  EXPECT_TRUE(again(both).identical(both)) << both.to_json(fields);
}

TEST(aggregate_state, of_equal_values_the_earlier_stays_and_an_integer_stays_one) {
  EXPECT_NE(of({d(1.0), i(1)}).to_row(fields).find(R"("low":1.0,"high":1.0)"), std::string::npos);
  EXPECT_NE(of({i(1), d(1.0)}).to_row(fields).find(R"("low":1,"high":1)"), std::string::npos);
  EXPECT_NE(of({u(UINT64_MAX), d(1.5), i(-7)}).to_row(fields).find(R"("low":-7,"high":18446744073709551615)"),
            std::string::npos);
}

TEST(aggregate_state, first_and_last_follow_the_log_within_a_partition_and_the_stamp_between_them) {
  aggregate_state p(fields), q(fields);
  add(p, i(1), at(100, 0, 0));
  add(p, i(2), at(50, 0, 1)); // an earlier timestamp later in the log
  add(q, i(3), at(60, 1, 0));
  EXPECT_NE(p.to_row(fields).find(R"("one":1,"now":2)"), std::string::npos);
  p.merge(q);
  EXPECT_NE(p.to_row(fields).find(R"("one":3,"now":3)"), std::string::npos) << p.to_row(fields);
}

std::optional<number> any_value(std::mt19937_64& random, bool whole) {
  switch (random() % (whole ? 5 : 8)) {
  case 0: return std::nullopt;
  case 1: return i(static_cast<std::int64_t>(random()));
  case 2: return u(random());
  case 3:
  case 4: return i(static_cast<std::int64_t>(random() % 2001) - 1000);
  case 5: return d(std::uniform_real_distribution<double>(-1e3, 1e3)(random));
  case 6:
    return d(
        std::ldexp(std::uniform_real_distribution<double>(-1, 1)(random), static_cast<int>(random() % 2000) - 1000));
  default: return d(-0.0);
  }
}

TEST(aggregate_state, text_gives_back_the_same_bits) {
  auto random = seeded();
  for (int round = 0; round < 300; ++round) {
    aggregate_state s(fields);
    const auto n = random() % 12;
    for (std::uint64_t k = 0; k < n; ++k)
      add(s, any_value(random, round % 2 == 0),
          at(static_cast<std::int64_t>(random() % 5) - 1, 3, static_cast<std::int64_t>(k)));
    ASSERT_TRUE(again(s).identical(s)) << s.to_json(fields);
    ASSERT_EQ(again(s).to_json(fields), s.to_json(fields));
  }
}

TEST(aggregate_state, may_be_written_and_read_between_any_two_records) {
  auto random = seeded();
  aggregate_state straight(fields), stored(fields);
  for (std::int64_t k = 0; k < 2000; ++k) {
    const auto v = any_value(random, false);
    add(straight, v, at(k, 0, k));
    add(stored, v, at(k, 0, k));
    if (random() % 3 == 0)
      stored = again(stored);
    ASSERT_TRUE(stored.identical(straight));
  }
}

TEST(aggregate_state, integers_merge_to_the_same_in_any_grouping) {
  auto random = seeded();
  for (int round = 0; round < 100; ++round) {
    std::vector<aggregate_state> parts;
    for (std::int32_t p = 0; p < 6; ++p) {
      auto& s = parts.emplace_back(fields);
      const auto n = random() % 4;
      for (std::uint64_t k = 0; k < n; ++k)
        add(s, any_value(random, true), at(static_cast<std::int64_t>(random() % 4), p, static_cast<std::int64_t>(k)));
    }
    auto left = parts[0];
    for (std::size_t p = 1; p < parts.size(); ++p)
      left.merge(parts[p]);
    while (parts.size() > 1) { // join any two neighbours
      const auto at_part = random() % (parts.size() - 1);
      parts[at_part].merge(again(parts[at_part + 1]));
      parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(at_part) + 1);
    }
    ASSERT_TRUE(parts[0].identical(left)) << parts[0].to_json(fields) << " is not " << left.to_json(fields);
  }
}

TEST(aggregate_state, text_that_is_no_state_is_refused) {
  const auto good = of({i(1), d(2.5)}).to_json(fields);
  for (std::size_t n = 0; n < good.size(); ++n)
    EXPECT_FALSE(aggregate_state::parse(fields, good.substr(0, n))) << n;
  EXPECT_FALSE(aggregate_state::parse(fields, good + "}"));
  EXPECT_FALSE(aggregate_state::parse(fields, R"({"v":2,"state":{}})"));
  const std::vector<aggregate_field> other{{"m", function::count, ""}};
  EXPECT_FALSE(aggregate_state::parse(other, good)) << "of another definition";
}

} // namespace
} // namespace weir::table
