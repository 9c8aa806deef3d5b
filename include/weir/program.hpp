// weir's whole command line, for a program of one's own: `run`, `check`, `tail` and all the others, with what it adds.
#pragma once

#include <weir/extension.hpp>

namespace weir {

// Runs the command that the arguments name and gives the process' exit code (sysexits.h). Called once, from main,
// before any other thread runs: it blocks signals for the threads that it starts.
int program(int argc, char** argv, ext::extensions extensions = {});

} // namespace weir
