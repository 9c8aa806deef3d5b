#include "runtime/table/raw.hpp"

#include "runtime/table/number.hpp"
#include "runtime/table/record_reader.hpp"

#include <cstdint>
#include <cstring>

namespace weir::table {

namespace {

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

const char* skip_space(const char* at) {
  while (is_space(*at))
    ++at;
  return at;
}

// `at` is behind the opening quote of a string that ends before `end`; gives the closing one: a quote with an even
// number of backslashes before it.
const char* closing_quote(const char* at, const char* end) {
  for (const char* from = at;; ++at) {
    at = static_cast<const char*>(std::memchr(at, '"', static_cast<std::size_t>(end - at)));
    const char* back = at;
    while (back != from && back[-1] == '\\')
      --back;
    if ((at - back) % 2 == 0)
      return at;
  }
}

const char* skip_value(const char* at, const char* end) {
  if (*at == '"')
    return closing_quote(at + 1, end) + 1;
  if (*at != '{' && *at != '[') {
    while (*at != ',' && *at != '}' && *at != ']' && !is_space(*at))
      ++at;
    return at;
  }
  for (std::size_t depth = 0;; ++at) {
    switch (*at) {
    case '"': at = closing_quote(at + 1, end); break;
    case '{':
    case '[': ++depth; break;
    case '}':
    case ']':
      if (--depth == 0)
        return at + 1;
      break;
    default: break;
    }
  }
}

std::uint32_t hex4(const char* at) {
  std::uint32_t value = 0;
  for (int i = 0; i < 4; ++i) {
    const auto c = static_cast<unsigned char>(at[i]);
    value = value * 16 + (c <= '9' ? c - '0' : (c | 0x20u) - 'a' + 10u);
  }
  return value;
}

void append_utf8(std::string& out, std::uint32_t code) {
  const auto put = [&](std::uint32_t byte) { out += static_cast<char>(byte); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xC0 | code >> 6);
    put(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    put(0xE0 | code >> 12);
    put(0x80 | (code >> 6 & 0x3F));
    put(0x80 | (code & 0x3F));
  } else {
    put(0xF0 | code >> 18);
    put(0x80 | (code >> 12 & 0x3F));
    put(0x80 | (code >> 6 & 0x3F));
    put(0x80 | (code & 0x3F));
  }
}

// A member's name without its escapes; uses `scratch` only where there are some.
std::string_view plain_name(const char* from, const char* to, std::string& scratch) {
  if (!std::memchr(from, '\\', static_cast<std::size_t>(to - from)))
    return {from, static_cast<std::size_t>(to - from)};
  scratch.clear();
  for (; from != to; ++from) {
    if (*from != '\\') {
      scratch += *from;
      continue;
    }
    switch (*++from) {
    case 'b': scratch += '\b'; break;
    case 'f': scratch += '\f'; break;
    case 'n': scratch += '\n'; break;
    case 'r': scratch += '\r'; break;
    case 't': scratch += '\t'; break;
    case 'u': {
      auto code = hex4(from + 1);
      from += 4;
      if (code >= 0xD800 && code < 0xDC00) {
        code = 0x10000 + ((code - 0xD800) << 10) + (hex4(from + 3) - 0xDC00);
        from += 6;
      }
      append_utf8(scratch, code);
      break;
    }
    default: // '"', '\\', '/'
      scratch += *from;
    }
  }
  return scratch;
}

// Members of the object at `at`: take(name, value's place) gives the value's end. Gives the object's end.
template <class Take>
const char* each_member(const char* at, const char* end, std::string& scratch, Take take) {
  at = skip_space(at + 1);
  while (*at != '}') {
    const auto* quote = closing_quote(at + 1, end);
    const auto name = plain_name(at + 1, quote, scratch);
    at = skip_space(skip_space(quote + 1) + 1);
    at = skip_space(take(name, at));
    if (*at == ',')
      at = skip_space(at + 1);
  }
  return at + 1;
}

template <class Take>
const char* each_element(const char* at, Take take) {
  at = skip_space(at + 1);
  for (std::uint32_t i = 0; *at != ']'; ++i) {
    at = skip_space(take(i, at));
    if (*at == ',')
      at = skip_space(at + 1);
  }
  return at + 1;
}

} // namespace

std::string_view raw_at(std::string_view json, const pointer& where) {
  const char* at = json.data();
  const char* end = at + json.size();
  std::string scratch;
  for (const auto& token : where.tokens) {
    const char* found = nullptr;
    if (*at == '{') {
      each_member(at, end, scratch, [&](std::string_view name, const char* value) {
        if (!found && name == token.name)
          found = value;
        return skip_value(value, end);
      });
    } else if (*at == '[' && token.index) {
      each_element(at, [&](std::uint32_t i, const char* value) {
        if (i == *token.index)
          found = value;
        return skip_value(value, end);
      });
    }
    if (!found)
      return {};
    at = found;
  }
  return {at, static_cast<std::size_t>(skip_value(at, end) - at)};
}

selection::selection(const std::vector<std::pair<std::string, std::string>>& fields)
    : nodes_(1), found_(fields.size()) {
  for (std::size_t f = 0; f < fields.size(); ++f) {
    auto& head = heads_.emplace_back();
    append_quoted(head, fields[f].first);
    head += ':';
    std::size_t at = 0;
    for (auto& token : pointer(fields[f].second).tokens) {
      std::size_t next = 0;
      for (const auto& [known, child] : nodes_[at].children)
        if (known.name == token.name)
          next = child;
      if (next == 0) {
        next = nodes_.size();
        nodes_[at].children.emplace_back(token, next);
        nodes_.emplace_back();
      }
      at = next;
    }
    nodes_[at].fields.push_back(f);
  }
}

const char* selection::walk(const char* at, std::size_t index) {
  const auto* begin = at;
  nodes_[index].seen = pass_;
  if (nodes_[index].children.empty() || (*at != '{' && *at != '['))
    at = skip_value(at, end_);
  else
    at = *at == '{' ? walk_object(at, index) : walk_array(at, index);
  for (const auto f : nodes_[index].fields)
    found_[f] = {begin, static_cast<std::size_t>(at - begin)};
  return at;
}

const char* selection::walk_object(const char* at, std::size_t index) {
  return each_member(at, end_, scratch_, [&](std::string_view name, const char* value) {
    for (const auto& [token, child] : nodes_[index].children)
      if (token.name == name)
        return nodes_[child].seen == pass_ ? skip_value(value, end_) : walk(value, child);
    return skip_value(value, end_);
  });
}

const char* selection::walk_array(const char* at, std::size_t index) {
  return each_element(at, [&](std::uint32_t i, const char* value) {
    for (const auto& [token, child] : nodes_[index].children)
      if (token.index == i)
        return walk(value, child);
    return skip_value(value, end_);
  });
}

void selection::append_row(std::string& out, std::string_view json) {
  ++pass_;
  for (auto& f : found_)
    f = {};
  end_ = json.data() + json.size();
  walk(json.data(), 0);
  out += '{';
  bool first = true;
  for (std::size_t f = 0; f < found_.size(); ++f) {
    if (found_[f].empty())
      continue;
    if (!first)
      out += ',';
    first = false;
    out += heads_[f];
    if (has_line_break(found_[f]))
      append_minified(out, found_[f]);
    else
      out += found_[f];
  }
  out += '}';
}

} // namespace weir::table
