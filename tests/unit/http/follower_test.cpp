#include "runtime/http/follower.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

using namespace weir;
using namespace weir::http;
using namespace std::chrono_literals;
using json = nlohmann::json;
using next = follow_step::next;
using kind = followed::kind;

namespace {

follower make(follow_request r) { return follower(std::move(r), backoff{100ms, 1000ms, 7}); }
follower rows() { return make({"orders", true, {}, "", ""}); }
follower entries() { return make({"hot", false, {}, "", ""}); }

// The subscribe command in what is to be sent.
json subscribe_in(const std::string& text) {
  json found;
  for (std::size_t at = 0; at < text.size();) {
    const auto end = std::min(text.find('\n', at), text.size());
    const auto one = json::parse(text.substr(at, end - at));
    if (one.contains("subscribe"))
      found = one["subscribe"];
    at = end + 1;
  }
  return found;
}

// Lines as "key=data", "-key", "entry" or "!" for a gap.
std::string shown(const follow_step& step) {
  std::string out;
  for (const auto& l : step.lines) {
    out += out.empty() ? "" : " ";
    out += l.what == kind::row       ? l.key + "=" + l.data
           : l.what == kind::removed ? "-" + l.key
           : l.what == kind::entry   ? l.data
                                     : "!";
  }
  return out;
}

const error gone{ec::io, "the connection was lost"};
const char* const live_reply =
    R"({"id":2,"subscribe":{"type":1,"epoch":"e","offset":10,"state":[{"key":"a","data":{"n":1},"offset":8}]}})";

} // namespace

TEST(follower, a_map_is_its_state_in_pages_and_then_its_changes) {
  auto f = rows();
  const auto first = subscribe_in(f.opened());
  EXPECT_EQ(first, (json{{"channel", "orders"}, {"type", 1}, {"phase", 2}}));
  auto step = f.on_message(
      R"({"id":1,"connect":{}})"
      "\n"
      R"({"id":2,"subscribe":{"type":1,"phase":2,"epoch":"e","offset":5,"cursor":"c1","state":[{"key":"a","data":1,"offset":3}]}})");
  EXPECT_EQ(shown(step), "a=1");
  EXPECT_EQ(subscribe_in(step.send),
            (json{{"channel", "orders"}, {"type", 1}, {"phase", 2}, {"cursor", "c1"}, {"offset", 5}, {"epoch", "e"}}));
  EXPECT_FALSE(f.positioned());
  step = f.on_message(
      R"({"id":3,"subscribe":{"type":1,"epoch":"e","offset":9,"state":[{"key":"b","data":2}],"publications":[{"key":"a","removed":true,"data":{}}]}})");
  EXPECT_EQ(shown(step), "b=2 -a");
  EXPECT_TRUE(step.send.empty());
  EXPECT_TRUE(f.positioned());
  EXPECT_EQ(shown(f.on_message(R"({"push":{"channel":"orders","pub":{"key":"b","data":{"x":3},"offset":12}}})")),
            R"(b={"x":3})");
}

TEST(follower, after_a_break_it_goes_on_from_the_last_complete_position) {
  auto f = rows();
  f.opened();
  f.on_message(live_reply);
  f.on_message(R"({"push":{"channel":"orders","pub":{"key":"a","data":2,"offset":12}}})");
  f.on_message(R"({"push":{"channel":"orders","pub":{"key":"b","data":2}}})"); // no offset: leaves it where it was
  auto step = f.on_lost(gone);
  EXPECT_EQ(step.then, next::reconnect);
  EXPECT_GE(step.wait, 50ms);
  EXPECT_LE(step.wait, 100ms);
  ASSERT_EQ(step.notes.size(), 1u);
  EXPECT_EQ(
      subscribe_in(f.opened()),
      (json{{"channel", "orders"}, {"type", 1}, {"phase", 1}, {"offset", 12}, {"epoch", "e"}, {"recover", true}}));
  step = f.on_message(
      R"({"id":2,"subscribe":{"type":1,"epoch":"e","offset":20,"was_recovering":true,"recovered":true,"publications":[{"key":"b","data":3,"offset":19}]}})");
  EXPECT_EQ(shown(step), "b=3");
  f.on_lost(gone);
  EXPECT_EQ(subscribe_in(f.opened())["offset"], 20);
}

