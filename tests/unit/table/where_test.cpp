#include "table_test.hpp"

#include "runtime/table/where.hpp"

#include <gtest/gtest.h>

namespace weir::table {
namespace {

bool holds(comparison op, std::vector<scalar> operands, std::string_view value) {
  const where w(condition{{test{"/v", op, std::move(operands)}}, {}});
  record_reader scratch;
  const auto row = value.empty() ? std::string("{\"w\":1}") : "{\"v\":" + std::string(value) + "}";
  const bool by_text = w.matches(row, scratch);
  EXPECT_EQ(scratch.read(row), "");
  EXPECT_EQ(w.matches(scratch), by_text);
  return by_text;
}

scalar i(std::int64_t v) { return v; }
scalar u(std::uint64_t v) { return v; }
scalar d(double v) { return v; }
scalar s(const char* v) { return std::string(v); }

TEST(where, numbers_are_equal_by_value_across_integers_and_doubles) {
  EXPECT_TRUE(holds(comparison::eq, {i(1)}, "1.0"));
  EXPECT_TRUE(holds(comparison::eq, {u(1)}, "1"));
  EXPECT_TRUE(holds(comparison::eq, {d(1.0)}, "1"));
  EXPECT_FALSE(holds(comparison::eq, {d(9007199254740992.0)}, "9007199254740993"));
  EXPECT_TRUE(holds(comparison::ne, {d(9007199254740992.0)}, "9007199254740993"));
  EXPECT_TRUE(holds(comparison::gt, {i(-1)}, "18446744073709551615"));
  EXPECT_TRUE(holds(comparison::gte, {u(18446744073709551615u)}, "18446744073709551615"));
  EXPECT_FALSE(holds(comparison::gt, {d(0.5)}, "0"));
  EXPECT_TRUE(holds(comparison::lt, {d(0.5)}, "-0.0"));
  EXPECT_TRUE(holds(comparison::lte, {i(3)}, "3"));
}

TEST(where, strings_compare_by_bytes_after_unescaping) {
  EXPECT_TRUE(holds(comparison::eq, {s("A")}, R"("\u0041")"));
  EXPECT_TRUE(holds(comparison::lt, {s("a")}, R"("B")"));
  EXPECT_TRUE(holds(comparison::gt, {s("z")}, R"("é")"));
  EXPECT_TRUE(holds(comparison::prefix, {s("ber")}, R"("berlin")"));
  EXPECT_FALSE(holds(comparison::prefix, {s("berlin2")}, R"("berlin")"));
  EXPECT_FALSE(holds(comparison::prefix, {s("1")}, "12"));
}

TEST(where, values_of_different_types_never_match_but_are_unequal) {
  EXPECT_FALSE(holds(comparison::eq, {s("1")}, "1"));
  EXPECT_TRUE(holds(comparison::ne, {s("1")}, "1"));
  for (const auto op : {comparison::gt, comparison::gte, comparison::lt, comparison::lte}) {
    EXPECT_FALSE(holds(op, {i(1)}, R"("2")"));
    EXPECT_FALSE(holds(op, {s("a")}, "null"));
    EXPECT_FALSE(holds(op, {scalar(true)}, "true")) << "booleans have no order";
    EXPECT_FALSE(holds(op, {i(1)}, "[1]"));
  }
  EXPECT_FALSE(holds(comparison::eq, {scalar(true)}, "1"));
  EXPECT_TRUE(holds(comparison::eq, {scalar(true)}, "true"));
  EXPECT_TRUE(holds(comparison::ne, {scalar(true)}, "{}"));
}

TEST(where, a_missing_field_matches_only_ne_and_exists_false) {
  for (const auto op : {comparison::eq, comparison::gt, comparison::gte, comparison::lt, comparison::lte,
                        comparison::in, comparison::prefix})
    EXPECT_FALSE(holds(op, {s("x")}, ""));
  EXPECT_FALSE(holds(comparison::eq, {scalar(nullptr)}, ""));
  EXPECT_TRUE(holds(comparison::ne, {s("x")}, ""));
  EXPECT_TRUE(holds(comparison::exists, {scalar(false)}, ""));
  EXPECT_FALSE(holds(comparison::exists, {scalar(true)}, ""));
}

TEST(where, null_exists_and_equals_only_null) {
  EXPECT_TRUE(holds(comparison::exists, {scalar(true)}, "null"));
  EXPECT_TRUE(holds(comparison::eq, {scalar(nullptr)}, "null"));
  EXPECT_FALSE(holds(comparison::eq, {scalar(nullptr)}, "0"));
  EXPECT_TRUE(holds(comparison::ne, {scalar(nullptr)}, "0"));
}

TEST(where, in_is_equal_to_one_of_them) {
  EXPECT_TRUE(holds(comparison::in, {s("a"), i(2), scalar(nullptr)}, "2.0"));
  EXPECT_TRUE(holds(comparison::in, {s("a"), i(2), scalar(nullptr)}, "null"));
  EXPECT_FALSE(holds(comparison::in, {s("a"), i(2)}, R"("b")"));
  EXPECT_FALSE(holds(comparison::in, {}, "1"));
}

TEST(where, all_tests_and_one_of_the_alternatives_have_to_hold) {
  const condition c{{test{"/a", comparison::gte, {i(1)}}},
                    {condition{{test{"/b", comparison::eq, {s("x")}}}, {}},
                     condition{{test{"/c", comparison::exists, {scalar(true)}}}, {}}}};
  const where w(c);
  record_reader scratch;
  EXPECT_TRUE(w.matches(R"({"a":1,"b":"x"})", scratch));
  EXPECT_TRUE(w.matches(R"({"a":2,"c":null})", scratch));
  EXPECT_FALSE(w.matches(R"({"a":2,"b":"y"})", scratch));
  EXPECT_FALSE(w.matches(R"({"a":0,"b":"x"})", scratch));
  EXPECT_FALSE(w.matches("[1]", scratch));
  EXPECT_TRUE(where().always());
  EXPECT_TRUE(where(condition{}).matches("anything", scratch));
}

} // namespace
} // namespace weir::table
