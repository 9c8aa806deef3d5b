#include "proto/client_command.hpp"
#include "proto/client_reply.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace {

using namespace weir;
using json = nlohmann::json;

TEST(client_command, several_commands_in_one_message_come_out_in_order) {
  const auto parsed = parse_commands(
      "{\"connect\":{\"name\":\"js\",\"token\":\"s\"},\"id\":1}\n"
      "{\"id\":2,\"subscribe\":{\"channel\":\"machines\",\"type\":1,\"phase\":2,\"flag\":1,\"limit\":50}}\n\n"
      "{}\r\n{\"id\":3,\"rpc\":{\"method\":\"x\"}}\n{\"send\":{\"data\":1}}\n{\"id\":4,\"dance\":{}}");
  EXPECT_EQ(parsed.problem, "");
  ASSERT_EQ(parsed.commands.size(), 6u);
  EXPECT_EQ(parsed.commands[0].kind, command_kind::connect);
  EXPECT_EQ(parsed.commands[0].connect.name, "js");
  EXPECT_EQ(parsed.commands[0].connect.token, "s");
  const auto& s = parsed.commands[1].subscribe;
  EXPECT_EQ(s.channel, "machines");
  EXPECT_EQ(s.type, 1u);
  EXPECT_EQ(s.phase, 2u);
  EXPECT_EQ(s.limit, 50u);
  EXPECT_EQ(parsed.commands[2].kind, command_kind::pong);
  EXPECT_EQ(parsed.commands[3].kind, command_kind::rpc);
  EXPECT_EQ(parsed.commands[4].kind, command_kind::send);
  EXPECT_EQ(parsed.commands[5].kind, command_kind::unknown);
  EXPECT_EQ(parsed.commands[5].id, 4u);
}

TEST(client_command, a_resume_carries_its_position_exactly) {
  const auto parsed = parse_commands(
      R"({"id":6,"subscribe":{"channel":"history","recover":true,"offset":1795390325831512,"epoch":"e7f3","data":{ "where" : {"/a": 1} },"delta":"fossil"}})");
  ASSERT_EQ(parsed.commands.size(), 1u);
  const auto& s = parsed.commands[0].subscribe;
  EXPECT_TRUE(s.recover);
  EXPECT_EQ(s.offset, 1795390325831512u);
  EXPECT_EQ(s.epoch, "e7f3");
  EXPECT_EQ(s.where, R"({"/a":1})");
  EXPECT_TRUE(s.delta);
}

TEST(client_command, filters_and_rates_are_noticed) {
  const auto parsed = parse_commands(
      R"({"id":1,"subscribe":{"channel":"t","data":{"where":{},"max_rate":"2/s","tags":true},"tf":{"key":"a"}}})");
  ASSERT_EQ(parsed.commands.size(), 1u);
  EXPECT_EQ(parsed.commands[0].subscribe.where, "{}");
  EXPECT_EQ(parsed.commands[0].subscribe.max_rate, "2/s");
  EXPECT_TRUE(parsed.commands[0].subscribe.tags);
  EXPECT_EQ(parsed.commands[0].subscribe.data_problem, "");
  for (const auto* data : {R"({"were":{}})", R"({"max_rate":2})", R"({"tags":"yes"})", "[]", "7"}) {
    const auto wrong = parse_commands(std::string(R"({"id":1,"subscribe":{"channel":"t","data":)") + data + "}}");
    ASSERT_EQ(wrong.commands.size(), 1u) << data;
    EXPECT_NE(wrong.commands[0].subscribe.data_problem, "") << data;
  }
  EXPECT_TRUE(parsed.commands[0].subscribe.has_tags_filter);
  const auto absent = parse_commands(R"({"id":1,"subscribe":{"channel":"t","data":null,"tf":null,"epoch":null}})");
  ASSERT_EQ(absent.commands.size(), 1u);
  EXPECT_FALSE(absent.commands[0].subscribe.has_tags_filter);
}

