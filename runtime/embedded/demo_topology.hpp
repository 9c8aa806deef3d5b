// The topology of `weir demo`, as text in the topology file's format.
#pragma once

#include <string>

namespace weir::embedded {

// Sources: machine, processes (fed by proc_sampler). Tables: metrics and processes (latest), by_kind (aggregate),
// history (log), cpu_minute (latest, written by the job rollup).
std::string demo_topology();

} // namespace weir::embedded
