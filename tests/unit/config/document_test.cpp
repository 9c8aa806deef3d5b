#include "tests/unit/config/fixture.hpp"

#include <gmock/gmock.h>

namespace weir::config_test {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

struct broken {
  const char* rule;
  std::string text;
  int line, column;
  const char* said; // a part of the message
};

void PrintTo(const broken& b, std::ostream* out) { *out << b.text; }

class a_text_that_is_no_json : public ::testing::TestWithParam<broken> {};

TEST_P(a_text_that_is_no_json, is_refused_at_its_place) {
  const auto& p = GetParam();
  const auto result = load(p.text);
  ASSERT_FALSE(result.problems.empty());
  const auto& first = result.problems.front();
  EXPECT_EQ(first.line, p.line) << to_string(first);
  EXPECT_EQ(first.column, p.column) << to_string(first);
  EXPECT_THAT(to_string(first), HasSubstr(p.said));
}

INSTANTIATE_TEST_SUITE_P(
    syntax, a_text_that_is_no_json,
    ::testing::Values(
        broken{"empty", "", 1, 1, "an empty text"}, broken{"only_a_comment", "// nothing\n", 1, 1, "an empty text"},
        broken{"not_closed", "{\n\"topology\": \"x\",\n\"kafka\": {", 3, 11, "before the object of line 3 is closed"},
        broken{"array_not_closed", "{\"a\": [1", 1, 9, "before the array of line 1 is closed; is a ']' missing?"},
        broken{"comma_missing", "{\n  \"topology\": \"x\"\n  \"kafka\": {}\n}", 3, 3, "is a ',' missing before it?"},
        broken{"single_quotes", "{\n'topology': 'x'}", 2, 1, "double quotes"},
        broken{"name_without_quotes", "{\n  topology: \"x\"}", 2, 3, "double quotes"},
        broken{"value_without_quotes", "{\"topology\": fleet}", 1, 14, "literals are true, false and null"},
        broken{"string_not_closed", "{\"topology\": \"x\n}", 1, 14, "missing at the end of the string"},
        broken{"comment_not_closed", "{\"topology\": \"x\"} /* oops", 1, 19, "no valid JSON"},
        broken{"hash_comment", "{\n# no\n}", 2, 1, "comments begin with //"},
        broken{"something_after", "{\"topology\": \"x\"}\n{}", 2, 1, "no valid JSON"},
        broken{"huge_number", "{\"topology\": 1e999}", 1, 14, "beyond the range"},
        broken{"invalid_utf8", "{\"topology\": \"\xFF\"}", 1, 14, "no valid JSON"},
        broken{"an_array", "[1]", 1, 1, "a topology is an object, not an array"}),
    [](const auto& one) { return one.param.rule; });

TEST(document, a_comma_with_nothing_after_it_is_refused_and_the_rest_still_checked) {
  const auto result =
      load("{\n \"topology\": \"x\",\n \"http\": {\"origins\": [\"https://a\", ],},\n \"kafca\": {},\n}");
  EXPECT_THAT(lines(result.problems),
              ElementsAre("t:3:34: a comma with nothing after it before ']'; remove the comma",
                          "t:3:37: a comma with nothing after it before '}'; remove the comma",
                          "t:4:2: /kafca: unknown key 'kafca'; did you mean 'kafka'?",
                          "t:4:13: a comma with nothing after it before '}'; remove the comma"));
}

TEST(document, comments_may_stand_wherever_space_may) {
  const auto result =
      load("// first\n/* a, } */{/**/\"topology\"/*:*/:// x\n\"x\" /* \"y\" */ , \"sources\": {} }// last");
  EXPECT_TRUE(result.ok()) << joined(result.problems);
  EXPECT_EQ(result.value.name, "x");
}

TEST(document, a_comment_s_marks_inside_a_string_are_text) {
  const auto result = load(R"({"topology": "x", "redis": {"url": "redis://h:1/2"}, "kafka": {"brokers": "b:1"}})");
  EXPECT_TRUE(result.ok()) << joined(result.problems);
  EXPECT_EQ(result.value.redis.url, "redis://h:1/2");
}

TEST(document, a_byte_order_mark_and_crlf_do_no_harm) {
  const auto result = load("\xEF\xBB\xBF{\r\n\"topology\": \"x\",\r\n\"oops\": 1}");
  EXPECT_THAT(lines(result.problems), ElementsAre(HasSubstr("t:3:1: /oops: unknown key 'oops'")));
}

TEST(document, columns_count_characters_not_bytes) {
  const auto result = load("{\"topology\": \"x\", /* \xC3\xA4\xE2\x82\xAC */ \"oops\": 1}");
  ASSERT_EQ(result.problems.size(), 1u);
  EXPECT_EQ(result.problems[0].column, 28);
}

TEST(document, two_members_of_one_name_are_refused_everywhere) {
  const auto result = load(R"({"topology": "x", "topology": "y",
    "sources": {"s": {"topic": "t"}, "s": {"topic": "u"}},
    "tables": {
      "a": {"from": "s", "kind": "latest"},
      "a": {"from": "s", "kind": "log", "kind": "log"}
    }})");
  EXPECT_THAT(
      lines(result.problems),
      ElementsAre(
          "t:1:19: /topology: a second member named 'topology' (the first is on line 1); remove one, or give it "
          "another name",
          "t:2:38: /sources/s: a second member named 's' (the first is on line 2); remove one, or give it another name",
          "t:5:7: /tables/a: a second member named 'a' (the first is on line 4); remove one, or give it another name",
          "t:5:41: /tables/a/kind: a second member named 'kind' (the first is on line 5); remove one, or give it "
          "another name"));
}

TEST(document, of_two_members_of_one_name_the_first_counts) {
  const auto result = load(R"({"topology": "x", "topology": "a b", "http": {}, "http": {"lissten": 1}})");
  EXPECT_EQ(result.problems.size(), 2u) << joined(
      result.problems); // the repetitions themselves, nothing of what is in them
  EXPECT_EQ(result.value.name, "x");
}

TEST(document, names_that_are_equal_once_unescaped_are_equal) {
  EXPECT_THAT(joined(load("{\"topology\": \"x\", \"\\u0074opology\": \"y\"}").problems),
              HasSubstr("a second member named 'topology'"));
}

TEST(document, nesting_is_bounded) {
  const auto nested = [](int depth) {
    return "{\"topology\": \"x\", \"kafka\": " + std::string(static_cast<std::size_t>(depth - 1), '[') +
           std::string(static_cast<std::size_t>(depth - 1), ']') + "}";
  };
  EXPECT_THAT(joined(load(nested(topology_depth_limit)).problems), HasSubstr("'kafka' is an object, not an array"));
  EXPECT_THAT(joined(load(nested(topology_depth_limit + 1)).problems),
              HasSubstr("more than 64 objects and arrays within each other"));
  EXPECT_THAT(joined(load(std::string(1'000'000, '[')).problems), HasSubstr("more than 64 objects and arrays"));
}

TEST(document, a_syntax_error_does_not_repeat_the_text) {
  for (const auto* text :
       {R"({"redis": {"password": "hunter2)", R"({"redis": {"password": hunter2}})",
        R"({"redis": {"password": "a" "hunter2"}})", "{\"redis\": {\"password\": \"hunter2\x01\"}}"}) {
    const auto said = lines(load(text).problems);
    EXPECT_FALSE(said.empty());
    EXPECT_THAT(said, Each(::testing::Not(HasSubstr("hunter2"))));
  }
}

TEST(document, a_large_file_is_refused_before_it_is_parsed) {
  EXPECT_EQ(lines(load(std::string(topology_file_limit + 1, ' ')).problems),
            (std::vector<std::string>{"t: more than 1048576 bytes; is it the right file?"}));
  const folder f;
  const auto path = f.write("big.jsonc", std::string(topology_file_limit + 1, ' '));
  EXPECT_THAT(joined(load_topology_file(path).problems), HasSubstr("more than 1048576 bytes"));
}

TEST(document, a_file_that_is_not_there_or_a_folder_is_a_problem) {
  const folder f;
  EXPECT_THAT(joined(load_topology_file(f.path() / "none").problems), HasSubstr("can't be read: No such file"));
  EXPECT_THAT(joined(load_topology_file(f.path()).problems), HasSubstr("is a folder"));
}

} // namespace
} // namespace weir::config_test
