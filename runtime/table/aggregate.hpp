// The state of one key of an `aggregate` table, or of one group of a job: mergeable, and written as JSON without loss.
//
// `count` counts records. The others skip a record whose field is missing, null or no number; a field that has seen no
// value shows null.
//
// `sum`, `avg`: integers are added exactly (128 bits inside; a total beyond 64 bits is shown as the nearest double).
// From the first double on the total is a double, and values are added in log order, so a replay gives the same bits. A
// total that overflows to infinity shows null. `avg` is total / number of values, as a double.
//
// `min`, `max`: by exact value; an integer stays one. Of equal values (1, 1.0) the earlier stays.
//
// `first`, `last`: in log order within a partition, by stamp between partitions.
#pragma once

#include "proto/ids.hpp"
#include "proto/topology.hpp"
#include "runtime/core/error.hpp"
#include "runtime/table/wide.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace weir::table {

class aggregate_state {
public:
  // Nothing seen yet. `fields` as in the topology; every call for one state must be given the same ones.
  explicit aggregate_state(std::span<const aggregate_field> fields);

  // One record: values[i] is the number that fields[i] found (ignored for count).
  void add(std::span<const std::optional<number>> values, const stamp& at);
  // Adds what `later` saw. Merge in ascending partition number; integers, counts, min, max, first and last give the
  // same in any grouping.
  void merge(const aggregate_state& later);

  // What fields[i] shows: nothing before its first value. `fn` is the field's.
  std::optional<number> shown(std::size_t i, function fn) const;
  // The visible row: {"<field>": value, ...} in the topology's order.
  std::string to_row(std::span<const aggregate_field> fields) const;
  // {"v":1,"state":{...}}: parse(to_json(s)) is s, bit for bit.
  std::string to_json(std::span<const aggregate_field> fields) const;
  static result<aggregate_state> parse(std::span<const aggregate_field> fields, std::string_view json);

  bool identical(const aggregate_state& other) const;

private:
  struct counter {
    std::uint64_t n = 0;
  };
  struct total {
    std::uint64_t n = 0;
    bool real = false; // a double was seen: `sum` holds, else `exact`
    wide exact = 0;
    double sum = 0;
    double as_double() const { return real ? sum : static_cast<double>(exact); }
  };
  struct extreme {
    bool any = false;
    bool greatest = false;
    number value;
  };
  struct pick {
    bool any = false;
    bool newest = false;
    number value;
    stamp at;
  };
  using field_state = std::variant<counter, total, extreme, pick>;

  std::vector<field_state> cells_;
};

} // namespace weir::table
