#include "runtime/table/publication.hpp"

#include "proto/client_reply.hpp"
#include "runtime/table/fossil.hpp"

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

void append_times(std::string& out, std::int64_t time_ms, std::int64_t now_ms) {
  out += "\"t\":\"";
  append_number(out, time_ms);
  out += "\",\"age\":\"";
  append_number(out, now_ms > time_ms ? now_ms - time_ms : 0);
  out += '"';
}

// `"data":"..."`, as a delta where that is shorter.
void append_data_string(std::string& out, const std::string& value, const std::string* before) {
  if (before)
    if (const auto delta = fossil_delta(*before, value, value.size())) {
      out += ",\"delta\":true,\"data\":";
      append_json_string(out, *delta);
      return;
    }
  out += ",\"data\":";
  append_json_string(out, value);
}

} // namespace

void append_row_publication(std::string& out, const row_publication& row, version offset,
                            const publication_style& style) {
  out += "{\"key\":";
  append_json_string(out, row.key);
  if (!row.value) {
    out += ",\"removed\":true,\"data\":{}";
  } else if (style.strings) {
    append_data_string(out, *row.value, row.before);
  } else {
    out += ",\"data\":";
    out += *row.value;
  }
  if (style.tags) {
    out += ",\"tags\":{";
    if (row.time_ms > 0)
      append_times(out, row.time_ms, style.now_ms);
    out += '}';
  }
  append_offset(out, offset);
  out += '}';
}

void append_log_publication(std::string& out, const log_publication& entry, version offset,
                            const publication_style& style) {
  out += "{\"data\":";
  out += *entry.value;
  out += ",\"tags\":{\"p\":\"";
  append_number(out, entry.partition.value);
  out += "\",\"o\":\"";
  append_number(out, entry.at.value);
  out += '"';
  if (style.tags && entry.time_ms > 0) {
    out += ',';
    append_times(out, entry.time_ms, style.now_ms);
  }
  out += '}';
  append_offset(out, offset);
  out += '}';
}

} // namespace weir::table
