// Integers of 128 bits, for exact arithmetic with those of JSON.
#pragma once

#include "runtime/table/number.hpp"

#include <cstdint>

namespace weir::table {

__extension__ typedef __int128 wide;

// n is no double.
inline wide widened(const number& n) {
  return n.form() == number::kind::natural ? wide{n.natural()} : wide{n.integer()};
}

// Whether it is in the range of int64 or uint64.
inline bool fits_64(wide v) { return v >= INT64_MIN && v <= wide{UINT64_MAX}; }

// fits_64(v).
inline number narrowed(wide v) {
  return v < 0 ? number(static_cast<std::int64_t>(v)) : number(static_cast<std::uint64_t>(v));
}

} // namespace weir::table
