// What tables and jobs compute: `fields` (a name, a function, and the pointer that it works on); groups and derived
// fields of jobs.
#include "runtime/config/check.hpp"

#include "runtime/batch/expression.hpp"
#include "runtime/config/values.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <fmt/format.h>
#include <fmt/ranges.h>

namespace weir::config {

namespace {

constexpr auto last_of_tables = function::last; // the functions behind it are of jobs alone
static_assert(functions[static_cast<std::size_t>(function::top)] == "top", "named in the order of proto/topology.hpp");

constexpr std::uint64_t usual_top = 10, most_top = 100;
constexpr std::size_t most_group_fields = 8, most_derived = 64;

struct other_name {
  std::string_view written, meant;
};

// Words that edit distance would not lead to the right one.
constexpr std::array other_names{
    other_name{"mean", "avg"},     other_name{"average", "avg"}, other_name{"median", "p50"},
    other_name{"minimum", "min"},  other_name{"maximum", "max"}, other_name{"total", "sum"},
    other_name{"variance", "var"}, other_name{"std", "stddev"},  other_name{"unique", "distinct"},
    other_name{"number", "count"}, other_name{"newest", "last"}, other_name{"oldest", "first"}};

bool all_digits(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

// p50, p99, p99.9: above 0 and below 100. In millionths of a percent.
std::optional<std::uint64_t> percentile_of(std::string_view text) {
  if (!text.starts_with('p'))
    return std::nullopt;
  text.remove_prefix(1);
  const auto dot = text.find('.');
  const auto before = text.substr(0, dot);
  auto after = dot == std::string_view::npos ? std::string("0") : std::string(text.substr(dot + 1));
  if (!all_digits(before) || before.size() > 2 || !all_digits(after) || after.size() > 6)
    return std::nullopt;
  after.resize(6, '0');
  const auto value = std::stoull(std::string(before) + after);
  return value > 0 ? std::optional<std::uint64_t>(value) : std::nullopt;
}

// top, top1 to top100: how many values.
std::optional<std::uint64_t> top_of(std::string_view text) {
  if (text == "top")
    return usual_top;
  if (!text.starts_with("top") || !all_digits(text.substr(3)) || text.size() > 6 || text[3] == '0')
    return std::nullopt;
  const auto value = std::stoull(std::string(text.substr(3)));
  return value <= most_top ? std::optional<std::uint64_t>(value) : std::nullopt;
}

struct known_function {
  function fn;
  std::uint64_t argument = 0;
};

std::optional<known_function> function_of(std::string_view written) {
  if (const auto p = percentile_of(written))
    return known_function{function::percentile, *p};
  if (const auto n = top_of(written))
    return known_function{function::top, *n};
  const auto found = std::find(std::begin(functions), std::end(functions), written);
  if (found == std::end(functions))
    return std::nullopt;
  return known_function{static_cast<function>(found - std::begin(functions)), 0};
}

// What an unknown function was meant to be.
std::string function_remedy(std::string_view written) {
  const auto other =
      std::find_if(other_names.begin(), other_names.end(), [&](const other_name& o) { return o.written == written; });
  if (other != other_names.end())
    return fmt::format("did you mean '{}'?", other->meant);
  if (is_pointer(written) && !written.empty())
    return fmt::format(R"(write {{"max": "{}"}}, with the function that you want)", written);
  if (written.size() > 1 && written.front() == 'p' && written.find_first_not_of("0123456789.", 1) == written.npos)
    return "a percentile lies above 0 and below 100, such as 'p99'";
  if (written.size() > 3 && written.starts_with("top") && all_digits(written.substr(3)))
    return fmt::format("there are 'top1' to 'top{}'", most_top);
  const auto close = nearest(written, functions);
  return close ? fmt::format("did you mean '{}'?", *close) : fmt::format("there are: {}", fmt::join(functions, ", "));
}

} // namespace

std::vector<aggregate_field> checker::fields(const spot& s, bool of_job) {
  std::vector<aggregate_field> out;
  if (!object(s, "'fields'"))
    return out;
  if (s.value->members.empty())
    report(s, "'fields' is empty", R"(write {"n": "count"})");
  each_named(s, [&](member& m, spot inner) {
    if (m.name.empty())
      report_name(m, inner.pointer, "a field without a name");
    field(m.name, inner, of_job, out);
  });
  return out;
}

void checker::field(const std::string& name, const spot& s, bool of_job, std::vector<aggregate_field>& out) {
  auto& n = *s.value;
  std::string written;
  node* argument = nullptr;
  node function_at = n; // where the function's name stands
  function_at.members.clear();
  if (n.is(node::type::object)) {
    if (n.members.size() != 1)
      return report(s, fmt::format("a field is one function, not {}", n.members.size()), R"(write {"max": "/field"})");
    written = n.members.front().name;
    argument = &n.members.front().value;
    function_at.at = n.members.front().at;
    function_at.place = n.members.front().place;
  } else if (const auto value = text(s)) {
    written = *value;
  } else {
    return;
  }
  const auto known = function_of(written);
  if (!known)
    return report(function_at, s.pointer, fmt::format("unknown function '{}'", written), function_remedy(written));
  std::string at;
  if (known->fn == function::count) {
    if (argument)
      return report(function_at, s.pointer, "'count' counts records and takes no pointer", "write \"count\"");
  } else if (argument) {
    const auto value = pointer({argument, s.pointer + '/' + pointer_token(written)}, false);
    if (!value)
      return;
    at = *value;
  } else if (known->fn != function::rate) { // the rate of records needs no field
    return report(s, fmt::format("'{}' needs the field it works on", written),
                  fmt::format(R"(write {{"{}": "/field"}})", written));
  }
  if (!of_job && known->fn > last_of_tables)
    return later(s, fmt::format("the function '{}' in a table", written));
  out.push_back({name, known->fn, std::move(at), known->argument});
}

std::vector<std::string> checker::group_by(const spot& s) {
  std::vector<std::string> out;
  const auto one = [&](const spot& at) {
    auto value = pointer(at, false);
    if (!value)
      return;
    if (std::find(out.begin(), out.end(), *value) != out.end())
      return report(at, fmt::format("'{}' is there twice", *value), "remove one of them");
    out.push_back(std::move(*value));
  };
  if (!s.value->is(node::type::array)) {
    one(s);
    return out;
  }
  auto& members = s.value->members;
  if (members.empty())
    report(s, "'group_by' names no field", R"(write ["/site", "/kind"], or remove it: all rows are one group)");
  if (members.size() > most_group_fields)
    report(s, fmt::format("groups by {} fields", members.size()), fmt::format("at most {}", most_group_fields));
  for (std::size_t i = 0; i < members.size(); ++i)
    one({&members[i].value, s.pointer + '/' + std::to_string(i)});
  return out;
}

void checker::derive(job_config& j, const spot& s) {
  if (!object(s, "'derive'"))
    return;
  if (s.value->members.empty())
    report(s, "'derive' derives nothing", R"(write {"load": "/cpu / /cores"}, or remove it)");
  if (s.value->members.size() > most_derived)
    report(s, fmt::format("derives {} fields", s.value->members.size()), fmt::format("at most {}", most_derived));
  std::vector<std::string> names;
  for (const auto& m : s.value->members)
    names.push_back(m.name);
  const std::span<const std::string> all(names);
  std::size_t index = 0;
  each_named(s, [&](member& m, spot inner) {
    const auto before = all.first(index), behind = all.subspan(index + 1);
    ++index;
    if (m.name.empty())
      report_name(m, inner.pointer, "a field without a name");
    auto written = text(inner);
    if (!written)
      return;
    if (auto parsed = batch::expression::parse(*written, before, behind); !parsed)
      report(inner, fmt::format("column {}: {}", parsed.error().column, parsed.error().what),
             std::move(parsed.error().remedy));
    j.derive.emplace_back(m.name, std::move(*written));
  });
}

} // namespace weir::config
