// A condition made ready for evaluation. Immutable after construction: may be shared between threads, each with its own
// record_reader.
//
// A comparison with a missing field is false, but `ne` is true and `exists: false` is true. A field that is null
// exists; it equals only null. Numbers compare by exact value across integers and doubles, strings by bytes. Values of
// different types are never equal and have no order (so `ne` is true, all else false); arrays and objects equal
// nothing. `in` is "equals one of"; `prefix` is for strings.
#pragma once

#include "proto/condition.hpp"
#include "runtime/table/record_reader.hpp"

#include <memory>
#include <string_view>

namespace weir::table {

// A condition's operand as the field that equals it; its text is the operand's own.
field as_field(const scalar& operand);

class where {
public:
  where(); // always true
  explicit where(const condition& c);
  ~where();
  where(const where&);
  where(where&&) noexcept;
  where& operator=(const where&);
  where& operator=(where&&) noexcept;

  bool always() const { return !root_; }
  // On the record that `record` read last.
  bool matches(const record_reader& record) const;
  // On a row given as JSON text; `scratch` is overwritten. False if it is no JSON object.
  bool matches(std::string_view row, record_reader& scratch) const;
  // On a row that `row` read last, with its key.
  bool matches(std::string_view key, const record_reader& row) const;
  // Whether anything but the key is looked at: else `row` need not have been read.
  bool needs_fields() const;

private:
  struct node;
  std::shared_ptr<const node> root_;
};

} // namespace weir::table