TEST(follower, a_break_in_the_middle_of_the_pages_begins_again) {
  auto f = rows();
  f.opened();
  f.on_message(R"({"id":2,"subscribe":{"type":1,"phase":2,"epoch":"e","offset":5,"cursor":"c1"}})");
  f.on_lost(gone);
  EXPECT_EQ(subscribe_in(f.opened()), (json{{"channel", "orders"}, {"type", 1}, {"phase", 2}}));
}

TEST(follower, a_lost_position_of_a_map_is_a_gap_and_the_table_anew) {
  auto f = rows();
  f.opened();
  f.on_message(live_reply);
  f.on_lost(gone);
  f.opened();
  auto step = f.on_message(R"({"id":2,"error":{"code":112,"message":"unrecoverable position"}})");
  EXPECT_EQ(shown(step), "!");
  EXPECT_EQ(subscribe_in(step.send), (json{{"channel", "orders"}, {"type", 1}, {"phase", 2}}));
  // A cursor that is good no longer is none: nothing that was promised is lost.
  step = f.on_message(R"({"id":3,"error":{"code":112,"message":"unrecoverable position"}})");
  EXPECT_EQ(shown(step), "");
  EXPECT_GT(step.wait, 0ms);
}

TEST(follower, another_epoch_between_two_pages_begins_again_without_showing_the_page) {
  auto f = rows();
  f.opened();
  f.on_message(R"({"id":2,"subscribe":{"type":1,"phase":2,"epoch":"e","offset":5,"cursor":"c1"}})");
  const auto step =
      f.on_message(R"({"id":3,"subscribe":{"type":1,"epoch":"x","offset":5,"state":[{"key":"a","data":1}]}})");
  EXPECT_EQ(shown(step), "");
  EXPECT_EQ(subscribe_in(step.send), (json{{"channel", "orders"}, {"type", 1}, {"phase", 2}}));
}

TEST(follower, an_entry_that_comes_again_is_shown_once) {
  auto f = entries();
  EXPECT_EQ(subscribe_in(f.opened()), (json{{"channel", "hot"}}));
  f.on_message(R"({"id":2,"subscribe":{"epoch":"e","offset":10}})");
  auto pub = [](int p, int o, int at) {
    return json{
        {"push",
         {{"channel", "hot"},
          {"pub", {{"data", o}, {"offset", at}, {"tags", {{"p", std::to_string(p)}, {"o", std::to_string(o)}}}}}}}}
        .dump();
  };
  EXPECT_EQ(shown(f.on_message(pub(0, 7, 11) + "\n" + pub(1, 3, 12))), "7 3");
  f.on_lost(gone);
  EXPECT_EQ(subscribe_in(f.opened()), (json{{"channel", "hot"}, {"offset", 12}, {"epoch", "e"}, {"recover", true}}));
  const auto step = f.on_message(
      R"({"id":2,"subscribe":{"epoch":"e","offset":12,"was_recovering":true,"recovered":true,"publications":[)"
      R"({"data":7,"tags":{"p":"0","o":"7"},"offset":13},{"data":8,"tags":{"p":"0","o":"8"},"offset":14}]}})");
  EXPECT_EQ(shown(step), "8");
  f.on_lost(gone);
  EXPECT_EQ(subscribe_in(f.opened())["offset"], 14) << "publications of a recovery move the position";
}

TEST(follower, a_lost_position_of_a_log_is_a_gap_and_goes_on_from_now) {
  auto f = entries();
  f.opened();
  f.on_message(R"({"id":2,"subscribe":{"epoch":"e","offset":10}})");
  f.on_message(R"({"push":{"channel":"hot","pub":{"data":7,"tags":{"p":"0","o":"7"},"offset":11}}})");
  f.on_lost(gone);
  f.opened();
  const auto step =
      f.on_message(R"({"id":2,"subscribe":{"epoch":"x","offset":99,"was_recovering":true,"recovered":false}})");
  EXPECT_EQ(shown(step), "!");
  // A log made anew counts from 0 again.
  EXPECT_EQ(shown(f.on_message(R"({"push":{"channel":"hot","pub":{"data":0,"tags":{"p":"0","o":"0"},"offset":100}}})")),
            "0");
}

