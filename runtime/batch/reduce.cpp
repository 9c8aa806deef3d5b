#include "runtime/batch/reduce.hpp"

#include "runtime/table/aggregate.hpp"
#include "runtime/table/record_reader.hpp"
#include "runtime/table/where.hpp"

#include <algorithm>
#include <charconv>
#include <fmt/format.h>
#include <functional>
#include <optional>
#include <unordered_map>

namespace weir::batch {

namespace {

struct key_hash {
  using is_transparent = void;
  std::size_t operator()(std::string_view key) const { return std::hash<std::string_view>{}(key); }
};

} // namespace

struct reducer::impl {
  std::vector<aggregate_field> fields;
  std::vector<table::pointer> pointers;
  table::where filter;
  std::optional<table::pointer> group_by;
  std::size_t most_groups;
  table::record_reader reader;
  std::vector<std::optional<table::number>> values;
  std::unordered_map<std::string, table::aggregate_state, key_hash, std::equal_to<>> groups;
  reduce_counts counts;

  result<table::aggregate_state*> group(std::string_view key) {
    const auto found = groups.find(key);
    if (found != groups.end())
      return &found->second;
    if (groups.size() >= most_groups)
      return fail(ec::overloaded,
                  "more than " + std::to_string(most_groups) + " groups; group by something coarser or filter more");
    return &groups.try_emplace(std::string(key), std::span<const aggregate_field>(fields)).first->second;
  }
};

reducer::reducer(const job_config& job, std::size_t most_groups) : impl_(std::make_unique<impl>()) {
  impl_->fields = job.fields;
  for (const auto& f : job.fields)
    impl_->pointers.emplace_back(f.pointer);
  impl_->filter = table::where(job.where);
  if (!job.group_by.empty())
    impl_->group_by.emplace(job.group_by);
  else
    impl_->groups.try_emplace("all", std::span<const aggregate_field>(impl_->fields));
  impl_->most_groups = most_groups;
  impl_->values.resize(job.fields.size());
}

reducer::~reducer() = default;
reducer::reducer(reducer&&) noexcept = default;
reducer& reducer::operator=(reducer&&) noexcept = default;

result<void> reducer::add(std::string_view row, const stamp& at) {
  auto& self = *impl_;
  ++self.counts.read;
  if (!self.reader.read(row).empty()) {
    ++self.counts.skipped;
    return {};
  }
  if (!self.filter.matches(self.reader)) {
    ++self.counts.filtered;
    return {};
  }
  std::string_view key = "all";
  if (self.group_by && !self.reader.key_at(*self.group_by, key)) {
    ++self.counts.skipped;
    return {};
  }
  const auto state = self.group(key);
  if (!state)
    return tl::unexpected(state.error());
  for (std::size_t i = 0; i < self.fields.size(); ++i)
    if (self.fields[i].fn != function::count)
      self.values[i] = self.reader.number_at(self.pointers[i]);
  (*state)->add(self.values, at);
  return {};
}

result<void> reducer::merge(const reducer& later) {
  impl_->counts.read += later.impl_->counts.read;
  impl_->counts.filtered += later.impl_->counts.filtered;
  impl_->counts.skipped += later.impl_->counts.skipped;
  for (const auto& [key, state] : later.impl_->groups) {
    const auto mine = impl_->group(key);
    if (!mine)
      return tl::unexpected(mine.error());
    (*mine)->merge(state);
  }
  return {};
}

// "1 <read> <filtered> <skipped> <groups>\n", then for each group "<bytes of key> <bytes of state>\n<key><state>".
std::string reducer::save() const {
  const auto& c = impl_->counts;
  auto out = fmt::format("1 {} {} {} {}\n", c.read, c.filtered, c.skipped, impl_->groups.size());
  for (const auto& [key, state] : impl_->groups) {
    const auto text = state.to_json(impl_->fields);
    fmt::format_to(std::back_inserter(out), "{} {}\n", key.size(), text.size());
    out += key;
    out += text;
  }
  return out;
}

result<void> reducer::restore(std::string_view saved) {
  const auto damaged = [] { return fail(ec::internal, "a checkpoint that can't be read"); };
  const auto number = [&](char behind, std::uint64_t& to) {
    const auto [rest, error] = std::from_chars(saved.data(), saved.data() + saved.size(), to);
    const auto used = static_cast<std::size_t>(rest - saved.data());
    if (error != std::errc{} || used >= saved.size() || saved[used] != behind)
      return false;
    saved.remove_prefix(used + 1);
    return true;
  };
  std::uint64_t form = 0, count = 0;
  reduce_counts counts;
  if (!number(' ', form) || form != 1 || !number(' ', counts.read) || !number(' ', counts.filtered) ||
      !number(' ', counts.skipped) || !number('\n', count) || count > impl_->most_groups)
    return damaged();
  decltype(impl_->groups) groups;
  for (std::uint64_t i = 0; i < count; ++i) {
    std::uint64_t key = 0, state = 0;
    if (!number(' ', key) || !number('\n', state) || key > saved.size() || state > saved.size() - key)
      return damaged();
    auto parsed = table::aggregate_state::parse(impl_->fields, saved.substr(key, state));
    if (!parsed || !groups.emplace(std::string(saved.substr(0, key)), std::move(*parsed)).second)
      return damaged();
    saved.remove_prefix(key + state);
  }
  if (!saved.empty())
    return damaged();
  impl_->groups = std::move(groups);
  impl_->counts = counts;
  return {};
}

const reduce_counts& reducer::counts() const { return impl_->counts; }

std::size_t reducer::groups() const { return impl_->groups.size(); }

std::vector<std::pair<std::string, std::string>> reducer::rows() const {
  std::vector<std::pair<std::string, std::string>> all;
  all.reserve(impl_->groups.size());
  for (const auto& [key, state] : impl_->groups)
    all.emplace_back(key, state.to_row(impl_->fields));
  std::sort(all.begin(), all.end());
  return all;
}

} // namespace weir::batch
