#include "runtime/config/condition.hpp"

#include "tests/unit/config/fixture.hpp"

#include <gmock/gmock.h>

namespace weir::config_test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(conditions, a_value_is_equality_and_operators_all_hold) {
  const auto c = parse_condition(
      R"({"/a": "x", "/b": {"gt": 1, "lte": 2.5}, "/c": null, "/d": true, "/e": {"in": [1, "y", null, false]},
    "/f": {"prefix": "p"}, "/g": {"exists": false}, "/h": {"ne": -5}, "/i": {"gte": 18446744073709551615}, "/j": {"lt": "m"}})");
  ASSERT_TRUE(c.ok()) << joined(c.problems);
  const auto& t = c.value.all;
  ASSERT_EQ(t.size(), 11u);
  EXPECT_EQ(t[0].pointer, "/a");
  EXPECT_EQ(t[0].op, comparison::eq);
  EXPECT_EQ(std::get<std::string>(t[0].operands[0]), "x");
  EXPECT_EQ(t[1].op, comparison::gt);
  EXPECT_EQ(std::get<std::int64_t>(t[1].operands[0]), 1);
  EXPECT_EQ(t[2].op, comparison::lte);
  EXPECT_EQ(std::get<double>(t[2].operands[0]), 2.5);
  EXPECT_EQ(t[3].operands[0], scalar(nullptr));
  EXPECT_EQ(t[4].operands[0], scalar(true));
  EXPECT_EQ(t[5].op, comparison::in);
  EXPECT_EQ(t[5].operands.size(), 4u);
  EXPECT_EQ(t[6].op, comparison::prefix);
  EXPECT_EQ(t[7].op, comparison::exists);
  EXPECT_EQ(t[7].operands[0], scalar(false));
  EXPECT_EQ(t[8].op, comparison::ne);
  EXPECT_EQ(std::get<std::int64_t>(t[8].operands[0]), -5);
  EXPECT_EQ(t[9].op, comparison::gte);
  EXPECT_EQ(std::get<std::uint64_t>(t[9].operands[0]), 18446744073709551615ull);
  EXPECT_EQ(t[10].op, comparison::lt);
}

TEST(conditions, any_is_or_and_may_nest) {
  const auto c = parse_condition(R"({"/a": 1, "any": [{"/b": 1}, {"/c": 2, "any": [{"/d": 3}]}]})");
  ASSERT_TRUE(c.ok()) << joined(c.problems);
  EXPECT_EQ(c.value.all.size(), 1u);
  ASSERT_EQ(c.value.any.size(), 2u);
  EXPECT_EQ(c.value.any[1].any[0].all[0].pointer, "/d");
}

TEST(conditions, an_empty_one_always_holds) {
  const auto c = parse_condition("{}");
  EXPECT_TRUE(c.ok());
  EXPECT_TRUE(c.value.empty());
  EXPECT_EQ(canonical_text(c.value), "");
}

TEST(conditions, all_problems_are_told_below_the_given_pointer) {
  const auto c = parse_condition(
      R"({"a": 1, "/b": [1], "/c": {}, "/d": {"gt": null}, "/e": {"in": []}, "/f": {"in": 1}, "/g": {"exists": 1}, "/h": {"prefix": 1},
    "any": {}, "": 1, "/i": {"in": [[]]}, "/j": {"eq": {}}})",
      "/where");
  std::vector<std::string> at;
  for (const auto& p : c.problems)
    at.push_back(p.pointer);
  EXPECT_THAT(at, ElementsAre("/where/a", "/where/~1b", "/where/~1c", "/where/~1d/gt", "/where/~1e/in", "/where/~1f/in",
                              "/where/~1g/exists", "/where/~1h/prefix", "/where/any", "/where/", "/where/~1i/in/0",
                              "/where/~1j/eq"));
}

TEST(conditions, a_text_that_is_no_json_is_a_problem) {
  EXPECT_FALSE(parse_condition("").ok());
  EXPECT_FALSE(parse_condition("{\"/a\": 1").ok());
  EXPECT_FALSE(parse_condition("[]").ok());
  EXPECT_FALSE(parse_condition("{\"/a\": 1} // no comments from clients").ok());
  EXPECT_FALSE(parse_condition(R"({"/a": 1, "/a": 2})").ok());
}

TEST(conditions, clients_see_no_environment) {
  const auto c = parse_condition(R"({"/a": "${HOME}"})");
  ASSERT_TRUE(c.ok());
  EXPECT_EQ(std::get<std::string>(c.value.all[0].operands[0]), "${HOME}");
}

TEST(conditions, are_bounded) {
  std::string many = "{";
  for (std::size_t i = 0; i <= condition_test_limit; ++i)
    many += (i ? ",\"/" : "\"/") + std::to_string(i) + "\":1";
  EXPECT_THAT(joined(parse_condition(many + "}").problems), HasSubstr("more than 1000 tests"));
  std::string values = R"({"/a": {"in": [1)";
  for (std::size_t i = 0; i < condition_operand_limit; ++i)
    values += ",1";
  EXPECT_THAT(joined(parse_condition(values + "]}}").problems), HasSubstr("10000 values"));
  EXPECT_THAT(joined(parse_condition(std::string(65537, ' ')).problems), HasSubstr("more than 65536 bytes"));
  std::string deep = "{}";
  for (int i = 0; i < 10; ++i)
    deep = R"({"any": [)" + deep + "]}";
  EXPECT_THAT(joined(parse_condition(deep).problems), HasSubstr("deep"));
}

TEST(conditions, one_meaning_has_one_text) {
  const auto text = [](std::string_view json) { return canonical_text(parse_condition(json).value); };
  EXPECT_EQ(text(R"({"/a": 1, "/b": {"gt": 2, "lt": 5}})"), text(R"({"/b": {"lt": 5, "gt": 2}, "/a": {"eq": 1}})"));
  EXPECT_EQ(text(R"({"any": [{"/a": 1}, {"/b": 2}]})"), text(R"({"any": [{"/b": 2}, {"/a": 1}]})"));
  EXPECT_NE(text(R"({"/a": 1})"), text(R"({"/a": "1"})"));
  EXPECT_NE(text(R"({"/a": 1, "/b": 2})"), text(R"({"any": [{"/a": 1}, {"/b": 2}]})"));
}

} // namespace
} // namespace weir::config_test
