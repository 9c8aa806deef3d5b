// --token-file of the commands that talk to a node.
#pragma once

#include "runtime/core/error.hpp"
#include "runtime/http/client.hpp"

#include <string>

namespace weir::cli {

// The token in a file, without white space around it; empty where `file` is. Fails with ec::bad_argument; a token's text
// is in no message. Read anew for each connection: whoever renews tokens writes the file.
result<std::string> read_token(const std::string& file);

// Puts the token into the requests' headers.
result<void> use_token(const std::string& file, http::client_options& to);

} // namespace weir::cli
