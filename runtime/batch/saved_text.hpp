// Reads the parts of a checkpoint: numbers with the character behind them, and counted bytes. The writing side is
// fmt, and save() of each state.
#pragma once

#include <bit>
#include <charconv>
#include <cstdint>
#include <string_view>
#include <system_error>

namespace weir::batch {

class saved_text {
public:
  explicit saved_text(std::string_view text) : rest_(text) {}

  // A whole number with `behind` after it. False: something else is there, and this is of no more use.
  template <class Int>
  bool number(char behind, Int& to) {
    const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), to);
    const auto used = static_cast<std::size_t>(end - rest_.data());
    if (error != std::errc{} || used >= rest_.size() || rest_[used] != behind)
      return false;
    rest_.remove_prefix(used + 1);
    return true;
  }

  // A double, written as the number that its bits are: nothing is rounded, whatever it is.
  bool real(char behind, double& to) {
    std::uint64_t bits = 0;
    if (!number(behind, bits))
      return false;
    to = std::bit_cast<double>(bits);
    return true;
  }

  bool bytes(std::size_t count, std::string_view& to) {
    if (count > rest_.size())
      return false;
    to = rest_.substr(0, count);
    rest_.remove_prefix(count);
    return true;
  }

  std::size_t left() const { return rest_.size(); }

private:
  std::string_view rest_;
};

inline std::uint64_t bits_of(double v) { return std::bit_cast<std::uint64_t>(v); }

} // namespace weir::batch
