#include "runtime/batch/top.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <iterator>

namespace weir::batch {

void top_values::add(std::string_view value, std::uint64_t count) {
  const auto found = counts_.find(value);
  if (found != counts_.end()) {
    found->second += count;
    return;
  }
  counts_.emplace(std::string(value), count);
  bytes_ += bytes_of(value);
  if (counts_.size() > most_kept)
    drop();
}

void top_values::drop() {
  std::vector<std::uint64_t> counts;
  counts.reserve(counts_.size());
  for (const auto& [value, count] : counts_)
    counts.push_back(count);
  const auto nth = counts.begin() + static_cast<std::ptrdiff_t>(capacity);
  std::nth_element(counts.begin(), nth, counts.end(), std::greater<>());
  const auto taken = *nth;
  error_ += taken; // it was taken from at least capacity + 1 values: hence the bound
  for (auto at = counts_.begin(); at != counts_.end();) {
    if (at->second > taken) {
      at->second -= taken;
      ++at;
    } else {
      bytes_ -= bytes_of(at->first);
      at = counts_.erase(at);
    }
  }
}

void top_values::merge(const top_values& other) {
  error_ += other.error_;
  // All of them first: dropping in between would take more than once.
  for (const auto& [value, count] : other.counts_) {
    const auto [at, fresh] = counts_.try_emplace(value, 0);
    at->second += count;
    if (fresh)
      bytes_ += bytes_of(value);
  }
  if (counts_.size() > most_kept)
    drop();
}

std::vector<top_values::entry> top_values::greatest(std::size_t n) const {
  std::vector<entry> all;
  all.reserve(counts_.size());
  for (const auto& [value, count] : counts_)
    all.push_back({value, count});
  n = std::min(n, all.size());
  std::partial_sort(
      all.begin(), all.begin() + static_cast<std::ptrdiff_t>(n), all.end(),
      [](const entry& a, const entry& b) { return a.count != b.count ? a.count > b.count : a.value < b.value; });
  all.resize(n);
  return all;
}

// "<error> <values>\n", then for each "<count> <bytes>\n<value>".
void top_values::save(std::string& out) const {
  fmt::format_to(std::back_inserter(out), "{} {}\n", error_, counts_.size());
  for (const auto& [value, count] : counts_) {
    fmt::format_to(std::back_inserter(out), "{} {}\n", count, value.size());
    out += value;
  }
}

bool top_values::restore(saved_text& in) {
  std::size_t size = 0;
  if (!in.number(' ', error_) || !in.number('\n', size) || size > most_kept)
    return false;
  counts_.clear();
  bytes_ = 0;
  for (std::size_t i = 0; i < size; ++i) {
    std::uint64_t count = 0;
    std::size_t length = 0;
    std::string_view value;
    if (!in.number(' ', count) || !in.number('\n', length) || !in.bytes(length, value) ||
        !counts_.emplace(std::string(value), count).second)
      return false;
    bytes_ += bytes_of(value);
  }
  return true;
}

} // namespace weir::batch
