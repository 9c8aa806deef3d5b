// What a token has to be, and everything that it must not get away with.
#include "tests/unit/auth/mint.hpp"

#include <gmock/gmock.h>

namespace weir::auth_test {
namespace {

using auth::failure;
using auth::token_rules;
using auth::verify_token;

std::string outcome(const std::string& token, const auth::key_set& keys = only_secret(), const token_rules& rules = {},
                    std::int64_t at = now_ms) {
  const auto verified = verify_token(token, keys, rules, at);
  if (verified)
    return "good";
  EXPECT_FALSE(verified.error().message.empty());
  return std::string(to_string(verified.error().why));
}

std::string with_header(const std::string& header) { return hs256_text(header, good_claims().dump()); }
std::string with_payload(const std::string& payload) { return hs256_text(R"({"alg":"HS256"})", payload); }
std::string with_claim(const std::string& name, const json& value) {
  auto claims = good_claims();
  claims[name] = value;
  return hs256(claims);
}

TEST(token, good_ones_of_all_three_algorithms_are_taken) {
  const auto keys = all_keys();
  EXPECT_EQ(outcome(hs256(good_claims(), {{"alg", "HS256"}, {"kid", "h"}}), keys), "good");
  EXPECT_EQ(outcome(rs256(), keys), "good");
  EXPECT_EQ(outcome(es256(), keys), "good");
  const auto verified = verify_token(hs256(), only_secret(), {}, now_ms);
  ASSERT_TRUE(verified);
  EXPECT_EQ(verified->subject, "anna");
  EXPECT_EQ(verified->expires_ms, (now_s + 60) * 1000);
  EXPECT_EQ(verified->payload, good_claims().dump());
}

// RFC 7515, appendices A.1 to A.3.
TEST(token, the_examples_of_the_standard_are_taken) {
  const std::string payload =
      "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
  const auto only = [](const std::string& jwk) {
    auth::key_set keys;
    auto parsed = auth::parse_jwks(R"({"keys":[)" + jwk + "]}");
    EXPECT_TRUE(parsed) << (parsed ? "" : parsed.error().message);
    if (parsed) {
      EXPECT_TRUE(keys.add("", parsed->keys.front().second));
    }
    return keys;
  };
  const token_rules rules{"", "joe", 0};
  const std::int64_t at = 1'300'819'379'000;
  const auto hs = only(
      R"({"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"})");
  const auto hs_token =
      "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9." + payload + ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
  EXPECT_EQ(outcome(hs_token, hs, rules, at), "good");
  EXPECT_EQ(outcome(hs_token, hs, rules, at + 1000), "expired");
  const auto rs = only(
      R"({"kty":"RSA","e":"AQAB","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"})");
  EXPECT_EQ(outcome("eyJhbGciOiJSUzI1NiJ9." + payload +
                        ".cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_"
                        "O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_"
                        "nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-"
                        "eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igc"
                        "N_IoypGlUPQGe77Rw",
                    rs, rules, at),
            "good");
  const auto es = only(
      R"({"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"})");
  EXPECT_EQ(outcome("eyJhbGciOiJFUzI1NiJ9." + payload +
                        ".DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
                    es, rules, at),
            "good");
}

TEST(token, none_is_no_algorithm_in_any_spelling) {
  for (const auto* none : {"none", "None", "NONE", "nOnE", ""}) {
    const auto input = signing_input(json{{"alg", none}}.dump(), good_claims().dump());
    EXPECT_EQ(outcome(input + "."), "algorithm") << none;
    EXPECT_EQ(outcome(join(input, hmac(secret, input))), "algorithm") << none;
    EXPECT_EQ(outcome(join(input, hmac("", input))), "algorithm") << none;
  }
  EXPECT_EQ(outcome(with_header("{}")), "algorithm");
  EXPECT_EQ(outcome(with_header(R"({"alg":null})")), "algorithm");
  EXPECT_EQ(outcome(with_header(R"({"alg":["HS256"]})")), "algorithm");
  EXPECT_EQ(outcome(with_header(R"({"alg":"hs256"})")), "algorithm");
  EXPECT_EQ(outcome(with_header(R"({"alg":"HS384"})")), "algorithm");
}

TEST(token, a_public_key_is_never_taken_for_a_secret) {
  // Everybody knows the public key; a token "signed" with it as HMAC secret is a forgery.
  const auto keys = all_keys();
  for (const auto& [kid, pem] : {std::pair("r", rsa_pair().public_pem()), std::pair("e", ec_pair().public_pem())}) {
    for (const auto& as : {pem, pem.substr(0, pem.size() - 1), std::string()}) {
      const auto forged = hs256_text(json{{"alg", "HS256"}, {"kid", kid}}.dump(), good_claims().dump(), as);
      EXPECT_EQ(outcome(forged, keys), "algorithm") << kid;
    }
  }
  // Nor is one kind of public key taken for the other, nor the secret for either.
  const auto crossed = [&](const char* alg, const char* kid) {
    const auto input = signing_input(json{{"alg", alg}, {"kid", kid}}.dump(), good_claims().dump());
    return outcome(join(input, rsa_pair().sign(input)), keys);
  };
  EXPECT_EQ(crossed("RS256", "e"), "algorithm");
  EXPECT_EQ(crossed("RS256", "h"), "algorithm");
  EXPECT_EQ(crossed("ES256", "r"), "algorithm");
}

TEST(token, keys_that_it_brings_along_are_not_looked_at) {
  const auto stranger = key_pair::rsa();
  for (const auto* kid : {"r", "unknown"}) {
    const auto input = signing_input(json{{"alg", "RS256"},
                                          {"kid", kid},
                                          {"jwk", stranger.rsa_jwk(kid)},
                                          {"jku", "http://127.0.0.1/keys"},
                                          {"x5u", "http://127.0.0.1/chain"}}
                                         .dump(),
                                     good_claims().dump());
    EXPECT_EQ(outcome(join(input, stranger.sign(input)), all_keys()),
              kid == std::string("r") ? "signature" : "unknown_key");
  }
}

TEST(token, its_kid_is_a_string_that_names_a_key) {
  const auto keys = all_keys();
  EXPECT_EQ(outcome(hs256(good_claims(), {{"alg", "HS256"}, {"kid", "x"}}), keys), "unknown_key");
  EXPECT_EQ(outcome(hs256(good_claims(), {{"alg", "HS256"}, {"kid", ""}}), keys), "unknown_key");
  EXPECT_EQ(outcome(hs256(), keys), "unknown_key"); // names none, and there are three
  EXPECT_EQ(outcome(hs256(good_claims(), {{"alg", "HS256"}, {"kid", 5}}), keys), "malformed");
  EXPECT_EQ(outcome(hs256(good_claims(), {{"alg", "HS256"}, {"kid", std::string(300, 'k')}}), keys), "malformed");
  EXPECT_EQ(outcome(hs256(good_claims(), {{"alg", "HS256"}, {"kid", "any"}})), "unknown_key");
}

TEST(token, it_has_three_parts_of_strict_base64url) {
  const auto good = hs256();
  const auto second = good.rfind('.');
  EXPECT_EQ(outcome(""), "missing");
  for (const auto& bad : {std::string("."), std::string(".."), std::string("..."), std::string("a"), std::string("a.b"),
                          good + ".", good + ".x", "." + good, " " + good, good.substr(0, second)})
    EXPECT_EQ(outcome(bad), "malformed") << bad;
  for (const auto& bad : {good + " ", good + "\n", good + "=", good + std::string(1, '\0')})
    EXPECT_EQ(outcome(bad), "malformed");
  EXPECT_EQ(outcome(good.substr(0, second + 1)), "signature");
  auto standard = good;
  standard.back() = '+';
  EXPECT_EQ(outcome(standard), "malformed");
  // The last character of a signature of 32 bytes has two bits that mean nothing: only one spelling is taken.
  const std::string alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  int taken = 0;
  for (const char c : alphabet) {
    auto other = good;
    other.back() = c;
    taken += outcome(other) == "good";
  }
  EXPECT_EQ(taken, 1);
}

TEST(token, every_truncation_and_every_changed_character_is_refused) {
  const auto good = es256();
  const auto keys = all_keys();
  ASSERT_EQ(outcome(good, keys), "good");
  for (std::size_t size = 0; size < good.size(); ++size)
    EXPECT_NE(outcome(good.substr(0, size), keys), "good") << size;
  for (std::size_t at = 0; at < good.size(); ++at) {
    auto other = good;
    other[at] = other[at] == 'A' ? 'B' : 'A';
    EXPECT_NE(outcome(other, keys), "good") << at;
  }
}

TEST(token, es256_in_der_is_refused) {
  const auto input = signing_input(R"({"alg":"ES256","kid":"e"})", good_claims().dump());
  EXPECT_EQ(outcome(join(input, ec_pair().sign(input)), all_keys()), "signature");
}

TEST(token, a_part_signed_for_another_token_does_not_fit) {
  const auto one = hs256(), other = with_claim("admin", true);
  const auto cut = [](const std::string& t) { return t.rfind('.'); };
  EXPECT_EQ(outcome(other.substr(0, cut(other)) + one.substr(cut(one))), "signature");
}

TEST(token, its_size_has_a_bound) {
  auto claims = good_claims();
  claims["x"] = std::string(5'800, 'x');
  ASSERT_LT(hs256(claims).size(), auth::token_bytes);
  EXPECT_EQ(outcome(hs256(claims)), "good");
  claims["x"] = std::string(7'000, 'x');
  EXPECT_EQ(outcome(hs256(claims)), "too_large");
  EXPECT_EQ(outcome(std::string(1 << 20, '.')), "too_large");
}

TEST(token, extensions_that_are_not_spoken_refuse_it) {
  for (const auto* header :
       {R"({"alg":"HS256","crit":["b64"],"b64":false})", R"({"alg":"HS256","b64":false})",
        R"({"alg":"HS256","b64":true})", R"({"alg":"HS256","crit":[]})", R"({"alg":"HS256","crit":["exp"]})",
        R"({"alg":"HS256","crit":null})", R"({"alg":"HS256","zip":"DEF"})", R"({"alg":"HS256","enc":"A128GCM"})"})
    EXPECT_EQ(outcome(with_header(header)), "type") << header;
}

TEST(token, its_type_is_that_of_a_token) {
  for (const auto* good : {"JWT", "jwt", "application/jwt", "at+jwt", "application/at+JWT"})
    EXPECT_EQ(outcome(hs256(good_claims(), {{"alg", "HS256"}, {"typ", good}})), "good") << good;
  for (const json& bad : {json("JWE"), json("dpop+jwt"), json("logout+jwt"), json(""), json(1), json(nullptr)})
    EXPECT_EQ(outcome(hs256(good_claims(), {{"alg", "HS256"}, {"typ", bad}})), "type") << bad;
}

TEST(token, two_members_of_one_name_refuse_it) {
  EXPECT_EQ(outcome(with_header(R"({"alg":"HS256","alg":"HS256"})")), "malformed");
  EXPECT_EQ(outcome(with_header(R"({"alg":"none","alg":"HS256"})")), "malformed");
  EXPECT_EQ(outcome(with_header(R"({"alg":"HS256","\u0061lg":"none"})")), "malformed"); // the same name, escaped
  EXPECT_EQ(outcome(with_payload(R"({"exp":1800000060,"exp":1900000000})")), "malformed");
  EXPECT_EQ(outcome(with_payload(R"({"exp":1800000060,"a":{"b":1,"b":2}})")), "malformed");
  EXPECT_EQ(outcome(with_payload(R"({"exp":1800000060,"a":[{"b":1,"c":2,"b":3}]})")), "malformed");
}

TEST(token, junk_in_its_parts_is_refused) {
  for (const auto* junk : {"", "null", "[]", "1", "\"x\"", "{", "{}{}", "{\"a\":1}x", "{\"a\":}", "{'a':1}",
                           "{\"a\":1,}", "\xff\xfe", "{\"a\":\"\xff\"}", "{\"a\":01}", "{\"a\":NaN}", "{\"a\":1e999}",
                           "{\"a\":123456789012345678901234567890}", "{\"a\":\"\\ud800\"}"}) {
    EXPECT_EQ(outcome(with_header(junk)), "malformed") << junk;
    EXPECT_EQ(outcome(with_payload(junk)), "malformed") << junk;
  }
  for (const auto* open : {"[", "{\"a\":"}) {
    std::string deep;
    for (int i = 0; i < 1000; ++i)
      deep += open;
    EXPECT_EQ(outcome(with_payload(deep)), "malformed");
  }
  std::string nested = std::string(100, '[') + std::string(100, ']');
  EXPECT_EQ(outcome(with_payload(R"({"exp":1800000060,"a":)" + nested + "}")), "malformed");
}

TEST(token, a_bad_payload_is_not_read_before_the_signature_is_checked) {
  const auto input = signing_input(R"({"alg":"HS256"})", "{{{{");
  EXPECT_EQ(outcome(join(input, std::string(32, 's'))), "signature");
}

TEST(token, it_ends_at_exp_and_begins_at_nbf_give_or_take_the_leeway) {
  const auto at = [](std::int64_t exp, std::int64_t nbf, std::int64_t leeway_ms, std::int64_t ms = now_ms) {
    return outcome(hs256({{"exp", exp}, {"nbf", nbf}}), only_secret(), {"", "", leeway_ms}, ms);
  };
  EXPECT_EQ(at(now_s + 1, now_s, 0), "good");
  EXPECT_EQ(at(now_s, now_s, 0), "expired"); // "on or after" exp: RFC 7519, 4.1.4
  EXPECT_EQ(at(now_s, now_s, 0, now_ms - 1), "not_yet");
  EXPECT_EQ(at(now_s - 29, now_s, 30'000), "good");
  EXPECT_EQ(at(now_s - 30, now_s, 30'000), "expired");
  EXPECT_EQ(at(now_s + 100, now_s + 30, 30'000), "good");
  EXPECT_EQ(at(now_s + 100, now_s + 31, 30'000), "not_yet");
  EXPECT_EQ(at(now_s - 61, now_s, 3'600'000), "expired"); // more than a minute is never given
}

TEST(token, exp_is_required_and_dates_are_numbers) {
  EXPECT_EQ(outcome(hs256({{"sub", "anna"}})), "claims");
  for (const json& bad : {json("1800000060"), json(nullptr), json(true), json::array(), json(-1), json(1e300),
                          json(18'000'000'600'000), json(18446744073709551615u)}) {
    EXPECT_EQ(outcome(with_claim("exp", bad)), "claims") << bad;
    EXPECT_EQ(outcome(with_claim("nbf", bad)), "claims") << bad;
  }
  EXPECT_EQ(outcome(with_claim("exp", static_cast<double>(now_s) + 0.5), only_secret(), {"", "", 0}), "good");
  EXPECT_EQ(outcome(with_claim("exp", 0)), "expired");
}

TEST(token, its_audience_and_issuer_are_the_node_s) {
  const token_rules rules{"weir", "https://issuer", 0};
  const auto of = [&](const json& aud, const json& iss) {
    auto claims = good_claims();
    if (!aud.is_null())
      claims["aud"] = aud;
    if (!iss.is_null())
      claims["iss"] = iss;
    return outcome(hs256(claims), only_secret(), rules);
  };
  EXPECT_EQ(of("weir", "https://issuer"), "good");
  EXPECT_EQ(of({"other", "weir"}, "https://issuer"), "good");
  EXPECT_EQ(of(nullptr, "https://issuer"), "audience");
  EXPECT_EQ(of("Weir", "https://issuer"), "audience");
  EXPECT_EQ(of("weir2", "https://issuer"), "audience");
  EXPECT_EQ(of("", "https://issuer"), "audience");
  EXPECT_EQ(of(json::array(), "https://issuer"), "audience");
  EXPECT_EQ(of(5, "https://issuer"), "claims");
  EXPECT_EQ(of({"weir", 5}, "https://issuer"), "claims");
  EXPECT_EQ(of("weir", nullptr), "issuer");
  EXPECT_EQ(of("weir", "https://issuer/"), "issuer");
  EXPECT_EQ(of("weir", json::array({"https://issuer"})), "issuer");
  // A token for somebody is not for a node that does not know who it is.
  EXPECT_EQ(outcome(with_claim("aud", "weir")), "audience");
  EXPECT_EQ(outcome(with_claim("aud", "")), "audience");
  EXPECT_EQ(outcome(with_claim("iss", "anybody")), "good");
}

TEST(token, sub_is_a_string) {
  EXPECT_EQ(outcome(with_claim("sub", 5)), "claims");
  EXPECT_EQ(outcome(hs256({{"exp", now_s + 60}})), "good");
}

TEST(token, a_refusal_quotes_nothing_of_it) {
  const std::string mark = "Zauberwort";
  for (const auto& token :
       {hs256({{"sub", mark}, {"exp", now_s - 1000}}), hs256({{"sub", 5}, {"exp", mark}}),
        hs256(good_claims(), {{"alg", mark}}), hs256(good_claims(), {{"alg", "HS256"}, {"kid", mark}}),
        hs256(good_claims(), {{"alg", "HS256"}, {"typ", mark}}),
        with_payload("{\"" + mark + "\":1,\"" + mark + "\":2}"), with_claim("aud", mark), mark,
        mark + "." + mark + "." + mark}) {
    const auto verified = verify_token(token, only_secret(), {}, now_ms);
    ASSERT_FALSE(verified);
    EXPECT_THAT(verified.error().message, ::testing::Not(::testing::HasSubstr(mark)));
    EXPECT_THAT(verified.error().message, ::testing::Not(::testing::HasSubstr(auth::base64url_encode(mark))));
  }
}

} // namespace
} // namespace weir::auth_test
