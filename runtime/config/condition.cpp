#include "runtime/config/condition.hpp"

#include "runtime/config/condition_reader.hpp"
#include "runtime/config/keys.hpp"
#include "runtime/config/values.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <limits>
#include <nlohmann/json.hpp>

namespace weir {

namespace config {

namespace {

constexpr int alternatives_depth_limit = 8;

struct other_sign {
  std::string_view written, meant;
};

// Signs and words that edit distance would not lead to the right operator.
constexpr std::array other_signs{other_sign{"ge", "gte"}, other_sign{"le", "lte"}, other_sign{"=", "eq"},
                                 other_sign{"==", "eq"},  other_sign{"!=", "ne"},  other_sign{"neq", "ne"},
                                 other_sign{">", "gt"},   other_sign{">=", "gte"}, other_sign{"<", "lt"},
                                 other_sign{"<=", "lte"}, other_sign{"not", "ne"}, other_sign{"starts_with", "prefix"}};

std::optional<std::string_view> operator_near(std::string_view written) {
  const auto* other =
      std::find_if(other_signs.begin(), other_signs.end(), [&](const other_sign& o) { return o.written == written; });
  return other == other_signs.end() ? nearest(written, comparisons) : std::optional(other->meant);
}

std::optional<comparison> comparison_of(std::string_view name) {
  const auto* found = std::find(std::begin(comparisons), std::end(comparisons), name);
  if (found == std::end(comparisons))
    return std::nullopt;
  return static_cast<comparison>(found - std::begin(comparisons)); // the table has the enum's order
}

scalar scalar_of(const node& n) {
  switch (n.kind) {
  case node::type::boolean: return n.truth;
  case node::type::integer: return n.integer;
  case node::type::natural:
    // One form for each number: only what needs 64 bits without a sign has them.
    if (n.natural <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
      return static_cast<std::int64_t>(n.natural);
    return n.natural;
  case node::type::real: return n.real;
  case node::type::string: return n.text;
  case node::type::null:
  case node::type::array:
  case node::type::object: break;
  }
  return nullptr;
}

// A number that came by ${NAME}.
void as_number(node& n) {
  if (!n.is(node::type::string) || !n.whole_name)
    return;
  const auto value = nlohmann::json::parse(n.text, nullptr, false);
  if (value.is_number_unsigned()) {
    n.kind = node::type::natural;
    n.natural = value.get<std::uint64_t>();
  } else if (value.is_number_integer()) {
    n.kind = node::type::integer;
    n.integer = value.get<std::int64_t>();
  } else if (value.is_number_float()) {
    n.kind = node::type::real;
    n.real = value.get<double>();
  }
}

} // namespace

void condition_reader::fault(const node& n, const std::string& pointer, std::string what, std::string remedy) {
  report_(n.at, n.place, pointer, std::move(what), std::move(remedy));
}

void condition_reader::fault(const member& m, const std::string& pointer, std::string what, std::string remedy) {
  report_(m.at, m.place, pointer, std::move(what), std::move(remedy));
}

bool condition_reader::room(const node& n, const std::string& pointer, std::size_t tests, std::size_t operands) {
  tests_ += tests;
  operands_ += operands;
  if (tests_ <= condition_test_limit && operands_ <= condition_operand_limit)
    return true;
  if (!full_)
    fault(n, pointer,
          fmt::format("more than {} tests or {} values of 'in'", condition_test_limit, condition_operand_limit),
          "make it smaller");
  full_ = true;
  return false;
}

condition condition_reader::read(node& n, const std::string& pointer, int depth) {
  condition out;
  if (!n.is(node::type::object)) {
    fault(n, pointer, fmt::format("an object from pointers to tests is wanted, not {}", kind_name(n)),
          R"(write {"/field": value})");
    return out;
  }
  for (auto& m : n.members) {
    const auto at = pointer + '/' + pointer_token(m.name);
    if (m.name == "any") {
      alternatives(m, at, depth, out);
    } else if (rows_ && m.name == row_key_name) {
      const auto before = out.all.size();
      tests(m, at, out);
      for (auto i = before; i < out.all.size(); ++i)
        if (out.all[i].op == comparison::exists ||
            !std::all_of(out.all[i].operands.begin(), out.all[i].operands.end(),
                         [](const scalar& o) { return std::holds_alternative<std::string>(o); }))
          fault(m, at, "a row's key is compared with strings", R"(write {"key": "a"} or {"key": {"prefix": "a"}})");
    } else if (m.name.empty() || !is_pointer(m.name)) {
      fault(m, at, fmt::format("'{}' is no JSON Pointer", m.name),
            m.name.starts_with('/') ? "'~' is written '~0', and '/' in a name '~1'"
                                    : fmt::format("did you mean '/{}'?", m.name));
    } else {
      tests(m, at, out);
    }
  }
  return out;
}

void condition_reader::alternatives(member& m, const std::string& pointer, int depth, condition& out) {
  if (!m.value.is(node::type::array) || m.value.members.empty())
    return fault(m.value, pointer, "an array of conditions is wanted, with at least one",
                 R"(write {"any": [{"/a": 1}, {"/b": 2}]})");
  if (depth >= alternatives_depth_limit)
    return fault(m.value, pointer, fmt::format("'any' more than {} deep", alternatives_depth_limit), "make it flatter");
  std::size_t index = 0;
  for (auto& alternative : m.value.members) {
    const auto at = pointer + '/' + std::to_string(index++);
    if (!room(alternative.value, at, 1, 0))
      return;
    out.any.push_back(read(alternative.value, at, depth + 1));
  }
}

void condition_reader::tests(member& m, const std::string& pointer, condition& out) {
  auto& n = m.value;
  if (!n.is(node::type::object)) {
    if (n.is(node::type::array))
      return fault(n, pointer, "an array is no value to compare with", R"(write {"in": [...]} for one of several)");
    if (room(n, pointer, 1, 0))
      out.all.push_back({m.name, comparison::eq, {scalar_of(n)}, {}});
    return;
  }
  if (n.members.empty())
    return fault(n, pointer, "no test", R"(write a value, or an operator such as {"gt": 0})");
  if (parameter(m.name, comparison::eq, m, pointer, out))
    return;
  for (auto& op : n.members)
    operation(m.name, op, pointer + '/' + pointer_token(op.name), out);
}

// {"parameter": "name"}: a job's, in place of a value. True: it is one, or wants to be.
bool condition_reader::parameter(const std::string& field, comparison op, member& m, const std::string& pointer,
                                 condition& out) {
  if (!parameters_ || !m.value.is(node::type::object) || m.value.members.size() != 1 ||
      m.value.members.front().name != "parameter")
    return false;
  const auto& named = m.value.members.front().value;
  const auto at = pointer + "/parameter";
  if (!named.is(node::type::string)) {
    fault(named, at, fmt::format("a parameter's name is wanted, not {}", kind_name(named)), "");
    return true;
  }
  const auto known = parameters_->find(named.text);
  if (known == parameters_->end()) {
    fault(named, at, fmt::format("the job has no parameter '{}'", named.text),
          fmt::format(R"(add "parameters": {{"{}": a value}} to it)", named.text));
    return true;
  }
  const bool text = std::holds_alternative<std::string>(known->second);
  const bool number = !text && !std::holds_alternative<bool>(known->second);
  const bool fits = op == comparison::eq || op == comparison::ne       ? true
                    : op == comparison::prefix                         ? text
                    : op == comparison::in || op == comparison::exists ? false
                                                                       : text || number;
  if (!fits)
    fault(named, at,
          fmt::format("'{}' cannot take the parameter '{}'", comparisons[static_cast<std::size_t>(op)], named.text),
          "parameters are for eq, ne, gt, gte, lt, lte and, as strings, for prefix");
  else if (room(named, at, op == comparison::eq ? 1 : 0, 0))
    out.all.push_back({field, op, {known->second}, named.text});
  return true;
}

void condition_reader::operation(const std::string& field, member& m, const std::string& pointer, condition& out) {
  const auto op = comparison_of(m.name);
  if (!op) {
    const auto near = operator_near(m.name);
    return fault(m, pointer, fmt::format("unknown operator '{}'", m.name),
                 near ? fmt::format("did you mean '{}'?", *near)
                      : fmt::format("there are: {}", fmt::join(comparisons, " ")));
  }
  if (!room(m.value, pointer, 1, 0))
    return;
  if (parameter(field, *op, m, pointer, out))
    return;
  auto values = operands(*op, m.name, m.value, pointer);
  if (!values.empty())
    out.all.push_back({field, *op, std::move(values), {}});
}

std::vector<scalar> condition_reader::operands(comparison op, std::string_view name, node& n,
                                               const std::string& pointer) {
  const auto wanted = [&](std::string_view what, std::string remedy) {
    fault(n, pointer, fmt::format("'{}' wants {}, not {}", name, what, kind_name(n)), std::move(remedy));
    return std::vector<scalar>{};
  };
  switch (op) {
  case comparison::eq:
  case comparison::ne:
    if (!n.scalar())
      return wanted("a string, number, boolean or null", "");
    return {scalar_of(n)};
  case comparison::gt:
  case comparison::gte:
  case comparison::lt:
  case comparison::lte:
    as_number(n);
    if (!n.scalar() || n.is(node::type::null) || n.is(node::type::boolean))
      return wanted("a number or a string", "");
    return {scalar_of(n)};
  case comparison::prefix:
    if (!n.is(node::type::string))
      return wanted("a string", "");
    return {n.text};
  case comparison::exists:
    if (n.is(node::type::string) && n.whole_name && (n.text == "true" || n.text == "false")) {
      n.kind = node::type::boolean;
      n.truth = n.text == "true";
    }
    if (!n.is(node::type::boolean))
      return wanted("true or false", "");
    return {n.truth};
  case comparison::in: break;
  }
  if (!n.is(node::type::array))
    return wanted("an array of values", R"(write {"in": ["a", "b"]})");
  if (n.members.empty()) {
    fault(n, pointer, "'in' with no value never holds", "name at least one value");
    return {};
  }
  if (!room(n, pointer, 0, n.members.size()))
    return {};
  std::vector<scalar> out;
  for (std::size_t i = 0; i < n.members.size(); ++i) {
    const auto& value = n.members[i].value;
    if (value.scalar())
      out.push_back(scalar_of(value));
    else
      fault(value, pointer + '/' + std::to_string(i),
            fmt::format("'in' wants strings, numbers, booleans or null, not {}", kind_name(value)), "");
  }
  return out;
}

} // namespace config

namespace {

nlohmann::json canonical(const condition& c) {
  using nlohmann::json;
  std::vector<json> tests, groups;
  for (const auto& t : c.all) {
    json one = json::array({t.pointer, config::comparisons[static_cast<std::size_t>(t.op)]});
    for (const auto& operand : t.operands)
      std::visit([&](const auto& v) { one.push_back(v); }, operand);
    if (!t.parameter.empty())
      one.push_back({{"parameter", t.parameter}});
    tests.push_back(std::move(one));
  }
  for (const auto& group : c.any)
    groups.push_back(canonical(group));
  std::sort(tests.begin(), tests.end());
  std::sort(groups.begin(), groups.end());
  json out = {{"all", tests}};
  if (!groups.empty())
    out["any"] = groups;
  return out;
}

} // namespace

std::string canonical_text(const condition& c) {
  if (c.empty())
    return "";
  return canonical(c).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

parsed_condition parse_condition(std::string_view text, std::string_view at) {
  constexpr std::size_t limit = 64 << 10;
  parsed_condition out;
  if (text.size() > limit) {
    out.problems.push_back(
        {std::string(at), 0, 0, fmt::format("a condition of more than {} bytes", limit), "make it smaller", ""});
    return out;
  }
  auto document = config::parse_document(text, {.name = "", .comments = false, .pointer = at}, out.problems);
  if (!document)
    return out;
  config::condition_reader reader(
      [&](config::position where, const std::string&, const std::string& pointer, std::string what,
          std::string remedy) {
        out.problems.push_back({pointer, where.line, where.column, std::move(what), std::move(remedy), ""});
      },
      true);
  out.value = reader.read(*document, std::string(at));
  return out;
}

} // namespace weir
