#include "runtime/http/session_policy.hpp"

#include "proto/client_reply.hpp"

#include <deque>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace {

using namespace weir;
using namespace weir::http;
using json = nlohmann::json;

frame_ptr text_frame(std::string text) {
  auto f = std::make_shared<frame>();
  f->bytes = std::move(text);
  return f;
}

struct asked {
  std::string what, table;
  std::uint32_t generation = 0;
  table::subscribe_request request;
  arrival from;
  std::int64_t limit = 0; // history
};

// A session with all it talks to.
struct desk : session_output, session_publishers {
  explicit desk(session_limits limits = {})
      : policy("client-1", "weir test",
               std::make_shared<table_directory>(table_directory{
                   {"machines", table_kind::latest}, {"totals", table_kind::aggregate}, {"history", table_kind::log}}),
               *this, *this, limits, 0) {}

  void reply(std::string text) override { replies.push_back(json::parse(text)); }
  bool push(const frame_ptr& f) override {
    if (!writable)
      return false;
    pushed.push_back(f->bytes);
    return true;
  }
  void close(std::uint16_t code, std::string_view) override { closed = code; }
  std::uint64_t stalled_ms() const override { return stalled; }
  void refused_command() override { ++refused; }
  void subscribe(const std::string& table, std::uint32_t generation, table::subscribe_request request) override {
    generations[table] = generation;
    publisher.push_back({"subscribe", table, generation, std::move(request), {}});
  }
  void unsubscribe(const std::string& table, std::uint32_t generation) override {
    publisher.push_back({"unsubscribe", table, generation, {}, {}});
  }
  void history(const std::string& table, std::uint32_t ticket, table::history_request request,
               table::selection_spec) override {
    publisher.push_back({"history", table, ticket, {}, {}});
    publisher.back().limit = request.limit;
  }
  void catch_up(const std::string& table, std::uint32_t generation, table::lane_id, arrival from) override {
    publisher.push_back({"catch_up", table, generation, {}, from});
  }

  void say(const json& command) { policy.on_message(command.dump(), now); }
  void connect() {
    say({{"id", 1}, {"connect", json::object()}});
    replies.clear();
  }
  json subscribe_command(std::uint32_t id, const std::string& channel, bool map = true) {
    json c{{"id", id}, {"subscribe", {{"channel", channel}}}};
    if (map)
      c["subscribe"].update({{"type", 1}, {"phase", 2}});
    return c;
  }
  asked next() {
    if (publisher.empty())
      return {"nothing", "", 0, {}, {}};
    auto a = publisher.front();
    publisher.pop_front();
    return a;
  }
  // Subscribes and lets the publisher say that it is live from `at` on.
  std::uint32_t go_live(std::uint32_t id, const std::string& table, std::uint64_t at, bool more = false) {
    say(subscribe_command(id, table, table != "history"));
    const auto a = next();
    EXPECT_EQ(a.what, "subscribe");
    table::subscribe_reply r;
    r.body = "{\"offset\":1}";
    r.live = true;
    r.at = arrival{at};
    r.more = more;
    r.exact = table == "history";
    policy.on_subscribed(a.generation, r, nullptr, now);
    return a.generation;
  }
  void fan_out(const std::string& table, std::uint64_t from, std::uint64_t to) {
    policy.on_fan_out(generations[table],
                      {text_frame(table + std::to_string(from) + "-" + std::to_string(to)), arrival{from}, arrival{to}},
                      now);
  }
  void caught_up(const std::string& table, std::uint32_t generation, std::uint64_t from, std::uint64_t to,
                 bool more = false) {
    policy.on_caught_up(
        generation,
        {{text_frame(table + std::to_string(from) + "-" + std::to_string(to)), arrival{from}, arrival{to}},
         more,
         false},
        now);
  }
  int error_of(std::size_t i) {
    return i < replies.size() && replies[i].contains("error") ? replies[i]["error"]["code"].get<int>() : 0;
  }

