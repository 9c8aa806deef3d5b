#include "runtime/table/record_reader.hpp"

#include "runtime/core/utf8.hpp"
#include "runtime/table/raw.hpp"

#include <bit>
#include <charconv>
#include <cstring>
#include <simdjson.h>
#include <vector>

namespace weir::table {

namespace {

constexpr std::size_t large = 256 * 1024; // a parser this big is given back ...
constexpr unsigned patience = 1000;       // ... after so many smaller records
constexpr std::size_t max_depth = 1024;

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

std::string_view reason_of(simdjson::error_code code) {
  switch (code) {
  case simdjson::CAPACITY: return "too large";
  case simdjson::DEPTH_ERROR: return "nested too deeply";
  case simdjson::UTF8_ERROR: return "invalid UTF-8";
  case simdjson::NUMBER_ERROR:
  case simdjson::NUMBER_OUT_OF_RANGE: return "number out of range or malformed";
  case simdjson::STRING_ERROR:
  case simdjson::UNESCAPED_CHARS:
  case simdjson::UNCLOSED_STRING: return "invalid JSON string";
  case simdjson::EMPTY: return "empty";
  case simdjson::MEMALLOC: return "out of memory";
  default: // also codes of later releases (a big integer is one)
    return "invalid JSON";
  }
}

} // namespace

struct record_reader::impl {
  std::unique_ptr<simdjson::dom::parser> parser = std::make_unique<simdjson::dom::parser>();
  std::vector<char> buffer;
  std::size_t capacity = 0; // of the parser
  unsigned small_ones = 0;
  std::size_t size = 0; // of what was given
  std::string_view text;
  simdjson::dom::element root;
  char digits[24];

  // The parser grows to each larger document exactly; rounding up keeps that from happening over and over.
  std::string_view make_room(std::size_t bytes) {
    if (bytes < large && capacity >= large && ++small_ones >= patience) {
      parser = std::make_unique<simdjson::dom::parser>();
      capacity = 0;
      std::vector<char>().swap(buffer);
    }
    if (bytes >= large)
      small_ones = 0;
    if (bytes > capacity) {
      const auto want =
          std::min<std::size_t>(std::bit_ceil(std::max<std::size_t>(bytes, 4096)), simdjson::SIMDJSON_MAXSIZE_BYTES);
      if (const auto bad = parser->allocate(want, max_depth))
        return reason_of(bad);
      capacity = want;
      buffer.assign(want + simdjson::SIMDJSON_PADDING, ' ');
    }
    return {};
  }

  simdjson::error_code find(const pointer& where, simdjson::dom::element& found) const {
    found = root;
    for (const auto& token : where.tokens) {
      switch (found.type()) {
      case simdjson::dom::element_type::OBJECT: {
        if (const auto bad = found.get_object().at_key(token.name).get(found))
          return bad;
        break;
      }
      case simdjson::dom::element_type::ARRAY: {
        if (!token.index)
          return simdjson::INCORRECT_TYPE;
        if (const auto bad = found.get_array().at(*token.index).get(found))
          return bad;
        break;
      }
      default: return simdjson::INCORRECT_TYPE;
      }
    }
    return simdjson::SUCCESS;
  }
};

record_reader::record_reader() : impl_(std::make_unique<impl>()) {}
record_reader::~record_reader() = default;
record_reader::record_reader(record_reader&&) noexcept = default;
record_reader& record_reader::operator=(record_reader&&) noexcept = default;

std::string_view record_reader::read(std::string_view value, std::size_t most) {
  auto& self = *impl_;
  self.text = {};
  self.size = 0;
  if (value.size() > most || value.size() > simdjson::SIMDJSON_MAXSIZE_BYTES)
    return "too large";
  if (const auto reason = self.make_room(value.size()); !reason.empty())
    return reason;
  if (!value.empty())
    std::memcpy(self.buffer.data(), value.data(), value.size());
  self.size = value.size();
  std::string_view text(self.buffer.data(), self.size);
  while (!text.empty() && is_space(text.back()))
    text.remove_suffix(1);
  while (!text.empty() && is_space(text.front()))
    text.remove_prefix(1);
  // Asked here, so that it is the same with releases of simdjson that step over a byte order mark.
  if (!text.empty() && text.front() != '{')
    return "not a JSON object";
  if (const auto bad = self.parser->parse(text.data(), text.size(), false).get(self.root))
    return reason_of(bad);
  if (!self.root.is_object())
    return "not a JSON object";
  self.text = text;
  return {};
}

std::string_view record_reader::text() const { return impl_->text; }

std::string_view record_reader::given() const { return {impl_->buffer.data(), impl_->size}; }

std::size_t record_reader::capacity() const { return impl_->capacity; }

field record_reader::at(const pointer& where) const {
  field result;
  simdjson::dom::element found;
  if (impl_->find(where, found))
    return result;
  using type = simdjson::dom::element_type;
  switch (found.type()) {
  case type::NULL_VALUE: result.is = field::kind::null; break;
  case type::BOOL:
    result.is = field::kind::boolean;
    result.boolean = found.get_bool().value_unsafe();
    break;
  case type::INT64:
    result.is = field::kind::number;
    result.num = number(found.get_int64().value_unsafe());
    break;
  case type::UINT64:
    result.is = field::kind::number;
    result.num = number(found.get_uint64().value_unsafe());
    break;
  case type::DOUBLE:
    result.is = field::kind::number;
    result.num = number(found.get_double().value_unsafe());
    break;
  case type::STRING:
    result.is = field::kind::text;
    result.text = found.get_string().value_unsafe();
    break;
  case type::ARRAY: result.is = field::kind::array; break;
  case type::OBJECT: result.is = field::kind::object; break;
  default: break;
  }
  return result;
}

std::optional<number> record_reader::number_at(const pointer& where) const {
  const auto value = at(where);
  return value.is == field::kind::number ? std::optional(value.num) : std::nullopt;
}

bool record_reader::key_at(const pointer& where, std::string_view& key) const {
  const auto value = at(where);
  switch (value.is) {
  case field::kind::text: key = value.text; break;
  case field::kind::boolean: key = value.boolean ? "true" : "false"; break;
  case field::kind::number:
    if (value.num.form() == number::kind::integer && value.num.integer() != 0) { // an integer has one form, but for -0
      const auto end = std::to_chars(impl_->digits, impl_->digits + sizeof impl_->digits, value.num.integer()).ptr;
      key = {impl_->digits, static_cast<std::size_t>(end - impl_->digits)};
    } else {
      key = raw_at(impl_->text, where);
    }
    break;
  default: return false;
  }
  return key.size() <= max_key_bytes;
}

bool usable_record_key(std::string_view key) { return key.size() <= max_key_bytes && is_utf8(key); }

bool has_line_break(std::string_view text) {
  return std::memchr(text.data(), '\n', text.size()) || std::memchr(text.data(), '\r', text.size());
}

void append_minified(std::string& out, std::string_view json) {
  bool quoted = false;
  for (std::size_t i = 0; i < json.size(); ++i) {
    const char c = json[i];
    if (quoted) {
      out += c;
      if (c == '\\')
        out += json[++i];
      quoted = c != '"';
    } else if (!is_space(c)) {
      out += c;
      quoted = c == '"';
    }
  }
}

} // namespace weir::table
