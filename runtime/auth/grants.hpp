// What a token lets its holder read: its claims `tables` and `admin`, and how they are held against a request. Pure.
//
//   "tables": ["prices",                        all of the table
//              "orders/17",                     this key
//              "orders/eu-*", "orders/*",       keys with this beginning, one by one or by a condition on `key`
//              {"table": "orders", "where": {"/site": "north"}}],    the table, as far as the condition holds
//   "admin": true                               everything, and what is for operators
//
// Grants add up: what any of them permits is permitted. Names of tables that are not here do no harm (a token may serve
// several systems).
#pragma once

#include "proto/condition.hpp"
#include "runtime/auth/token.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

namespace weir::auth {

struct table_grant {
  bool whole = false;
  std::vector<std::string> keys;
  std::vector<std::string> prefixes;
  std::vector<condition> where; // each permits the rows that it holds for
};

// Who presented a token that was good when it came. Immutable and shared.
struct identity {
  std::string subject;
  std::int64_t expires_ms = 0; // milliseconds since 1970, without leeway
  signer signed_by;
  bool admin = false;
  std::map<std::string, table_grant, std::less<>> tables;
};

// From a payload whose signature was checked. A claim that is not understood to the letter refuses the token: to
// overlook part of a restriction would permit more than was meant.
tl::expected<identity, refusal> read_identity(const verified_token& token);

struct read_request {
  std::string_view table;
  std::optional<std::string_view> key; // only this row
  const condition* where = nullptr;    // only rows for which it holds; null or empty: all
};

struct decision {
  bool allowed = false;
  std::string message;  // where it is not
  condition forced;     // where not empty: has to hold as well
  bool partial = false; // some rows of the table only: that others changed or went must not be told either
};

// `grant` null: none for this table. `keyed`: its rows have keys; in a log no grant of keys permits anything.
decision decide(const table_grant* grant, const read_request& request, bool keyed = true);

// Both have to hold. Nothing if that takes more than `most_tests` tests: two groups of alternatives multiply.
std::optional<condition> both(const condition& a, const condition& b, std::size_t most_tests);

} // namespace weir::auth
