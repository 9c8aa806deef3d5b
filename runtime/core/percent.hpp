// Percent-encoding of URLs (RFC 3986, 2.1), by bytes: whether the result has to be UTF-8 is the caller's to say.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace weir {

// nullopt: a '%' without two hexadecimal digits behind it.
std::optional<std::string> percent_decoded_bytes(std::string_view text);

} // namespace weir
