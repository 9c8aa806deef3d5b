// Whether bytes are UTF-8: for all that comes from outside and is shown or stored as text.
#pragma once

#include <string_view>

namespace weir {

// As RFC 3629 has it: no overlong forms, no surrogates, nothing above U+10FFFF. ASCII is told by eight bytes a step, so
// that short keys cost next to nothing.
bool is_utf8(std::string_view text);

} // namespace weir
