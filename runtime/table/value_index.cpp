#include "runtime/table/value_index.hpp"

#include "runtime/table/number.hpp"
#include "runtime/table/where.hpp"

#include <algorithm>
#include <cmath>

namespace weir::table {
namespace {

constexpr double two_to_63 = 9223372036854775808.0, two_to_64 = 18446744073709551616.0;

void append_number(std::string& out, const number& n) {
  if (n.is_real() && n.real() == std::floor(n.real())) { // whole ones equal integers
    if (n.real() >= -two_to_63 && n.real() < two_to_63)
      return append(out, static_cast<std::int64_t>(n.real()));
    if (n.real() > 0 && n.real() < two_to_64)
      return append(out, static_cast<std::uint64_t>(n.real()));
  }
  append(out, n);
}

} // namespace

bool append_value(std::string& out, const field& value) {
  switch (value.is) {
  case field::kind::null: out += '0'; return true;
  case field::kind::boolean: out += value.boolean ? 't' : 'f'; return true;
  case field::kind::number:
    out += 'n';
    append_number(out, value.num);
    return true;
  case field::kind::text:
    out += 's';
    out += value.text;
    return true;
  default: return false;
  }
}

std::optional<needed_value> needed_by(const condition& c) {
  for (const auto& t : c.all) {
    if (t.pointer == row_key_name || (t.op != comparison::eq && t.op != comparison::in))
      continue;
    needed_value out{t.pointer, {}};
    for (const auto& o : t.operands)
      append_value(out.values.emplace_back(), as_field(o));
    std::sort(out.values.begin(), out.values.end());
    out.values.erase(std::unique(out.values.begin(), out.values.end()), out.values.end());
    return out;
  }
  return std::nullopt;
}

bool value_index::has_room_for(const needed_value& needed, std::size_t most) const {
  const auto found = fields_.find(needed.pointer);
  if (found == fields_.end())
    return fields_.size() < most_fields;
  return std::all_of(needed.values.begin(), needed.values.end(),
                     [&](const auto& value) { return found->second.by_value.count(value) < most; });
}

void value_index::add(const needed_value& needed, kept_selection* selection) {
  auto& of = fields_.try_emplace(needed.pointer, values_of{pointer(needed.pointer), {}}).first->second;
  for (const auto& value : needed.values)
    of.by_value.emplace(value, selection);
  size_ += needed.values.size();
}

void value_index::remove(const needed_value& needed, kept_selection* selection) {
  const auto found = fields_.find(needed.pointer);
  if (found == fields_.end())
    return;
  auto& by_value = found->second.by_value;
  for (const auto& value : needed.values)
    for (auto [at, end] = by_value.equal_range(value); at != end; ++at)
      if (at->second == selection) {
        by_value.erase(at);
        --size_;
        break;
      }
  if (by_value.empty())
    fields_.erase(found);
}

void value_index::clear() {
  fields_.clear();
  size_ = 0;
}

} // namespace weir::table
