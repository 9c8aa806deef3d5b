#include "runtime/auth/gate.hpp"

#include "tests/unit/auth/mint.hpp"

#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>

namespace weir::auth_test {
namespace {

using auth::failure;
using auth::gate;
using auth::key_ring;

class folder {
public:
  folder() {
    std::string form = (std::filesystem::temp_directory_path() / "weir-auth-XXXXXX").string();
    path_ = mkdtemp(form.data());
  }
  ~folder() { std::filesystem::remove_all(path_); }
  folder(const folder&) = delete;
  folder& operator=(const folder&) = delete;
  // As tools do it: written beside, then moved into its place.
  std::string write(const std::string& name, std::string_view content) const {
    std::ofstream(path_ / "new", std::ios::binary) << content;
    std::filesystem::rename(path_ / "new", path_ / name);
    return (path_ / name).string();
  }

private:
  std::filesystem::path path_;
};

topology three_tables() {
  topology t;
  for (const auto& [name, access] :
       {std::pair("open", table_access::everybody), std::pair("inner", table_access::authenticated),
        std::pair("named", table_access::claims)}) {
    t.tables[name].name = name;
    t.tables[name].access = access;
  }
  t.http.jwt.emplace().keys = {{"", "HS256", secret, ""}};
  return t;
}

struct fixture {
  topology topo;
  std::int64_t now = now_ms;
  std::vector<failure> refused;
  std::shared_ptr<const gate> made;

