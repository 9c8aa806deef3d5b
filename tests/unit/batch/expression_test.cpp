#include "runtime/batch/expression.hpp"

#include "runtime/batch/derive.hpp"
#include "runtime/batch/reduce.hpp"
#include "tests/unit/batch/random.hpp"

#include <cmath>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <optional>

namespace weir::batch {
namespace {

using batch_test::choices;
using batch_test::seed_of_run;
using json = nlohmann::json;

constexpr std::string_view sample =
    R"( {"cpu": 7, "cores": 2, "half": 0.5, "big": 9223372036854775807, "site": "n\"ord", "on": true, "none": null,
      "list": [5, 6], "at": {"rack": 3}, "a-b": 1, "ts": "1970-01-01T00:07:30Z", "ms": 1700000123456, "": 8, "ü": 9})";

// The derived field as JSON text.
std::string value_of(std::string_view text, std::string_view row = sample) {
  const std::vector<std::pair<std::string, std::string>> fields{{"x", std::string(text)}};
  const auto parsed = expression::parse(text);
  if (!parsed)
    return "column " + std::to_string(parsed.error().column) + ": " + parsed.error().what;
  derivation d(fields);
  table::record_reader reader;
  EXPECT_EQ(reader.read(row), "");
  const std::string made(d.apply(reader, 90'061'234));
  EXPECT_EQ(reader.read(made), "") << made;
  const auto x = json::parse(made)["x"]; // the only one: the sample has none
  return x.dump();
}

TEST(an_expression, counts) {
  for (const auto& [text, value] :
       std::initializer_list<std::pair<const char*, const char*>>{{"/cpu", "7"},
                                                                  {"/at/rack", "3"},
                                                                  {"/list/1", "6"},
                                                                  {"`/a-b` + 1", "2"},
                                                                  {"`/`", "8"},
                                                                  {"/ü", "9"},
                                                                  {"1 + 2 * 3", "7"},
                                                                  {"(1 + 2) * 3", "9"},
                                                                  {"10 - 4 - 3", "3"},
                                                                  {"2 * -3", "-6"},
                                                                  {"--4", "4"},
                                                                  {"/cpu*100", "700"},
                                                                  {"/cpu-1", "6"},
                                                                  {"/cpu / /cores", "3.5"},
                                                                  {"/cpu /2", "3.5"},
                                                                  {"(/cpu)/2", "3.5"},
                                                                  {"8 / 2", "4.0"},
                                                                  {"7 % 4", "3"},
                                                                  {"-7 % 4", "-3"},
                                                                  {"7.5 % 2", "1.5"},
                                                                  {"1e2 + .5", "100.5"},
                                                                  {"/half + /half", "1.0"},
                                                                  {"/big + 1", "9223372036854775808"},
                                                                  {"/big * 2 + 1", "18446744073709551615"},
                                                                  {"/big * 4", "3.6893488147419103e+19"},
                                                                  {"-/big - 1", "-9223372036854775808"},
                                                                  {"-/big - 2", "-9.223372036854776e+18"},
                                                                  {"-9223372036854775808 % -1", "0"},
                                                                  {"/cpu / 0", "null"},
                                                                  {"/cpu % 0", "null"},
                                                                  {"0 / 0", "null"},
                                                                  {"1e308 * 10", "null"},
                                                                  {"/missing + 1", "null"},
                                                                  {"/none + 1", "null"},
                                                                  {"/site + 1", "null"},
                                                                  {"/on + 1", "null"},
                                                                  {"/list", "null"},
                                                                  {"abs(-3)", "3"},
                                                                  {"abs(/big)", "9223372036854775807"},
                                                                  {"abs(-9223372036854775808)", "9223372036854775808"},
                                                                  {"abs(-0.5)", "0.5"},
                                                                  {"floor(3.7)", "3"},
                                                                  {"floor(-3.2)", "-4"},
                                                                  {"ceil(3.2)", "4"},
                                                                  {"round(2.5)", "3"},
                                                                  {"round(-2.5)", "-3"},
                                                                  {"round(1e300)", "1e+300"},
                                                                  {"floor(/site)", "null"},
                                                                  {"floor(/cpu)", "7"}})
    EXPECT_EQ(value_of(text), value) << text;
}

