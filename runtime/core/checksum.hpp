// CRC-32 (zlib's) of a record's key followed by its value, as kept in record_mark: tells another log behind the same
// offset.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace weir {

std::uint32_t record_checksum(const std::optional<std::string_view>& key, const std::optional<std::string_view>& value);

} // namespace weir
