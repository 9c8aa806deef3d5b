// Reads one JSON object at a time and looks fields up in it. Buffers are reused, so reading a record allocates nothing
// once they have grown. One per actor; not thread-safe. Bounds: about 16 bytes of memory for each byte of the largest
// of the last 1,000 records.
#pragma once

#include "runtime/table/number.hpp"
#include "runtime/table/pointer.hpp"

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace weir::table {

inline constexpr std::size_t max_key_bytes = 1024;

// A value in the record read last.
struct field {
  enum class kind : std::uint8_t { missing, null, boolean, number, text, array, object };
  kind is = kind::missing;
  bool boolean = false;
  number num;
  std::string_view text; // unescaped; valid until the next read
};

class record_reader {
public:
  record_reader();
  ~record_reader();
  record_reader(record_reader&&) noexcept;
  record_reader& operator=(record_reader&&) noexcept;

  // Accepts `value` if it is one JSON object, valid as a whole: RFC 8259, UTF-8, integers of 64 bits, finite doubles,
  // depth <= 1,024, at most `most` bytes. Empty: accepted; else the reason, as it stands in a dead letter (static
  // text). `value` is copied.
  std::string_view read(std::string_view value, std::size_t most = 0xFFFF0000u);

  // Of the last accepted record, without white space around it.
  std::string_view text() const;
  // The bytes given to read(), unless they were too large.
  std::string_view given() const;
  // The largest record that can be read without asking for memory.
  std::size_t capacity() const;
  // The first of duplicate members counts.
  field at(const pointer& where) const;
  // A number at `where`, else nothing.
  std::optional<number> number_at(const pointer& where) const;
  // The row key at `where`: a string unescaped, a number or boolean as written; false: missing, of another type, or
  // over max_key_bytes. `key` stays valid until the next read.
  bool key_at(const pointer& where, std::string_view& key) const;

private:
  struct impl;
  std::unique_ptr<impl> impl_;
};

// Whether a Kafka record key can be a row's key: UTF-8, at most max_key_bytes.
bool usable_record_key(std::string_view key);

// Valid JSON without white space between tokens, so without CR and LF.
void append_minified(std::string& out, std::string_view json);
// Whether `text` has a CR or LF (in valid JSON: only between tokens).
bool has_line_break(std::string_view text);

} // namespace weir::table
