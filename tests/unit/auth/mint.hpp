// Makes keys and tokens, good and bad ones, for tests.
#pragma once

#include "runtime/auth/base64url.hpp"
#include "runtime/auth/key_set.hpp"
#include "runtime/auth/token.hpp"

#include <memory>
#include <nlohmann/json.hpp>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdexcept>
#include <string>

namespace weir::auth_test {

using json = nlohmann::ordered_json;

inline constexpr std::int64_t now_ms = 1'800'000'000'000;
inline constexpr std::int64_t now_s = now_ms / 1000;
inline const std::string secret = "0123456789abcdef0123456789abcdef";

inline const unsigned char* bytes_of(const std::string& text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

inline std::string hmac(const std::string& with, const std::string& input) {
  unsigned char mac[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  HMAC(EVP_sha256(), with.data(), static_cast<int>(with.size()), bytes_of(input), input.size(), mac, &size);
  return {reinterpret_cast<char*>(mac), size};
}

// A private key with its public half.
class key_pair {
public:
  static key_pair rsa(unsigned bits = 2048) { return key_pair(EVP_RSA_gen(bits)); }
  static key_pair ec(const char* curve = "P-256") { return key_pair(EVP_EC_gen(curve)); }
  static key_pair ed25519() { return key_pair(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519")); }

  std::string public_pem() const {
    return written([&](BIO* out) { PEM_write_bio_PUBKEY(out, pair_.get()); });
  }
  std::string private_pem() const {
    return written(
        [&](BIO* out) { PEM_write_bio_PrivateKey(out, pair_.get(), nullptr, nullptr, 0, nullptr, nullptr); });
  }
  // As OpenSSL makes it: DER for elliptic curves.
  std::string sign(const std::string& input, const EVP_MD* digest = EVP_sha256()) const {
    std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
    std::size_t size = 0;
    EVP_DigestSignInit(context.get(), nullptr, digest, nullptr, pair_.get());
    EVP_DigestSign(context.get(), nullptr, &size, bytes_of(input), input.size());
    std::string out(size, '\0');
    EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(out.data()), &size, bytes_of(input), input.size());
    out.resize(size);
    return out;
  }
  // As a JWS wants it: both halves, 32 bytes each.
  std::string sign_halves(const std::string& input) const {
    const auto der = sign(input);
    const auto* at = bytes_of(der);
    std::unique_ptr<ECDSA_SIG, decltype(&ECDSA_SIG_free)> parsed(
        d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(der.size())), ECDSA_SIG_free);
    std::string out(64, '\0');
    BN_bn2binpad(ECDSA_SIG_get0_r(parsed.get()), reinterpret_cast<unsigned char*>(out.data()), 32);
    BN_bn2binpad(ECDSA_SIG_get0_s(parsed.get()), reinterpret_cast<unsigned char*>(out.data()) + 32, 32);
    return out;
  }
  // A number of the key, big-endian, `size` bytes (0: as many as it takes).
  std::string number(const char* name, int size = 0) const {
    BIGNUM* n = nullptr;
    EVP_PKEY_get_bn_param(pair_.get(), name, &n);
    std::string out(static_cast<std::size_t>(size == 0 ? BN_num_bytes(n) : size), '\0');
    BN_bn2binpad(n, reinterpret_cast<unsigned char*>(out.data()), static_cast<int>(out.size()));
    BN_free(n);
    return out;
  }
  json rsa_jwk(const std::string& kid = "r") const {
    return {{"kty", "RSA"},
            {"kid", kid},
            {"n", auth::base64url_encode(number(OSSL_PKEY_PARAM_RSA_N))},
            {"e", auth::base64url_encode(number(OSSL_PKEY_PARAM_RSA_E))}};
  }
  json ec_jwk(const std::string& kid = "e") const {
    return {{"kty", "EC"},
            {"kid", kid},
            {"crv", "P-256"},
            {"x", auth::base64url_encode(number(OSSL_PKEY_PARAM_EC_PUB_X, 32))},
            {"y", auth::base64url_encode(number(OSSL_PKEY_PARAM_EC_PUB_Y, 32))}};
  }

private:
  explicit key_pair(EVP_PKEY* made) : pair_(made, EVP_PKEY_free) {}
  template <class Write>
  static std::string written(const Write& write) {
    std::unique_ptr<BIO, decltype(&BIO_free_all)> out(BIO_new(BIO_s_mem()), BIO_free_all);
    write(out.get());
    char* text = nullptr;
    const auto size = BIO_get_mem_data(out.get(), &text);
    return {text, static_cast<std::size_t>(size)};
  }
  std::shared_ptr<EVP_PKEY> pair_;
};

// Made once: an RSA key takes a while.
inline const key_pair& rsa_pair() {
  static const auto made = key_pair::rsa();
  return made;
}
inline const key_pair& ec_pair() {
  static const auto made = key_pair::ec();
  return made;
}

inline std::string signing_input(const std::string& header, const std::string& payload) {
  return auth::base64url_encode(header) + "." + auth::base64url_encode(payload);
}
inline std::string join(const std::string& input, const std::string& signature) {
  return input + "." + auth::base64url_encode(signature);
}

inline json good_claims() { return {{"sub", "anna"}, {"exp", now_s + 60}}; }

inline std::string hs256_text(const std::string& header, const std::string& payload, const std::string& with = secret) {
  const auto input = signing_input(header, payload);
  return join(input, hmac(with, input));
}
inline std::string hs256(const json& claims = good_claims(), const json& header = {{"alg", "HS256"}, {"typ", "JWT"}}) {
  return hs256_text(header.dump(), claims.dump());
}
inline std::string rs256(const json& claims = good_claims(), const std::string& kid = "r") {
  const auto input = signing_input(json{{"alg", "RS256"}, {"kid", kid}}.dump(), claims.dump());
  return join(input, rsa_pair().sign(input));
}
inline std::string es256(const json& claims = good_claims(), const std::string& kid = "e") {
  const auto input = signing_input(json{{"alg", "ES256"}, {"kid", kid}}.dump(), claims.dump());
  return join(input, ec_pair().sign_halves(input));
}

inline error give_up(const error& e) { throw std::runtime_error(e.message); }

// One key of each algorithm: "h", "r", "e".
inline auth::key_set all_keys() {
  auth::key_set out;
  out.add("h", *auth::key::from_secret(secret)).map_error(give_up);
  out.add("r", *auth::key::from_pem(auth::algorithm::rs256, rsa_pair().public_pem())).map_error(give_up);
  out.add("e", *auth::key::from_pem(auth::algorithm::es256, ec_pair().public_pem())).map_error(give_up);
  return out;
}
inline auth::key_set only_secret() {
  auth::key_set out;
  out.add("", *auth::key::from_secret(secret)).map_error(give_up);
  return out;
}

} // namespace weir::auth_test
