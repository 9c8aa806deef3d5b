#include "runtime/table/fossil.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

namespace weir::table {
namespace {

constexpr std::string_view digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz~";
constexpr std::size_t gram = 8;           // bytes that have to be equal for a copy to be looked at
constexpr std::size_t largest = 1u << 20; // longer texts are sent whole

void append_number(std::string& out, std::uint32_t n) {
  char text[8];
  std::size_t size = 0;
  do {
    text[size++] = digits[n & 63];
    n >>= 6;
  } while (n > 0);
  while (size > 0)
    out += text[--size];
}

// The sum of the text's big-endian words of 32 bits, filled up with zeros.
std::uint32_t checksum(std::string_view text) {
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < text.size(); ++i)
    sum += static_cast<std::uint32_t>(static_cast<unsigned char>(text[i])) << (8 * (3 - i % 4));
  return sum;
}

bool inside_character(std::string_view text, std::size_t at) {
  return at < text.size() && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80;
}

// Where each sequence of `gram` bytes of the source was seen last; a collision only costs a copy.
class gram_index {
public:
  explicit gram_index(std::string_view source) : source_(source) {
    std::size_t size = 64;
    while (size < source.size())
      size *= 2;
    slots_.assign(size, 0);
    for (std::size_t i = 0; i + gram <= source.size(); ++i)
      slots_[slot(source.data() + i)] = static_cast<std::uint32_t>(i + 1);
  }

  // A place in the source with the bytes at `text`.
  std::optional<std::size_t> find(const char* text) const {
    const auto at = slots_[slot(text)];
    if (at == 0 || std::memcmp(source_.data() + at - 1, text, gram) != 0)
      return std::nullopt;
    return at - 1;
  }

private:
  std::size_t slot(const char* text) const {
    std::uint64_t bytes;
    std::memcpy(&bytes, text, gram);
    return static_cast<std::size_t>((bytes * 0x9E3779B97F4A7C15ull) >> 20) & (slots_.size() - 1);
  }

  std::string_view source_;
  std::vector<std::uint32_t> slots_;
};

} // namespace

std::optional<std::string> fossil_delta(std::string_view source, std::string_view target, std::size_t most) {
  if (source.size() > largest || target.size() > largest || source.size() < gram)
    return std::nullopt;
  const gram_index index(source);
  std::string out;
  append_number(out, static_cast<std::uint32_t>(target.size()));
  out += '\n';
  std::size_t literal = 0; // start of what is not written yet
  const auto flush_literal = [&](std::size_t end) {
    if (end == literal)
      return;
    append_number(out, static_cast<std::uint32_t>(end - literal));
    out += ':';
    out += target.substr(literal, end - literal);
  };
  for (std::size_t at = 0; at + gram <= target.size() && out.size() < most;) {
    // The same place first: rows keep their shape.
    std::optional<std::size_t> from;
    const auto* here = target.data() + at;
    if (at + gram <= source.size() && std::memcmp(source.data() + at, here, gram) == 0)
      from = at;
    else
      from = index.find(here);
    if (!from) {
      ++at;
      continue;
    }
    std::size_t start = at, start_of_source = *from, end = at + gram, end_of_source = *from + gram;
    while (start > literal && start_of_source > 0 && target[start - 1] == source[start_of_source - 1])
      --start, --start_of_source;
    while (end < target.size() && end_of_source < source.size() && target[end] == source[end_of_source])
      ++end, ++end_of_source;
    while (start < end && inside_character(target, start))
      ++start, ++start_of_source;
    while (end > start && inside_character(target, end))
      --end;
    if (end < start + gram) {
      at = std::max(at + 1, end);
      continue;
    }
    flush_literal(start);
    append_number(out, static_cast<std::uint32_t>(end - start));
    out += '@';
    append_number(out, static_cast<std::uint32_t>(start_of_source));
    out += ',';
    literal = at = end;
  }
  flush_literal(target.size());
  append_number(out, checksum(target));
  out += ';';
  if (out.size() >= most)
    return std::nullopt;
  return out;
}

std::optional<std::string> apply_fossil_delta(std::string_view source, std::string_view delta) {
  std::size_t at = 0;
  const auto number = [&]() -> std::optional<std::uint32_t> {
    std::uint64_t n = 0;
    const auto first = at;
    for (; at < delta.size(); ++at) {
      const auto digit = digits.find(delta[at]);
      if (digit == std::string_view::npos)
        break;
      n = n * 64 + digit;
      if (n > 0xFFFFFFFFull)
        return std::nullopt;
    }
    return at == first ? std::nullopt : std::optional(static_cast<std::uint32_t>(n));
  };
  const auto take = [&](char c) { return at < delta.size() && delta[at++] == c; };
  const auto size = number();
  if (!size || !take('\n'))
    return std::nullopt;
  std::string out;
  while (at < delta.size()) {
    const auto n = number();
    if (!n || at == delta.size())
      return std::nullopt;
    switch (delta[at++]) {
    case '@': {
      const auto from = number();
      if (!from || !take(',') || *from > source.size() || *n > source.size() - *from || out.size() + *n > *size)
        return std::nullopt;
      out += source.substr(*from, *n);
      break;
    }
    case ':':
      if (*n > delta.size() - at || out.size() + *n > *size)
        return std::nullopt;
      out += delta.substr(at, *n);
      at += *n;
      break;
    case ';':
      if (out.size() != *size || checksum(out) != *n || at != delta.size())
        return std::nullopt;
      return out;
    default: return std::nullopt;
    }
  }
  return std::nullopt;
}

} // namespace weir::table
