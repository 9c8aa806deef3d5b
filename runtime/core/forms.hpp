// Small forms of text that the topology file and expressions share: durations, sizes, pointers.
#pragma once

#include "proto/topology.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace weir {

// "250ms" "10s" "5m" "1h" "7d": a whole number and one unit, no sign, at most 100 years.
std::optional<duration> parse_duration(std::string_view text);
// "512" "512B" "64KiB" "16MiB" "1GiB": bytes, up to 2^53.
std::optional<std::uint64_t> parse_size(std::string_view text);

// RFC 6901 in its string form: empty, or '/' and tokens in which '~' is followed by '0' or '1'.
bool is_pointer(std::string_view text);
// One token as it stands in a pointer ('~' and '/' escaped).
std::string pointer_token(std::string_view name);

} // namespace weir
