// `derive` of a job: rows with computed fields before their own. One per reducer; not thread-safe.
#pragma once

#include "runtime/batch/expression.hpp"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace weir::batch {

class derivation {
public:
  // (name, expression) in the topology's order; checked with it.
  explicit derivation(std::span<const std::pair<std::string, std::string>> fields);

  bool empty() const { return fields_.empty(); }
  // The row that `row` read last with the derived fields in front: they count before those of the same name. Valid
  // until the next call.
  std::string_view apply(const table::record_reader& row, std::int64_t time_ms);

private:
  std::vector<expression> fields_;
  std::vector<std::string> heads_; // "name": with its quotes
  std::vector<derived_value> values_;
  std::string text_;
};

} // namespace weir::batch
