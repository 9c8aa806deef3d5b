#include "runtime/batch/parameters.hpp"

#include <charconv>
#include <cmath>
#include <fmt/format.h>
#include <optional>
#include <variant>

namespace weir::batch {
namespace {

std::optional<scalar> number(const std::string& text) {
  const auto* end = text.data() + text.size();
  std::int64_t whole = 0;
  if (const auto [rest, error] = std::from_chars(text.data(), end, whole); error == std::errc{} && rest == end)
    return whole;
  double real = 0;
  if (const auto [rest, error] = std::from_chars(text.data(), end, real);
      error == std::errc{} && rest == end && std::isfinite(real))
    return real;
  return std::nullopt;
}

std::optional<scalar> value_like(const scalar& own, const std::string& text) {
  if (std::holds_alternative<std::string>(own))
    return text;
  if (std::holds_alternative<bool>(own))
    return text == "true" ? std::optional<scalar>(true) : text == "false" ? std::optional<scalar>(false) : std::nullopt;
  return number(text);
}

void put(condition& in, const std::map<std::string, scalar>& values) {
  for (auto& t : in.all)
    if (const auto at = values.find(t.parameter); !t.parameter.empty() && at != values.end())
      t.operands = {at->second};
  for (auto& group : in.any)
    put(group, values);
}

} // namespace

result<job_config> with_parameters(const job_config& job, const parameter_values& values) {
  std::map<std::string, scalar> read;
  for (const auto& [name, text] : values) {
    const auto own = job.parameters.find(name);
    if (own == job.parameters.end()) {
      std::string names;
      for (const auto& [known, value] : job.parameters)
        names += (names.empty() ? "" : ", ") + known;
      return fail(ec::bad_argument, fmt::format("job '{}' has no parameter '{}'{}", job.name, name,
                                                names.empty() ? "" : "; it has: " + names));
    }
    const auto value = value_like(own->second, text);
    if (!value)
      return fail(ec::bad_argument,
                  fmt::format("parameter '{}' of job '{}': '{}' is no {}", name, job.name, text,
                              std::holds_alternative<bool>(own->second) ? "boolean (true or false)" : "number"));
    read.emplace(name, *value);
  }
  auto out = job;
  put(out.where, read);
  for (auto& [name, value] : read)
    out.parameters[name] = std::move(value);
  return out;
}

} // namespace weir::batch
