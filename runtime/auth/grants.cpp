#include "runtime/auth/grants.hpp"

#include "runtime/auth/strict_json.hpp"
#include "runtime/config/condition.hpp"
#include "runtime/config/values.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace weir::auth {
namespace {

using simdjson::dom::element;
using simdjson::dom::object;

constexpr std::size_t most_key_bytes = 1024; // of a row

tl::unexpected<refusal> no(std::string message) { return tl::unexpected(refusal{failure::claims, std::move(message)}); }

// A permission as it stands in the claim, before its condition is parsed: that uses another parser.
struct written_grant {
  std::string text;  // of a string
  std::string where; // of an object, JSON; `text` is its table then
  bool conditional = false;
};

tl::expected<written_grant, refusal> read_grant(const element& from, std::size_t number) {
  std::string_view text;
  if (from.get(text) == simdjson::SUCCESS)
    return written_grant{std::string(text), {}, false};
  object members;
  if (from.get(members) != simdjson::SUCCESS)
    return no(fmt::format("entry {} of the token's 'tables' is neither a string nor an object", number));
  written_grant out{{}, {}, true};
  bool table = false, where = false;
  for (const auto& [name, value] : members) {
    if (name == "table" && value.get(text) == simdjson::SUCCESS) {
      out.text = text;
      table = true;
    } else if (name == "where" && value.is_object()) {
      out.where = simdjson::minify(value);
      where = true;
    } else {
      return no(fmt::format("entry {} of the token's 'tables' has a member that is not understood", number));
    }
  }
  if (!table || !where)
    return no(fmt::format("entry {} of the token's 'tables' needs 'table' and 'where'", number));
  return out;
}

tl::expected<void, refusal> take_grant(const written_grant& written, std::size_t number, identity& to) {
  const auto slash = written.text.find('/');
  const auto table = std::string_view(written.text).substr(0, slash);
  if (!is_table_name(table) || (written.conditional && slash != std::string::npos))
    return no(fmt::format("entry {} of the token's 'tables' does not name a table", number));
  auto& grant = to.tables[std::string(table)];
  if (written.conditional) {
    auto parsed = parse_condition(written.where);
    if (!parsed.ok())
      return no(fmt::format("the 'where' of entry {} of the token's 'tables' is no condition", number));
    if (parsed.value.empty())
      return no(fmt::format("the 'where' of entry {} of the token's 'tables' says nothing; the table's name alone "
                            "stands for all of it",
                            number));
    grant.where.push_back(std::move(parsed.value));
    return {};
  }
  if (slash == std::string::npos) {
    grant.whole = true;
    return {};
  }
  auto key = written.text.substr(slash + 1);
  if (key.empty() || key.size() > most_key_bytes)
    return no(fmt::format("entry {} of the token's 'tables' has no key behind its '/', or too long a one", number));
  if (key.ends_with('*')) {
    key.pop_back();
    grant.prefixes.push_back(std::move(key));
  } else {
    grant.keys.push_back(std::move(key));
  }
  return {};
}

bool permits_key(const table_grant& grant, std::string_view key) {
  return std::find(grant.keys.begin(), grant.keys.end(), key) != grant.keys.end() ||
         std::any_of(grant.prefixes.begin(), grant.prefixes.end(),
                     [&](const std::string& prefix) { return key.starts_with(prefix); });
}

// All tests of a condition hold for a row that matches, so one that keeps to permitted keys is enough.
bool keeps_to_keys(const table_grant& grant, const condition& where) {
  return std::any_of(where.all.begin(), where.all.end(), [&](const test& t) {
    if (t.pointer != row_key_name || t.operands.empty())
      return false;
    if (t.op == comparison::prefix) {
      const auto* asked = std::get_if<std::string>(&t.operands.front());
      return asked && std::any_of(grant.prefixes.begin(), grant.prefixes.end(),
                                  [&](const std::string& prefix) { return asked->starts_with(prefix); });
    }
    if (t.op != comparison::eq && t.op != comparison::in)
      return false;
    return std::all_of(t.operands.begin(), t.operands.end(), [&](const scalar& operand) {
      const auto* key = std::get_if<std::string>(&operand);
      return key && permits_key(grant, *key);
    });
  });
}

// Stops counting beyond `most`.
std::size_t count_tests(const condition& c, std::size_t most) {
  auto n = c.all.size() + c.any.size();
  for (const auto& group : c.any) {
    if (n > most)
      break;
    n += count_tests(group, most);
  }
  return n;
}

condition combined(const condition& a, const condition& b, std::size_t most, std::size_t& made) {
  condition out = a;
  out.all.insert(out.all.end(), b.all.begin(), b.all.end());
  if (a.any.empty()) {
    out.any = b.any;
  } else if (!b.any.empty()) {
    // (x or y) and (u or v): into each alternative of the one goes the whole group of the other.
    const condition group{{}, b.any};
    out.any.clear();
    for (const auto& alternative : a.any) {
      if (made > most)
        break;
      out.any.push_back(combined(alternative, group, most, made));
      made += count_tests(out.any.back(), most);
    }
  }
  return out;
}

} // namespace

tl::expected<identity, refusal> read_identity(const verified_token& token) {
  identity out;
  out.subject = token.subject;
  out.expires_ms = token.expires_ms;
  out.signed_by = token.signed_by;
  std::vector<written_grant> grants;
  {
    const auto root = parse_strict(token.payload);
    object claims;
    if (!root || root->get(claims) != simdjson::SUCCESS)
      return tl::unexpected(refusal{failure::malformed, "the token's payload is no JSON object"});
    const auto admin = claims.at_key("admin");
    if (admin.error() == simdjson::SUCCESS && admin.get(out.admin) != simdjson::SUCCESS)
      return no("the token's 'admin' is neither true nor false");
    if (const auto tables = claims.at_key("tables"); tables.error() == simdjson::SUCCESS) {
      simdjson::dom::array entries;
      if (tables.get(entries) != simdjson::SUCCESS)
        return no("the token's 'tables' is no array");
      std::size_t number = 0;
      for (const auto entry : entries) {
        auto grant = read_grant(entry, ++number);
        if (!grant)
          return tl::unexpected(grant.error());
        grants.push_back(std::move(*grant));
      }
    }
  }
  std::size_t number = 0;
  for (const auto& grant : grants)
    if (auto taken = take_grant(grant, ++number, out); !taken)
      return tl::unexpected(taken.error());
  return out;
}

decision decide(const table_grant* grant, const read_request& request, bool keyed) {
  decision out;
  if (!grant) {
    out.message = "permission denied";
    return out;
  }
  out.allowed = grant->whole || (keyed && ((request.key && permits_key(*grant, *request.key)) ||
                                           (request.where && keeps_to_keys(*grant, *request.where))));
  out.partial = !grant->whole;
  if (out.allowed)
    return out;
  if (!grant->where.empty()) {
    out.allowed = true;
    if (grant->where.size() == 1)
      out.forced = grant->where.front();
    else
      out.forced.any = grant->where;
    return out;
  }
  out.message = !keyed                         ? "permission denied: keys are permitted, and a log has none"
                : request.key || request.where ? "permission denied: other keys of this table are permitted"
                                               : "permission denied: only single keys of this table are permitted";
  return out;
}

std::optional<condition> both(const condition& a, const condition& b, std::size_t most_tests) {
  std::size_t made = 0;
  auto out = combined(a, b, most_tests, made);
  if (made > most_tests || count_tests(out, most_tests) > most_tests)
    return std::nullopt;
  return out;
}

} // namespace weir::auth
