#include "runtime/config/graph.hpp"

#include "cli/commands.hpp"
#include "runtime/config/load.hpp"

namespace weir::cli {

int graph(const std::string& file, const std::vector<std::string>& sets, const std::string& format,
          const ext::extensions* extensions) {
  load_options load;
  load.sets = sets;
  load.extensions = extensions;
  const auto loaded = load_topology_file(file, load);
  for (const auto& p : loaded.problems)
    fmt::print(stderr, "{}\n", to_string(p));
  if (!loaded.ok())
    return exit_config;
  fmt::print("{}", format == "dot" ? graph_dot(loaded.value) : graph_mermaid(loaded.value));
  return exit_ok;
}

} // namespace weir::cli