  std::int64_t now = 0;
  std::vector<json> replies;
  std::vector<std::string> pushed;
  std::deque<asked> publisher;
  std::map<std::string, std::uint32_t> generations;
  int closed = 0, refused = 0;
  bool writable = true;
  std::uint64_t stalled = 0;
  session_policy policy;
};

using texts = std::vector<std::string>;

TEST(session, connect_is_answered_with_the_ping_that_will_come) {
  desk d;
  d.say({{"id", 1}, {"connect", {{"name", "js"}}}});
  ASSERT_EQ(d.replies.size(), 1u);
  EXPECT_EQ(
      d.replies[0],
      (json{{"id", 1}, {"connect", {{"client", "client-1"}, {"version", "weir test"}, {"ping", 25}, {"pong", true}}}}));
  EXPECT_TRUE(d.policy.connected());
}

TEST(session, commands_beyond_the_rate_get_error_111_and_go_on_later) {
  session_limits limits;
  limits.commands_per_second = 2; // 20 at once
  desk d(limits);
  d.connect();
  for (std::uint32_t id = 2; id <= 22; ++id)
    d.say({{"id", id}, {"ping", json::object()}});
  ASSERT_EQ(d.replies.size(), 21u);
  EXPECT_EQ(d.error_of(18), 0);
  EXPECT_EQ(d.error_of(19), 111);
  EXPECT_TRUE(d.replies[20]["error"]["temporary"].get<bool>());
  EXPECT_EQ(d.refused, 2);
  EXPECT_EQ(d.closed, 0);
  d.now += 500;
  d.say({{"id", 30}, {"ping", json::object()}});
  EXPECT_TRUE(d.replies.back().contains("ping"));
  // Pongs and sends count too, and have no reply to be refused by.
  const auto before = d.replies.size();
  d.say(json::object());
  EXPECT_EQ(d.replies.size(), before);
  EXPECT_EQ(d.refused, 3);
}

TEST(session, a_client_that_goes_on_beyond_the_rate_is_closed_for_good) {
  session_limits limits;
  limits.commands_per_second = 2;
  desk d(limits);
  d.connect();
  int said = 0;
  while (d.closed == 0 && said < 1000) {
    d.say({{"id", said + 2}, {"ping", json::object()}});
    ++said;
  }
  EXPECT_EQ(said, 19 + 20 + 1);
  EXPECT_EQ(d.closed, 3509);
}

TEST(session, anything_before_connect_and_a_second_connect_close_as_bad_request) {
  for (const json& first : {json{{"id", 1}, {"subscribe", {{"channel", "machines"}}}},
                            json{{"id", 1}, {"ping", json::object()}}, json::object()}) {
    desk d;
    d.say(first);
    EXPECT_EQ(d.closed, 3501) << first;
    EXPECT_TRUE(d.replies.empty());
  }
  desk d;
  d.connect();
  d.say({{"id", 2}, {"connect", json::object()}});
  EXPECT_EQ(d.closed, 3501);
}

TEST(session, a_malformed_message_closes_and_nothing_is_said_afterwards) {
  desk d;
  d.connect();
  d.policy.on_message("{\"id\":2,\"ping\":{}}\nnonsense\n{\"id\":3,\"ping\":{}}", 0);
  EXPECT_EQ(d.closed, 3501);
  EXPECT_EQ(d.replies.size(), 1u);
  d.say({{"id", 4}, {"ping", json::object()}});
  EXPECT_EQ(d.replies.size(), 1u);
}

TEST(session, commands_in_the_message_of_connect_are_handled_behind_it) {
  desk d;
  d.policy.on_message(
      "{\"id\":1,\"connect\":{}}\n{\"id\":2,\"subscribe\":{\"channel\":\"machines\",\"type\":1,\"phase\":2}}", 0);
  EXPECT_EQ(d.closed, 0);
  EXPECT_EQ(d.next().table, "machines");
}

