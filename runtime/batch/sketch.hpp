// Percentiles of numbers within a relative error, in bounded space.
//
// DDSketch: C. Masson, J. E. Rim and H. K. Lee, "DDSketch: A Fast and Fully-Mergeable Quantile Sketch with
// Relative-Error Guarantees", VLDB 2019. A value is counted in the bucket of its logarithm, so what a percentile shows
// is within `relative_error` of the value at that rank.
//
// Bound: `most_buckets` buckets for positive and as many for negative numbers. Where the values of one sign span more
// than a factor of 6e17, those of the smallest magnitudes are counted in the lowest bucket that is kept (the paper's
// "collapsing", section 2.3), and a percentile that falls there is too large in magnitude. Which buckets are kept
// depends on the greatest magnitude alone, so the state is the same bit for bit in whatever order values come and parts
// merge.
#pragma once

#include "runtime/batch/saved_text.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace weir::batch {

class quantile_sketch {
public:
  static constexpr double relative_error = 0.01;
  static constexpr std::int32_t most_buckets = 2048;
  static constexpr std::uint64_t whole = 100'000'000; // percentiles are in millionths of a percent

  void add(double v); // finite
  void merge(const quantile_sketch& other);

  std::uint64_t count() const { return count_; }
  // The value of rank floor(p / whole * (count - 1)) in ascending order, from 0. Exact for the least and the greatest.
  // Nothing if there are none. p: 0 to whole.
  std::optional<double> percentile(std::uint64_t p) const;

  std::size_t bytes() const; // that the buckets take, here and, as an upper bound, in the checkpoint
  void save(std::string& out) const;
  bool restore(saved_text& in); // false: damaged, and the sketch of no more use

  bool operator==(const quantile_sketch&) const = default;

private:
  struct bucket {
    std::int32_t index;
    std::uint64_t count;
    bool operator==(const bucket&) const = default;
  };
  // Of one sign: buckets by magnitude, ascending, none empty, the last at most most_buckets - 1 above the first.
  struct store {
    std::vector<bucket> buckets;
    void add(std::int32_t index, std::uint64_t count);
    std::uint64_t total() const;
    bool restore(saved_text& in);
    bool operator==(const store&) const = default;
  };

  store positive_, negative_;
  std::uint64_t count_ = 0, zeros_ = 0;
  double least_ = 0, greatest_ = 0; // where there are values
};

} // namespace weir::batch
