// How many different values, in bounded space.
//
// HyperLogLog: P. Flajolet, E. Fusy, O. Gandouet and F. Meunier, "HyperLogLog: the analysis of a near-optimal
// cardinality estimation algorithm", AofA 2007, with 64-bit hashes as in S. Heule, M. Nunkesser and A. Hall,
// "HyperLogLog in Practice", EDBT 2013. The estimate is the one of O. Ertl, "New cardinality estimation algorithms for
// HyperLogLog sketches", arXiv:1702.01284 (2017), algorithm 6: without a bias from none to 2^64, without tables.
//
// Standard error 1.04 / sqrt(2^14) = 0.81 %: two estimates of three are within it, 997 of 1,000 within 2.5 %. Up to
// `most_kept` values the hashes themselves are kept, and the count is exact (but for two values of one 64-bit hash:
// once in 10^13). What the state is depends on the set of values alone, not on their order, nor on what was merged
// when.
#pragma once

#include "runtime/batch/saved_text.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace weir::batch {

class distinct_counter {
public:
  static constexpr unsigned precision = 14; // bits of the hash that choose a register
  static constexpr std::size_t registers = std::size_t{1} << precision;
  static constexpr std::size_t most_kept = registers / sizeof(std::uint64_t); // then registers take no more room
  static constexpr double standard_error = 0.0081;

  void add(std::string_view value); // two values are the same if their bytes are
  void merge(const distinct_counter& other);

  std::uint64_t count() const;

  std::size_t bytes() const; // that the values take, here and, as an upper bound, in the checkpoint
  void save(std::string& out) const;
  bool restore(saved_text& in); // false: damaged, and the counter of no more use

  bool operator==(const distinct_counter&) const = default;

private:
  void add_hash(std::uint64_t hash);
  void count_hash(std::uint64_t hash); // in the registers
  void make_registers();

  std::vector<std::uint64_t> hashes_;   // ascending; empty once there are registers
  std::vector<std::uint8_t> registers_; // empty, or all of them
};

} // namespace weir::batch
