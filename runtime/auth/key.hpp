// One key that signatures are checked with, together with the only algorithm that it may be used for. The algorithm
// comes with the key and never from a token: a token that names another one is refused before any cryptography, so a
// public key can never be taken for an HMAC secret (RFC 8725, 2.1 and 3.1).
#pragma once

#include "runtime/core/error.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

struct evp_pkey_st; // OpenSSL's EVP_PKEY

namespace weir::auth {

enum class algorithm : std::uint8_t { hs256, rs256, es256 };

inline constexpr std::string_view algorithm_names[] = {"HS256", "RS256", "ES256"}; // RFC 7518, 3.1; the enum's order
std::optional<algorithm> parse_algorithm(std::string_view name);
std::string_view to_string(algorithm a);

inline constexpr std::size_t least_secret_bytes = 32; // of HS256: RFC 7518, 3.2
inline constexpr int least_rsa_bits = 2048;           // RFC 7518, 3.3
inline constexpr int most_rsa_bits = 8192;            // a larger one only costs time for each token

// Immutable; copies share the key. Any thread.
class key {
public:
  // All fail with ec::bad_argument; the message says what is wrong and never what the key is.
  static result<key> from_secret(std::string secret);                   // HS256
  static result<key> from_pem(algorithm wanted, std::string_view text); // RS256 or ES256; "BEGIN PUBLIC KEY"
  // Big-endian numbers, as in a JWK (RFC 7518, 6.2 and 6.3).
  static result<key> from_rsa(std::string_view modulus, std::string_view exponent);
  static result<key> from_p256(std::string_view x, std::string_view y);

  algorithm alg() const { return alg_; }
  // The same algorithm and the same secret or public key.
  bool same(const key& other) const;
  // True only for this key's algorithm. A signature of another length or encoding (DER for ES256) is none.
  bool verify(std::string_view input, std::string_view signature) const;

private:
  key(algorithm a, std::shared_ptr<const std::string> secret, std::shared_ptr<evp_pkey_st> public_key)
      : alg_(a), secret_(std::move(secret)), public_(std::move(public_key)) {}
  static result<key> checked(algorithm wanted, std::shared_ptr<evp_pkey_st> public_key);

  algorithm alg_;
  std::shared_ptr<const std::string> secret_;
  std::shared_ptr<evp_pkey_st> public_;
};

} // namespace weir::auth
