#include "tests/unit/auth/mint.hpp"

#include <gmock/gmock.h>

namespace weir::auth_test {
namespace {

using auth::algorithm;
using auth::base64url_decode;
using auth::base64url_encode;
using auth::key;
using auth::parse_jwks;
using ::testing::HasSubstr;

TEST(base64url, has_one_spelling_for_each_text) {
  for (const auto& bytes : {std::string(), std::string("f"), std::string("fo"), std::string("foo"),
                            std::string("\xff\xfe\x00\x80", 4), std::string("\xfb\xef\xbe", 3)})
    EXPECT_EQ(base64url_decode(base64url_encode(bytes)), bytes);
  EXPECT_EQ(base64url_encode("\xfb\xef\xbe"), "----");
  EXPECT_EQ(base64url_encode("\xff\xff\xff"), "____");
  // Padding, other alphabets, white space, a length that cannot be, bits that are left over.
  for (const auto* bad : {"Zg==", "Zm8=", "+/+/", "Z g", "Zm8\n", "Z", "Zm9vY", "Zh", "Zm9", "Zm\0", "Zm$v"})
    EXPECT_EQ(base64url_decode(bad), std::nullopt) << bad;
  EXPECT_EQ(base64url_decode(std::string_view("Zg\0A", 4)), std::nullopt);
}

TEST(key, a_secret_has_32_bytes_at_least) {
  EXPECT_FALSE(key::from_secret(""));
  const auto weak = key::from_secret(std::string(31, 's'));
  ASSERT_FALSE(weak);
  EXPECT_EQ(weak.error().message, "the secret has 31 bytes, HS256 wants at least 32");
  EXPECT_TRUE(key::from_secret(std::string(32, 's')));
}

TEST(key, a_pem_file_is_no_secret) {
  EXPECT_FALSE(key::from_secret(rsa_pair().public_pem()));
  EXPECT_FALSE(key::from_secret(rsa_pair().private_pem()));
}

TEST(key, a_public_key_is_of_its_algorithm_s_kind) {
  EXPECT_TRUE(key::from_pem(algorithm::rs256, rsa_pair().public_pem()));
  EXPECT_TRUE(key::from_pem(algorithm::es256, ec_pair().public_pem()));
  EXPECT_FALSE(key::from_pem(algorithm::es256, rsa_pair().public_pem()));
  EXPECT_FALSE(key::from_pem(algorithm::rs256, ec_pair().public_pem()));
  EXPECT_FALSE(key::from_pem(algorithm::rs256, key_pair::ed25519().public_pem()));
  EXPECT_FALSE(key::from_pem(algorithm::es256, key_pair::ed25519().public_pem()));
  EXPECT_FALSE(key::from_pem(algorithm::hs256, rsa_pair().public_pem()));
}

TEST(key, other_curves_and_short_rsa_keys_are_refused) {
  for (const auto* curve : {"P-384", "P-521", "secp256k1"}) {
    const auto other = key::from_pem(algorithm::es256, key_pair::ec(curve).public_pem());
    ASSERT_FALSE(other) << curve;
    EXPECT_THAT(other.error().message, HasSubstr("another curve"));
  }
  const auto weak = key::from_pem(algorithm::rs256, key_pair::rsa(1024).public_pem());
  ASSERT_FALSE(weak);
  EXPECT_THAT(weak.error().message, HasSubstr("1024 bits"));
}

TEST(key, what_is_no_public_key_is_told_without_being_quoted) {
  const auto of = [](const std::string& text) {
    const auto made = key::from_pem(algorithm::rs256, text);
    return made ? std::string() : made.error().message;
  };
  EXPECT_THAT(of(rsa_pair().private_pem()), HasSubstr("a private key"));
  EXPECT_THAT(of("-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----\n"),
              HasSubstr("a private key"));
  EXPECT_THAT(of("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"), HasSubstr("a certificate"));
  for (const auto* bad : {"", "hello", "-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n",
                          "-----BEGIN PUBLIC KEY-----\nMIIBIjANBg\n-----END PUBLIC KEY-----\n"}) {
    EXPECT_THAT(of(bad), HasSubstr("no public key")) << bad;
    EXPECT_THAT(of(bad), ::testing::Not(HasSubstr("hello")));
  }
}

TEST(key, a_point_has_to_be_on_the_curve) {
  const auto x = ec_pair().number(OSSL_PKEY_PARAM_EC_PUB_X, 32), y = ec_pair().number(OSSL_PKEY_PARAM_EC_PUB_Y, 32);
  EXPECT_TRUE(key::from_p256(x, y));
  auto off = y;
  off.back() = static_cast<char>(off.back() ^ 1);
  EXPECT_FALSE(key::from_p256(x, off));
  EXPECT_FALSE(key::from_p256(std::string(32, '\0'), std::string(32, '\0')));
  EXPECT_FALSE(key::from_p256(std::string(32, '\xff'), std::string(32, '\xff')));
  EXPECT_FALSE(key::from_p256(x.substr(1), y));
  EXPECT_FALSE(key::from_p256('\0' + x, y));
  EXPECT_FALSE(key::from_p256("", ""));
}

TEST(key, numbers_of_an_rsa_key_are_checked) {
  const auto n = rsa_pair().number(OSSL_PKEY_PARAM_RSA_N), e = rsa_pair().number(OSSL_PKEY_PARAM_RSA_E);
  EXPECT_TRUE(key::from_rsa(n, e));
  EXPECT_FALSE(key::from_rsa("", e));
  EXPECT_FALSE(key::from_rsa(n, ""));
  EXPECT_FALSE(key::from_rsa(n, std::string(1, '\1'))); // every signature would fit
  EXPECT_FALSE(key::from_rsa(n, std::string(1, '\2')));
  EXPECT_FALSE(key::from_rsa(n.substr(0, 128), e));
  EXPECT_FALSE(key::from_rsa(std::string(5000, '\xff'), e));
  EXPECT_FALSE(key::from_rsa(n, std::string(300, '\xff')));
}

TEST(key, a_signature_is_exact) {
  const std::string input = "some.input";
  const auto h = *key::from_secret(secret);
  const auto r = *key::from_pem(algorithm::rs256, rsa_pair().public_pem());
  const auto e = *key::from_pem(algorithm::es256, ec_pair().public_pem());
  const auto cases = {std::pair(&h, hmac(secret, input)), std::pair(&r, rsa_pair().sign(input)),
                      std::pair(&e, ec_pair().sign_halves(input))};
  for (const auto& [with, signature] : cases) {
    const auto name = std::string(to_string(with->alg()));
    EXPECT_TRUE(with->verify(input, signature)) << name;
    EXPECT_FALSE(with->verify("other.input", signature)) << name;
    EXPECT_FALSE(with->verify(input, "")) << name;
    EXPECT_FALSE(with->verify(input, signature + '\0')) << name;
    EXPECT_FALSE(with->verify(input, '\0' + signature)) << name;
    for (std::size_t size = 0; size < signature.size(); ++size)
      EXPECT_FALSE(with->verify(input, signature.substr(0, size))) << name << " " << size;
    for (std::size_t at = 0; at < signature.size(); at += 7) {
      auto changed = signature;
      changed[at] = static_cast<char>(changed[at] ^ 0x10);
      EXPECT_FALSE(with->verify(input, changed)) << name << " " << at;
    }
    EXPECT_FALSE(with->verify(input, std::string(signature.size(), '\0'))) << name;
    EXPECT_FALSE(with->verify(input, std::string(signature.size(), '\xff'))) << name;
  }
}

TEST(key, es256_takes_both_halves_and_no_der) {
  const std::string input = "some.input";
  const auto e = *key::from_pem(algorithm::es256, ec_pair().public_pem());
  for (int i = 0; i < 20; ++i)
    EXPECT_FALSE(e.verify(input, ec_pair().sign(input)));
  // "Psychic signatures": zero in one half or both (CVE-2022-21449).
  const auto good = ec_pair().sign_halves(input);
  EXPECT_FALSE(e.verify(input, std::string(32, '\0') + good.substr(32)));
  EXPECT_FALSE(e.verify(input, good.substr(0, 32) + std::string(32, '\0')));
}

TEST(key, rs256_is_sha_256_alone) {
  const std::string input = "some.input";
  const auto r = *key::from_pem(algorithm::rs256, rsa_pair().public_pem());
  EXPECT_FALSE(r.verify(input, rsa_pair().sign(input, EVP_sha1())));
  EXPECT_FALSE(r.verify(input, rsa_pair().sign(input, EVP_sha512())));
}

TEST(key, is_the_same_only_with_the_same_algorithm_and_content) {
  const auto keys = all_keys(), again = all_keys();
  for (const auto* a : {"h", "r", "e"})
    for (const auto* b : {"h", "r", "e"})
      EXPECT_EQ(keys.find(a)->same(*again.find(b)), std::string(a) == b) << a << b;
  EXPECT_FALSE(keys.find("h")->same(*auth::key::from_secret(secret + "1")));
  EXPECT_FALSE(keys.find("e")->same(*auth::key::from_pem(auth::algorithm::es256, key_pair::ec().public_pem())));
}

TEST(key_set, a_kid_is_a_name_and_nothing_else) {
  auto keys = all_keys();
  EXPECT_NE(keys.find("h"), nullptr);
  for (const auto* other : {"", "H", "h ", "../h", "h' or '1'='1", "http://127.0.0.1/keys"})
    EXPECT_EQ(keys.find(other), nullptr) << other;
  EXPECT_EQ(keys.find(std::nullopt), nullptr); // three keys, none of them nameless
  EXPECT_FALSE(keys.add("h", *key::from_secret(secret)));
  EXPECT_FALSE(keys.add(std::string(257, 'k'), *key::from_secret(secret)));
  EXPECT_TRUE(keys.add("", *key::from_secret(secret)));
  EXPECT_NE(keys.find(std::nullopt), nullptr);
  EXPECT_EQ(keys.find(""), nullptr); // a token that names the empty name names no key
  EXPECT_FALSE(keys.add("", *key::from_secret(secret)));
}

TEST(key_set, the_only_key_serves_tokens_that_name_none) {
  auth::key_set keys;
  ASSERT_TRUE(keys.add("h", *key::from_secret(secret)));
  EXPECT_NE(keys.find(std::nullopt), nullptr);
}

std::string problem_of(const json& set) {
  const auto parsed = parse_jwks(set.dump());
  return parsed ? std::string() : parsed.error().message;
}

TEST(jwks, keys_of_all_three_kinds_are_read) {
  const json oct{{"kty", "oct"}, {"kid", "h"}, {"alg", "HS256"}, {"k", base64url_encode(secret)}};
  const auto parsed = parse_jwks(json{{"keys", {oct, rsa_pair().rsa_jwk(), ec_pair().ec_jwk()}}}.dump());
  ASSERT_TRUE(parsed) << parsed.error().message;
  ASSERT_EQ(parsed->keys.size(), 3u);
  EXPECT_TRUE(parsed->skipped.empty());
  const std::string input = "some.input";
  EXPECT_TRUE(parsed->keys[0].second.verify(input, hmac(secret, input)));
  EXPECT_TRUE(parsed->keys[1].second.verify(input, rsa_pair().sign(input)));
  EXPECT_TRUE(parsed->keys[2].second.verify(input, ec_pair().sign_halves(input)));
}

TEST(jwks, a_key_s_type_decides_where_it_names_no_algorithm) {
  // An RSA key without `alg` must never end as an empty secret (CVE-2026-44699).
  const auto parsed = parse_jwks(json{{"keys", {rsa_pair().rsa_jwk()}}}.dump());
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->keys[0].second.alg(), algorithm::rs256);
  EXPECT_FALSE(parsed->keys[0].second.verify("x.y", hmac("", "x.y")));
}

TEST(jwks, keys_for_something_else_are_skipped_and_told) {
  auto encryption = rsa_pair().rsa_jwk("enc"), wrapping = rsa_pair().rsa_jwk("wrap"), other = rsa_pair().rsa_jwk("512"),
       crossed = rsa_pair().rsa_jwk("crossed"), curve = ec_pair().ec_jwk("curve");
  encryption["use"] = "enc";
  wrapping["key_ops"] = {"wrapKey"};
  other["alg"] = "RS512";
  crossed["alg"] = "HS256";
  curve["crv"] = "P-384";
  const json okp{{"kty", "OKP"}, {"crv", "Ed25519"}, {"x", "AAAA"}};
  auto good = rsa_pair().rsa_jwk("good");
  good["use"] = "sig";
  good["key_ops"] = {"verify"};
  const auto parsed = parse_jwks(json{{"keys", {encryption, wrapping, other, crossed, curve, okp, good}}}.dump());
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(parsed->skipped.size(), 6u);
  ASSERT_EQ(parsed->keys.size(), 1u);
  EXPECT_EQ(parsed->keys[0].first, "good");
  EXPECT_THAT(problem_of({{"keys", {encryption, okp}}}), HasSubstr("no key that can be used"));
}

TEST(jwks, broken_and_weak_keys_spoil_the_file) {
  EXPECT_THAT(parse_jwks("").error().message, HasSubstr("no JSON"));
  EXPECT_THAT(parse_jwks("nonsense").error().message, HasSubstr("no JSON"));
  EXPECT_THAT(parse_jwks(R"({"keys":[],"keys":[]})").error().message, HasSubstr("two members of one name"));
  EXPECT_THAT(parse_jwks("[]").error().message, HasSubstr("no JWKS"));
  EXPECT_THAT(problem_of({{"keys", json::object()}}), HasSubstr("no JWKS"));
  EXPECT_THAT(problem_of({{"keys", json::array()}}), HasSubstr("no key"));
  EXPECT_THAT(problem_of({{"keys", {1}}}), HasSubstr("key 1"));
  EXPECT_THAT(problem_of({{"keys", {rsa_pair().rsa_jwk(), rsa_pair().rsa_jwk()}}}), HasSubstr("second one of its"));
  auto nameless = rsa_pair().rsa_jwk();
  nameless.erase("kid");
  EXPECT_EQ(problem_of({{"keys", {nameless}}}), "");
  EXPECT_THAT(problem_of({{"keys", {nameless, nameless}}}), HasSubstr("without a 'kid'"));
  for (const json& kid : {json(5), json(""), json(nullptr), json(std::string(300, 'k'))}) {
    auto named = rsa_pair().rsa_jwk();
    named["kid"] = kid;
    EXPECT_THAT(problem_of({{"keys", {named}}}), HasSubstr("'kid' is a string")) << kid;
  }
  auto private_key = rsa_pair().rsa_jwk();
  private_key["d"] = "AAAA";
  EXPECT_THAT(problem_of({{"keys", {private_key}}}), HasSubstr("private parts"));
  auto short_rsa = key_pair::rsa(1024).rsa_jwk();
  EXPECT_THAT(problem_of({{"keys", {short_rsa}}}), HasSubstr("1024 bits"));
  auto padded = rsa_pair().rsa_jwk();
  padded["e"] = "AQAB==";
  EXPECT_NE(problem_of({{"keys", {padded}}}), "");
  auto off = ec_pair().ec_jwk();
  off["y"] = off["x"];
  EXPECT_NE(problem_of({{"keys", {off}}}), "");
  for (const auto* k : {"", "AAAA", "not base64url!"})
    EXPECT_THAT(problem_of({{"keys", {{{"kty", "oct"}, {"k", k}}}}}), HasSubstr("32")) << k;
  EXPECT_THAT(parse_jwks(std::string((1 << 20) + 1, ' ')).error().message, HasSubstr("bytes"));
}

} // namespace
} // namespace weir::auth_test
