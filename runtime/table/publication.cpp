#include "runtime/table/publication.hpp"

#include "proto/client_reply.hpp"

#include <charconv>

namespace weir::table {
namespace {

template <class Number>
void append_number(std::string& out, Number n) {
  char text[24];
  const auto end = std::to_chars(text, text + sizeof text, n).ptr;
  out.append(text, end);
}

void append_offset(std::string& out, version offset) {
  if (offset.value == 0)
    return;
  out += ",\"offset\":";
  append_number(out, offset.value);
}

} // namespace

void append_row_publication(std::string& out, const row_publication& row, version offset) {
  out += "{\"key\":";
  append_json_string(out, row.key);
  if (row.value) {
    out += ",\"data\":";
    out += *row.value;
  } else {
    out += ",\"removed\":true,\"data\":{}";
  }
  append_offset(out, offset);
  out += '}';
}

void append_log_publication(std::string& out, const log_publication& entry, version offset) {
  out += "{\"data\":";
  out += *entry.value;
  out += ",\"tags\":{\"p\":\"";
  append_number(out, entry.partition.value);
  out += "\",\"o\":\"";
  append_number(out, entry.at.value);
  out += "\"}";
  append_offset(out, offset);
  out += '}';
}

} // namespace weir::table
