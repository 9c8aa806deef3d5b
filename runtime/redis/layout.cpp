#include "runtime/redis/layout.hpp"

#include <algorithm>
#include <bit>
#include <charconv>
#include <fmt/format.h>

namespace weir::redis {

std::uint32_t bucket_of(std::string_view key, std::uint32_t buckets) {
  // FNV-1a with a final mix: its low bits alone are weak for short keys that differ in the last byte.
  std::uint64_t h = 14695981039346656037ull;
  for (unsigned char c : key)
    h = (h ^ c) * 1099511628211ull;
  h ^= h >> 33;
  h *= 0xff51afd7ed558ccdull;
  h ^= h >> 33;
  return static_cast<std::uint32_t>(h) & (buckets - 1);
}

std::uint32_t bucket_count(std::uint64_t expected_rows, std::uint32_t partitions) {
  const std::uint64_t rows = expected_rows / std::max(partitions, 1u);
  const std::uint64_t wanted = rows / 1000 + (rows % 1000 != 0);
  return static_cast<std::uint32_t>(std::bit_ceil(std::clamp<std::uint64_t>(wanted, 1, 1u << 16)));
}

namespace layout {
namespace {

template <class Number>
bool take_number(std::string_view& text, char end, Number& out) {
  auto [at, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (error != std::errc{} || at == text.data() + text.size() || *at != end)
    return false;
  text.remove_prefix(static_cast<std::size_t>(at - text.data()) + 1);
  return true;
}

template <class Number>
Number number_of(std::string_view text, Number otherwise = {}) {
  Number out{};
  auto [at, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc{} && at == text.data() + text.size() ? out : otherwise;
}

} // namespace

std::string head_key(const partition_key& p) { return p.prefix(); }

std::string bucket_key(const partition_key& p, const table_ref& t, std::uint32_t bucket) {
  return fmt::format("{}:t:{}:{}", p.prefix(), t.text(), bucket);
}

std::string expiry_key(const partition_key& p, const table_ref& t) {
  return fmt::format("{}:x:{}", p.prefix(), t.text());
}
std::string log_key(const partition_key& p, const table_ref& t) { return fmt::format("{}:l:{}", p.prefix(), t.text()); }
std::string change_log_key(const partition_key& p, const table_ref& t) {
  return fmt::format("{}:c:{}", p.prefix(), t.text());
}
std::string meta_key(std::string_view topology) { return fmt::format("{{{}}}:meta", topology); }
std::string lease_key(std::string_view topology) { return fmt::format("{{{}}}:scheduler", topology); }
std::string job_key(const partition_key& p) { return p.prefix() + ":j"; }
std::string checkpoints_key(const partition_key& p) { return p.prefix() + ":k"; }
std::string history_key(const partition_key& p) { return p.prefix() + ":h"; }
std::string history_order_key(const partition_key& p) { return p.prefix() + ":z"; }

std::optional<stored_row> parse_row(std::string key, std::string_view stored) {
  stored_row row;
  if (!take_number(stored, ' ', row.time_ms) || !take_number(stored, ' ', row.at.value))
    return std::nullopt;
  row.key = std::move(key);
  row.value.assign(stored);
  return row;
}

bool parse_lines(std::string_view packed, std::vector<log_entry>& out) {
  packed_record one;
  while (!packed.empty()) {
    if (!next_record(packed, one))
      return false;
    out.push_back({one.time_ms, one.at, std::make_shared<const std::string>(one.value)});
  }
  return true;
}

void pack_key(std::string& out, std::string_view key) {
  char digits[20];
  auto [end, error] = std::to_chars(digits, digits + sizeof digits, key.size());
  out.append(digits, end);
  out.push_back(':');
  out.append(key);
}

bool unpack_keys(std::string_view packed, std::vector<std::string>& out) {
  while (!packed.empty()) {
    std::size_t size = 0;
    if (!take_number(packed, ':', size) || size > packed.size())
      return false;
    out.emplace_back(packed.substr(0, size));
    packed.remove_prefix(size);
  }
  return true;
}

std::string mark_text(const record_mark& mark) {
  return fmt::format("{} {} {}", mark.at.value, mark.time_ms, mark.checksum);
}

std::optional<record_mark> parse_mark(std::string_view text) {
  record_mark mark;
  if (!take_number(text, ' ', mark.at.value) || !take_number(text, ' ', mark.time_ms))
    return std::nullopt;
  auto [at, error] = std::from_chars(text.data(), text.data() + text.size(), mark.checksum);
  if (error != std::errc{} || at != text.data() + text.size())
    return std::nullopt;
  return mark;
}

void take_field(partition_state& state, std::string_view field, std::string_view value) {
  const auto table = [&](std::size_t prefix) -> table_state& {
    return state.tables[std::string(field.substr(prefix))];
  };
  if (field == "epoch")
    state.epoch = owner_epoch{number_of<std::uint64_t>(value)};
  else if (field == "owner")
    state.owner = value;
  else if (field == "batch")
    state.batch = parse_batch_id(value);
  else if (field == "last")
    state.last = version{number_of<std::uint64_t>(value)};
  else if (field == "stream")
    state.stream = stream_epoch{std::string(value)};
  else if (field == "mark")
    state.mark = parse_mark(value);
  else if (field.starts_with("next:"))
    table(5).next = offset{number_of<std::int64_t>(value, no_position.value)};
  else if (field.starts_with("v:"))
    table(2).changed = version{number_of<std::uint64_t>(value)};
  else if (field.starts_with("n:"))
    table(2).records = number_of<std::uint64_t>(value);
}

} // namespace layout

bool next_record(std::string_view& packed, packed_record& out) {
  const auto end = std::min(packed.find('\n'), packed.size());
  out.value = packed.substr(0, end);
  packed.remove_prefix(std::min(end + 1, packed.size()));
  return layout::take_number(out.value, ' ', out.time_ms) && layout::take_number(out.value, ' ', out.at.value);
}
} // namespace weir::redis
