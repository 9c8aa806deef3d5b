// Tokens in the life of a session: let in, refreshed, expired, and what becomes of its subscriptions.
#include "proto/client_reply.hpp"
#include "runtime/config/condition.hpp"
#include "runtime/http/session_policy.hpp"
#include "tests/unit/auth/mint.hpp"

#include <deque>
#include <gtest/gtest.h>

namespace weir::auth_test {
namespace {

using namespace weir::http;

// A guarded session with all it talks to. Steady time starts at 0 when the wall says now_ms.
struct counter : session_output, session_publishers {
  explicit counter(bool with_public = true)
      : policy("client-1", "weir test",
               std::make_shared<table_directory>(table_directory{
                   {"machines", table_kind::latest}, {"orders", table_kind::latest}, {"open", table_kind::log}}),
               *this, *this, {}, 0) {
    topology t;
    t.tables["machines"].access = table_access::claims;
    t.tables["orders"].access = table_access::authenticated;
    t.tables["open"].access = with_public ? table_access::everybody : table_access::claims;
    t.http.jwt.emplace().keys = {{"", "HS256", secret, ""}};
    policy.guard(std::make_shared<const auth::gate>(
        t, auth::key_ring::make(*t.http.jwt).value(),
        auth::gate_ports{[this] { return now_ms + steady; }, [this](const auth::refusal& r) { refused.push_back(r.why); }}));
  }

  void reply(std::string text) override { replies.push_back(json::parse(text)); }
  bool push(const frame_ptr&) override { return true; }
  void close(std::uint16_t code, std::string_view why) override {
    closed = code;
    reason = why;
  }
  std::uint64_t stalled_ms() const override { return 0; }
  void subscribe(const std::string& table, std::uint32_t generation, table::subscribe_request request) override {
    asked[table] = generation;
    rows = request.lane.rows;
  }
  void unsubscribe(const std::string& table, std::uint32_t) override { left.push_back(table); }
  void catch_up(const std::string&, std::uint32_t, table::lane_id, arrival) override {}
  void history(const std::string& table, std::uint32_t ticket, table::history_request,
               table::selection_spec wanted) override {
    asked["history of " + table] = ticket;
    rows = std::move(wanted);
  }

  void say(const json& command) { policy.on_message(command.dump(), steady); }
  json connect(const std::string& token, std::uint32_t id = 1) {
    say({{"id", id}, {"connect", {{"token", token}}}});
    return last();
  }
  json refresh(const std::string& token) {
    say({{"id", 9}, {"refresh", {{"token", token}}}});
    return last();
  }
  json subscribe_to(const std::string& table, std::uint32_t id = 2, const json& where = nullptr) {
    json c{{"id", id}, {"subscribe", {{"channel", table}}}};
    if (!where.is_null())
      c["subscribe"]["data"] = {{"where", where}};
    if (table != "open")
      c["subscribe"].update({{"type", 1}, {"phase", 2}});
    say(c);
    return last();
  }
  void answer(const std::string& table) {
    table::subscribe_reply r;
    r.body = "{}";
    r.live = true;
    r.at = arrival{1};
    policy.on_subscribed(asked.at(table), r, nullptr, steady);
  }
  json last() {
    if (replies.empty())
      return {};
    auto out = replies.back();
    return out;
  }
  static int error_of(const json& reply) { return reply.contains("error") ? reply["error"]["code"].get<int>() : 0; }
  void pass(std::int64_t ms) {
    // A client that answers its pings.
    for (const auto until = steady + ms; steady < until;) {
      steady = std::min(steady + 1000, until);
      policy.on_tick(steady);
      if (closed == 0)
        policy.on_message("{}", steady);
    }
  }

