// base64url without padding (RFC 7515, appendix C), the form of every part of a JWT.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace weir::auth {

// Nothing where the text is not exactly what an encoder writes: other characters, padding, white space, an impossible
// length, or bits after the last byte that are not zero (each would give the same bytes a second spelling).
std::optional<std::string> base64url_decode(std::string_view text);
std::string base64url_encode(std::string_view bytes);

} // namespace weir::auth