TEST(client_command, what_is_malformed_is_a_problem_and_what_came_before_stands) {
  const std::string deep = std::string(40, '[') + std::string(40, ']');
  const std::string bad[] = {"",
                             "\n \n",
                             "hello",
                             "[]",
                             "1",
                             "\"{}\"",
                             "{",
                             "{\"id\":1,\"subscribe\":{\"channel\":5}}",
                             "{\"id\":1,\"subscribe\":{}}",
                             "{\"id\":1,\"subscribe\":[]}",
                             "{\"id\":1,\"subscribe\":{\"channel\":\"t\",\"offset\":-1}}",
                             "{\"id\":1,\"subscribe\":{\"channel\":\"t\",\"offset\":1.5}}",
                             "{\"id\":1,\"subscribe\":{\"channel\":\"t\",\"phase\":4294967296}}",
                             "{\"id\":1,\"subscribe\":{\"channel\":\"" + std::string(256, 'x') + "\"}}",
                             "{\"id\":1,\"subscribe\":{\"channel\":\"t\",\"cursor\":\"" + std::string(5000, 'x') +
                                 "\"}}",
                             "{\"id\":1,\"unsubscribe\":{}}",
                             "{\"subscribe\":{\"channel\":\"t\"}}",
                             "{\"id\":0,\"ping\":{}}",
                             "{\"id\":-1,\"ping\":{}}",
                             "{\"id\":4294967296,\"ping\":{}}",
                             "{\"id\":\"1\",\"ping\":{}}",
                             "{\"id\":1,\"ping\":{},\"rpc\":{}}",
                             "{\"foo\":{}}",
                             "{\"id\":1,\"rpc\":{\"data\":" + deep + "}}",
                             "{\"id\":1,\"ping\":{}} {}",
                             "{\"id\":1,\"rpc\":{\"data\":\"\xff\xfe\"}}",
                             "{\"id\":1,\"rpc\":{\"data\":1e999}}",
                             std::string("{\"id\":1,\"ping\":{}}\0", 19)};
  for (const auto& text : bad) {
    const auto parsed = parse_commands("{\"id\":9,\"ping\":{}}\n" + text);
    if (text.find_first_not_of(" \n") == std::string::npos)
      EXPECT_NE(parse_commands(text).problem, "");
    else
      EXPECT_NE(parsed.problem, "") << text;
    ASSERT_GE(parsed.commands.size(), 1u) << text;
    EXPECT_EQ(parsed.commands[0].id, 9u);
  }
}

TEST(client_command, depth_stays_bounded_after_a_large_message) {
  const std::string large = "{\"id\":1,\"rpc\":{\"data\":\"" + std::string(100'000, 'x') + "\"}}";
  EXPECT_EQ(parse_commands(large).problem, "");
  const std::string deep = "{\"id\":1,\"rpc\":{\"data\":" + std::string(100, '[') + std::string(100, ']') + "}}";
  EXPECT_NE(parse_commands(deep).problem, "");
  const std::string large_and_deep =
      "{\"id\":1,\"rpc\":{\"data\":" + std::string(150'000, '[') + std::string(150'000, ']') + "}}";
  EXPECT_NE(parse_commands(large_and_deep).problem, "");
}

TEST(client_command, the_number_of_commands_in_a_message_is_bounded) {
  std::string text;
  for (int i = 0; i < 512; ++i)
    text += "{}\n";
  EXPECT_EQ(parse_commands(text).problem, "");
  EXPECT_NE(parse_commands(text + "{}").problem, "");
}

TEST(client_reply, texts_are_json_whatever_they_say) {
  const std::string nasty = "a\"b\\c\n\x01\x7f\xc3\xbc";
  EXPECT_EQ(json::parse(error_reply(7, 100, nasty, true)),
            (json{{"id", 7}, {"error", {{"code", 100}, {"message", nasty}, {"temporary", true}}}}));
  EXPECT_FALSE(json::parse(error_reply(7, 107, "x"))["error"].contains("temporary"));
  EXPECT_EQ(json::parse(connect_reply(1, nasty, "0.1", 25)),
            (json{{"id", 1}, {"connect", {{"client", nasty}, {"version", "0.1"}, {"ping", 25}, {"pong", true}}}}));
  EXPECT_EQ(json::parse(subscribe_reply_text(2, "{\"offset\":1}")), (json{{"id", 2}, {"subscribe", {{"offset", 1}}}}));
  EXPECT_EQ(json::parse(empty_reply(3, "ping")), (json{{"id", 3}, {"ping", json::object()}}));
  EXPECT_EQ(json::parse(unsubscribe_push(nasty, 2500, "why")),
            (json{{"push", {{"channel", nasty}, {"unsubscribe", {{"code", 2500}, {"reason", "why"}}}}}}));
}

TEST(client_command, a_history_command_says_how_much_from_where_and_in_which_order) {
  const auto parsed = parse_commands(
      R"({"id":3,"history":{"channel":"history","limit":-1,"since":{"offset":12,"epoch":"e"},"reverse":true}})");
  ASSERT_EQ(parsed.commands.size(), 1u);
  const auto& h = parsed.commands[0].history;
  EXPECT_EQ(h.channel, "history");
  EXPECT_EQ(h.limit, -1);
  EXPECT_TRUE(h.has_since);
  EXPECT_EQ(h.offset, 12u);
  EXPECT_EQ(h.epoch, "e");
  EXPECT_TRUE(h.reverse);
  EXPECT_FALSE(parse_commands(R"({"id":3,"history":{"limit":1}})").problem.empty()) << "no channel";
  EXPECT_FALSE(parse_commands(R"({"id":3,"history":{"channel":"h","limit":"1"}})").problem.empty());
}

} // namespace
