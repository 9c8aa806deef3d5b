#include "runtime/table/merge.hpp"

#include "runtime/table/aggregate.hpp"

#include <algorithm>
#include <optional>
#include <vector>

namespace weir::table {

namespace {

shared_bytes newest(std::span<const part> parts) {
  const part* best = nullptr;
  for (const auto& p : parts)
    if (p.value && (!best || p.at > best->at))
      best = &p;
  return best ? best->value : nullptr;
}

shared_bytes merged(const table_config& table, std::span<const part> parts) {
  std::vector<const part*> order;
  for (const auto& p : parts)
    if (p.value)
      order.push_back(&p);
  std::sort(order.begin(), order.end(), [](const part* a, const part* b) { return a->partition < b->partition; });
  std::optional<aggregate_state> all;
  for (const auto* p : order) {
    auto state = aggregate_state::parse(table.fields, *p->value);
    if (!state)
      continue;
    if (all)
      all->merge(*state);
    else
      all = std::move(*state);
  }
  return all ? std::make_shared<const std::string>(all->to_row(table.fields)) : nullptr;
}

} // namespace

shared_bytes visible_row(const table_config& table, std::span<const part> parts) {
  return table.kind == table_kind::aggregate && !table.from_job() ? merged(table, parts) : newest(parts);
}

} // namespace weir::table
