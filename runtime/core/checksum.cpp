#include "runtime/core/checksum.hpp"

#include <zlib.h>

namespace weir {

std::uint32_t record_checksum(const std::optional<std::string_view>& key,
                              const std::optional<std::string_view>& value) {
  auto sum = crc32_z(0, nullptr, 0);
  const auto take = [&](const std::optional<std::string_view>& bytes) {
    if (bytes && !bytes->empty())
      sum = crc32_z(sum, reinterpret_cast<const unsigned char*>(bytes->data()), bytes->size());
  };
  take(key);
  take(value);
  return static_cast<std::uint32_t>(sum);
}

} // namespace weir