TEST(follower, key_condition_and_rate_are_asked_for_whenever_it_subscribes) {
  auto f = make({"orders", true, "a/1", R"({"/n":{"gt":1}})", "2/s"});
  const json data{{"where", {{"/n", {{"gt", 1}}}}}, {"max_rate", "2/s"}};
  auto s = subscribe_in(f.opened());
  EXPECT_EQ(s["channel"], "orders/a/1");
  EXPECT_EQ(s["data"], data);
  const auto step = f.on_message(R"({"id":2,"subscribe":{"type":1,"phase":2,"epoch":"e","offset":5,"cursor":"c"}})");
  EXPECT_FALSE(subscribe_in(step.send).contains("data")) << "further pages are of the same request";
  f.on_message(R"({"id":3,"subscribe":{"type":1,"epoch":"e","offset":5}})");
  f.on_lost(gone);
  EXPECT_EQ(subscribe_in(f.opened())["data"], data);
}

TEST(follower, pings_are_answered) {
  auto f = rows();
  f.opened();
  EXPECT_EQ(f.on_message("{}").send, "{}");
}

TEST(follower, what_the_server_ends_for_now_is_asked_for_again_and_what_it_ends_for_good_ends) {
  auto f = rows();
  f.opened();
  f.on_message(live_reply);
  auto step =
      f.on_message(R"({"push":{"channel":"orders","unsubscribe":{"code":2500,"reason":"insufficient state"}}})");
  EXPECT_EQ(subscribe_in(step.send)["phase"], 1);
  step = f.on_message(R"({"push":{"channel":"orders","unsubscribe":{"code":2000,"reason":"not yours"}}})");
  EXPECT_EQ(step.then, next::end);
  EXPECT_NE(step.failed.message.find("not yours"), std::string::npos);
}

TEST(follower, temporary_errors_wait_longer_and_longer_and_others_end) {
  auto f = rows();
  f.opened();
  auto last = 0ms;
  for (int i = 0; i < 4; ++i) {
    const auto step = f.on_message(R"({"id":2,"error":{"code":100,"message":"not now","temporary":true}})");
    EXPECT_EQ(step.then, next::go_on);
    EXPECT_EQ(step.refused, "error 100: not now");
    EXPECT_GE(step.wait, last / 2);
    EXPECT_LE(step.wait, 1000ms);
    EXPECT_FALSE(subscribe_in(step.send).is_null());
    last = step.wait;
  }
  EXPECT_GE(last, 400ms);
  auto step = f.on_message(R"({"id":2,"error":{"code":107,"message":"no such operator"}})");
  EXPECT_EQ(step.then, next::end);
  EXPECT_EQ(step.failed.code, ec::bad_argument);
  step = f.on_message(R"({"id":1,"error":{"code":100,"message":"not now"}})");
  EXPECT_EQ(step.then, next::reconnect) << "without connect nothing else is answered";
}

TEST(follower, final_closes_end_and_a_server_that_never_answers_is_given_up) {
  auto f = rows();
  f.opened();
  EXPECT_EQ(f.on_lost(gone, 3500).then, next::end);
  EXPECT_EQ(f.on_lost(gone, 4500).then, next::end);
  EXPECT_EQ(f.on_lost(gone, 3001).then, next::reconnect);
  auto never = rows();
  unsigned tries = 1;
  while (never.on_lost(gone).then == next::reconnect)
    ASSERT_LT(++tries, 20u);
  EXPECT_EQ(tries, first_tries);
  auto once = rows();
  once.opened();
  once.on_message(live_reply);
  for (int i = 0; i < 50; ++i)
    EXPECT_EQ(once.on_lost(gone).then, next::reconnect);
}

TEST(follower, junk_ends_it_and_members_of_a_wrong_type_count_as_absent) {
  auto f = rows();
  f.opened();
  EXPECT_EQ(f.on_message("junk").then, next::end);
  for (const char* odd :
       {R"({"push":7})", R"({"push":{"pub":[]}})", R"({"subscribe":null,"id":2})", R"({"push":{"unsubscribe":1}})",
        R"({"id":"x","connect":{}})", R"({"push":{"channel":"orders","pub":{"key":1,"offset":"x","tags":[]}}})"})
    EXPECT_EQ(f.on_message(odd).then, next::go_on) << odd;
}
