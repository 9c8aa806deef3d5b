#include "runtime/core/utf8.hpp"

#include <cstdint>
#include <cstring>
#include <simdjson.h>

namespace weir {

bool is_utf8(std::string_view text) {
  std::size_t i = 0;
  std::uint64_t high = 0;
  for (; i + 8 <= text.size(); i += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, text.data() + i, 8);
    high |= word;
  }
  for (; i < text.size(); ++i)
    high |= static_cast<unsigned char>(text[i]);
  return (high & 0x8080808080808080u) == 0 || simdjson::validate_utf8(text.data(), text.size());
}

} // namespace weir
