// The first or the last number by (event time, partition, position): whoever read it, and whatever was merged first,
// the answer is the same. Rows of one stamp (a result of another job has one for all its rows) are told apart by
// value: the least is first, the greatest last.
#pragma once

#include "proto/ids.hpp"
#include "runtime/batch/saved_text.hpp"
#include "runtime/table/number.hpp"

#include <cstdint>
#include <fmt/format.h>
#include <iterator>
#include <optional>
#include <string>

namespace weir::batch {

class pick {
public:
  explicit pick(bool newest) : newest_(newest) {}

  void add(const table::number& v, const stamp& at) {
    if (value_ && (newest_ ? !before(*value_, at_, v, at) : !before(v, at, *value_, at_)))
      return;
    value_ = v;
    at_ = at;
  }

  void merge(const pick& other) {
    if (other.value_)
      add(*other.value_, other.at_);
  }

  const std::optional<table::number>& value() const { return value_; }

  // "<0: nothing, or the value's form + 1> <its bits> <time> <partition> <position>\n"
  void save(std::string& out) const {
    using kind = table::number::kind;
    std::uint64_t bits = 0;
    int form = 0;
    if (value_) {
      form = static_cast<int>(value_->form()) + 1;
      bits = value_->form() == kind::real      ? bits_of(value_->real())
             : value_->form() == kind::natural ? value_->natural()
                                               : static_cast<std::uint64_t>(value_->integer());
    }
    fmt::format_to(std::back_inserter(out), "{} {} {} {} {}\n", form, bits, at_.time_ms, at_.partition.value,
                   at_.at.value);
  }

  bool restore(saved_text& in) {
    int form = 0;
    std::uint64_t bits = 0;
    if (!in.number(' ', form) || !in.number(' ', bits) || !in.number(' ', at_.time_ms) ||
        !in.number(' ', at_.partition.value) || !in.number('\n', at_.at.value))
      return false;
    switch (form) {
    case 0: value_.reset(); return true;
    case 1: value_.emplace(static_cast<std::int64_t>(bits)); return true;
    case 2: value_.emplace(bits); return true;
    case 3: value_.emplace(std::bit_cast<double>(bits)); return true;
    default: return false;
    }
  }

private:
  // Equal numbers (1 and 1.0) are told apart by their form, so that the order is total.
  static bool before(const table::number& a, const stamp& at_a, const table::number& b, const stamp& at_b) {
    if (at_a != at_b)
      return at_a < at_b;
    const auto order = table::compare(a, b);
    return order != 0 ? order < 0 : a.form() < b.form();
  }

  bool newest_;
  std::optional<table::number> value_;
  stamp at_;
};

} // namespace weir::batch
