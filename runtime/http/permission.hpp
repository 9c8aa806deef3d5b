// Which rows of a table somebody may read, for every way of reading: subscriptions, history, streams, REST. No I/O.
#pragma once

#include "runtime/auth/gate.hpp"
#include "runtime/table/selection.hpp"

#include <string>
#include <string_view>

namespace weir::http {

struct permission {
  enum class verdict : std::uint8_t { granted, denied, too_large };
  verdict is = verdict::granted;
  std::string message;    // where it is not granted
  auth::decision decided; // where it was allowed
};

// Narrows `rows`, which were asked for, to those that `who` (null: nobody in particular) may read. too_large: what was
// asked for and what is permitted come to a condition beyond condition_test_limit. Where it is not granted, `rows` stay
// as they were. `gate` null: everything is permitted.
permission narrow(const auth::gate* gate, const auth::identity* who, std::string_view table,
                  table::selection_spec& rows);

} // namespace weir::http
