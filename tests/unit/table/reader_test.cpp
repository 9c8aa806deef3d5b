#include "table_test.hpp"

#include "runtime/table/raw.hpp"
#include "runtime/table/record_reader.hpp"

#include <gtest/gtest.h>

namespace weir::table {
namespace {

std::string nested(std::size_t depth) { return "{\"a\":" + std::string(depth, '[') + std::string(depth, ']') + "}"; }

TEST(record_reader, accepts_one_json_object_and_trims_white_space) {
  record_reader reader;
  EXPECT_EQ(reader.read(" \r\n\t{\"a\": 1}\n "), "");
  EXPECT_EQ(reader.text(), "{\"a\": 1}");
  EXPECT_EQ(reader.given(), " \r\n\t{\"a\": 1}\n ");
  EXPECT_EQ(reader.read("{}"), "");
}

TEST(record_reader, refuses_everything_else_with_a_reason) {
  using namespace std::string_literals;
  const std::pair<std::string, std::string> cases[] = {
      {"", "empty"},
      {" \n", "empty"},
      {"[1]", "not a JSON object"},
      {"1", "not a JSON object"},
      {"null", "not a JSON object"},
      {"\"{}\"", "not a JSON object"},
      {"garbage", "not a JSON object"},
      {"\xEF\xBB\xBF{}", "not a JSON object"},
      {"{", "invalid JSON"},
      {"{\"a\":1", "invalid JSON"},
      {"{\"a\":1}{}", "invalid JSON"},
      {"{\"a\":1} x", "invalid JSON"},
      {"{\"a\":1,}", "invalid JSON"},
      {"{a:1}", "invalid JSON"},
      {"{\"a\":tru}", "invalid JSON"},
      {"{\"a\":NaN}", "invalid JSON"},
      {"{} // note", "invalid JSON"},
      {"{\"a\":1}\0"s, "invalid JSON"},
      {"{\"a\":1e400}", "number"},
      {"{\"a\":-1e400}", "number"},
      {"{\"a\":01}", "number"},
      {"{\"a\":1.}", "number"},
      {"{\"a\":\"\xC0\xAF\"}", "invalid UTF-8"},
      {"{\"a\":\"\xED\xA0\x80\"}", "invalid UTF-8"},
      {"{\"\xFF\":1}", "invalid UTF-8"},
      {"{\"a\":\"\\ud800\"}", "invalid JSON string"},
      {"{\"a\":\"\\x\"}", "invalid JSON string"},
      {"{\"a\":\"tab\there\"}", "invalid JSON string"},
      {"{\"a\":\"open}", "invalid JSON string"},
      {nested(1200), "nested too deeply"},
      {nested(100'000), "nested too deeply"},
  };
  record_reader reader;
  for (const auto& [value, reason] : cases) {
    const std::string got(reader.read(value));
    EXPECT_TRUE(!got.empty() && got.starts_with(reason)) << value.substr(0, 40) << ": " << got;
    EXPECT_EQ(reader.text(), "");
  }
  EXPECT_NE(reader.read("{\"a\":18446744073709551616}"), "") << "beyond 64 bits";
  EXPECT_EQ(reader.read("{\"a\":18446744073709551615,\"b\":-9223372036854775808}"), "");
  EXPECT_EQ(reader.read(nested(1000)), "");
}

TEST(record_reader, goes_on_after_ten_megabytes_and_gives_the_memory_back) {
  record_reader reader;
  const auto big = "{\"a\":\"" + std::string(10 << 20, 'x') + "\"}";
  EXPECT_EQ(reader.read(big, 1 << 20), "too large");
  EXPECT_TRUE(reader.given().empty());
  EXPECT_EQ(reader.read(big), "");
  EXPECT_EQ(reader.text().size(), big.size());
  EXPECT_GE(reader.capacity(), big.size());
  for (int i = 0; i < 1200; ++i)
    ASSERT_EQ(reader.read("{\"a\":" + std::to_string(i) + "}"), "");
  EXPECT_EQ(reader.number_at(pointer("/a"))->integer(), 1199);
  EXPECT_LE(reader.capacity(), std::size_t{64} << 10);
  EXPECT_EQ(reader.read(big), "");
}

TEST(record_reader, finds_values_by_pointer_and_the_first_of_duplicates_counts) {
  record_reader reader;
  ASSERT_EQ(reader.read(R"({"a":{"b":[10,{"c":"x\u0041"}]},"a":{"b":[99]},"":3,"x/y":true,"n":null,"\u0065":4.5})"),
            "");
  EXPECT_EQ(reader.number_at(pointer("/a/b/0"))->integer(), 10);
  EXPECT_EQ(reader.at(pointer("/a/b/1/c")).text, "xA");
  EXPECT_EQ(reader.number_at(pointer("/"))->integer(), 3);
  EXPECT_TRUE(reader.at(pointer("/x~1y")).boolean);
  EXPECT_EQ(reader.at(pointer("/n")).is, field::kind::null);
  EXPECT_EQ(reader.at(pointer("/e")).num.real(), 4.5);
  EXPECT_EQ(reader.at(pointer("/a")).is, field::kind::object);
  EXPECT_EQ(reader.at(pointer("/a/b")).is, field::kind::array);
  EXPECT_EQ(reader.at(pointer("")).is, field::kind::object);
  for (const auto* missing : {"/b", "/a/b/2", "/a/b/00", "/a/b/-", "/n/x", "/a/b/0/c", "/x"})
    EXPECT_EQ(reader.at(pointer(missing)).is, field::kind::missing) << missing;
}

TEST(record_reader, a_key_is_a_string_a_number_or_a_boolean) {
  record_reader reader;
  const auto key = [&](std::string_view json) -> std::optional<std::string> {
    EXPECT_EQ(reader.read("{\"k\":" + std::string(json) + ",\"k\":\"second\"}"), "");
    std::string_view found;
    return reader.key_at(pointer("/k"), found) ? std::optional(std::string(found)) : std::nullopt;
  };
  EXPECT_EQ(key("\"m-1\""), "m-1");
  EXPECT_EQ(key("\"\\u0041\\n\""), "A\n");
  EXPECT_EQ(key("\"\""), "");
  EXPECT_EQ(key("17"), "17");
  EXPECT_EQ(key("-0"), "-0");
  EXPECT_EQ(key("0"), "0");
  EXPECT_EQ(key("1.50"), "1.50");
  EXPECT_EQ(key("1E2"), "1E2");
  EXPECT_EQ(key("18446744073709551615"), "18446744073709551615");
  EXPECT_EQ(key("true"), "true");
  EXPECT_EQ(key("null"), std::nullopt);
  EXPECT_EQ(key("[]"), std::nullopt);
  EXPECT_EQ(key("{}"), std::nullopt);
  EXPECT_EQ(key("\"" + std::string(1024, 'k') + "\""), std::string(1024, 'k'));
  EXPECT_EQ(key("\"" + std::string(1025, 'k') + "\""), std::nullopt);
}

TEST(record_key, is_utf8_of_at_most_a_kibibyte) {
  EXPECT_TRUE(usable_record_key("machine-0001"));
  EXPECT_TRUE(usable_record_key("größe"));
  EXPECT_TRUE(usable_record_key(""));
  EXPECT_TRUE(usable_record_key(std::string(1024, 'k')));
  EXPECT_FALSE(usable_record_key(std::string(1025, 'k')));
  EXPECT_FALSE(usable_record_key("12345678\xFF"));
  EXPECT_FALSE(usable_record_key("\xFF"));
  EXPECT_FALSE(usable_record_key("\xF0\x28\x8C\x28"));
}

std::string selected(const std::vector<std::pair<std::string, std::string>>& fields, std::string_view json) {
  record_reader reader;
  EXPECT_EQ(reader.read(json), "");
  selection s(fields);
  std::string out;
  s.append_row(out, "{}"); // a pass before must leave nothing behind
  out.clear();
  s.append_row(out, reader.text());
  EXPECT_EQ(reader.read(out), "") << out;
  return out;
}

TEST(selection, copies_values_as_they_were_written_in_the_order_of_its_fields) {
  const auto* json = R"( {"a" : 1.50 ,"s":"\u00e9\"}","o":{"x":[1, 2,{"y":-0}], "z":{}},"e":1E5} )";
  EXPECT_EQ(
      selected({{"e", "/e"}, {"num", "/a"}, {"text", "/s"}, {"y", "/o/x/2/y"}, {"x", "/o/x"}, {"z", "/o/z"}}, json),
      R"({"e":1E5,"num":1.50,"text":"\u00e9\"}","y":-0,"x":[1, 2,{"y":-0}],"z":{}})");
}

TEST(selection, leaves_missing_values_out_and_takes_the_first_of_duplicates) {
  EXPECT_EQ(selected({{"b", "/a/b"}, {"c", "/c"}}, R"({"a":1,"a":{"b":2},"c":3,"c":4})"), R"({"c":3})");
  EXPECT_EQ(selected({{"b", "/a/b"}}, R"({"a":{"x":0,"b":1,"b":2},"a":{"b":3}})"), R"({"b":1})");
  EXPECT_EQ(selected({{"b", "/missing"}}, R"({"a":1})"), "{}");
  EXPECT_EQ(selected({{"n", "/n"}}, R"({"n":null})"), R"({"n":null})");
}

TEST(selection, finds_names_through_their_escapes_and_keeps_line_breaks_out) {
  EXPECT_EQ(selected({{"q\"", "/e\""}, {"u", "/\xF0\x9F\x98\x80"}, {"w", "/w"}},
                     "{\"\\u0065\\\"\":1,\"\\ud83d\\ude00\":2,\"w\":[1,\r\n \"a b\\\\\"]}"),
            R"({"q\"":1,"u":2,"w":[1,"a b\\"]})");
}

TEST(selection, one_value_may_be_selected_twice_and_together_with_its_parts) {
  EXPECT_EQ(selected({{"a", "/o"}, {"b", "/o"}, {"c", "/o/x"}, {"all", ""}}, R"({"o":{"x":1}})"),
            R"({"a":{"x":1},"b":{"x":1},"c":1,"all":{"o":{"x":1}}})");
}

TEST(minify, drops_white_space_between_tokens_only) {
  std::string out;
  append_minified(out, "{ \"a b\" :\r\n [ 1 , \"\\\" x\" ,\t\"\\\\\" ] }");
  EXPECT_EQ(out, "{\"a b\":[1,\"\\\" x\",\"\\\\\"]}");
}

} // namespace
} // namespace weir::table