TEST(session, every_id_gets_one_reply_and_send_none) {
  desk d;
  d.connect();
  const char* refused[] = {"publish", "presence", "presence_stats", "rpc", "refresh", "sub_refresh", "dance"};
  std::uint32_t id = 2;
  for (const auto* method : refused)
    d.say({{"id", id++}, {method, {{"channel", "machines"}}}});
  d.say({{"id", id++}, {"ping", json::object()}});
  d.say({{"send", {{"data", 1}}}});
  d.say({{"id", id++}, {"unsubscribe", {{"channel", "nothing"}}}});
  ASSERT_EQ(d.replies.size(), std::size(refused) + 2);
  for (std::size_t i = 0; i < d.replies.size(); ++i) {
    EXPECT_EQ(d.replies[i]["id"], i + 2);
    EXPECT_EQ(d.error_of(i), i < std::size(refused) ? 104 : 0);
  }
  EXPECT_TRUE(d.replies.back().contains("unsubscribe"));
}

TEST(session, what_cannot_be_subscribed_to_is_refused_with_its_own_code) {
  desk d;
  d.connect();
  const auto code = [&](json subscribe) {
    d.replies.clear();
    d.say({{"id", 5}, {"subscribe", std::move(subscribe)}});
    return d.error_of(0);
  };
  EXPECT_EQ(code({{"channel", "unknown"}, {"type", 1}}), 102);
  EXPECT_EQ(code({{"channel", "unknown/k"}, {"type", 1}}), 102);
  EXPECT_EQ(code({{"channel", "machines/"}, {"type", 1}}), 107) << "no key";
  EXPECT_EQ(code({{"channel", "history/k"}}), 107) << "a log has no keys";
  EXPECT_EQ(code({{"channel", "mach*"}, {"type", 1}}), 107);
  EXPECT_EQ(code({{"channel", "machines"}}), 107) << "a stream on keyed rows";
  EXPECT_EQ(code({{"channel", "totals"}}), 107);
  EXPECT_EQ(code({{"channel", "history"}, {"type", 1}, {"phase", 2}}), 107) << "a map on a log";
  EXPECT_EQ(code({{"channel", "machines"}, {"type", 2}}), 107);
  EXPECT_EQ(code({{"channel", "machines"}, {"type", 1}, {"phase", 3}}), 107);
  EXPECT_EQ(code({{"channel", "machines"}, {"type", 1}, {"tf", {{"key", "a"}}}}), 107);
  EXPECT_EQ(code({{"channel", "machines"}, {"type", 1}, {"data", {{"where", {{"a", 1}}}}}}), 107);
  EXPECT_EQ(code({{"channel", "machines"}, {"type", 1}, {"data", {{"where", {{"key", 1}}}}}}), 107);
  for (const auto* rate : {"2", "2/d", "0/s", "-1/s", "1/h", "x/s", "2/s ", "inf/s", "nan/s"})
    EXPECT_EQ(code({{"channel", "machines"}, {"type", 1}, {"data", {{"max_rate", rate}}}}), 107) << rate;
  EXPECT_TRUE(d.publisher.empty());
  EXPECT_EQ(code({{"channel", "machines"},
                  {"type", 1},
                  {"phase", 2},
                  {"delta", "fossil"},
                  {"flag", 1},
                  {"data", {{"max_rate", "30/m"}, {"where", {{"key", {{"prefix", "a"}}}}}}}}),
            0);
  const auto pending = d.next();
  EXPECT_EQ(pending.request.lane.interval_ms, 2000u);
  EXPECT_TRUE(pending.request.lane.short_id);
  EXPECT_TRUE(pending.request.lane.delta);
  EXPECT_FALSE(pending.request.lane.rows.all());
  EXPECT_EQ(pending.what, "subscribe");
  EXPECT_EQ(code({{"channel", "machines"}, {"type", 1}, {"phase", 2}}), 0) << "its turn comes after the first one's";
  table::subscribe_reply live;
  live.body = "{}";
  live.live = true;
  d.policy.on_subscribed(pending.generation, live, nullptr, d.now);
  EXPECT_EQ(d.error_of(1), 105) << "one was under way";
}

