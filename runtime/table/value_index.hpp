// Finds the selections that one value of a row can concern, so that a change costs the same however many conditions of
// the form "this field equals that" there are: those that forced conditions give each user. Not thread-safe: owned by
// the table's lanes. Bounds: so many fields, each of which is looked up for every change; for each value so many
// selections as the owner allows.
#pragma once

#include "proto/condition.hpp"
#include "runtime/table/pointer.hpp"
#include "runtime/table/record_reader.hpp"

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace weir::table {

struct kept_selection;

// What a field has to be for a condition to hold. Values as by append_value(), without repetition.
struct needed_value {
  std::string pointer;
  std::vector<std::string> values;
};

// The first of a condition's tests that asks a field of the row to equal one of some values; nothing: there is none.
std::optional<needed_value> needed_by(const condition& c);

// The same text for values that are equal as conditions have it (1 and 1.0 are). False: `value` equals nothing.
bool append_value(std::string& out, const field& value);

class value_index {
public:
  static constexpr std::size_t most_fields = 16;

  // Whether there is room for its field, and for less than `most` with each of its values.
  bool has_room_for(const needed_value& needed, std::size_t most) const;
  void add(const needed_value& needed, kept_selection* selection);
  void remove(const needed_value& needed, kept_selection* selection);
  // Values in all, of all selections.
  std::size_t size() const { return size_; }
  void clear();

  // The selections that the record read last may belong to, none twice.
  template <class Visit>
  void visit(const record_reader& record, Visit&& visit) {
    for (const auto& [text, of] : fields_) {
      value_.clear();
      if (!append_value(value_, record.at(of.at)))
        continue;
      for (auto [at, end] = of.by_value.equal_range(value_); at != end; ++at)
        visit(*at->second);
    }
  }

private:
  struct values_of {
    pointer at;
    std::unordered_multimap<std::string, kept_selection*> by_value;
  };

  std::map<std::string, values_of> fields_; // by pointer
  std::size_t size_ = 0;
  std::string value_; // scratch
};

} // namespace weir::table
