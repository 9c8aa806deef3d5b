// An expression as a tree. Internal to runtime/batch: expression_parse.cpp makes it, expression.cpp evaluates it.
#pragma once

#include "runtime/batch/expression.hpp"

#include <vector>

namespace weir::batch {

enum class operation {
  literal,
  pointer, // into the row
  earlier, // a field that was derived before
  negate,
  add,
  subtract,
  multiply,
  divide,
  remainder,
  concat,
  coalesce,
  bucket,
  time,
  abs,
  floor,
  ceil,
  round
};

struct expression::node {
  operation what = operation::literal;
  derived_value literal;
  table::pointer at;
  std::size_t index = 0;     // of an earlier field
  std::int64_t width_ms = 0; // of a bucket
  std::vector<node> arguments;
};

} // namespace weir::batch