TEST(session, subscriptions_are_bounded) {
  session_limits limits;
  limits.subscriptions = 2;
  desk d(limits);
  d.connect();
  d.go_live(2, "machines", 0);
  d.go_live(3, "history", 0);
  d.replies.clear();
  d.say(d.subscribe_command(4, "totals"));
  EXPECT_EQ(d.error_of(0), 106);
  d.say({{"id", 5}, {"unsubscribe", {{"channel", "machines"}}}});
  EXPECT_EQ(d.next().what, "unsubscribe");
  d.go_live(6, "totals", 0);
  EXPECT_EQ(d.policy.subscriptions(), 2u);
}

TEST(session, a_request_reaches_the_publisher_as_it_was_asked) {
  desk d;
  d.connect();
  d.say({{"id", 2},
         {"subscribe",
          {{"channel", "machines"},
           {"type", 1},
           {"phase", 1},
           {"recover", true},
           {"offset", 17},
           {"epoch", "e"},
           {"limit", 9}}}});
  const auto a = d.next();
  EXPECT_TRUE(a.request.map);
  EXPECT_EQ(a.request.phase, table::map_phase::stream);
  EXPECT_TRUE(a.request.recover);
  EXPECT_TRUE(a.request.has_position);
  EXPECT_EQ(a.request.offset, version{17});
  EXPECT_EQ(a.request.epoch, "e");
  EXPECT_EQ(a.request.limit, 9u);
}

TEST(session, a_page_of_state_is_no_subscription_yet) {
  desk d;
  d.connect();
  d.say(d.subscribe_command(2, "machines"));
  table::subscribe_reply page;
  page.body = "{\"phase\":2}";
  d.policy.on_subscribed(d.next().generation, page, nullptr, 0);
  EXPECT_EQ(d.replies.back(), (json{{"id", 2}, {"subscribe", {{"phase", 2}}}}));
  EXPECT_EQ(d.policy.subscriptions(), 0u);
  d.say(d.subscribe_command(3, "machines"));
  EXPECT_EQ(d.next().what, "subscribe");
}

TEST(session, a_publishers_refusal_is_passed_on) {
  desk d;
  d.connect();
  d.say(d.subscribe_command(2, "machines"));
  table::subscribe_reply no;
  no.code = 112;
  no.message = "unrecoverable position";
  d.policy.on_subscribed(d.next().generation, no, nullptr, 0);
  EXPECT_EQ(d.replies.back(), (json{{"id", 2}, {"error", {{"code", 112}, {"message", "unrecoverable position"}}}}));
  EXPECT_EQ(d.policy.subscriptions(), 0u);
}

TEST(session, frames_pass_while_each_starts_where_the_last_ended) {
  desk d;
  d.connect();
  d.go_live(2, "machines", 5);
  d.fan_out("machines", 3, 5); // made before the reply
  d.fan_out("machines", 5, 7);
  d.fan_out("machines", 7, 8);
  d.fan_out("totals", 0, 1);
  EXPECT_EQ(d.pushed, (texts{"machines5-7", "machines7-8"}));
}

TEST(session, a_refused_frame_is_caught_up_from_the_cursor_and_nothing_is_queued) {
  desk d;
  d.connect();
  const auto g = d.go_live(2, "machines", 5);
  d.writable = false;
  for (std::uint64_t i = 5; i < 100; ++i)
    d.fan_out("machines", i, i + 1);
  EXPECT_EQ(d.policy.lagging(), 1u);
  EXPECT_TRUE(d.publisher.empty()) << "no request while the socket is full";
  d.writable = true;
  d.policy.on_writable(0);
  const auto a = d.next();
  EXPECT_EQ(a.what, "catch_up");
  EXPECT_EQ(a.from, arrival{5});
  d.fan_out("machines", 100, 101); // behind the answer's making: dropped, and in the answer
  d.caught_up("machines", g, 5, 101);
  EXPECT_EQ(d.policy.lagging(), 0u);
  d.fan_out("machines", 101, 102);
  EXPECT_EQ(d.pushed, (texts{"machines5-101", "machines101-102"}));
}

