// `where`, as JSON text, to a condition: for subscriptions and REST. (A topology's own are parsed by load.hpp.)
#pragma once

#include "proto/condition.hpp"
#include "runtime/config/load.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace weir {

struct parsed_condition {
  condition value;               // complete only if there are no problems
  std::vector<problem> problems; // pointers start with `at`; line and column count within the text
  bool ok() const { return problems.empty(); }
};

inline constexpr std::size_t condition_test_limit = 1000;     // tests of one `where`, all alternatives together
inline constexpr std::size_t condition_operand_limit = 10000; // values of all its `in` together

// Never throws. Texts over 64 KiB are refused. No ${...} is replaced here: what comes from clients sees no environment.
// Chooses rows, so "key" may stand in place of a pointer, for strings.
[[nodiscard]] parsed_condition parse_condition(std::string_view json, std::string_view at = "");

// The same meaning always gives the same text (order of tests does not matter); empty for the empty condition.
std::string canonical_text(const condition& c);

} // namespace weir
