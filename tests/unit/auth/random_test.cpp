// Many tokens nobody would write: whatever is done to a token, it is refused, and nothing breaks.
#include "runtime/auth/grants.hpp"
#include "tests/unit/auth/mint.hpp"

#include <cmath>
#include <cstdlib>
#include <gtest/gtest.h>
#include <random>

namespace weir::auth_test {
namespace {

std::uint64_t seed() {
  const char* given = std::getenv("WEIR_SEED");
  const auto value = given ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  ::testing::Test::RecordProperty("seed", std::to_string(value));
  return value;
}

TEST(random_tokens, a_changed_token_is_refused) {
  const auto s = seed();
  SCOPED_TRACE("WEIR_SEED=" + std::to_string(s));
  std::mt19937_64 random(s);
  const auto keys = all_keys();
  const std::string originals[] = {hs256(good_claims(), {{"alg", "HS256"}, {"kid", "h"}}), rs256(), es256()};
  for (const auto& token : originals)
    ASSERT_TRUE(auth::verify_token(token, keys, {}, now_ms));
  const std::string alphabet = "ABCDwxyz0189-_.=+/ \n\"{}";
  for (int i = 0; i < 6000; ++i) {
    const auto& original = originals[random() % 3];
    auto token = original;
    for (auto changes = 1 + random() % 4; changes > 0; --changes) {
      const auto at = token.empty() ? 0 : random() % token.size();
      switch (random() % 5) {
      case 0: token.erase(at, 1 + random() % 20); break;
      case 1: token.insert(at, 1, alphabet[random() % alphabet.size()]); break;
      case 2: token.insert(at, originals[random() % 3].substr(0, random() % 300)); break;
      case 3:
        if (!token.empty())
          token[at] = static_cast<char>(random());
        break;
      default:
        if (!token.empty())
          token[at] = alphabet[random() % alphabet.size()];
      }
    }
    const auto known = token == originals[0] || token == originals[1] || token == originals[2];
    EXPECT_EQ(auth::verify_token(token, keys, {}, now_ms).has_value(), known) << token;
  }
}

// Signed by the right key, so every claim is believed to be what it is.
json some_value(std::mt19937_64& random, int depth) {
  switch (random() % (depth > 3 ? 6 : 9)) {
  case 0: return nullptr;
  case 1: return random() % 2 == 0;
  case 2: return random();
  case 3: return -static_cast<std::int64_t>(random() % 1000);
  case 4: return std::ldexp(static_cast<double>(random()), static_cast<int>(random() % 900) - 450);
  case 5: {
    const char* texts[] = {"", "t", "t/k", "t/*", "*", "t/k*", "T", "key", "where", "table", "in", "prefix", "a/b/c"};
    return texts[random() % std::size(texts)];
  }
  case 6: {
    auto out = json::array();
    for (auto n = random() % 4; n > 0; --n)
      out.push_back(some_value(random, depth + 1));
    return out;
  }
  default: {
    const char* names[] = {"table", "where", "/a", "any", "in", "eq", "prefix", "key", "x"};
    auto out = json::object();
    for (auto n = random() % 4; n > 0; --n)
      out[names[random() % std::size(names)]] = some_value(random, depth + 1);
    return out;
  }
  }
}

TEST(random_tokens, signed_claims_of_any_form_are_taken_or_refused_and_never_grant_another_table) {
  const auto s = seed();
  SCOPED_TRACE("WEIR_SEED=" + std::to_string(s));
  std::mt19937_64 random(s);
  const auto keys = only_secret();
  int taken = 0;
  for (int i = 0; i < 4000; ++i) {
    json claims{{"exp", now_s + 60}};
    const char* names[] = {"exp", "nbf", "aud", "iss", "sub", "admin", "tables"};
    for (auto n = random() % 3; n > 0; --n)
      claims[names[random() % std::size(names)]] = some_value(random, 0);
    if (random() % 2 == 0) {
      claims["tables"] = json::array();
      for (auto n = random() % 4; n > 0; --n)
        claims["tables"].push_back(some_value(random, 2));
    }
    const auto verified = auth::verify_token(hs256(claims), keys, {}, now_ms);
    if (!verified)
      continue;
    const auto who = auth::read_identity(*verified);
    if (!who)
      continue;
    ++taken;
    EXPECT_EQ(who->admin, claims.contains("admin") && claims["admin"] == true);
    EXPECT_FALSE(who->tables.contains("other"));
    for (const auto& [table, grant] : who->tables) {
      EXPECT_TRUE(table == "t" || table == "key" || table == "where" || table == "table" || table == "in" ||
                  table == "prefix" || table == "a")
          << table;
      auth::read_request whole{table, std::nullopt, nullptr};
      const auto decided = auth::decide(&grant, whole);
      EXPECT_EQ(decided.allowed, grant.whole || !grant.where.empty());
      EXPECT_EQ(decided.forced.empty(), grant.whole || grant.where.empty());
    }
  }
  EXPECT_GT(taken, 100);
}

} // namespace
} // namespace weir::auth_test
