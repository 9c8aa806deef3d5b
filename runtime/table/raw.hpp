// Walks over the text of JSON that is known to be valid: to copy values exactly as they were written.
#pragma once

#include "runtime/table/pointer.hpp"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace weir::table {

// The text of the value at `where` in `json` (valid, no white space around it); empty: missing. The first of duplicate
// members counts.
std::string_view raw_at(std::string_view json, const pointer& where);

// `select` of a table: a new object of some of a record's values, as they were written; missing ones are left out.
class selection {
public:
  selection() = default;
  explicit selection(const std::vector<std::pair<std::string, std::string>>& fields); // name -> pointer

  bool empty() const { return heads_.empty(); }
  // Appends the object made of `json` (as above), in the order of the fields, without CR or LF.
  void append_row(std::string& out, std::string_view json);

private:
  // The pointers as a tree, so that one pass over the text finds all of them.
  struct node {
    std::vector<std::pair<pointer::token, std::size_t>> children;
    std::vector<std::size_t> fields;
    std::uint64_t seen = 0; // the pass that found it: later duplicates don't count
  };

  const char* walk(const char* at, std::size_t index);
  const char* walk_object(const char* at, std::size_t index);
  const char* walk_array(const char* at, std::size_t index);

  std::vector<std::string> heads_; // `"name":`
  std::vector<node> nodes_;
  std::vector<std::string_view> found_;
  const char* end_ = nullptr; // of the text being walked
  std::uint64_t pass_ = 0;
  std::string scratch_;
};

} // namespace weir::table
