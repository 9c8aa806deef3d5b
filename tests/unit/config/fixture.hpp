// Topologies for tests: a good one, and what goes wrong when a part of it is replaced.
#pragma once

#include "runtime/config/load.hpp"

#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <map>
#include <string>
#include <vector>

namespace weir::config_test {

using environment = std::map<std::string, std::string>;

inline load_options with(environment env, std::vector<std::string> sets = {}) {
  load_options o;
  o.sets = std::move(sets);
  o.env = [env = std::move(env)](const std::string& name) -> std::optional<std::string> {
    const auto found = env.find(name);
    return found == env.end() ? std::nullopt : std::optional(found->second);
  };
  return o;
}

inline loaded load(std::string_view text, environment env = {}, std::vector<std::string> sets = {}) {
  return load_topology_text(text, "t", with(std::move(env), std::move(sets)));
}

inline std::vector<std::string> lines(const std::vector<problem>& problems) {
  std::vector<std::string> out;
  for (const auto& p : problems)
    out.push_back(to_string(p));
  return out;
}

inline std::string joined(const std::vector<problem>& problems) {
  std::string out;
  for (const auto& p : problems)
    out += to_string(p) + "\n";
  return out;
}

// A folder of the test's own, removed with it.
class folder {
public:
  folder() {
    std::string form = (std::filesystem::temp_directory_path() / "weir-config-XXXXXX").string();
    path_ = mkdtemp(form.data());
  }
  ~folder() { std::filesystem::remove_all(path_); }
  folder(const folder&) = delete;
  folder& operator=(const folder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path write(const std::string& name, std::string_view content) const {
    std::ofstream(path_ / name, std::ios::binary) << content;
    return path_ / name;
  }

private:
  std::filesystem::path path_;
};

inline constexpr std::string_view minimal =
    R"({"topology":"x","sources":{"s":{"topic":"t"}},"tables":{"t":{"from":"s","kind":"latest"}}})";

} // namespace weir::config_test
