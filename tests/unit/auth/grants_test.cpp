#include "runtime/auth/grants.hpp"

#include "runtime/config/condition.hpp"
#include "tests/unit/auth/mint.hpp"

#include <gmock/gmock.h>

namespace weir::auth_test {
namespace {

using auth::both;
using auth::decide;
using auth::identity;
using auth::read_identity;
using auth::read_request;

tl::expected<identity, auth::refusal> of(const json& tables) {
  return read_identity({json{{"exp", now_s + 60}, {"tables", tables}}.dump(), "anna", 1});
}

template <class... Entries>
json list(Entries&&... entries) {
  auto out = json::array();
  (out.push_back(json(std::forward<Entries>(entries))), ...);
  return out;
}

struct holder {
  identity who;
  explicit holder(const json& tables) : who(of(tables).value()) {}
  auth::decision ask(std::string_view table, std::optional<std::string_view> key = {},
                     const condition* where = nullptr) {
    const auto grant = who.tables.find(table);
    return decide(grant == who.tables.end() ? nullptr : &grant->second, {table, key, where});
  }
  bool may(std::string_view table, std::optional<std::string_view> key = {}) { return ask(table, key).allowed; }
  bool may_where(std::string_view table, const condition& where) { return ask(table, {}, &where).allowed; }
};

condition on_key(comparison op, std::vector<scalar> operands) {
  return {{{row_key_name, op, std::move(operands)}}, {}};
}
condition on_field(const std::string& pointer, scalar operand) {
  return {{{pointer, comparison::eq, {std::move(operand)}}}, {}};
}

TEST(grants, a_table_s_name_permits_all_of_it_and_nothing_else) {
  holder h(list("prices"));
  EXPECT_TRUE(h.may("prices"));
  EXPECT_TRUE(h.may("prices", "a"));
  EXPECT_TRUE(h.may_where("prices", on_field("/a", std::int64_t{1})));
  EXPECT_TRUE(h.ask("prices").forced.empty());
  EXPECT_FALSE(h.may("price"));
  EXPECT_FALSE(h.may("prices2"));
  EXPECT_FALSE(h.may("orders"));
}

TEST(grants, a_key_permits_that_key) {
  holder h(list("orders/17", "orders/a/b"));
  EXPECT_TRUE(h.may("orders", "17"));
  EXPECT_TRUE(h.may("orders", "a/b"));
  EXPECT_FALSE(h.may("orders", "170"));
  EXPECT_FALSE(h.may("orders", "1"));
  EXPECT_FALSE(h.may("orders", "a"));
  EXPECT_FALSE(h.may("orders"));
  EXPECT_TRUE(h.may_where("orders", on_key(comparison::eq, {"17"})));
  EXPECT_TRUE(h.may_where("orders", on_key(comparison::in, {"17", "a/b"})));
  EXPECT_FALSE(h.may_where("orders", on_key(comparison::in, {"17", "18"})));
  EXPECT_FALSE(h.may_where("orders", on_key(comparison::prefix, {"17"})));
}

TEST(grants, a_prefix_permits_keys_with_that_beginning) {
  holder h(list("orders/eu-*"));
  EXPECT_TRUE(h.may("orders", "eu-1"));
  EXPECT_TRUE(h.may("orders", "eu-"));
  EXPECT_FALSE(h.may("orders", "eu"));
  EXPECT_FALSE(h.may("orders", "us-1"));
  EXPECT_FALSE(h.may("orders"));
  EXPECT_TRUE(h.may_where("orders", on_key(comparison::prefix, {"eu-"})));
  EXPECT_TRUE(h.may_where("orders", on_key(comparison::prefix, {"eu-north"})));
  EXPECT_FALSE(h.may_where("orders", on_key(comparison::prefix, {"eu"})));
  EXPECT_FALSE(h.may_where("orders", on_key(comparison::prefix, {""})));
  EXPECT_TRUE(h.may_where("orders", on_key(comparison::in, {"eu-1", "eu-2"})));
  EXPECT_FALSE(h.may_where("orders", on_key(comparison::in, {"eu-1", "us-2"})));
}

TEST(grants, a_star_permits_every_key_but_not_the_whole_table) {
  holder h(list("orders/*"));
  EXPECT_TRUE(h.may("orders", "x"));
  EXPECT_TRUE(h.may_where("orders", on_key(comparison::prefix, {""})));
  EXPECT_FALSE(h.may("orders"));
}

TEST(grants, only_tests_that_must_hold_and_that_name_keys_narrow_a_request) {
  holder h(list("orders/17"));
  const auto good = on_key(comparison::eq, {"17"}), field = on_field("/key", "17");
  EXPECT_FALSE(h.may_where("orders", field)); // a field of the row is not its key
  for (const auto op : {comparison::ne, comparison::gt, comparison::gte, comparison::lt, comparison::lte})
    EXPECT_FALSE(h.may_where("orders", on_key(op, {"17"})));
  EXPECT_FALSE(h.may_where("orders", on_key(comparison::exists, {true})));
  EXPECT_FALSE(h.may_where("orders", on_key(comparison::eq, {std::int64_t{17}})));
  EXPECT_FALSE(h.may_where("orders", on_key(comparison::in, {"17", nullptr})));
  EXPECT_FALSE(h.may_where("orders", on_key(comparison::in, {})));
  EXPECT_FALSE(h.may_where("orders", {{}, {good, field}})); // one alternative is enough, so another may hold
  auto more = good;
  more.any = {field, field};
  EXPECT_TRUE(h.may_where("orders", more));
  more.all.push_back(field.all.front());
  EXPECT_TRUE(h.may_where("orders", more));
}

TEST(grants, a_condition_is_forced_upon_every_request) {
  holder h(list(json{{"table", "orders"}, {"where", {{"/site", "north"}}}}));
  const auto whole = h.ask("orders");
  ASSERT_TRUE(whole.allowed);
  EXPECT_EQ(canonical_text(whole.forced), canonical_text(on_field("/site", "north")));
  EXPECT_FALSE(h.ask("orders", "17").forced.empty());
  const auto field = on_field("/a", std::int64_t{1});
  EXPECT_FALSE(h.ask("orders", {}, &field).forced.empty());
  EXPECT_FALSE(h.may("others"));
}

TEST(grants, they_add_up) {
  holder two(list(json{{"table", "orders"}, {"where", {{"/site", "north"}}}},
                  json{{"table", "orders"}, {"where", {{"/site", "south"}}}}));
  const auto forced = two.ask("orders").forced;
  EXPECT_TRUE(forced.all.empty());
  EXPECT_EQ(forced.any.size(), 2u);
  holder keys(list("orders/17", json{{"table", "orders"}, {"where", {{"/site", "north"}}}}));
  EXPECT_TRUE(keys.ask("orders", "17").forced.empty());
  EXPECT_FALSE(keys.ask("orders", "18").forced.empty());
  holder whole(list(json{{"table", "orders"}, {"where", {{"/site", "north"}}}}, "orders"));
  EXPECT_TRUE(whole.ask("orders").forced.empty());
}

TEST(grants, without_the_claim_nothing_is_granted) {
  const auto who = read_identity({json{{"exp", now_s}}.dump(), "anna", 7});
  ASSERT_TRUE(who);
  EXPECT_EQ(who->subject, "anna");
  EXPECT_EQ(who->expires_ms, 7);
  EXPECT_FALSE(who->admin);
  EXPECT_TRUE(who->tables.empty());
  EXPECT_FALSE(decide(nullptr, {"orders", {}, nullptr}).allowed);
}

TEST(grants, what_is_not_understood_refuses_the_token) {
  const std::string long_key = "[\"orders/" + std::string(1025, 'k') + "\"]";
  for (const char* bad : {R"("orders")",
                          R"(true)",
                          R"({})",
                          R"([5])",
                          R"([null])",
                          R"([""])",
                          R"(["*"])",
                          R"(["orders*"])",
                          R"(["Orders"])",
                          R"(["/x"])",
                          R"(["orders/"])",
                          long_key.c_str(),
                          R"([["a"]])",
                          R"([{}])",
                          R"([{"table":"orders"}])",
                          R"([{"where":{"/a":1}}])",
                          R"([{"table":"orders","where":{}}])",
                          R"([{"table":"orders","where":"x"}])",
                          R"([{"table":"orders","where":{"/a":{"like":"x"}}}])",
                          R"([{"table":"orders","where":{"a":1}}])",
                          R"([{"table":"orders/1","where":{"/a":1}}])",
                          R"([{"table":5,"where":{"/a":1}}])",
                          R"([{"table":"orders","where":{"/a":1},"until":"tomorrow"}])"}) {
    const auto who = of(json::parse(bad));
    ASSERT_FALSE(who) << bad;
    EXPECT_EQ(who.error().why, auth::failure::claims);
    EXPECT_THAT(who.error().message, ::testing::HasSubstr("tables"));
  }
  for (const json& bad : {json("true"), json(1), json(nullptr), json::array()})
    EXPECT_FALSE(read_identity({json{{"exp", 1}, {"admin", bad}}.dump(), "", 1})) << bad;
}

TEST(grants, conditions_are_joined_so_that_both_hold) {
  const auto a = on_field("/a", std::int64_t{1}), b = on_field("/b", std::int64_t{2});
  const condition either{{}, {a, b}}, other{{}, {on_field("/c", "x"), on_field("/d", "y")}};
  EXPECT_EQ(canonical_text(both(a, {}, 10).value()), canonical_text(a));
  EXPECT_EQ(canonical_text(both({}, either, 10).value()), canonical_text(either));
  const auto plain = both(a, b, 10).value();
  EXPECT_EQ(plain.all.size(), 2u);
  const auto mixed = both(a, either, 10).value();
  EXPECT_EQ(mixed.all.size(), 1u);
  EXPECT_EQ(mixed.any.size(), 2u);
  const auto product = both(either, other, 100).value();
  ASSERT_EQ(product.any.size(), 2u);
  for (const auto& alternative : product.any) {
    EXPECT_EQ(alternative.all.size(), 1u);
    EXPECT_EQ(alternative.any.size(), 2u);
  }
}

TEST(grants, conditions_that_multiply_have_a_bound) {
  condition many;
  for (std::int64_t i = 0; i < 400; ++i)
    many.any.push_back(on_field("/a", i));
  EXPECT_FALSE(both(many, many, condition_test_limit));
  EXPECT_TRUE(both(many, on_field("/b", std::int64_t{1}), condition_test_limit));
}

} // namespace
} // namespace weir::auth_test