TEST(an_expression, makes_texts_and_takes_the_first_value_there_is) {
  for (const auto& [text, value] : std::initializer_list<std::pair<const char*, const char*>>{
           {"'it''s'", R"("it's")"},
           {"concat(/site, '-', /at/rack, '/', /on, /half)", R"("n\"ord-3/true0.5")"},
           {"concat(/site, /none)", "null"},
           {"concat('')", R"("")"},
           {"coalesce(/missing, /none, /list, /cpu)", "7"},
           {"coalesce(/missing, null)", "null"},
           {"coalesce(/cpu / 0, 'none')", R"("none")"},
           {"true", "true"},
           {"null", "null"}})
    EXPECT_EQ(value_of(text), value) << text;
  const std::string half(longest_derived / 2, 'x');
  EXPECT_EQ(value_of("concat(/t, /t)", json{{"t", half}}.dump()).size(), longest_derived + 2);
  EXPECT_EQ(value_of("concat(/t, /t, 'y')", json{{"t", half}}.dump()), "null");
}

TEST(an_expression, puts_times_into_buckets) {
  EXPECT_EQ(value_of("time()"), "90061234");
  EXPECT_EQ(value_of("bucket(time(), '1d')"), "86400000");
  EXPECT_EQ(value_of("bucket(/ts, '5m')"), "300000");
  EXPECT_EQ(value_of("bucket(/ms, '1s')"), "1700000123000");
  EXPECT_EQ(value_of("bucket(1700000123, '1s')"), "1700000123000"); // seconds, by their size
  EXPECT_EQ(value_of("bucket(-1, '1h')"), "-3600000");              // downwards also before 1970
  EXPECT_EQ(value_of("bucket(/site, '5m')"), "null");
}

TEST(an_expression, says_what_is_wrong_and_where) {
  for (const auto& [text, fault] : std::initializer_list<std::pair<const char*, const char*>>{
           {"", "column 1: an operand is missing"},
           {"1 +", "column 4: an operand is missing"},
           {"1 2", "column 3: an operator is expected, not '2'"},
           {"'ü' ü", "column 5: an operator is expected, not 'ü'"},
           {"cpu * 2", "column 1: 'cpu' is neither a pointer nor a function"},
           {"/a/ 2", "column 1: '/a/' is a pointer to a field without a name"},
           {"2 * / 3", "column 5: '/' is a pointer to a field without a name"},
           {"\"a\"", "column 1: an operand is expected, not '\"'"},
           {"(1 + 2", "column 1: a '(' without its ')'"},
           {"abs(1, 2)", "column 1: 'abs' takes one argument, not 2"},
           {"time(1)", "column 1: 'time' takes no argument, not 1"},
           {"concat()", "column 1: 'concat' takes one argument or more, not 0"},
           {"sqrt(2)", "column 1: unknown function 'sqrt'"},
           {"'a", "column 1: a text without its closing quote"},
           {"1 + `/a", "column 5: a pointer without its closing backtick"},
           {"`a`", "column 1: 'a' is no JSON Pointer"},
           {"`/a~2`", "column 1: '/a~2' is no JSON Pointer"},
           {"``", "column 1: '' is no JSON Pointer"},
           {"1e999", "column 1: is no number that a double can hold"},
           {"5x", "column 2: an operator is expected, not 'x'"},
           {"bucket(/a)", "column 10: the width of the buckets is missing"},
           {"bucket(/a, 5)", "column 12: the width of the buckets is a duration in quotes"},
           {"bucket(/a, '5')", "column 12: '5' is no duration"},
           {"bucket(/a, '0s')", "column 12: '0s' is no duration"},
           {"bucket(/a, '1s', 2)", "column 7: a '(' without its ')'"}})
    EXPECT_EQ(value_of(text), fault) << text;
}

TEST(an_expression, is_bounded_in_length_depth_and_size) {
  const auto fault = [](const std::string& text) {
    const auto parsed = expression::parse(text);
    return parsed ? "" : parsed.error().what;
  };
  const auto times = [](const char* what, std::size_t n) {
    std::string out;
    for (; n > 0; --n)
      out += what;
    return out;
  };
  EXPECT_EQ(fault(times("(", 31) + "1" + times(")", 31)), "");
  EXPECT_EQ(fault(times("(", 32) + "1" + times(")", 32)), "goes deeper than 32 levels");
  EXPECT_EQ(fault(times("-", 31) + "1"), "");
  EXPECT_EQ(fault(times("-", 4000) + "1"), "goes deeper than 32 levels");
  EXPECT_EQ(fault("1" + times("+1", 127)), "");
  EXPECT_EQ(fault("1" + times("+1", 128)), "has more than 256 operators, functions and operands");
  EXPECT_EQ(fault(times(" ", longest_expression - 1) + "1"), "");
  EXPECT_EQ(fault(times(" ", longest_expression) + "1"), "is longer than 4096 bytes");
}

TEST(an_expression, of_any_bytes_is_parsed_or_refused) {
  choices random(seed_of_run());
  constexpr std::string_view letters = "/a1 .,()+-*%'`~\xc3\xbc\"ebucket5mtime";
  for (int i = 0; i < 20'000; ++i) {
    std::string text;
    for (auto n = random.below(24); n > 0; --n)
      text += letters[random.below(letters.size())];
    const auto parsed = expression::parse(text);
    if (!parsed) {
      ASSERT_GE(parsed.error().column, 1u);
      ASSERT_LE(parsed.error().column, text.size() + 1);
      ASSERT_FALSE(parsed.error().what.empty());
    }
  }
}

// Trees of arithmetic beside an evaluation in doubles (and in 64 bits where all are small integers).
struct made {
  std::string text;
  std::optional<double> value;
};

made random_tree(choices& random, int depth) {
  if (depth == 0 || random.one_in(4)) {
    const auto v = static_cast<double>(random.below(20));
    return random.one_in(3) ? made{"/v" + std::to_string(static_cast<int>(v)), v}
                            : made{std::to_string(static_cast<int>(v)), v};
  }
  const auto a = random_tree(random, depth - 1), b = random_tree(random, depth - 1);
  const auto both = a.value && b.value;
  switch (random.below(5)) {
  case 0: return {"(" + a.text + " + " + b.text + ")", both ? std::optional(*a.value + *b.value) : std::nullopt};
  case 1: return {"(" + a.text + " - " + b.text + ")", both ? std::optional(*a.value - *b.value) : std::nullopt};
  case 2: return {"(" + a.text + " * " + b.text + ")", both ? std::optional(*a.value * *b.value) : std::nullopt};
  case 3:
    return {"(" + a.text + " / " + b.text + ")",
            both && *b.value != 0 ? std::optional(*a.value / *b.value) : std::nullopt};
  default: return {"-" + a.text, a.value ? std::optional(-*a.value) : std::nullopt};
  }
}

TEST(an_expression, gives_what_a_plain_evaluation_gives) {
  choices random(seed_of_run());
  json row;
  for (int i = 0; i < 20; ++i)
    row["v" + std::to_string(i)] = i;
  for (int i = 0; i < 2'000; ++i) {
    const auto tree = random_tree(random, 4);
    const auto shown = json::parse(value_of(tree.text, row.dump()));
    ASSERT_EQ(shown.is_null(), !tree.value) << tree.text;
    if (tree.value) {
      ASSERT_NEAR(shown.get<double>(), *tree.value, 1e-12 * std::fabs(*tree.value)) << tree.text;
    }
  }
}

TEST(derived_fields, build_on_each_other_and_come_before_the_row_s_own) {
  const std::vector<std::pair<std::string, std::string>> fields{
      {"cpu", "coalesce(/cpu, 0)"}, {"load", "/cpu * 2"}, {"a\"/b", "`/load` + 1"}, {"twice", "`/a\"~1b` * 2"}};
  derivation d(fields);
  table::record_reader reader;
  ASSERT_EQ(reader.read(R"({"load": 99, "rest": [1]})"), "");
  EXPECT_EQ(d.apply(reader, 0), R"({"cpu":0,"load":0,"a\"/b":1,"twice":2,"load": 99, "rest": [1]})");
  ASSERT_EQ(reader.read(" { } "), "");
  EXPECT_EQ(d.apply(reader, 0), R"({"cpu":0,"load":0,"a\"/b":1,"twice":2 })");
  for (const auto* inside : {"/load/x", "/later"}) {
    const std::vector<std::string> earlier{"load"}, later{"later"};
    EXPECT_FALSE(expression::parse(inside, earlier, later)) << inside;
  }
}

