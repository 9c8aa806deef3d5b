// Expressions of `derive`: a value computed of a row. Pure; an expression is immutable and may be shared between
// threads.
//
//   /cpu * 100 / /cores          pointers; a blank before the '/' of a division
//   concat(/site, '-', /rack)    texts in single quotes, '' for a quote in them
//   coalesce(/load, /cpu, 0)
//   bucket(time(), '5m')
//
//   sum     = product { ("+" | "-") product }
//   product = factor { ("*" | "/" | "%") factor }
//   factor  = "-" factor | number | text | "true" | "false" | "null" | pointer | name "(" [ sum { "," sum } ] ")" | "("
//   sum ")" pointer = a JSON Pointer of letters, digits, "_", "." and "/", or any other between backticks: `/a-b`
//
// Values are those of JSON without arrays and objects: where a pointer finds one of these, or nothing, it is null.
// Arithmetic of anything but numbers is null, and so is what has no finite result. Integers stay integers, exact to 64
// bits, where the result is one of these; else, and always for "/", a result is a double. "%" has the sign of its left
// side.
#pragma once

#include "proto/topology.hpp"
#include "runtime/table/record_reader.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <tl/expected.hpp>

namespace weir::batch {

inline constexpr std::size_t longest_expression = 4096;  // bytes
inline constexpr std::size_t deepest_expression = 32;    // parentheses, arguments and signs within each other
inline constexpr std::size_t largest_expression = 256;   // operators, functions and operands
inline constexpr std::size_t longest_derived = 64 << 10; // bytes of a text that is made; a longer one is null

// A value that an expression has: null, boolean, number or text.
struct derived_value {
  table::field::kind is = table::field::kind::null;
  bool boolean = false;
  table::number num;
  std::string text;
};

struct expression_fault {
  std::size_t column; // of the expression's text, in characters from 1
  std::string what, remedy;
};

class expression {
public:
  // `earlier`: names of the fields that are derived before this one: a pointer to one of them is its value. `later`: of
  // those derived after it: a pointer to one of them is a fault. Any other name is the row's own field.
  static tl::expected<expression, expression_fault>
  parse(std::string_view text, std::span<const std::string> earlier = {}, std::span<const std::string> later = {});
  ~expression();
  expression(expression&&) noexcept;
  expression& operator=(expression&&) noexcept;

  // Of the row that `row` read last. `earlier`: the values of the fields that parse() was told of. time_ms: what time()
  // is.
  derived_value evaluate(const table::record_reader& row, std::span<const derived_value> earlier,
                         std::int64_t time_ms) const;

  struct node; // internal

private:
  explicit expression(std::unique_ptr<const node> root);
  std::unique_ptr<const node> root_;
};

} // namespace weir::batch
