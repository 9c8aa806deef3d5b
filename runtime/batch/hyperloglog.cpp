#include "runtime/batch/hyperloglog.hpp"

#include "runtime/core/hash.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <fmt/format.h>
#include <iterator>
#include <limits>

namespace weir::batch {

namespace {

constexpr unsigned rank_bits = 64 - distinct_counter::precision; // q in Ertl's paper
constexpr std::uint8_t most_rank = rank_bits + 1;
constexpr char rank_zero = '0'; // ranks in a checkpoint are the characters '0' to 'c'

// Ertl's sigma and tau: series that stop when they no longer change.
double sigma(double x) {
  if (x == 1)
    return std::numeric_limits<double>::infinity();
  double y = 1, z = x, before = -1;
  while (z != before) {
    x *= x;
    before = z;
    z += x * y;
    y += y;
  }
  return z;
}

double tau(double x) {
  if (x == 0 || x == 1)
    return 0;
  double y = 1, z = 1 - x, before = -1;
  while (z != before) {
    x = std::sqrt(x);
    before = z;
    y *= 0.5;
    z -= (1 - x) * (1 - x) * y;
  }
  return z / 3;
}

} // namespace

void distinct_counter::add(std::string_view value) { add_hash(spread(stable_hash(value))); }

void distinct_counter::add_hash(std::uint64_t hash) {
  if (!registers_.empty())
    return count_hash(hash);
  const auto at = std::lower_bound(hashes_.begin(), hashes_.end(), hash);
  if (at != hashes_.end() && *at == hash)
    return;
  hashes_.insert(at, hash);
  if (hashes_.size() > most_kept)
    make_registers();
}

// The first bits choose the register; it holds the greatest number of the other bits' leading zeros, plus one.
void distinct_counter::count_hash(std::uint64_t hash) {
  const auto rest = hash << precision;
  const auto rank = static_cast<std::uint8_t>(std::min(static_cast<unsigned>(std::countl_zero(rest)), rank_bits) + 1);
  auto& mine = registers_[hash >> rank_bits];
  mine = std::max(mine, rank);
}

void distinct_counter::make_registers() {
  registers_.assign(registers, 0);
  for (const auto hash : hashes_)
    count_hash(hash);
  std::vector<std::uint64_t>().swap(hashes_);
}

void distinct_counter::merge(const distinct_counter& other) {
  for (const auto hash : other.hashes_)
    add_hash(hash);
  if (other.registers_.empty())
    return;
  if (registers_.empty())
    make_registers();
  for (std::size_t i = 0; i < registers; ++i)
    registers_[i] = std::max(registers_[i], other.registers_[i]);
}

std::uint64_t distinct_counter::count() const {
  if (registers_.empty())
    return hashes_.size();
  std::array<std::uint32_t, most_rank + 1> of_rank{};
  for (const auto rank : registers_)
    ++of_rank[rank];
  constexpr auto m = static_cast<double>(registers);
  auto z = m * tau(1 - of_rank[most_rank] / m);
  for (unsigned rank = rank_bits; rank >= 1; --rank)
    z = 0.5 * (z + of_rank[rank]);
  z += m * sigma(of_rank[0] / m);
  constexpr double alpha = 0.721347520444481703680; // 1 / (2 ln 2)
  const auto estimate = alpha * m * m / z;
  return estimate < 1.8e19 ? static_cast<std::uint64_t>(std::llround(std::min(estimate, 9.2e18)))
                           : std::numeric_limits<std::uint64_t>::max();
}

std::size_t distinct_counter::bytes() const {
  return 3 * hashes_.capacity() * sizeof(std::uint64_t) + registers_.size();
}

// "<hashes> <registers>\n", the hashes as "<hash>\n" each, the registers as a character each.
void distinct_counter::save(std::string& out) const {
  fmt::format_to(std::back_inserter(out), "{} {}\n", hashes_.size(), registers_.size());
  for (const auto hash : hashes_)
    fmt::format_to(std::back_inserter(out), "{}\n", hash);
  for (const auto rank : registers_)
    out += static_cast<char>(rank_zero + rank);
}

bool distinct_counter::restore(saved_text& in) {
  std::size_t kept = 0, size = 0;
  if (!in.number(' ', kept) || !in.number('\n', size) || kept > most_kept || (size != 0 && size != registers) ||
      (size != 0 && kept != 0))
    return false;
  hashes_.resize(kept);
  for (std::size_t i = 0; i < kept; ++i)
    if (!in.number('\n', hashes_[i]) || (i > 0 && hashes_[i] <= hashes_[i - 1]))
      return false;
  std::string_view text;
  if (!in.bytes(size, text))
    return false;
  registers_.clear();
  for (const char c : text) {
    if (c < rank_zero || c > rank_zero + most_rank)
      return false;
    registers_.push_back(static_cast<std::uint8_t>(c - rank_zero));
  }
  return true;
}

} // namespace weir::batch
