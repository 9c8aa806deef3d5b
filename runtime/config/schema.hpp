// The JSON Schema of topology files (proto/topology.schema.json), embedded at build.
#pragma once

#include <string_view>

namespace weir {

std::string_view topology_schema();

} // namespace weir