  explicit fixture(topology t = three_tables()) : topo(std::move(t)) {
    made = std::make_shared<const gate>(
        topo, topo.http.jwt ? key_ring::make(*topo.http.jwt).value() : nullptr,
        auth::gate_ports{[this] { return now; }, [this](const auth::refusal& r) { refused.push_back(r.why); }});
  }
  bool may(const auth::identity* who, std::string_view table) {
    return made->may_read(who, {table, {}, nullptr}).allowed;
  }
  auth::identity_ptr who(const json& more) {
    auto claims = good_claims();
    if (more.is_object())
      claims.update(more);
    return made->identify(hs256(claims)).value();
  }
};

TEST(gate, without_tokens_everybody_may_everything) {
  auto t = three_tables();
  t.http.jwt.reset();
  fixture f(t);
  EXPECT_FALSE(f.made->guarded());
  EXPECT_TRUE(f.made->anything_public());
  EXPECT_TRUE(f.made->metrics_public());
  EXPECT_TRUE(f.made->may_operate(nullptr));
  EXPECT_TRUE(f.made->admit("any text"));
  EXPECT_TRUE(f.may(nullptr, "open"));
  EXPECT_TRUE(f.may(nullptr, "named"));
  EXPECT_TRUE(f.refused.empty());
}

TEST(gate, a_table_is_read_by_whom_its_access_says) {
  fixture f;
  EXPECT_TRUE(f.may(nullptr, "open"));
  EXPECT_FALSE(f.may(nullptr, "inner"));
  EXPECT_FALSE(f.may(nullptr, "named"));
  const auto anybody = f.who({});
  EXPECT_TRUE(f.may(anybody.get(), "open"));
  EXPECT_TRUE(f.may(anybody.get(), "inner"));
  EXPECT_FALSE(f.may(anybody.get(), "named"));
  EXPECT_TRUE(f.may(f.who({{"tables", {"named"}}}).get(), "named"));
  EXPECT_TRUE(f.may(f.who({{"admin", true}}).get(), "named"));
  EXPECT_FALSE(f.may(f.who({{"admin", false}}).get(), "named"));
  EXPECT_FALSE(f.may(f.who({{"tables", {"gone"}}}).get(), "named"));
  EXPECT_FALSE(f.made->may_operate(anybody.get()));
  EXPECT_TRUE(f.made->may_operate(f.who({{"admin", true}}).get()));
  EXPECT_THAT(f.refused, ::testing::Each(failure::denied));
}

TEST(gate, reach_tells_what_could_be_read_at_all) {
  fixture f;
  EXPECT_FALSE(f.made->reach_of(nullptr, "named").some);
  EXPECT_TRUE(f.made->reach_of(nullptr, "open").whole);
  const auto some = f.who({{"tables", {"named/1"}}});
  EXPECT_TRUE(f.made->reach_of(some.get(), "named").some);
  EXPECT_FALSE(f.made->reach_of(some.get(), "named").whole);
  EXPECT_TRUE(f.made->reach_of(some.get(), "inner").whole);
}

TEST(gate, a_table_that_is_not_there_is_refused_like_one_that_must_not_be_read) {
  fixture f;
  const auto some = f.who({{"tables", {"inner"}}});
  for (const auto* who : {static_cast<const auth::identity*>(nullptr), some.get()}) {
    EXPECT_FALSE(f.made->reach_of(who, "nowhere").some);
    const auto nowhere = f.made->may_read(who, {"nowhere", {}, nullptr}),
               named = f.made->may_read(who, {"named", {}, nullptr});
    EXPECT_FALSE(nowhere.allowed);
    EXPECT_EQ(nowhere.message, named.message);
  }
}

TEST(gate, a_log_has_no_keys_that_could_be_permitted) {
  auto t = three_tables();
  t.tables["named"].kind = table_kind::log;
  fixture f(t);
  const auto some = f.who({{"tables", {"named/*", "named/a"}}});
  const condition every{{{row_key_name, comparison::prefix, {""}}}, {}};
  EXPECT_FALSE(f.made->reach_of(some.get(), "named").some);
  EXPECT_FALSE(f.made->may_read(some.get(), {"named", "a", nullptr}).allowed);
  EXPECT_FALSE(f.made->may_read(some.get(), {"named", {}, &every}).allowed);
  const auto chosen = f.who({{"tables", {{{"table", "named"}, {"where", {{"/site", "north"}}}}}}});
  EXPECT_TRUE(f.made->reach_of(chosen.get(), "named").some);
  EXPECT_FALSE(f.made->may_read(chosen.get(), {"named", {}, nullptr}).forced.empty());
}

TEST(gate, what_is_not_all_of_a_table_is_partial) {
  fixture f;
  const auto ask = [&](const json& tables, std::optional<std::string_view> key = {}) {
    const auto d = f.made->may_read(f.who({{"tables", tables}}).get(), {"named", key, nullptr});
    EXPECT_TRUE(d.allowed);
    return d.partial;
  };
  EXPECT_FALSE(ask({"named"}));
  EXPECT_FALSE(ask({"named", "named/a"}, "a"));
  EXPECT_TRUE(ask({"named/a"}, "a"));
  EXPECT_TRUE(ask({{{"table", "named"}, {"where", {{"/site", "north"}}}}}));
  EXPECT_FALSE(f.made->may_read(nullptr, {"open", {}, nullptr}).partial);
}

TEST(gate, who_was_let_in_is_over_after_the_grace_or_without_the_key) {
  folder dir;
  auto t = three_tables();
  t.http.jwt->keys.clear();
  const auto oct = [](const std::string& kid, const std::string& text) {
    return json{{"kty", "oct"}, {"kid", kid}, {"k", auth::base64url_encode(text)}};
  };
  t.http.jwt->jwks_file = dir.write("jwks.json", json{{"keys", {oct("a", secret), oct("b", secret + "b")}}}.dump());
  fixture f(t);
  const auto who = f.made->identify(hs256(good_claims(), {{"alg", "HS256"}, {"kid", "a"}})).value();
  EXPECT_FALSE(f.made->over(*who));
  f.now = now_ms + 60'000 + 29'999;
  EXPECT_FALSE(f.made->over(*who));
  f.now += 1;
  EXPECT_TRUE(f.made->over(*who));
  f.now = now_ms;
  const auto before = f.made->key_generation();
  dir.write("jwks.json", json{{"keys", {oct("a", secret), oct("c", secret + "c")}}}.dump());
  ASSERT_TRUE(f.made->reload());
  EXPECT_NE(f.made->key_generation(), before);
  EXPECT_TRUE(f.made->key_still_there(*who)) << "read anew, the same key";
  dir.write("jwks.json", json{{"keys", {oct("a", secret + "another"), oct("d", secret)}}}.dump());
  ASSERT_TRUE(f.made->reload());
  EXPECT_TRUE(f.made->over(*who)) << "another key of that name, and the key under another name";
}

TEST(gate, nobody_in_particular_comes_in_only_where_something_is_public) {
  fixture f;
  EXPECT_TRUE(f.made->admit(""));
  EXPECT_FALSE(f.made->identify(""));
  EXPECT_FALSE(f.made->admit("nonsense")); // a token that is there has to be good
  auto t = three_tables();
  t.tables.erase("open");
  fixture closed(t);
  const auto missing = closed.made->admit("");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().why, failure::missing);
  EXPECT_EQ(closed.refused, std::vector{failure::missing});
}

TEST(gate, a_token_ends_with_its_time) {
  fixture f;
  const auto token = hs256();
  EXPECT_TRUE(f.made->identify(token));
  f.now = now_ms + 60'000 + 30'000; // exp, and the leeway
  const auto late = f.made->identify(token);
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().why, failure::expired);
  EXPECT_EQ(f.made->grace_ms(), 30'000);
}

TEST(key_ring, a_changed_file_is_read_and_a_bad_one_is_not_taken) {
  folder dir;
  const auto path = dir.write("jwks.json", json{{"keys", {rsa_pair().rsa_jwk("old")}}}.dump());
  jwt_config config;
  config.jwks_file = path;
  const auto ring = key_ring::make(config).value();
  EXPECT_EQ(ring->reload(), std::nullopt);
  const auto before = ring->current();
  EXPECT_NE(before->find("old"), nullptr);

  dir.write("jwks.json", json{{"keys", {rsa_pair().rsa_jwk("old"), ec_pair().ec_jwk("new")}}}.dump());
  auto done = ring->reload();
  ASSERT_TRUE(done);
  EXPECT_EQ(done->problem, "");
  EXPECT_EQ(done->keys, 2u);
  EXPECT_NE(ring->current()->find("new"), nullptr);
  EXPECT_EQ(before->size(), 1u); // whoever holds the old set is not disturbed

  dir.write("jwks.json", R"({"keys": [{"kty": "oct", "kid": "weak", "k": "AAAA"}]})");
  done = ring->reload();
  ASSERT_TRUE(done);
  EXPECT_THAT(done->problem, ::testing::HasSubstr("32"));
  EXPECT_EQ(done->keys, 2u);
  EXPECT_NE(ring->current()->find("new"), nullptr);
  EXPECT_EQ(ring->reload(), std::nullopt); // told once

  std::filesystem::remove(path);
  done = ring->reload();
  ASSERT_TRUE(done);
  EXPECT_THAT(done->problem, ::testing::HasSubstr("can't read"));
  EXPECT_EQ(ring->current()->size(), 2u);

  dir.write("jwks.json", json{{"keys", {ec_pair().ec_jwk("new")}}}.dump());
  ASSERT_TRUE(ring->reload());
  EXPECT_EQ(ring->current()->find("old"), nullptr);
  EXPECT_EQ(ring->current()->size(), 1u);
}

TEST(key_ring, keys_of_the_topology_and_of_the_file_have_different_names) {
  folder dir;
  jwt_config config;
  config.keys = {{"r", "HS256", secret, ""}};
  config.jwks_file = dir.write("jwks.json", json{{"keys", {rsa_pair().rsa_jwk("r")}}}.dump());
  const auto made = key_ring::make(config);
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, ec::bad_topology);
  EXPECT_THAT(made.error().message, ::testing::HasSubstr("two keys of one 'kid'"));
  config.keys[0].kid = "h";
  EXPECT_EQ(key_ring::make(config).value()->current()->size(), 2u);
}

TEST(key_ring, a_file_that_is_not_there_or_not_one_is_told) {
  folder dir;
  jwt_config config;
  config.jwks_file = "/nowhere/jwks.json";
  EXPECT_FALSE(key_ring::make(config));
  config.jwks_file = std::filesystem::temp_directory_path().string();
  EXPECT_FALSE(key_ring::make(config));
  config.jwks_file = dir.write("empty", "");
  EXPECT_FALSE(key_ring::make(config));
  config.jwks_file = dir.write("large", std::string((1 << 20) + 1, ' '));
  EXPECT_FALSE(key_ring::make(config));
}

} // namespace
} // namespace weir::auth_test
