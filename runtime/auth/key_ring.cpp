#include "runtime/auth/key_ring.hpp"

#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <fstream>
#include <sys/stat.h>

namespace weir::auth {

result<std::string> read_file(const std::string& path, std::size_t limit) {
  errno = 0;
  std::ifstream in(path, std::ios::binary);
  if (!in)
    return fail(ec::io, fmt::format("can't read '{}': {}", path, std::strerror(errno)));
  std::string text(limit + 1, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (in.bad() || (in.gcount() == 0 && errno != 0))
    return fail(ec::io, fmt::format("can't read '{}': {}", path, std::strerror(errno)));
  text.resize(static_cast<std::size_t>(in.gcount()));
  if (text.size() > limit)
    return fail(ec::io, fmt::format("'{}' has more than {} bytes", path, limit));
  return text;
}

result<key> make_key(const jwt_key_config& config) {
  const auto alg = parse_algorithm(config.alg);
  if (!alg)
    return fail(ec::bad_topology, "unknown algorithm");
  auto made = *alg == algorithm::hs256 ? key::from_secret(config.secret) : key::from_pem(*alg, config.public_key);
  if (!made)
    return fail(ec::bad_topology, made.error().message);
  return made;
}

key_ring::file_mark key_ring::mark_of(const std::string& path) {
  struct stat s {};
  if (::stat(path.c_str(), &s) != 0)
    return {};
  return {s.st_mtim.tv_sec, s.st_mtim.tv_nsec, s.st_size, s.st_ino};
}

result<std::shared_ptr<key_ring>> key_ring::make(const jwt_config& config) {
  std::shared_ptr<key_ring> out(new key_ring(config));
  // Before the file is read: a change in between is seen as one.
  out->seen_ = mark_of(config.jwks_file);
  if (auto done = out->read(); !done)
    return fail(ec::bad_topology, done.error().message);
  return out;
}

result<std::vector<std::string>> key_ring::read() {
  auto keys = std::make_shared<key_set>();
  for (std::size_t i = 0; i < config_.keys.size(); ++i) {
    auto made = make_key(config_.keys[i]);
    const auto added = made ? keys->add(config_.keys[i].kid, std::move(*made)) : tl::unexpected(made.error());
    if (!added)
      return fail(ec::bad_topology, fmt::format("key {} of http.auth.jwt: {}", i + 1, added.error().message));
  }
  std::vector<std::string> skipped;
  if (!config_.jwks_file.empty()) {
    const auto text = read_file(config_.jwks_file, jwks_bytes);
    if (!text)
      return tl::unexpected(text.error());
    auto parsed = parse_jwks(*text);
    if (!parsed)
      return fail(ec::bad_topology, fmt::format("'{}': {}", config_.jwks_file, parsed.error().message));
    for (auto& [kid, k] : parsed->keys)
      if (const auto added = keys->add(std::move(kid), std::move(k)); !added)
        return fail(ec::bad_topology, fmt::format("'{}' and the keys of http.auth.jwt have {}", config_.jwks_file,
                                                  added.error().message));
    skipped = std::move(parsed->skipped);
  }
  std::lock_guard lock(mutex_);
  keys_ = std::move(keys);
  generation_.fetch_add(1, std::memory_order_release);
  return skipped;
}

std::shared_ptr<const key_set> key_ring::current() const {
  std::lock_guard lock(mutex_);
  return keys_;
}

std::optional<reloaded> key_ring::reload() {
  if (config_.jwks_file.empty())
    return std::nullopt;
  std::lock_guard lock(reload_mutex_);
  const auto now = mark_of(config_.jwks_file);
  if (now == seen_)
    return std::nullopt;
  seen_ = now;
  reloaded out;
  if (auto done = read())
    out.skipped = std::move(*done);
  else
    out.problem = done.error().message;
  out.keys = current()->size();
  return out;
}

} // namespace weir::auth
