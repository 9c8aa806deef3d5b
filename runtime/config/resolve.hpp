// What happens to a document before it is checked: --set, then ${NAME}. Internal to runtime/config.
#pragma once

#include "runtime/config/document.hpp"

namespace weir::config {

using environment = std::function<std::optional<std::string>(const std::string&)>;

void apply_sets(node& root, const std::vector<std::string>& sets, std::vector<problem>& problems);

// Replaces ${NAME} and ${NAME:-default} in every string value (not in names); $${ stands for ${ itself.
void substitute(node& root, const environment& env, std::string_view file, std::vector<problem>& problems);

} // namespace weir::config
