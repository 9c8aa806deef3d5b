// 64-bit hashes that are the same on every machine and in every release: they are stored. No protection against
// somebody who looks for collisions.
#pragma once

#include <cstdint>
#include <string_view>

namespace weir {

// FNV-1a (Fowler, Noll, Vo).
constexpr std::uint64_t stable_hash(std::string_view text) {
  std::uint64_t h = 14695981039346656037ull;
  for (const char c : text) {
    h ^= static_cast<unsigned char>(c);
    h *= 1099511628211ull;
  }
  return h;
}

// Spreads what differs over all 64 bits; one to one. The finalizer of SplitMix64 (Steele, Lea, Flood: "Fast Splittable
// Pseudorandom Number Generators", 2014).
constexpr std::uint64_t spread(std::uint64_t h) {
  h = (h ^ (h >> 30)) * 0xbf58476d1ce4e5b9ull;
  h = (h ^ (h >> 27)) * 0x94d049bb133111ebull;
  return h ^ (h >> 31);
}

} // namespace weir
