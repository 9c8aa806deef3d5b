// JSON text without a parser: for the few places that only write some.
#pragma once

#include <string>
#include <string_view>

namespace weir {

// The text as a JSON string with its quotes. Bytes that are no UTF-8 become U+FFFD.
std::string json_quote(std::string_view text);

} // namespace weir
