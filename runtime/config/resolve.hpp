// What happens to a document before it is checked: --set, then ${NAME}. Internal to runtime/config.
#pragma once

#include "runtime/config/document.hpp"

namespace weir::config {

using environment = std::function<std::optional<std::string>(const std::string&)>;

// An object that a --set had to make though its path goes on with a number: perhaps an array was meant.
struct made_by_number {
  std::string place, pointer; // as in problems
  std::string path;           // up to it, as in `--set path=value`
};

std::vector<made_by_number> apply_sets(node& root, const std::vector<std::string>& sets,
                                       std::vector<problem>& problems);
// Says of what the checks found wrong with such an object how an array is given.
void explain_numbers(const std::vector<made_by_number>& made, std::vector<problem>& problems);

// Replaces ${NAME} and ${NAME:-default} in every string value (not in names); $${ stands for ${ itself.
void substitute(node& root, const environment& env, std::string_view file, std::vector<problem>& problems);

} // namespace weir::config
