#include "runtime/config/load.hpp"

#include "runtime/config/canonical.hpp"
#include "runtime/config/check.hpp"
#include "runtime/config/resolve.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fmt/format.h>
#include <fstream>
#include <limits>

namespace weir {

namespace {

loaded refused(std::string_view name, std::string what, std::string remedy) {
  loaded out;
  out.problems.push_back({"", 0, 0, std::move(what), std::move(remedy), std::string(name)});
  return out;
}

void sort_by_place(std::vector<problem>& problems) {
  // What a --set brought comes last.
  const auto line = [](const problem& p) { return p.line == 0 ? std::numeric_limits<int>::max() : p.line; };
  std::stable_sort(problems.begin(), problems.end(), [&](const problem& a, const problem& b) {
    return std::pair(line(a), a.column) < std::pair(line(b), b.column);
  });
}

// Names and values come from the file: they start no line of their own and no terminal's command.
std::string one_line(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto code = static_cast<unsigned char>(c);
    if (code < 0x20 || code == 0x7F)
      out += fmt::format("\\u{:04x}", code);
    else
      out += c;
  }
  return out;
}

} // namespace

std::string to_string(const problem& p) {
  std::string out = p.place;
  if (p.line > 0)
    out += fmt::format("{}{}:{}", out.empty() ? "" : ":", p.line, p.column);
  if (!out.empty())
    out += ": ";
  if (!p.pointer.empty())
    out += p.pointer + ": ";
  out += p.what;
  if (!p.remedy.empty())
    out += "; " + p.remedy;
  return one_line(out);
}

loaded load_topology_text(std::string_view text, std::string_view name, const load_options& options) {
  if (text.size() > topology_file_limit)
    return refused(name, fmt::format("more than {} bytes", topology_file_limit), "is it the right file?");
  loaded out;
  auto document = config::parse_document(text, {.name = name, .comments = true, .pointer = ""}, out.problems);
  if (document) {
    const auto by_number = config::apply_sets(*document, options.sets, out.problems);
    const config::environment process = [](const std::string& variable) -> std::optional<std::string> {
      const char* value = std::getenv(variable.c_str());
      return value ? std::optional<std::string>(value) : std::nullopt;
    };
    config::substitute(*document, options.env ? options.env : process, name, out.problems);
    config::checker(std::string(name), options, out.problems, out.value).run(*document);
    config::explain_numbers(by_number, out.problems);
    for (auto& [table, t] : out.value.tables)
      config::identify(t);
    for (auto& [job, j] : out.value.jobs)
      config::identify(j);
    out.value.masked_json = config::masked_text(*document);
  }
  sort_by_place(out.problems);
  return out;
}

loaded load_topology_file(const std::filesystem::path& path, const load_options& options) {
  const auto name = path.string();
  std::error_code error;
  if (std::filesystem::is_directory(path, error))
    return refused(name, "is a folder", "name a topology file");
  errno = 0;
  std::ifstream in(path, std::ios::binary);
  if (!in)
    return refused(name, fmt::format("can't be read: {}", std::strerror(errno)), "name a topology file");
  std::string text(topology_file_limit + 1, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(in.gcount()));
  auto with_base = options;
  if (with_base.base.empty())
    with_base.base = path.parent_path();
  return load_topology_text(text, name, with_base);
}

} // namespace weir
