#include "runtime/http/event_client.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

using namespace weir;
using namespace weir::http;
using json = nlohmann::json;

namespace {

// The commands as JSON, one each.
std::vector<json> said(event_client& c, bool room = true) {
  std::vector<json> out;
  const auto text = c.take_commands(room);
  std::size_t at = 0;
  while (at < text.size()) {
    const auto end = std::min(text.find('\n', at), text.size());
    out.push_back(json::parse(text.substr(at, end - at)));
    at = end + 1;
  }
  return out;
}

event_request table(std::string name) {
  event_request r;
  r.channel = std::move(name);
  return r;
}

event_request log_table(std::string last_id = {}) {
  auto r = table("history");
  r.log = true;
  r.last_event_id = std::move(last_id);
  return r;
}

event_request resuming(std::string last_id) {
  auto r = table("machines");
  r.last_event_id = std::move(last_id);
  return r;
}

} // namespace

TEST(event_client, connects_with_its_token_and_asks_for_the_state) {
  auto r = table("machines/a \"b\"");
  r.token = "t.o.k";
  r.data = R"({"where":{"/cpu":{"gt":0.5}}})";
  event_client c(r, 1500);
  const auto commands = said(c);
  ASSERT_EQ(commands.size(), 2u);
  EXPECT_EQ(commands[0]["connect"]["token"], "t.o.k");
  EXPECT_EQ(commands[1]["subscribe"], json::parse(R"({"channel":"machines/a \"b\"","type":1,"phase":2,
      "data":{"where":{"/cpu":{"gt":0.5}}}})"));
  EXPECT_FALSE(c.started());
}

TEST(event_client, pages_of_state_come_as_snapshots_and_the_last_one_says_so) {
  event_client c(table("machines"), 1500);
  said(c);
  c.on_reply(R"({"id":1,"connect":{"client":"x","ping":25,"pong":true}})");
  EXPECT_FALSE(c.started());
  c.on_reply(R"({"id":2,"subscribe":{"type":1,"phase":2,"epoch":"e1","offset":70,"cursor":"c/1",)"
             R"("state":[{"key":"a","data":{"n":1.50},"offset":60},{"key":"b\"","data":{"t":"x]}\\"},"offset":61}]}})");
  EXPECT_TRUE(c.started());
  EXPECT_EQ(c.take_events(), "retry: 1500\n\n"
                             "event: snapshot\ndata: {\"rows\":{\"a\":{\"n\":1.50},\"b\\\"\":{\"t\":\"x]}\\\\\"}}}\n\n");
  EXPECT_TRUE(said(c, false).empty()); // not before the first page is on its way
  EXPECT_TRUE(c.wants_room());
  const auto next = said(c);
  ASSERT_EQ(next.size(), 1u);
  EXPECT_EQ(next[0], json::parse(R"({"id":3,"subscribe":{"channel":"machines","type":1,"phase":2,"cursor":"c/1",
      "epoch":"e1","offset":70}})"));
  c.on_reply(R"({"id":3,"subscribe":{"type":1,"epoch":"e1","offset":80,"recoverable":true,"positioned":true,)"
             R"("state":[{"key":"c","data":{},"offset":62}],)"
             R"("publications":[{"key":"a","removed":true,"data":{},"offset":75},{"key":"b","data":{"n":2},"offset":80}]}})");
  EXPECT_EQ(c.take_events(), "event: snapshot\ndata: {\"rows\":{\"c\":{}},\"done\":true}\n\n"
                             "event: change\ndata: {\"key\":\"a\",\"removed\":true}\nid: e1:75\n\n"
                             "event: change\ndata: {\"key\":\"b\",\"data\":{\"n\":2}}\nid: e1:80\n\n"
                             "id: e1:80\n\n");
}

TEST(event_client, an_empty_table_is_a_snapshot_without_rows) {
  event_client c(table("machines"), 1000);
  said(c);
  c.on_reply(R"({"id":2,"subscribe":{"type":1,"epoch":"e1","offset":5,"recoverable":true,"positioned":true}})");
  EXPECT_EQ(c.take_events(),
            "retry: 1000\n\nevent: snapshot\ndata: {\"rows\":{},\"done\":true}\nid: e1:5\n\nid: e1:5\n\n");
}