TEST(session, a_catch_up_in_parts_goes_on_until_the_newest) {
  desk d;
  d.connect();
  const auto g = d.go_live(2, "machines", 5, true);
  EXPECT_EQ(d.next().from, arrival{5});
  d.caught_up("machines", g, 5, 9, true);
  EXPECT_EQ(d.next().from, arrival{9});
  d.writable = false;
  d.caught_up("machines", g, 9, 12, true);
  EXPECT_TRUE(d.publisher.empty());
  d.writable = true;
  d.policy.on_writable(0);
  EXPECT_EQ(d.next().from, arrival{9}) << "what was refused is asked for again";
  d.caught_up("machines", g, 9, 12);
  EXPECT_EQ(d.policy.lagging(), 0u);
}

TEST(session, lagging_subscriptions_take_turns_one_request_at_a_time) {
  desk d;
  d.connect();
  const auto m = d.go_live(2, "machines", 0), t = d.go_live(3, "totals", 0), h = d.go_live(4, "history", 0);
  d.writable = false;
  d.fan_out("machines", 0, 1);
  d.fan_out("totals", 0, 1);
  d.fan_out("history", 0, 1);
  d.writable = true;
  d.policy.on_writable(0);
  std::vector<std::string> order;
  std::map<std::string, std::uint64_t> at;
  const std::map<std::string, std::uint32_t> generation{{"machines", m}, {"totals", t}, {"history", h}};
  for (int i = 0; i < 6; ++i) {
    ASSERT_EQ(d.publisher.size(), 1u);
    const auto a = d.next();
    order.push_back(a.table);
    d.caught_up(a.table, generation.at(a.table), at[a.table], at[a.table] + 1, true);
    ++at[a.table];
  }
  for (int i = 0; i < 3; ++i)
    EXPECT_EQ(order[static_cast<std::size_t>(i)], order[static_cast<std::size_t>(i) + 3]);
  EXPECT_EQ(at.size(), 3u);
}

TEST(session, a_frame_that_never_came_is_noticed_by_the_next) {
  desk d;
  d.connect();
  d.go_live(2, "machines", 5);
  d.fan_out("machines", 6, 7);
  EXPECT_TRUE(d.pushed.empty());
  EXPECT_EQ(d.next().from, arrival{5});
}

TEST(session, who_is_behind_what_is_kept_is_told_to_subscribe_again) {
  desk d;
  d.connect();
  const auto g = d.go_live(2, "history", 5, true);
  (void)d.next();
  d.policy.on_caught_up(g, {{nullptr, arrival{5}, arrival{5}}, false, true}, 0);
  EXPECT_EQ(d.replies.back()["push"]["channel"], "history");
  EXPECT_GE(d.replies.back()["push"]["unsubscribe"]["code"], 2500);
  EXPECT_EQ(d.next().what, "unsubscribe");
  d.go_live(3, "history", 9);
}

TEST(session, a_reset_ends_live_subscriptions_of_that_table_only) {
  desk d;
  d.connect();
  d.go_live(2, "machines", 0);
  d.go_live(3, "totals", 0);
  d.say(d.subscribe_command(4, "history", false));
  d.policy.on_reset(d.generations["machines"]);
  d.policy.on_reset(d.generations["history"]);
  EXPECT_EQ(d.replies.back()["push"]["channel"], "machines");
  EXPECT_EQ(d.policy.subscriptions(), 2u);
}

TEST(session, late_messages_of_an_ended_subscription_are_ignored) {
  desk d;
  d.connect();
  const auto first = d.go_live(2, "machines", 5, true);
  (void)d.next();
  d.say({{"id", 3}, {"unsubscribe", {{"channel", "machines"}}}});
  EXPECT_EQ(d.next().what, "unsubscribe");
  d.fan_out("machines", 5, 6);
  d.caught_up("machines", first, 5, 6);
  d.say(d.subscribe_command(4, "machines"));
  const auto second = d.next().generation;
  EXPECT_NE(first, second);
  table::subscribe_reply late;
  late.body = "{}";
  late.live = true;
  d.replies.clear();
  d.policy.on_subscribed(first, late, nullptr, 0);
  d.caught_up("machines", first, 5, 6);
  EXPECT_TRUE(d.replies.empty());
  EXPECT_TRUE(d.pushed.empty());
}

