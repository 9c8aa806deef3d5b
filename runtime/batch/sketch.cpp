#include "runtime/batch/sketch.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <iterator>

namespace weir::batch {

namespace {

// Bucket i holds magnitudes in (gamma^(i-1), gamma^i]; 2 gamma^i / (gamma + 1) is within the relative error of all of
// them (the paper's proposition 3).
constexpr double gamma = (1 + quantile_sketch::relative_error) / (1 - quantile_sketch::relative_error);
const double log_gamma = std::log(gamma);
const double log_middle = std::log(2 / (gamma + 1));

std::int32_t index_of(double magnitude) {
  return static_cast<std::int32_t>(std::ceil(std::log(magnitude) / log_gamma));
}

// By way of the logarithm, since gamma^i alone may overflow.
double magnitude_of(std::int32_t index) { return std::exp(index * log_gamma + log_middle); }

} // namespace

void quantile_sketch::store::add(std::int32_t index, std::uint64_t count) {
  if (!buckets.empty())
    index = std::max(index, buckets.back().index - (most_buckets - 1));
  const auto at = std::lower_bound(buckets.begin(), buckets.end(), index,
                                   [](const bucket& b, std::int32_t wanted) { return b.index < wanted; });
  if (at != buckets.end() && at->index == index) {
    at->count += count;
    return;
  }
  const bool highest = at == buckets.end();
  buckets.insert(at, {index, count});
  const auto lowest = buckets.back().index - (most_buckets - 1);
  if (!highest || buckets.front().index >= lowest)
    return;
  std::uint64_t below = 0;
  auto kept = buckets.begin();
  for (; kept->index <= lowest; ++kept)
    below += kept->count;
  *--kept = {lowest, below};
  buckets.erase(buckets.begin(), kept);
}

std::uint64_t quantile_sketch::store::total() const {
  std::uint64_t n = 0;
  for (const auto& b : buckets)
    n += b.count;
  return n;
}

void quantile_sketch::add(double v) {
  if (v == 0)
    v = 0; // -0.0 too, so that which of them comes first does not show
  least_ = count_ == 0 ? v : std::min(least_, v);
  greatest_ = count_ == 0 ? v : std::max(greatest_, v);
  ++count_;
  if (v == 0)
    ++zeros_;
  else
    (v > 0 ? positive_ : negative_).add(index_of(std::fabs(v)), 1);
}

void quantile_sketch::merge(const quantile_sketch& other) {
  if (other.count_ == 0)
    return;
  least_ = count_ == 0 ? other.least_ : std::min(least_, other.least_);
  greatest_ = count_ == 0 ? other.greatest_ : std::max(greatest_, other.greatest_);
  count_ += other.count_;
  zeros_ += other.zeros_;
  for (const auto& b : other.positive_.buckets)
    positive_.add(b.index, b.count);
  for (const auto& b : other.negative_.buckets)
    negative_.add(b.index, b.count);
}

std::optional<double> quantile_sketch::percentile(std::uint64_t p) const {
  if (count_ == 0)
    return std::nullopt;
  __extension__ typedef unsigned __int128 wide;
  auto rank = static_cast<std::uint64_t>(wide{count_ - 1} * p / whole);
  if (rank == 0)
    return least_;
  if (rank == count_ - 1)
    return greatest_;
  const auto shown = [&](double v) { return std::clamp(v, least_, greatest_); };
  for (auto b = negative_.buckets.rbegin(); b != negative_.buckets.rend(); ++b) {
    if (rank < b->count)
      return shown(-magnitude_of(b->index));
    rank -= b->count;
  }
  if (rank < zeros_)
    return 0.0;
  rank -= zeros_;
  for (const auto& b : positive_.buckets) {
    if (rank < b.count)
      return shown(magnitude_of(b.index));
    rank -= b.count;
  }
  return greatest_;
}

std::size_t quantile_sketch::bytes() const {
  return (positive_.buckets.capacity() + negative_.buckets.capacity()) * 2 * sizeof(bucket);
}

// "<zeros> <least> <greatest>\n", then for each sign "<buckets>\n" and "<index> <count>\n" for each.
void quantile_sketch::save(std::string& out) const {
  fmt::format_to(std::back_inserter(out), "{} {} {}\n", zeros_, bits_of(least_), bits_of(greatest_));
  for (const auto* side : {&positive_, &negative_}) {
    fmt::format_to(std::back_inserter(out), "{}\n", side->buckets.size());
    for (const auto& b : side->buckets)
      fmt::format_to(std::back_inserter(out), "{} {}\n", b.index, b.count);
  }
}

bool quantile_sketch::restore(saved_text& in) {
  if (!in.number(' ', zeros_) || !in.real(' ', least_) || !in.real('\n', greatest_) || !positive_.restore(in) ||
      !negative_.restore(in))
    return false;
  count_ = zeros_ + positive_.total() + negative_.total();
  return std::isfinite(least_) && std::isfinite(greatest_) && least_ <= greatest_;
}

bool quantile_sketch::store::restore(saved_text& in) {
  std::size_t size = 0;
  if (!in.number('\n', size) || size > static_cast<std::size_t>(most_buckets))
    return false;
  buckets.clear();
  buckets.reserve(size);
  for (std::size_t i = 0; i < size; ++i) {
    bucket b{};
    if (!in.number(' ', b.index) || !in.number('\n', b.count) || b.count == 0 ||
        (i > 0 && (b.index <= buckets.back().index || std::int64_t{b.index} - buckets.front().index >= most_buckets)))
      return false;
    buckets.push_back(b);
  }
  return true;
}

} // namespace weir::batch
