// A JSON text with comments as a tree that knows where each value stood. Internal to runtime/config.
#pragma once

#include "runtime/config/load.hpp"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace weir::config {

struct position {
  int line = 0, column = 0; // from 1; 0: not in a text
};

struct member;

struct node {
  enum class type { null, boolean, integer, natural, real, string, array, object };

  type kind = type::null;
  bool truth = false;
  std::int64_t integer = 0;  // negative whole numbers
  std::uint64_t natural = 0; // whole numbers from 0
  double real = 0;
  std::string text;            // of a string; of a scalar of --set also its raw text
  std::vector<member> members; // of an object in the text's order; of an array without names
  position at;
  std::string place;       // "--set path" for what a --set brought; else empty
  bool loose = false;      // a scalar from --set: may be read as a string
  bool whole_name = false; // a string that was one ${NAME}: may be read as a number or boolean
  bool secret = false;     // never shown

  bool is(type k) const { return kind == k; }
  bool scalar() const { return kind != type::array && kind != type::object; }
  node* find(std::string_view name);
};

struct member {
  std::string name;
  node value;
  position at;           // of the name
  std::string place;     // as node::place
  bool repeated = false; // there is one of this name already
};

// "an object", "a string", ... for messages.
std::string_view kind_name(const node& n);

struct document_options {
  std::string_view name; // for problem::place
  bool comments = true;
  std::string_view pointer; // put before every pointer
};

// None if the text can't be read to its end; repeated members are problems too, but leave a tree (with the first one).
std::optional<node> parse_document(std::string_view text, const document_options& options,
                                   std::vector<problem>& problems);

} // namespace weir::config
