// A JSON Pointer (RFC 6901), split once. An empty one is the whole document.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace weir::table {

struct pointer {
  struct token {
    std::string name;                   // ~0 and ~1 undone
    std::optional<std::uint32_t> index; // if it can be one of an array: digits without a leading zero
  };
  std::vector<token> tokens;

  pointer() = default;
  // `text` was checked with the topology; a '~' that is no escape stands for itself, a missing first '/' is supplied.
  explicit pointer(std::string_view text);
};

} // namespace weir::table
