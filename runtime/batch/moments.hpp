// Variance of numbers, in one pass and mergeable.
//
// B. P. Welford, "Note on a Method for Calculating Corrected Sums of Squares and Products", Technometrics 4 (1962); the
// merge by T. F. Chan, G. H. Golub and R. J. LeVeque, "Updating Formulae and a Pairwise Algorithm for Computing Sample
// Variances", COMPSTAT 1982. No difference of large sums is taken, so values far from zero lose no digits to that. The
// last bits depend on the order; relative to the exact variance the error is about n * 2^-53, times the condition
// number sqrt(1 + mean^2 / variance) of the values.
#pragma once

#include "runtime/batch/saved_text.hpp"

#include <cmath>
#include <cstdint>
#include <fmt/format.h>
#include <iterator>
#include <optional>
#include <string>

namespace weir::batch {

class moments {
public:
  void add(double v) {
    ++n_;
    const auto delta = v - mean_;
    mean_ += delta / static_cast<double>(n_);
    squares_ += delta * (v - mean_);
  }

  void merge(const moments& other) {
    if (other.n_ == 0)
      return;
    if (n_ == 0) {
      *this = other;
      return;
    }
    const auto mine = static_cast<double>(n_), theirs = static_cast<double>(other.n_);
    const auto delta = other.mean_ - mean_;
    mean_ += delta * (theirs / (mine + theirs));
    squares_ += other.squares_ + delta * delta * (mine * theirs / (mine + theirs));
    n_ += other.n_;
  }

  // Of the sample: divided by n - 1. Nothing for fewer than two values; infinite where it overflows.
  std::optional<double> variance() const {
    return n_ < 2 ? std::nullopt : std::optional(squares_ / static_cast<double>(n_ - 1));
  }
  std::optional<double> deviation() const {
    const auto v = variance();
    return v ? std::optional(std::sqrt(*v)) : std::nullopt;
  }

  void save(std::string& out) const {
    fmt::format_to(std::back_inserter(out), "{} {} {}\n", n_, bits_of(mean_), bits_of(squares_));
  }
  bool restore(saved_text& in) { return in.number(' ', n_) && in.real(' ', mean_) && in.real('\n', squares_); }

private:
  std::uint64_t n_ = 0;
  double mean_ = 0, squares_ = 0; // the sum of the squares of the distances from the mean
};

} // namespace weir::batch
