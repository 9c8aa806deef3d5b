// What the commands that talk to a node do with its answers.
#pragma once

#include "runtime/http/client.hpp"

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace weir::cli {

// Columns as wide as their widest cell; numbers to the right.
void print_table(std::string& out, const std::vector<std::string>& head,
                 const std::vector<std::vector<std::string>>& rows);

// A text of an object; empty where it has none, or is no object: what answers may be no node's.
std::string text_member(const nlohmann::ordered_json& object, const char* name);

// The message of an error's answer; empty where there is none.
std::string said(const http::client_response& answer);

// What an answer of /readyz says the node waits for, in one line; its body as it is where that is none of a node's.
std::string waited_for(const http::client_response& answer);

} // namespace weir::cli