TEST(event_client, frames_become_events_and_only_a_whole_position_has_an_id) {
  event_client c(table("machines"), 1000);
  c.on_reply(R"({"id":2,"subscribe":{"type":1,"epoch":"e1","offset":5}})");
  EXPECT_EQ(c.events_of("{\"push\":{\"channel\":\"machines\",\"pub\":{\"key\":\"a\",\"data\":{\"x\":[1,\r2]}}}}\n"
                        "{\"push\":{\"channel\":\"machines\",\"pub\":{\"key\":\"b\",\"removed\":true,\"data\":{},"
                        "\"tags\":{\"t\":\"1\"},\"offset\":9}}}"),
            "event: change\ndata: {\"key\":\"a\",\"data\":{\"x\":[1, 2]}}\n\n"
            "event: change\ndata: {\"key\":\"b\",\"removed\":true,\"tags\":{\"t\":\"1\"}}\nid: e1:9\n\n");
}

TEST(event_client, entries_of_a_log_have_their_place_in_kafka) {
  event_client c(log_table(), 1000);
  EXPECT_EQ(said(c)[1]["subscribe"], json::parse(R"({"channel":"history"})"));
  c.on_reply(R"({"id":2,"subscribe":{"epoch":"e","offset":7,"recoverable":true,"positioned":true}})");
  EXPECT_EQ(c.take_events(), "retry: 1000\n\nid: e:7\n\n");
  EXPECT_EQ(c.events_of(R"({"push":{"channel":"history","pub":{"data":{"a":1},"tags":{"p":"3","o":"18"},"offset":8}}})"),
            "event: entry\ndata: {\"data\":{\"a\":1},\"tags\":{\"p\":\"3\",\"o\":\"18\"}}\nid: e:8\n\n");
}

TEST(event_client, a_last_event_id_resumes_without_a_snapshot) {
  event_client c(resuming("e1:42"), 1000);
  const auto asked = said(c)[1]["subscribe"];
  EXPECT_EQ(asked, json::parse(R"({"channel":"machines","type":1,"phase":1,"recover":true,"epoch":"e1","offset":42})"));
  c.on_reply(R"({"id":2,"subscribe":{"type":1,"epoch":"e1","offset":50,"was_recovering":true,"recovered":true,)"
             R"("publications":[{"key":"a","data":1,"offset":50}]}})");
  EXPECT_EQ(c.take_events(),
            "retry: 1000\n\nevent: change\ndata: {\"key\":\"a\",\"data\":1}\nid: e1:50\n\nid: e1:50\n\n");
}

TEST(event_client, a_position_that_is_lost_is_a_reset_and_a_snapshot) {
  event_client c(resuming("e1:42"), 1000);
  said(c);
  c.on_reply(R"({"id":2,"error":{"code":112,"message":"unrecoverable position"}})");
  EXPECT_FALSE(c.started());
  EXPECT_EQ(said(c)[0]["subscribe"]["phase"], 2);
  c.on_reply(R"({"id":3,"subscribe":{"type":1,"epoch":"e2","offset":1}})");
  EXPECT_EQ(c.take_events(), "retry: 1000\n\nevent: reset\ndata: {}\n\n"
                             "event: snapshot\ndata: {\"rows\":{},\"done\":true}\nid: e2:1\n\nid: e2:1\n\n");
}

TEST(event_client, a_logs_position_that_is_lost_is_a_reset_and_goes_on_from_now) {
  event_client c(log_table("e1:42"), 1000);
  said(c);
  c.on_reply(R"({"id":2,"subscribe":{"epoch":"e2","offset":9,"was_recovering":true,"recovered":false}})");
  EXPECT_EQ(c.take_events(), "retry: 1000\n\nevent: reset\ndata: {}\n\nid: e2:9\n\n");
}

