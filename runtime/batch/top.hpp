// The most frequent values, in bounded space.
//
// Exact while there are at most `most_kept` different values. Beyond that, the counters of J. Misra and D. Gries,
// "Finding Repeated Elements", Science of Computer Programming 2 (1982), in the mergeable form of P. K. Agarwal, G.
// Cormode, Z. Huang, J. Phillips, Z. Wei and K. Yi, "Mergeable Summaries", PODS 2012: when too many values are kept,
// the (capacity + 1)-th greatest count is taken from all of them, and those that are not above it go. So a count may be
// too small, by at most error(), which is at most n / (capacity + 1) of n values; a value that is not kept came at most
// that often. Where it is exact, neither order nor merging shows; beyond, both do, within the error.
#pragma once

#include "runtime/batch/saved_text.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace weir::batch {

// Finds a text's entry without making a string of it.
struct text_hash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
};

class top_values {
public:
  static constexpr std::size_t capacity = 1'000;
  static constexpr std::size_t most_kept = 2 * capacity; // so that dropping is seldom

  struct entry {
    std::string value;
    std::uint64_t count;
    bool operator==(const entry&) const = default;
  };

  void add(std::string_view value, std::uint64_t count = 1);
  void merge(const top_values& other);

  // The n greatest counts, falling; values of one count by their bytes.
  std::vector<entry> greatest(std::size_t n) const;
  // Each count may be too small by as much as this. 0: all are exact.
  std::uint64_t error() const { return error_; }

  std::size_t bytes() const { return bytes_; } // that the values take, here and, as an upper bound, in the checkpoint
  void save(std::string& out) const;
  bool restore(saved_text& in); // false: damaged, and this of no more use

private:
  static std::size_t bytes_of(std::string_view value) { return value.size() + 96; } // with its place in the map
  void drop();

  std::unordered_map<std::string, std::uint64_t, text_hash, std::equal_to<>> counts_;
  std::uint64_t error_ = 0;
  std::size_t bytes_ = 0;
};

} // namespace weir::batch
