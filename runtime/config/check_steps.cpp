// Custom steps that a job names: they are those of the program that reads the topology (include/weir/extension.hpp).
#include "runtime/config/check.hpp"

#include "runtime/config/canonical.hpp"
#include "runtime/config/values.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <weir/extension.hpp>

namespace weir::config {

namespace {

constexpr std::size_t most_config_bytes = 64 << 10;

template <class Map>
std::vector<std::string_view> names(const Map& map) {
  std::vector<std::string_view> out;
  for (const auto& [name, value] : map)
    out.push_back(name);
  return out;
}

std::vector<std::string_view> registered(const ext::extensions* all, step_kind kind) {
  if (!all)
    return {};
  switch (kind) {
  case step_kind::reader: return names(all->readers());
  case step_kind::processor: return names(all->processors());
  case step_kind::writer: return names(all->writers());
  }
  return {};
}

std::string_view word(step_kind kind) {
  switch (kind) {
  case step_kind::reader: return "reader";
  case step_kind::processor: return "processor";
  case step_kind::writer: return "writer";
  }
  return "";
}

} // namespace

custom_step checker::step(const spot& s, step_kind kind) {
  custom_step out;
  spot name = s;
  if (s.value->is(node::type::object)) {
    name = {};
    each(s, step_keys, [&](std::string_view key, spot inner) {
      if (key == "name") {
        name = inner;
      } else if (object(inner, "'config'")) {
        out.config = json_text(*inner.value);
        if (out.config.size() > most_config_bytes)
          report(inner, fmt::format("a config of {} bytes", out.config.size()),
                 fmt::format("at most {}; name a file in it", most_config_bytes));
      }
    });
    if (!name) {
      missing(s, "name", fmt::format("\"a {}\"", word(kind)));
      return out;
    }
  }
  const auto written = text(name);
  if (!written)
    return out;
  out.name = *written;
  const auto known = registered(options_.extensions, kind);
  if (std::find(known.begin(), known.end(), *written) != known.end())
    return out;
  auto remedy = known.empty() ? fmt::format("this program has no {}s: build one that registers it, and use that in "
                                            "place of weir (docs/extending.md)",
                                            word(kind))
                              : fmt::format("this program has: {}", fmt::join(known, ", "));
  if (const auto close = nearest(*written, known))
    remedy = fmt::format("did you mean '{}'? {}", *close, remedy);
  report(name, fmt::format("unknown {} '{}'", word(kind), *written), std::move(remedy));
  return out;
}

} // namespace weir::config