TEST(event_client, an_id_that_is_none_of_ours_starts_over_and_gets_into_no_command) {
  for (const auto* id : {"7", "e1:", ":7", "e1:7x", "e\"1:7", "e1:-7", "a:b:c", "e1:123456789012345678901"}) {
    event_client c(resuming(id), 1000);
    const auto commands = said(c);
    ASSERT_EQ(commands.size(), 2u) << id;
    EXPECT_EQ(commands[1]["subscribe"]["phase"], 2) << id;
    c.on_reply(R"({"id":2,"subscribe":{"type":1,"epoch":"e1","offset":5}})");
    EXPECT_NE(c.take_events().find("event: reset"), std::string::npos) << id;
  }
}

TEST(event_client, what_the_session_refuses_is_a_status_of_http) {
  const auto status = [](std::string_view reply) {
    event_client c(table("machines"), 1000);
    said(c);
    c.on_reply(reply);
    EXPECT_TRUE(c.ended());
    EXPECT_FALSE(c.started());
    return c.refused_status();
  };
  EXPECT_EQ(status(R"({"id":2,"error":{"code":102,"message":"unknown channel"}})"), 404u);
  EXPECT_EQ(status(R"({"id":2,"error":{"code":103,"message":"permission denied"}})"), 403u);
  EXPECT_EQ(status(R"({"id":2,"error":{"code":107,"message":"no"}})"), 400u);
  EXPECT_EQ(status(R"({"id":2,"error":{"code":100,"message":"later","temporary":true}})"), 503u);
  EXPECT_EQ(status(R"({"id":2,"error":{"code":106,"message":"too large"}})"), 503u);
  EXPECT_EQ(status(R"({"id":1,"error":{"code":101,"message":"a token is wanted"}})"), 401u);
  event_client c(table("machines"), 1000);
  c.on_reply(R"({"id":2,"error":{"code":107,"message":"no \"x\""}})");
  EXPECT_EQ(c.refusal(), "no \"x\"");
  event_client closed(table("machines"), 1000);
  closed.on_close(3500, "invalid token");
  EXPECT_EQ(closed.refused_status(), 401u);
}

TEST(event_client, a_ping_is_answered_and_shown_as_a_comment) {
  event_client c(table("machines"), 1000);
  said(c);
  c.on_reply(R"({"id":2,"subscribe":{"type":1,"epoch":"e1","offset":5}})");
  c.take_events();
  c.on_reply("{}");
  EXPECT_EQ(c.take_events(), ":\n\n");
  EXPECT_EQ(c.take_commands(true), "{}");
}

TEST(event_client, told_to_subscribe_again_it_resumes_from_the_last_id_once) {
  event_client c(table("machines"), 1000);
  said(c);
  c.on_reply(R"({"id":2,"subscribe":{"type":1,"epoch":"e1","offset":5}})");
  c.passed("17");
  c.take_events();
  const auto* push = R"({"push":{"channel":"machines","unsubscribe":{"code":2500,"reason":"insufficient state"}}})";
  c.on_reply(push);
  EXPECT_EQ(said(c)[0]["subscribe"]["offset"], 17);
  c.on_reply(R"({"id":3,"error":{"code":112,"message":"unrecoverable position"}})");
  EXPECT_EQ(said(c)[0]["subscribe"]["phase"], 2);
  c.on_reply(R"({"id":4,"subscribe":{"type":1,"epoch":"e2","offset":1}})");
  EXPECT_EQ(c.take_events().find("event: reset\ndata: {}\n\nevent: snapshot"), 0u);
  EXPECT_FALSE(c.ended());
  c.on_reply(push);
  said(c);
  c.on_reply(push); // before anything came
  EXPECT_TRUE(c.ended());
}

TEST(event_client, an_end_for_good_is_an_event_and_one_to_come_back_from_is_none) {
  const auto after_close = [](std::uint16_t code) {
    event_client c(table("machines"), 1000);
    said(c);
    c.on_reply(R"({"id":2,"subscribe":{"type":1,"epoch":"e1","offset":5}})");
    c.take_events();
    c.on_close(code, "why");
    EXPECT_TRUE(c.ended());
    return c.take_events();
  };
  EXPECT_EQ(after_close(3001), "");
  EXPECT_EQ(after_close(3507), "event: error\ndata: {\"code\":3507,\"message\":\"why\"}\n\n");
}
