// What the commands that talk to a node do with its answers.
#pragma once

#include "runtime/http/client.hpp"

#include <string>
#include <vector>

namespace weir::cli {

// Columns as wide as their widest cell; numbers to the right.
void print_table(std::string& out, const std::vector<std::string>& head,
                 const std::vector<std::vector<std::string>>& rows);

// The message of an error's answer; empty where there is none.
std::string said(const http::client_response& answer);

} // namespace weir::cli