TEST(session, an_unsubscribe_answers_the_subscribe_that_was_under_way_too) {
  desk d;
  d.connect();
  d.say(d.subscribe_command(2, "machines"));
  d.say({{"id", 3}, {"unsubscribe", {{"channel", "machines"}}}});
  ASSERT_EQ(d.replies.size(), 2u);
  EXPECT_EQ(d.replies[0]["id"], 2);
  EXPECT_EQ(d.error_of(0), 100);
  EXPECT_EQ(d.replies[1], (json{{"id", 3}, {"unsubscribe", json::object()}}));
}

TEST(session, a_publisher_that_does_not_answer_costs_a_temporary_error) {
  desk d;
  d.connect();
  d.say(d.subscribe_command(2, "machines"));
  (void)d.next();
  d.policy.on_tick(4000);
  EXPECT_TRUE(d.replies.empty());
  d.policy.on_tick(4600);
  ASSERT_EQ(d.replies.size(), 1u);
  EXPECT_EQ(d.error_of(0), 100);
  EXPECT_EQ(d.replies[0]["error"]["temporary"], true);
  EXPECT_EQ(d.next().what, "unsubscribe") << "so that a late answer leaves nobody live";
}

TEST(session, a_catch_up_that_is_not_answered_is_asked_for_again) {
  desk d;
  d.connect();
  const auto g = d.go_live(2, "machines", 5, true);
  EXPECT_EQ(d.next().what, "catch_up");
  d.policy.on_tick(5000);
  EXPECT_EQ(d.next().what, "catch_up");
  d.caught_up("machines", g, 5, 6);
  d.caught_up("machines", g, 5, 6); // the first answer, late
  EXPECT_EQ(d.pushed.size(), 1u);
}

