#include "runtime/config/canonical.hpp"

#include "runtime/config/condition.hpp"
#include "runtime/config/keys.hpp"
#include "runtime/core/hash.hpp"

#include <algorithm>
#include <cstdint>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace weir::config {

namespace {

using json = nlohmann::ordered_json;

constexpr std::string_view hidden = "***";

bool secret_property(std::string_view name) {
  std::string low(name);
  std::transform(low.begin(), low.end(), low.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  for (const auto* part : {"password", "passphrase", "secret", "token", "jaas", "key.pem", "keystore.pem",
                           "oauthbearer.config", "credential"})
    if (low.find(part) != std::string::npos)
      return true;
  return false;
}

// "scheme://user:password@host" wherever it stands in a string.
std::string without_passwords(std::string text) {
  for (std::size_t at = 0; (at = text.find("://", at)) != std::string::npos;) {
    at += 3;
    // The password may hold anything that its writer forgot to encode: all up to the last '@' before white space.
    const auto end = std::min(text.find_first_of(" \t\r\n", at), text.size());
    const auto sign = text.rfind('@', end == 0 ? 0 : end - 1);
    const auto colon = text.find(':', at);
    if (sign == std::string::npos || sign < at || colon == std::string::npos || colon > sign)
      continue;
    text.replace(colon + 1, sign - colon - 1, hidden);
    at = colon + 1 + hidden.size();
  }
  return text;
}

// As it is written in a topology, in the shortest form: "max", "p99.9", "top10".
std::string function_text(const aggregate_field& f) {
  if (f.fn == function::top)
    return fmt::format("top{}", f.argument);
  if (f.fn != function::percentile)
    return std::string(functions[static_cast<std::size_t>(f.fn)]);
  auto text = fmt::format("p{}.{:06}", f.argument / 1'000'000, f.argument % 1'000'000);
  while (text.ends_with('0'))
    text.pop_back();
  if (text.ends_with('.'))
    text.pop_back();
  return text;
}

json canonical_fields(const std::vector<aggregate_field>& fields) {
  json out = json::array();
  for (const auto& f : fields) {
    auto one = json::array({f.name, function_text(f)});
    if (!f.pointer.empty())
      one.push_back(f.pointer);
    out.push_back(std::move(one));
  }
  return out;
}

enum class secrets { masked, shown };

// `properties`: names of its members say whether they are secret.
json to_json(const node& n, secrets how, bool properties = false) {
  if (n.secret && how == secrets::masked)
    return hidden;
  switch (n.kind) {
  case node::type::null: return nullptr;
  case node::type::boolean: return n.truth;
  case node::type::integer: return n.integer;
  case node::type::natural: return n.natural;
  case node::type::real: return n.real;
  case node::type::string: return how == secrets::masked ? without_passwords(n.text) : n.text;
  case node::type::array: {
    json out = json::array();
    for (const auto& m : n.members)
      out.push_back(to_json(m.value, how));
    return out;
  }
  case node::type::object: break;
  }
  json out = json::object();
  for (const auto& m : n.members)
    out[m.name] = how == secrets::masked && properties && secret_property(m.name)
                      ? json(hidden)
                      : to_json(m.value, how, m.name == "properties" || m.name == "config");
  return out;
}

} // namespace

void identify(table_config& t) {
  json out = {{"kind", kinds[static_cast<std::size_t>(t.kind)]}};
  if (!t.key.empty())
    out["key"] = t.key;
  if (!t.time.empty())
    out["time"] = t.time;
  for (const auto& [name, pointer] : t.select)
    out["select"].push_back({name, pointer});
  if (!t.fields.empty())
    out["fields"] = canonical_fields(t.fields);
  if (!t.where.empty())
    out["where"] = json::parse(canonical_text(t.where));
  if (t.kind != table_kind::log)
    out["expected_rows"] = t.expected_rows; // decides how rows are spread
  t.canonical = out.dump(-1, ' ', false, json::error_handler_t::replace);
  t.fingerprint = fmt::format("{:016x}", stable_hash(t.canonical));
}

void identify(job_config& j) {
  json out = {{"read", j.read_table}};
  if (j.last)
    out["last"] = j.last->count();
  for (const auto& [name, value] : j.parameters)
    std::visit([&, &key = name](const auto& v) { out["parameters"][key] = v; }, value);
  if (j.window)
    out["window"] = {j.window->count(), j.lateness.count()};
  if (j.reader)
    out["reader"] = {j.reader.name, json::parse(j.reader.config)};
  if (j.processor)
    out["processor"] = {j.processor.name, json::parse(j.processor.config)};
  for (const auto& [name, expression] : j.derive)
    out["derive"].push_back({name, expression});
  if (j.group_by.size() == 1)
    out["group_by"] = j.group_by.front();
  else if (!j.group_by.empty())
    out["group_by"] = j.group_by;
  if (!j.fields.empty())
    out["fields"] = canonical_fields(j.fields);
  if (!j.where.empty())
    out["where"] = json::parse(canonical_text(j.where));
  j.fingerprint = fmt::format("{:016x}", stable_hash(out.dump(-1, ' ', false, json::error_handler_t::replace)));
}

std::string json_text(const node& n) {
  return to_json(n, secrets::shown).dump(-1, ' ', false, json::error_handler_t::replace);
}

std::string masked_text(const node& root) {
  return to_json(root, secrets::masked).dump(2, ' ', false, json::error_handler_t::replace);
}

} // namespace weir::config
