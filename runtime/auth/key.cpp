#include "runtime/auth/key.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>

namespace weir::auth {
namespace {

template <auto Free>
struct freed_by {
  template <class T>
  void operator()(T* p) const {
    Free(p);
  }
};
template <class T, auto Free>
using owned = std::unique_ptr<T, freed_by<Free>>;
using public_key = std::shared_ptr<EVP_PKEY>;

constexpr std::size_t p256_bytes = 32; // of a coordinate, and of each half of a signature

const unsigned char* bytes_of(std::string_view text) { return reinterpret_cast<const unsigned char*>(text.data()); }

tl::unexpected<error> bad(std::string message) {
  ERR_clear_error(); // what OpenSSL noted on the way may quote the input, and belongs to nobody else's call
  return fail(ec::bad_argument, std::move(message));
}

// Without this, OpenSSL asks for a passphrase at the terminal.
int no_passphrase(char*, int, int, void*) { return -1; }

bool contains(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

owned<BIGNUM, BN_free> number(std::string_view big_endian) {
  return owned<BIGNUM, BN_free>(BN_bin2bn(bytes_of(big_endian), static_cast<int>(big_endian.size()), nullptr));
}

public_key from_parameters(const char* type, OSSL_PARAM_BLD* builder) {
  const owned<OSSL_PARAM, OSSL_PARAM_free> parameters(OSSL_PARAM_BLD_to_param(builder));
  const owned<EVP_PKEY_CTX, EVP_PKEY_CTX_free> context(EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
  EVP_PKEY* made = nullptr;
  if (!parameters || !context || EVP_PKEY_fromdata_init(context.get()) != 1 ||
      EVP_PKEY_fromdata(context.get(), &made, EVP_PKEY_PUBLIC_KEY, parameters.get()) != 1)
    return nullptr;
  return {made, EVP_PKEY_free};
}

bool verify_public(EVP_PKEY* with, std::string_view input, std::string_view signature) {
  const owned<EVP_MD_CTX, EVP_MD_CTX_free> context(EVP_MD_CTX_new());
  // RSA: PKCS #1 v1.5 padding is the default, which is RS256.
  return context && EVP_DigestVerifyInit(context.get(), nullptr, EVP_sha256(), nullptr, with) == 1 &&
         EVP_DigestVerify(context.get(), bytes_of(signature), signature.size(), bytes_of(input), input.size()) == 1;
}

// The two halves of a JWS signature (RFC 7518, 3.4) in the DER that OpenSSL reads.
std::string der_of(std::string_view halves) {
  const owned<ECDSA_SIG, ECDSA_SIG_free> signature(ECDSA_SIG_new());
  auto r = number(halves.substr(0, p256_bytes)), s = number(halves.substr(p256_bytes));
  if (!signature || !r || !s || ECDSA_SIG_set0(signature.get(), r.get(), s.get()) != 1)
    return {};
  (void)r.release(); // the signature's now
  (void)s.release();
  unsigned char* der = nullptr;
  const auto size = i2d_ECDSA_SIG(signature.get(), &der);
  if (size <= 0)
    return {};
  std::string out(reinterpret_cast<const char*>(der), static_cast<std::size_t>(size));
  OPENSSL_free(der);
  return out;
}

} // namespace

std::optional<algorithm> parse_algorithm(std::string_view name) {
  const auto* found = std::find(std::begin(algorithm_names), std::end(algorithm_names), name);
  if (found == std::end(algorithm_names))
    return std::nullopt;
  return static_cast<algorithm>(found - std::begin(algorithm_names));
}

std::string_view to_string(algorithm a) { return algorithm_names[static_cast<std::size_t>(a)]; }

result<key> key::from_secret(std::string secret) {
  // Somebody's public key as a secret is the classic confusion: everybody could sign with it.
  if (contains(secret, "-----BEGIN "))
    return bad("a PEM file is no secret: a public key verifies RS256 or ES256");
  if (secret.size() < least_secret_bytes)
    return bad(fmt::format("the secret has {} bytes, HS256 wants at least {}", secret.size(), least_secret_bytes));
  return key(algorithm::hs256, std::make_shared<const std::string>(std::move(secret)), nullptr);
}

result<key> key::from_pem(algorithm wanted, std::string_view text) {
  if (wanted == algorithm::hs256)
    return bad("HS256 has a secret and no public key");
  if (contains(text, "PRIVATE KEY-----"))
    return bad("this is a private key; only the public one belongs here (openssl pkey -pubout)");
  if (contains(text, "-----BEGIN CERTIFICATE-----"))
    return bad("this is a certificate; take the public key out of it (openssl x509 -pubkey -noout)");
  const owned<BIO, BIO_free_all> in(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
  const public_key read(in ? PEM_read_bio_PUBKEY(in.get(), nullptr, no_passphrase, nullptr) : nullptr, EVP_PKEY_free);
  if (!read)
    return bad("no public key in PEM form ('-----BEGIN PUBLIC KEY-----')");
  return checked(wanted, read);
}

result<key> key::from_rsa(std::string_view modulus, std::string_view exponent) {
  if (modulus.empty() || exponent.empty() || modulus.size() > most_rsa_bits / 8 + 1 || exponent.size() > 8)
    return bad("no RSA key: 'n' or 'e' is missing or too long");
  const auto n = number(modulus), e = number(exponent);
  const owned<OSSL_PARAM_BLD, OSSL_PARAM_BLD_free> builder(OSSL_PARAM_BLD_new());
  if (!n || !e || !builder || OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, n.get()) != 1 ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, e.get()) != 1)
    return bad("no RSA key");
  const auto made = from_parameters("RSA", builder.get());
  if (!made)
    return bad("no RSA key");
  return checked(algorithm::rs256, made);
}

result<key> key::from_p256(std::string_view x, std::string_view y) {
  if (x.size() != p256_bytes || y.size() != p256_bytes)
    return bad("no key of the curve P-256: 'x' and 'y' have 32 bytes each");
  const auto point = '\x04' + std::string(x) + std::string(y); // uncompressed: SEC 1, 2.3.3
  const owned<OSSL_PARAM_BLD, OSSL_PARAM_BLD_free> builder(OSSL_PARAM_BLD_new());
  if (!builder || OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0) != 1 ||
      OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size()) != 1)
    return bad("no key of the curve P-256");
  const auto made = from_parameters("EC", builder.get());
  if (!made)
    return bad("no key of the curve P-256: the point is not on it");
  return checked(algorithm::es256, made);
}

