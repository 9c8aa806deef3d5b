// The topology as a picture: topics, sources, tables, jobs, dead letter topics, and what flows between them.
#pragma once

#include "proto/topology.hpp"

#include <string>

namespace weir {

std::string graph_mermaid(const topology& t); // a `flowchart LR`
std::string graph_dot(const topology& t);     // Graphviz

} // namespace weir
