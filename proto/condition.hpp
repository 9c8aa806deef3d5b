// `where` of a topology or of a subscription, parsed but not evaluated (runtime/table does that).
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

namespace weir {

using scalar = std::variant<std::nullptr_t, bool, std::int64_t, std::uint64_t, double, std::string>;

enum class comparison { eq, ne, gt, gte, lt, lte, in, prefix, exists };

// Where a condition chooses rows (subscriptions, REST), this name in place of a pointer stands for the row's key.
inline constexpr const char* row_key_name = "key";

struct test {
  std::string pointer; // RFC 6901, checked; or row_key_name
  comparison op = comparison::eq;
  std::vector<scalar> operands; // one, but for `in`; `exists` has one bool
  std::string parameter = {};   // of a job, whose value the operand is; empty: none
};

// All tests and all alternatives' groups must hold. Empty: always true.
struct condition {
  std::vector<test> all;
  std::vector<condition> any; // from {"any": [...]}: at least one must hold, where not empty

  bool empty() const { return all.empty() && any.empty(); }
};

} // namespace weir