TEST(derived_fields, are_there_for_where_groups_and_functions) {
  job_config job;
  job.name = "j";
  job.derive = {
      {"per_core", "/cpu / /cores"}, {"minute", "bucket(time(), '1m')"}, {"id", "concat(/site, '-', /minute)"}};
  job.where.all.push_back({"/per_core", comparison::gte, {scalar(1.0)}});
  job.group_by = {"/id"};
  job.fields = {{"n", function::count, ""}, {"most", function::max, "/per_core"}, {"from", function::min, "/minute"}};
  reducer r(job);
  ASSERT_TRUE(r.add(R"({"site":"a","cpu":4,"cores":2})", {60'001, {}, {}}));
  ASSERT_TRUE(r.add(R"({"site":"a","cpu":9,"cores":2})", {119'999, {}, {}}));
  ASSERT_TRUE(r.add(R"({"site":"a","cpu":1,"cores":2})", {60'001, {}, {}})); // filtered
  ASSERT_TRUE(r.add(R"({"site":"a","cpu":3,"cores":1})", {120'000, {}, {}}));
  ASSERT_TRUE(r.add(R"({"cpu":3,"cores":1})", {120'000, {}, {}})); // no site: no id
  std::string shown;
  for (const auto& [key, row] : r.rows())
    shown += key + "=" + row + " ";
  EXPECT_EQ(shown, R"(a-120000={"n":1,"most":3.0,"from":120000} a-60000={"n":2,"most":4.5,"from":60000} )");
  EXPECT_EQ(r.counts().filtered, 1u);
  EXPECT_EQ(r.counts().skipped, 1u);
}

} // namespace
} // namespace weir::batch
