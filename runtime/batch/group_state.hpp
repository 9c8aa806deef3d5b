// The state of one group of a job: what its fields have seen so far. Mergeable, and saved without loss.
//
// `group_plan` is worked out once by job: what is read of a row, and which states a group has. Fields that can share a
// state do (p50 and p99 of one pointer, var and stddev). Pure; one thread at a time.
#pragma once

#include "proto/ids.hpp"
#include "proto/topology.hpp"
#include "runtime/batch/hyperloglog.hpp"
#include "runtime/batch/moments.hpp"
#include "runtime/batch/pick.hpp"
#include "runtime/batch/sketch.hpp"
#include "runtime/batch/top.hpp"
#include "runtime/table/aggregate.hpp"
#include "runtime/table/record_reader.hpp"

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

namespace weir::batch {

class group_plan {
public:
  enum class family { moments, first, last, percentiles, distinct, top };

  struct cell {
    family kind;
    std::size_t read; // index into reads
    bool operator==(const cell&) const = default;
  };

  struct shown {
    aggregate_field field;
    std::size_t at; // index into plain, or into cells
  };

  explicit group_plan(std::span<const aggregate_field> fields);

  std::vector<table::pointer> reads;
  std::vector<bool> as_text;          // by read: whether `distinct` or `top` wants it
  std::vector<aggregate_field> plain; // what an aggregate table's state does as well: count sum min max avg, rates
  std::vector<std::size_t> plain_read;
  std::vector<cell> cells; // the others
  std::vector<shown> fields;

private:
  std::size_t read(const std::string& pointer);
  std::vector<std::string> read_pointers_; // as in reads
};

// What a plan wants of one row. Reused from row to row.
class group_values {
public:
  explicit group_values(const group_plan& plan);
  // Of the row that `reader` read last; valid until it reads the next.
  void read(const group_plan& plan, const table::record_reader& reader);

private:
  friend class group_state;
  std::vector<std::optional<table::number>> numbers;       // by read
  std::vector<std::string> texts;                          // by read: see value_text(); empty: no value
  std::vector<std::optional<table::number>> plain_numbers; // by plain field
};

// How `distinct` and `top` tell values apart: text with quotes, numbers by value (1 and 1.0 are one), true and false,
// as JSON. Missing, null, arrays and objects are no values: empty.
void value_text(const table::field& value, std::string& out);

inline constexpr std::size_t longest_top_text = table::max_key_bytes; // longer ones are not counted by `top`

class group_state {
public:
  explicit group_state(const group_plan& plan);

  void add(const group_plan& plan, const group_values& values, const stamp& at);
  // Adds what `later` saw. Where doubles are added up (sum, avg, rate, var, stddev) the last bits depend on the order.
  void merge(const group_state& later);

  // Of what grows with the values, here and as an upper bound in the checkpoint.
  std::size_t bytes() const;

  // {"<field>": value, ...} in the fields' order. seconds: what a rate is taken over; nothing or 0: rates show null.
  std::string to_row(const group_plan& plan, std::optional<double> seconds) const;

  void save(const group_plan& plan, std::string& out) const;
  static std::optional<group_state> restore(const group_plan& plan, std::string_view saved);

private:
  using cell = std::variant<moments, pick, quantile_sketch, distinct_counter, top_values>;

  table::aggregate_state plain_;
  std::vector<cell> cells_;
};

} // namespace weir::batch