TEST(session, who_does_not_connect_in_time_is_closed) {
  desk d;
  d.policy.on_tick(9'999);
  EXPECT_EQ(d.closed, 0);
  d.policy.on_tick(10'000);
  EXPECT_EQ(d.closed, 3502);
}

TEST(session, a_ping_without_a_sign_of_life_closes_and_any_message_is_one) {
  desk d;
  d.connect();
  d.policy.on_tick(24'999);
  EXPECT_TRUE(d.replies.empty());
  d.policy.on_tick(25'000);
  ASSERT_EQ(d.replies.size(), 1u);
  EXPECT_EQ(d.replies[0], json::object());
  d.now = 30'000;
  d.say(json::object());
  d.policy.on_tick(36'000);
  EXPECT_EQ(d.closed, 0);
  d.policy.on_tick(50'000);
  d.policy.on_tick(58'999);
  EXPECT_EQ(d.closed, 0);
  d.policy.on_tick(59'000);
  EXPECT_EQ(d.closed, 3012);
}

TEST(session, a_ping_that_waits_behind_a_busy_socket_is_not_held_against_the_client) {
  desk d;
  d.connect();
  d.go_live(2, "machines", 0);
  d.writable = false;
  d.fan_out("machines", 0, 1);
  for (std::int64_t t = 25'000; t <= 60'000; t += 1000)
    d.policy.on_tick(t);
  EXPECT_EQ(d.closed, 0);
  d.writable = true;
  d.policy.on_writable(60'000);
  d.policy.on_tick(68'000);
  EXPECT_EQ(d.closed, 0);
  d.policy.on_tick(69'000);
  EXPECT_EQ(d.closed, 3012);
}

TEST(session, a_socket_that_takes_nothing_for_too_long_is_closed_as_slow) {
  desk d;
  d.connect();
  d.stalled = 29'999;
  d.policy.on_tick(40'000);
  EXPECT_EQ(d.closed, 0);
  d.stalled = 30'000;
  d.policy.on_tick(41'000);
  EXPECT_EQ(d.closed, 3008);
}

TEST(session, closing_ends_all_subscriptions_at_their_publishers_once) {
  desk d;
  d.connect();
  d.go_live(2, "machines", 0);
  d.say(d.subscribe_command(3, "totals"));
  (void)d.next();
  d.policy.shut_down();
  EXPECT_EQ(d.closed, 3001);
  d.policy.on_closed();
  EXPECT_EQ(d.publisher.size(), 2u);
  d.fan_out("machines", 0, 1);
  d.policy.on_tick(1'000'000);
  EXPECT_TRUE(d.pushed.empty());
}

TEST(session, its_memory_is_small) { EXPECT_LT(sizeof(session_policy), 512u); }

} // namespace

namespace {

TEST(session, replies_go_out_in_the_order_of_the_commands) {
  desk d;
  d.connect();
  d.say(d.subscribe_command(2, "machines"));
  const auto machines = d.next();
  d.say(d.subscribe_command(3, "totals"));
  const auto totals = d.next();
  d.say({{"id", 4}, {"ping", json::object()}});
  EXPECT_TRUE(d.replies.empty());

  table::subscribe_reply live;
  live.body = "{\"offset\":1}";
  live.live = true;
  live.at = arrival{5};
  d.policy.on_subscribed(totals.generation, live, nullptr, d.now);
  EXPECT_TRUE(d.replies.empty()); // its turn has not come
  // What changes meanwhile is not pushed before the reply; it is fetched afterwards.
  d.policy.on_fan_out(totals.generation, {text_frame("early"), arrival{5}, arrival{6}}, d.now);
  EXPECT_TRUE(d.pushed.empty());

  d.policy.on_subscribed(machines.generation, live, nullptr, d.now);
  ASSERT_EQ(d.replies.size(), 3u);
  EXPECT_EQ(d.replies[0]["id"], 2);
  EXPECT_EQ(d.replies[1]["id"], 3);
  EXPECT_EQ(d.replies[2]["id"], 4);
  const auto asked_again = d.next();
  EXPECT_EQ(asked_again.what, "catch_up");
  EXPECT_EQ(asked_again.table, "totals");
  EXPECT_EQ(asked_again.from, arrival{5});
}

TEST(session, a_flood_of_commands_behind_one_without_an_answer_is_ended) {
  session_limits limits;
  limits.waiting_answers = 50;
  desk d{limits};
  d.connect();
  d.say(d.subscribe_command(2, "machines"));
  for (std::uint32_t id = 3; id < 60 && d.closed == 0; ++id)
    d.say({{"id", id}, {"ping", json::object()}});
  EXPECT_EQ(d.closed, 3501);
}

TEST(session, one_key_and_the_whole_table_are_two_subscriptions) {
  desk d;
  d.connect();
  d.say(d.subscribe_command(2, "machines"));
  d.say(d.subscribe_command(3, "machines/a/b"));
  EXPECT_TRUE(d.next().request.lane.rows.all());
  const auto one = d.next();
  EXPECT_EQ(one.table, "machines");
  EXPECT_TRUE(one.request.lane.rows.one_key);
  EXPECT_EQ(one.request.lane.rows.key, "a/b") << "split at the first slash";
  d.say(d.subscribe_command(4, "machines/a/b"));
  EXPECT_EQ(d.error_of(0), 0);
  EXPECT_EQ(d.policy.subscriptions(), 2u) << "the third is there already";
}

TEST(session, history_is_asked_of_the_publisher_and_answered_in_its_turn) {
  desk d;
  d.connect();
  d.say({{"id", 2}, {"history", {{"channel", "history"}, {"limit", 5}}}});
  d.say({{"id", 3}, {"ping", json::object()}});
  EXPECT_TRUE(d.replies.empty());
  const auto a = d.next();
  EXPECT_EQ(a.what, "history");
  EXPECT_EQ(a.limit, 5);
  table::history_reply r;
  r.body = R"({"epoch":"e","offset":7})";
  d.policy.on_history(a.generation, r);
  ASSERT_EQ(d.replies.size(), 2u);
  EXPECT_EQ(d.replies[0], (json{{"id", 2}, {"history", {{"epoch", "e"}, {"offset", 7}}}}));
  EXPECT_EQ(d.replies[1]["id"], 3);
  d.replies.clear();
  d.say({{"id", 4}, {"history", {{"channel", "machines"}, {"limit", 5}}}});
  EXPECT_EQ(d.error_of(0), 107);
  d.replies.clear();
  d.say({{"id", 5}, {"history", {{"channel", "nothing"}, {"limit", 5}}}});
  EXPECT_EQ(d.error_of(0), 102);
  d.replies.clear();
  d.say({{"id", 6}, {"history", {{"channel", "history"}}}});
  d.now = 10'000;
  d.policy.on_tick(d.now);
  EXPECT_EQ(d.error_of(0), 100) << "a publisher that never answers leaves nobody waiting";
}

TEST(session, a_paced_subscription_that_lagged_waits_for_its_turn) {
  desk d;
  d.connect();
  d.say(d.subscribe_command(2, "machines"));
  table::subscribe_reply r;
  r.body = "{}";
  r.live = true;
  r.at = arrival{5};
  r.interval_ms = 1000;
  const auto g = d.next().generation;
  d.policy.on_subscribed(g, r, nullptr, d.now);
  d.writable = false;
  d.now = 1000;
  d.fan_out("machines", 5, 6);
  d.writable = true;
  d.policy.on_writable(d.now);
  EXPECT_EQ(d.next().what, "catch_up") << "its last frame is a second ago";
  d.caught_up("machines", g, 5, 7);
  d.writable = false;
  d.now = 2000;
  d.fan_out("machines", 7, 8);
  d.writable = true;
  d.now = 1500;
  d.policy.on_writable(d.now);
  EXPECT_EQ(d.next().what, "nothing") << "half a second is left";
  d.now = 2000;
  d.policy.on_tick(d.now);
  EXPECT_EQ(d.next().what, "catch_up");
}

TEST(session, a_lanes_port_hands_a_frame_to_its_members_and_makes_good_what_was_left_out) {
  desk a, b;
  lane_port* raw = nullptr;
  std::uint32_t of[2] = {};
  {
    auto port = std::make_shared<lane_port>();
    raw = port.get();
    for (auto* d : {&a, &b}) {
      d->connect();
      d->say(d->subscribe_command(2, "machines"));
      table::subscribe_reply r;
      r.body = "{}";
      r.live = true;
      r.at = arrival{5};
      of[d == &b] = d->next().generation;
      d->policy.on_subscribed(of[d == &b], r, port, 0);
    }
  }
  EXPECT_EQ(raw->size(), 2u);
  ASSERT_TRUE(raw->offer());
  EXPECT_EQ(raw->deliver({text_frame("f"), arrival{5}, arrival{6}}, 0), 2u);
  EXPECT_EQ(a.pushed, texts{"f"});
  for (std::uint32_t i = 0; i < lane_port::most_under_way; ++i)
    ASSERT_TRUE(raw->offer());
  EXPECT_FALSE(raw->offer()) << "bounded";
  for (std::uint32_t i = 0; i < lane_port::most_under_way; ++i)
    raw->deliver({text_frame("g"), arrival{6 + i}, arrival{7 + i}}, 0);
  EXPECT_EQ(a.next().what, "catch_up") << "one was left out, and there may be no later one";
  EXPECT_EQ(b.next().what, "catch_up");
  a.policy.on_closed();
  EXPECT_EQ(raw->size(), 1u);
  raw->reset();
  EXPECT_EQ(b.replies.back()["push"]["unsubscribe"]["code"], 2500);
}

} // namespace
