// --token-file and WEIR_TOKEN of the commands that talk to a node. No option takes a token itself: other users of the
// machine can read command lines.
#pragma once

#include "runtime/core/error.hpp"
#include "runtime/http/client.hpp"

#include <string>

namespace weir::cli {

// The token in a file, or where `file` is empty in the variable WEIR_TOKEN; empty where there is neither. Without white
// space around it. Fails with ec::bad_argument; a token's text is in no message. The file is read anew for each
// connection: whoever renews tokens writes it.
result<std::string> read_token(const std::string& file);

// Puts the token into the requests' headers.
result<void> use_token(const std::string& file, http::client_options& to);

} // namespace weir::cli
