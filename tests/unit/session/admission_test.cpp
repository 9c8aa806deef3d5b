// Tokens in the life of a session: let in, refreshed, expired, and what becomes of its subscriptions.
#include "proto/client_reply.hpp"
#include "runtime/config/condition.hpp"
#include "runtime/http/session_policy.hpp"
#include "tests/unit/auth/mint.hpp"

#include <deque>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <unistd.h>

namespace weir::auth_test {
namespace {

using namespace weir::http;

// A guarded session with all it talks to. Steady time starts at 0 when the wall says now_ms.
struct counter : session_output, session_publishers {
  explicit counter(bool with_public = true, const std::string& jwks = {})
      : policy("client-1", "weir test",
               std::make_shared<table_directory>(table_directory{
                   {"machines", table_kind::latest}, {"orders", table_kind::latest}, {"open", table_kind::log}}),
               *this, *this, {}, 0) {
    topology t;
    t.tables["machines"].access = table_access::claims;
    t.tables["orders"].access = table_access::authenticated;
    t.tables["open"].access = with_public ? table_access::everybody : table_access::claims;
    t.tables["open"].kind = table_kind::log;
    t.http.jwt.emplace().jwks_file = jwks;
    if (jwks.empty())
      t.http.jwt->keys = {{"", "HS256", secret, ""}};
    gate = std::make_shared<const auth::gate>(
        t, auth::key_ring::make(*t.http.jwt).value(),
        auth::gate_ports{[this] { return now_ms + steady; },
                         [this](const auth::refusal& r) { refused.push_back(r.why); }});
    policy.guard(gate);
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
    recovering = request.recover;
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
  bool recovering = false;    // by the last subscribe command
  std::shared_ptr<const auth::gate> gate;
  std::vector<std::string> left;
  int closed = 0;
  std::string reason;
  session_policy policy;
};

std::string token(const json& tables, std::int64_t seconds = 60, const std::string& who = "anna") {
  return hs256({{"sub", who}, {"exp", now_s + seconds}, {"tables", tables.is_null() ? json::array() : tables}});
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

TEST(admission, the_condition_of_a_token_holds_for_a_recovery_too) {
  counter c(false);
  c.connect(token(json::array({{{"table", "machines"}, {"where", {{"/site", "north"}}}},
                               {{"table", "open"}, {"where", {{"/site", "north"}}}}})));
  for (const auto* channel : {"machines", "machines/1", "open"}) {
    json subscribe{{"channel", channel}, {"recover", true}, {"epoch", "e"}, {"offset", 5}};
    if (channel[0] == 'm')
      subscribe.update({{"type", 1}, {"phase", 1}});
    c.say({{"id", 7}, {"subscribe", subscribe}});
    EXPECT_TRUE(c.recovering);
    EXPECT_NE(c.rows.where_text.find("north"), std::string::npos) << channel;
    EXPECT_TRUE(c.rows.partial) << channel; // the keys of other rows are not told either
    c.recovering = false;
    c.rows = {};
  }
}

TEST(admission, only_who_may_see_all_of_a_table_is_told_of_every_removal) {
  counter c;
  c.connect(token({"machines/eu-*"}));
  c.subscribe_to("machines", 2, {{"key", {{"prefix", "eu-"}}}});
  EXPECT_TRUE(c.rows.partial);
  counter all;
  all.connect(token({"machines"}));
  all.subscribe_to("machines", 2, {{"key", {{"prefix", "eu-"}}}});
  EXPECT_FALSE(all.rows.partial);
}

TEST(admission, nobody_learns_which_tables_there_are) {
  for (const auto& held : {std::string(), token({"orders2"})}) {
    counter c;
    c.connect(held);
    const auto there = c.subscribe_to("machines", 5), nowhere = c.subscribe_to("nowhere", 5);
    EXPECT_EQ(counter::error_of(there), 103);
    EXPECT_EQ(there, nowhere);
    const auto as_log = [&](const char* channel) {
      c.say({{"id", 6}, {"subscribe", {{"channel", channel}}}}); // not of its kind
      return c.last();
    };
    EXPECT_EQ(as_log("machines"), as_log("nowhere"));
    const auto past = [&](const char* channel) {
      c.say({{"id", 7}, {"history", {{"channel", channel}, {"limit", 1}}}});
      return c.last();
    };
    EXPECT_EQ(past("machines"), past("nowhere"));
  }
  counter named;
  named.connect(token({"nowhere"}));
  EXPECT_EQ(counter::error_of(named.subscribe_to("nowhere")), 102); // whose token names it knows of it
}

TEST(admission, keys_permit_nothing_of_a_log) {
  counter c(false);
  c.connect(token({"open/*"}));
  EXPECT_EQ(counter::error_of(c.subscribe_to("open", 2, {{"key", {{"prefix", ""}}}})), 103);
  EXPECT_TRUE(c.asked.empty());
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
  EXPECT_EQ(reply["refresh"], (json{{"client", "client-1"}, {"version", "weir test"}, {"expires", true}, {"ttl", 60}}));
  c.pass(80'000);
  EXPECT_EQ(c.closed, 0);
  c.pass(10'000);
  EXPECT_EQ(c.closed, 3005);
}

// A key set in a file, and tokens by its keys.
struct key_file {
  std::string path =
      (std::filesystem::temp_directory_path() / ("weir-admission-" + std::to_string(getpid()) + ".json")).string();
  explicit key_file(std::initializer_list<const char*> names) { write(names); }
  ~key_file() { std::filesystem::remove(path); }
  key_file(const key_file&) = delete;
  key_file& operator=(const key_file&) = delete;
  void write(std::initializer_list<const char*> names) const {
    auto keys = json::array();
    for (const auto* name : names)
      keys.push_back({{"kty", "oct"}, {"kid", name}, {"k", auth::base64url_encode(secret + name)}});
    std::ofstream(path + ".new") << json{{"keys", keys}}.dump();
    std::filesystem::rename(path + ".new", path);
  }
  static std::string by(const std::string& name, std::int64_t seconds = 600) {
    return hs256_text(json{{"alg", "HS256"}, {"kid", name}}.dump(),
                      json{{"sub", "anna"}, {"exp", now_s + seconds}, {"tables", {"machines"}}}.dump(), secret + name);
  }
};

TEST(admission, a_session_ends_when_the_key_of_its_token_is_taken_out) {
  const key_file file{"old", "new"};
  counter renewed(true, file.path), stays(true, file.path);
  for (auto* c : {&renewed, &stays}) {
    c->connect(key_file::by("old"));
    c->pass(5'000);
    EXPECT_EQ(c->closed, 0);
  }
  renewed.refresh(key_file::by("new"));
  file.write({"new"});
  for (auto* c : {&renewed, &stays}) {
    ASSERT_TRUE(c->gate->reload());
    c->pass(1'000);
  }
  EXPECT_EQ(renewed.closed, 0);
  EXPECT_EQ(stays.closed, 3005); // the SDK comes back
  counter again(true, file.path);
  EXPECT_EQ(counter::error_of(again.connect(key_file::by("old"))), 109); // and gets a new token
  EXPECT_EQ(again.refused, std::vector{auth::failure::unknown_key});
}

TEST(admission, a_refresh_by_a_key_that_is_not_there_yet_is_no_end_for_good) {
  const key_file file{"old"};
  counter c(true, file.path);
  c.connect(key_file::by("old"));
  c.refresh(key_file::by("new"));
  EXPECT_EQ(c.closed, 3005);
}

TEST(admission, a_connection_does_not_try_tokens_without_end) {
  counter late;
  for (std::uint32_t i = 1; i < most_refused_tokens; ++i) {
    EXPECT_EQ(counter::error_of(late.connect(token({}, -100), i)), 109);
    EXPECT_EQ(late.closed, 0);
  }
  late.connect(token({}, -100), 9);
  EXPECT_EQ(late.closed, 3005);
  counter none(false);
  for (std::uint32_t i = 0; i < most_refused_tokens; ++i)
    none.connect("", i + 1);
  EXPECT_EQ(none.closed, 3500);
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
