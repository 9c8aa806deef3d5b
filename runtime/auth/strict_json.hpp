// JSON from strangers: one reading of a text or none. Internal to runtime/auth.
#pragma once

#include <optional>
#include <simdjson.h>
#include <string_view>

namespace weir::auth {

inline constexpr std::size_t json_depth_limit = 32;

// Nothing where the text is no JSON, is nested deeper than the limit, has numbers beyond 64 bits or the range of a
// double, or an object in it has two members of one name (readers differ in which one counts, so a signer and a
// verifier could mean different things). The element lives until the thread's next call.
std::optional<simdjson::dom::element> parse_strict(std::string_view text);

} // namespace weir::auth
