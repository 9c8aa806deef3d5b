// Rows as the load generator makes them, found again in what the servers send.
#pragma once

#include <charconv>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace fanout {

inline std::uint64_t mix(std::uint64_t x) { // splitmix64's finalizer
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

struct row_seen {
  std::uint32_t key;
  std::uint64_t number;
  std::int64_t made_us;
};

// The number of a marker's value after `at`; moves `at` behind it. Rows have no quotes but their own.
inline bool number_after(std::string_view text, std::size_t& at, std::string_view marker, std::int64_t& value) {
  const auto* found =
      static_cast<const char*>(memmem(text.data() + at, text.size() - at, marker.data(), marker.size()));
  if (!found)
    return false;
  const auto* begin = found + marker.size();
  const auto [end, failed] = std::from_chars(begin, text.data() + text.size(), value);
  if (failed != std::errc{})
    return false;
  at = static_cast<std::size_t>(end - text.data());
  return true;
}

inline void rows_in(std::string_view line, std::vector<row_seen>& rows) {
  std::size_t at = 0;
  std::int64_t key = 0, number = 0, made = 0;
  while (number_after(line, at, R"(,"k":)", key) && number_after(line, at, R"("n":)", number) &&
         number_after(line, at, R"("t":)", made))
    rows.push_back({static_cast<std::uint32_t>(key), static_cast<std::uint64_t>(number), made});
}

// What was read in one message of publications. All sessions get the same bytes, so it is read once.
struct parsed {
  std::string payload;
  std::vector<row_seen> rows;
  std::uint64_t hash = 0;
  std::int64_t offset = 0; // 0: none
};

} // namespace fanout