result<key> key::checked(algorithm wanted, std::shared_ptr<EVP_PKEY> public_key) {
  const bool rsa = wanted == algorithm::rs256;
  if (EVP_PKEY_is_a(public_key.get(), rsa ? "RSA" : "EC") != 1)
    return bad(fmt::format("the public key is none of {}, which {} wants", rsa ? "RSA" : "an elliptic curve",
                           to_string(wanted)));
  if (rsa) {
    const auto bits = EVP_PKEY_get_bits(public_key.get());
    if (bits < least_rsa_bits || bits > most_rsa_bits)
      return bad(fmt::format("an RSA key of {} bits; RS256 wants {} to {}", bits, least_rsa_bits, most_rsa_bits));
  } else {
    char group[64] = {};
    if (EVP_PKEY_get_group_name(public_key.get(), group, sizeof group, nullptr) != 1 ||
        (std::string_view(group) != "prime256v1" && std::string_view(group) != "P-256"))
      return bad("a key of another curve; ES256 wants P-256 (prime256v1)");
  }
  const owned<EVP_PKEY_CTX, EVP_PKEY_CTX_free> context(EVP_PKEY_CTX_new(public_key.get(), nullptr));
  if (!context || EVP_PKEY_public_check(context.get()) != 1)
    return bad("the public key is not sound");
  ERR_clear_error();
  return key(wanted, nullptr, std::move(public_key));
}

bool key::same(const key& other) const {
  if (alg_ != other.alg_)
    return false;
  if (alg_ == algorithm::hs256)
    return secret_->size() == other.secret_->size() &&
           CRYPTO_memcmp(secret_->data(), other.secret_->data(), secret_->size()) == 0;
  const bool equal = EVP_PKEY_eq(public_.get(), other.public_.get()) == 1;
  ERR_clear_error();
  return equal;
}

bool key::verify(std::string_view input, std::string_view signature) const {
  bool good = false;
  switch (alg_) {
  case algorithm::hs256: {
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned int size = 0;
    good = HMAC(EVP_sha256(), secret_->data(), static_cast<int>(secret_->size()), bytes_of(input), input.size(), mac,
                &size) != nullptr &&
           signature.size() == size && CRYPTO_memcmp(mac, signature.data(), size) == 0;
    break;
  }
  case algorithm::rs256:
    good = signature.size() == static_cast<std::size_t>(EVP_PKEY_get_size(public_.get())) &&
           verify_public(public_.get(), input, signature);
    break;
  case algorithm::es256:
    if (signature.size() == 2 * p256_bytes) {
      const auto der = der_of(signature);
      good = !der.empty() && verify_public(public_.get(), input, der);
    }
    break;
  }
  ERR_clear_error(); // a refused signature leaves notes in the thread's queue
  return good;
}

} // namespace weir::auth
