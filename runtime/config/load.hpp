// Reads a topology file: comments, environment, secret files, --set, every check, in one run.
#pragma once

#include "proto/topology.hpp"

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace weir::ext {
class extensions;
}

namespace weir {

// One thing that is wrong. Never holds a secret's text.
struct problem {
  std::string pointer;      // JSON Pointer of the value or member at fault; "" is the whole file
  int line = 0, column = 0; // from 1, in characters; 0: not in the file (place says where)
  std::string what;         // "unknown function 'maxx'"
  std::string remedy;       // "did you mean 'max'?"; may be empty
  std::string place;        // the file's name, or "--set kafka.group"

  bool operator==(const problem&) const = default;
};

// "file:line:col: /tables/totals/fields/cpu_max: unknown function 'maxx'; did you mean 'max'?"
std::string to_string(const problem& p);

struct load_options {
  std::vector<std::string> sets; // "path.to.key=value" or "/path/to/key=value", applied in order
  // Value of an environment variable, none where unset. Default: the process' environment.
  std::function<std::optional<std::string>(const std::string&)> env;
  // Relative paths in {"file": ...}, http.tls and redis.ca_file start here. Default: the topology file's folder.
  std::filesystem::path base;
  const ext::extensions* extensions = nullptr; // the steps that jobs may name; null: none
};

struct loaded {
  topology value;                // complete only if there are no problems
  std::vector<problem> problems; // in the order of their places in the file
  bool ok() const { return problems.empty(); }
};

inline constexpr std::size_t topology_file_limit = 1 << 20; // bytes
inline constexpr int topology_depth_limit = 64;             // objects and arrays within each other
inline constexpr std::size_t secret_file_limit = 64 << 10;  // bytes

// Never throws; what cannot be read is a problem. Blocks on the file system only.
[[nodiscard]] loaded load_topology_file(const std::filesystem::path& path, const load_options& options = {});
// The same for a text in hand; `name` stands for the file's name in problems.
[[nodiscard]] loaded load_topology_text(std::string_view text, std::string_view name, const load_options& options = {});

} // namespace weir