  std::int64_t steady = 0;
  std::vector<json> replies;
  std::vector<auth::failure> refused;
  std::map<std::string, std::uint32_t> asked;
  table::selection_spec rows; // that were asked for last
  std::vector<std::string> left;
  int closed = 0;
  std::string reason;
  session_policy policy;
};

std::string token(const json& tables, std::int64_t seconds = 60, const std::string& who = "anna") {
  return hs256({{"sub", who}, {"exp", now_s + seconds}, {"tables", tables}});
}

TEST(admission, a_good_token_is_answered_with_its_time) {
  counter c;
  const auto reply = c.connect(token({"machines"}));
  EXPECT_EQ(reply["connect"]["expires"], true);
  EXPECT_EQ(reply["connect"]["ttl"], 60);
  c.subscribe_to("machines");
  EXPECT_TRUE(c.asked.contains("machines"));
}

TEST(admission, without_a_token_only_what_is_public_is_there) {
  counter c;
  const auto reply = c.connect("");
  EXPECT_FALSE(reply["connect"].contains("expires"));
  EXPECT_EQ(counter::error_of(c.subscribe_to("machines")), 103);
  EXPECT_EQ(counter::error_of(c.subscribe_to("orders", 3)), 103);
  c.subscribe_to("open", 4);
  EXPECT_TRUE(c.asked.contains("open"));
  EXPECT_FALSE(c.asked.contains("machines"));
  EXPECT_EQ(c.closed, 0);
}

TEST(admission, where_nothing_is_public_a_missing_token_is_error_101) {
  counter c(false);
  EXPECT_EQ(counter::error_of(c.connect("")), 101);
  EXPECT_EQ(c.closed, 0);
  EXPECT_FALSE(c.policy.connected());
  EXPECT_TRUE(c.connect(token({}), 2).contains("connect")); // may try again
}

TEST(admission, a_bad_token_closes_with_3500_and_an_expired_one_is_error_109) {
  counter bad;
  bad.connect("not.a.token");
  EXPECT_EQ(bad.closed, 3500);
  EXPECT_FALSE(bad.reason.empty());
  counter late;
  EXPECT_EQ(counter::error_of(late.connect(token({}, -100))), 109);
  EXPECT_EQ(late.closed, 0);
  EXPECT_EQ(late.refused, std::vector{auth::failure::expired});
}

TEST(admission, commands_behind_a_refused_connect_are_answered_and_do_nothing) {
  counter c;
  const json connect{{"id", 1}, {"connect", {{"token", token({}, -100)}}}};
  const json subscribe{{"id", 2}, {"subscribe", {{"channel", "open"}}}};
  c.policy.on_message(connect.dump() + "\n" + subscribe.dump(), 0);
  ASSERT_EQ(c.replies.size(), 2u);
  EXPECT_EQ(counter::error_of(c.replies[0]), 109);
  EXPECT_EQ(counter::error_of(c.replies[1]), 100);
  EXPECT_EQ(c.replies[1]["error"]["temporary"], true);
  EXPECT_TRUE(c.asked.empty());
  EXPECT_EQ(c.closed, 0);
  // Nor does it go on for ever.
  c.pass(10'000);
  EXPECT_EQ(c.closed, 3502);
}

TEST(admission, a_table_that_the_token_does_not_name_is_error_103) {
  counter c;
  c.connect(token({"others", "machines/1"}));
  EXPECT_EQ(counter::error_of(c.subscribe_to("machines")), 103);
  c.subscribe_to("orders", 3); // whoever has a token
  c.subscribe_to("machines/1", 4);
  EXPECT_EQ(c.rows.key, "1");
  EXPECT_EQ(counter::error_of(c.subscribe_to("machines/2", 5)), 103);
  EXPECT_TRUE(c.asked.contains("orders"));
  EXPECT_EQ(c.refused, (std::vector{auth::failure::denied, auth::failure::denied}));
}

TEST(admission, a_condition_on_the_key_keeps_to_the_keys_of_the_token) {
  counter c;
  c.connect(token({"machines/eu-*"}));
  EXPECT_EQ(counter::error_of(c.subscribe_to("machines", 2, {{"key", {{"prefix", "us-"}}}})), 103);
  EXPECT_EQ(counter::error_of(c.subscribe_to("machines", 3, {{"/key", "eu-1"}})), 103); // a field, not the key
  EXPECT_FALSE(c.asked.contains("machines"));
  c.subscribe_to("machines", 4, {{"key", {{"prefix", "eu-n"}}}});
  EXPECT_TRUE(c.asked.contains("machines"));
  EXPECT_EQ(c.rows.where.all.size(), 1u);
}

TEST(admission, the_condition_of_a_token_is_put_upon_every_subscription) {
  const auto north = json::array({{{"table", "machines"}, {"where", {{"/site", "north"}}}}});
  counter c;
  c.connect(token(north));
  c.subscribe_to("machines");
  const auto forced = c.rows.where_text;
  EXPECT_NE(forced.find("north"), std::string::npos);
  EXPECT_EQ(forced, canonical_text(c.rows.where));
  c.subscribe_to("machines/1", 3);
  EXPECT_EQ(c.rows.key, "1");
  EXPECT_EQ(c.rows.where_text, forced);
  c.answer("machines");
  c.say({{"id", 4}, {"unsubscribe", {{"channel", "machines"}}}});
  c.subscribe_to("machines", 5, {{"any", {{{"/site", "south"}}, {{"/a", 1}}}}});
  EXPECT_EQ(c.rows.where.all.size(), 1u); // still the token's
  EXPECT_EQ(c.rows.where.any.size(), 2u);
}

TEST(admission, another_condition_in_the_new_token_makes_the_client_subscribe_again) {
  const auto of = [](const char* site) {
    return token(json::array({{{"table", "machines"}, {"where", {{"/site", site}}}}}), 120);
  };
  counter c;
  c.connect(of("north"));
  c.subscribe_to("machines");
  c.answer("machines");
  c.replies.clear();
  c.refresh(of("north"));
  EXPECT_EQ(c.replies.size(), 1u);
  c.refresh(of("south"));
  ASSERT_EQ(c.replies.size(), 3u);
  EXPECT_EQ(c.replies[2]["push"]["unsubscribe"]["code"], 2500);
  c.subscribe_to("machines", 5);
  EXPECT_NE(c.rows.where_text.find("south"), std::string::npos);
}

TEST(admission, the_history_of_a_log_needs_the_same_permission) {
  const auto ask = [](counter& c) {
    c.say({{"id", 7}, {"history", {{"channel", "open"}, {"limit", 10}}}});
    return counter::error_of(c.last());
  };
  counter stranger(false);
  stranger.connect(token({"machines"}));
  EXPECT_EQ(ask(stranger), 103);
  EXPECT_TRUE(stranger.asked.empty());
  counter some(false);
  some.connect(token(json::array({{{"table", "open"}, {"where", {{"/site", "north"}}}}})));
  EXPECT_EQ(ask(some), 0);
  EXPECT_TRUE(some.asked.contains("history of open"));
  EXPECT_NE(some.rows.where_text.find("north"), std::string::npos);
  some.subscribe_to("open");
  EXPECT_EQ(ask(some), 0); // of the subscription's rows, which are the permitted ones
  EXPECT_NE(some.rows.where_text.find("north"), std::string::npos);
}

TEST(admission, conditions_that_grow_too_large_together_are_refused) {
  auto many = json::array();
  for (int i = 0; i < 300; ++i)
    many.push_back({{"/a", i}});
  auto forced = json::array();
  for (int i = 0; i < 20; ++i)
    forced.push_back({{"/b", i}});
  counter c;
  c.connect(token(json::array({{{"table", "machines"}, {"where", {{"any", forced}}}}})));
  EXPECT_EQ(counter::error_of(c.subscribe_to("machines", 2, {{"any", many}})), 107);
  EXPECT_TRUE(c.asked.empty());
}

TEST(admission, an_expired_session_is_closed_with_3005_after_its_grace) {
  counter c;
  c.connect(token({"machines"}, 60));
  c.pass(60'000 + 29'000); // exp, and the leeway of 30 s
  EXPECT_EQ(c.closed, 0);
  c.pass(1'000);
  EXPECT_EQ(c.closed, 3005);
  // With that token it does not come back.
  counter again;
  again.steady = c.steady;
  EXPECT_EQ(counter::error_of(again.connect(token({"machines"}, 60))), 109);
}

TEST(admission, a_refresh_gives_the_session_more_time) {
  counter c;
  c.connect(token({"machines"}, 60));
  c.pass(60'000);
  const auto reply = c.refresh(token({"machines"}, 120));
  EXPECT_EQ(reply["refresh"],
            (json{{"client", "client-1"}, {"version", "weir test"}, {"expires", true}, {"ttl", 60}}));
  c.pass(80'000);
  EXPECT_EQ(c.closed, 0);
  c.pass(10'000);
  EXPECT_EQ(c.closed, 3005);
}

TEST(admission, a_bad_refresh_ends_the_session) {
  counter late;
  late.connect(token({}, 60));
  late.refresh(token({}, -100));
  EXPECT_EQ(late.closed, 3005); // the SDK comes back with a new one
  counter bad;
  bad.connect(token({}, 60));
  bad.refresh("x.y.z");
  EXPECT_EQ(bad.closed, 3500);
  counter empty;
  empty.connect(token({}, 60));
  empty.refresh("");
  EXPECT_EQ(empty.closed, 3500);
  counter other;
  other.connect(token({}, 60));
  other.refresh(token({}, 60, "bert"));
  EXPECT_EQ(other.closed, 3500);
  EXPECT_EQ(other.refused, std::vector{auth::failure::subject});
}

TEST(admission, a_refresh_without_a_token_before_it_is_an_error) {
  counter c;
  c.connect("");
  EXPECT_EQ(counter::error_of(c.refresh(token({}))), 107);
  EXPECT_EQ(c.closed, 0);
}

TEST(admission, a_subscription_that_the_new_token_does_not_permit_is_ended_for_good) {
  counter c;
  c.connect(token({"machines"}, 60));
  c.subscribe_to("machines");
  c.answer("machines");
  c.subscribe_to("orders", 3);
  c.answer("orders");
  c.replies.clear();
  c.refresh(token({"others"}, 120));
  ASSERT_EQ(c.replies.size(), 2u);
  EXPECT_TRUE(c.replies[0].contains("refresh"));
  EXPECT_EQ(c.replies[1]["push"]["channel"], "machines");
  const auto code = c.replies[1]["push"]["unsubscribe"]["code"].get<int>();
  EXPECT_LT(code, 2500);
  EXPECT_EQ(c.left, std::vector<std::string>{"machines"});
  EXPECT_EQ(c.policy.subscriptions(), 1u);
  EXPECT_EQ(counter::error_of(c.subscribe_to("machines", 5)), 103);
}

TEST(admission, one_that_is_still_being_made_is_answered_with_103) {
  counter c;
  c.connect(token({"machines"}, 60));
  c.subscribe_to("machines");
  c.replies.clear();
  c.refresh(token({}, 120));
  ASSERT_EQ(c.replies.size(), 2u);
  EXPECT_EQ(c.replies[0]["id"], 2); // in the order of the commands
  EXPECT_EQ(counter::error_of(c.replies[0]), 103);
  EXPECT_TRUE(c.replies[1].contains("refresh"));
  EXPECT_EQ(c.left, std::vector<std::string>{"machines"});
}

TEST(admission, nothing_is_said_about_subscriptions_that_stay_permitted) {
  counter c;
  c.connect(token({"machines"}, 60));
  c.subscribe_to("machines");
  c.answer("machines");
  c.replies.clear();
  c.refresh(token({"machines", "more"}, 120));
  EXPECT_EQ(c.replies.size(), 1u);
  EXPECT_TRUE(c.left.empty());
}

TEST(admission, a_long_time_fits_a_timer) {
  counter c;
  EXPECT_EQ(c.connect(token({}, 100LL * 366 * 86'400))["connect"]["ttl"], 2'147'483);
  counter soon;
  EXPECT_EQ(soon.connect(token({}, -10))["connect"]["ttl"], 1); // within the leeway: to be renewed at once
}

TEST(admission, replies_and_reasons_never_repeat_the_token) {
  for (const auto& bad : {std::string("Zauberwort.Zauberwort.Zauberwort"), token({"Zauberwort"}),
                          hs256({{"sub", "Zauberwort"}, {"exp", now_s - 1000}})}) {
    counter c;
    c.connect(bad);
    EXPECT_EQ((c.reason + json(c.replies).dump()).find("Zauberwort"), std::string::npos);
    EXPECT_EQ((c.reason + json(c.replies).dump()).find(bad.substr(0, 20)), std::string::npos);
  }
}

} // namespace
} // namespace weir::auth_test
