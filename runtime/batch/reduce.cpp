#include "runtime/batch/reduce.hpp"

#include "runtime/batch/derive.hpp"
#include "runtime/batch/group_state.hpp"
#include "runtime/batch/saved_text.hpp"
#include "runtime/table/record_reader.hpp"
#include "runtime/table/where.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <functional>
#include <optional>
#include <unordered_map>

namespace weir::batch {

struct reducer::impl {
  group_plan plan;
  group_values values;
  derivation derived;
  table::where filter;
  std::vector<table::pointer> group_by;
  std::string key_text; // of several
  std::optional<double> window_seconds;
  std::size_t most_groups, most_bytes;
  table::record_reader reader;
  std::unordered_map<std::string, group_state, text_hash, std::equal_to<>> groups;
  std::size_t bytes = 0; // of the groups' states, as far as they grow
  reduce_counts counts;
  std::string given_reason;
  std::string_view skipped_because;                          // of the last row
  std::int64_t oldest_ms = INT64_MAX, newest_ms = INT64_MIN; // event times of the rows that count

  impl(const job_config& job, std::size_t groups_limit, std::size_t bytes_limit)
      : plan(job.fields), values(plan), derived(job.derive), filter(job.where), most_groups(groups_limit),
        most_bytes(bytes_limit) {
    if (const auto window = job.last ? job.last : job.window)
      window_seconds = static_cast<double>(window->count()) / 1000;
    for (const auto& pointer : job.group_by)
      group_by.emplace_back(pointer);
    if (group_by.empty())
      groups.try_emplace("all", plan);
  }

  void skip(std::string_view why) {
    ++counts.skipped;
    skipped_because = why;
  }

  // Of the row read last; false: it has none. One pointer: what is there, by the rules for row keys. Several: these as
  // a JSON array of strings, so that no two groups have one key.
  bool key(std::string_view& out) {
    if (group_by.empty()) {
      out = "all";
      return true;
    }
    if (group_by.size() == 1)
      return reader.key_at(group_by.front(), out);
    key_text.clear();
    for (const auto& pointer : group_by) {
      std::string_view part;
      if (!reader.key_at(pointer, part))
        return false;
      key_text += key_text.empty() ? '[' : ',';
      table::append_quoted(key_text, part);
    }
    key_text += ']';
    out = key_text;
    return out.size() <= table::max_key_bytes;
  }

  result<group_state*> group(std::string_view key) {
    const auto found = groups.find(key);
    if (found != groups.end())
      return &found->second;
    if (groups.size() >= most_groups)
      return fail(ec::overloaded,
                  fmt::format("more than {} groups; group by something coarser or filter more", most_groups));
    return &groups.try_emplace(std::string(key), plan).first->second;
  }

  // Changes one group, and keeps count of what the groups take.
  template <class Change>
  result<void> change(group_state& state, Change apply) {
    if (plan.cells.empty()) { // nothing grows
      apply(state);
      return {};
    }
    bytes -= state.bytes();
    apply(state);
    bytes += state.bytes();
    if (bytes > most_bytes)
      return fail(ec::overloaded,
                  fmt::format("percentiles, distinct and top of {} groups take more than {} MiB; group by something "
                              "coarser, filter more, or leave some of them out",
                              groups.size(), most_bytes >> 20));
    return {};
  }

  std::optional<double> rate_seconds() const {
    if (window_seconds || newest_ms <= oldest_ms)
      return window_seconds;
    return (static_cast<double>(newest_ms) - static_cast<double>(oldest_ms)) / 1000;
  }
};

reducer::reducer(const job_config& job, std::size_t most_groups, std::size_t most_bytes)
    : impl_(std::make_unique<impl>(job, most_groups, most_bytes)) {}

reducer::~reducer() = default;
reducer::reducer(reducer&&) noexcept = default;
reducer& reducer::operator=(reducer&&) noexcept = default;

result<void> reducer::add(std::string_view row, const stamp& at) {
  auto& self = *impl_;
  ++self.counts.read;
  self.skipped_because = {};
  const bool readable = self.reader.read(row).empty() &&
                        (self.derived.empty() || self.reader.read(self.derived.apply(self.reader, at.time_ms)).empty());
  if (!readable) {
    self.skip("not a JSON object");
    return {};
  }
  if (!self.filter.matches(self.reader)) {
    ++self.counts.filtered;
    return {};
  }
  std::string_view key;
  if (!self.key(key)) {
    self.skip("no 'group_by' in it, or none that can be a key");
    return {};
  }
  const auto state = self.group(key);
  if (!state)
    return tl::unexpected(state.error());
  self.oldest_ms = std::min(self.oldest_ms, at.time_ms);
  self.newest_ms = std::max(self.newest_ms, at.time_ms);
  self.values.read(self.plan, self.reader);
  return self.change(**state, [&](group_state& mine) { mine.add(self.plan, self.values, at); });
}

void reducer::leave_out() {
  ++impl_->counts.read;
  ++impl_->counts.filtered;
  impl_->skipped_because = {};
}

void reducer::skip(std::string reason) {
  ++impl_->counts.read;
  impl_->given_reason = reason.empty() ? "no reason given" : std::move(reason);
  impl_->skip(impl_->given_reason);
}

result<void> reducer::merge(const reducer& later) {
  auto& self = *impl_;
  self.counts.read += later.impl_->counts.read;
  self.counts.filtered += later.impl_->counts.filtered;
  self.counts.skipped += later.impl_->counts.skipped;
  self.oldest_ms = std::min(self.oldest_ms, later.impl_->oldest_ms);
  self.newest_ms = std::max(self.newest_ms, later.impl_->newest_ms);
  for (const auto& [key, state] : later.impl_->groups) {
    const auto mine = self.group(key);
    if (!mine)
      return tl::unexpected(mine.error());
    if (auto merged = self.change(**mine, [&](group_state& s) { s.merge(state); }); !merged)
      return merged;
  }
  return {};
}

// "2 <read> <filtered> <skipped> <oldest> <newest> <groups>\n", then for each group "<bytes of key> <bytes of
// state>\n<key> <state>", without the blank.
std::string reducer::save() const {
  const auto& self = *impl_;
  const auto& c = self.counts;
  auto out = fmt::format("2 {} {} {} {} {} {}\n", c.read, c.filtered, c.skipped, self.oldest_ms, self.newest_ms,
                         self.groups.size());
  std::string text;
  for (const auto& [key, state] : self.groups) {
    text.clear();
    state.save(self.plan, text);
    fmt::format_to(std::back_inserter(out), "{} {}\n", key.size(), text.size());
    out += key;
    out += text;
  }
  return out;
}

result<void> reducer::restore(std::string_view saved) {
  auto& self = *impl_;
  const auto damaged = [] { return fail(ec::internal, "a checkpoint that can't be read"); };
  saved_text in(saved);
  std::uint64_t form = 0, count = 0;
  reduce_counts counts;
  auto oldest = INT64_MAX, newest = INT64_MIN;
  // Form 1, of earlier versions, has no times; nor had they a function that wants them.
  if (!in.number(' ', form) || form < 1 || form > 2 || !in.number(' ', counts.read) ||
      !in.number(' ', counts.filtered) || !in.number(' ', counts.skipped) ||
      (form == 2 && (!in.number(' ', oldest) || !in.number(' ', newest))) || !in.number('\n', count) ||
      count > self.most_groups)
    return damaged();
  decltype(self.groups) groups;
  std::size_t bytes = 0;
  for (std::uint64_t i = 0; i < count; ++i) {
    std::uint64_t key_bytes = 0, state_bytes = 0;
    std::string_view key, text;
    if (!in.number(' ', key_bytes) || !in.number('\n', state_bytes) || !in.bytes(key_bytes, key) ||
        !in.bytes(state_bytes, text))
      return damaged();
    auto state = group_state::restore(self.plan, text);
    if (!state)
      return damaged();
    bytes += state->bytes();
    if (!groups.emplace(std::string(key), std::move(*state)).second)
      return damaged();
  }
  if (in.left() > 0)
    return damaged();
  self.groups = std::move(groups);
  self.bytes = bytes;
  self.counts = counts;
  self.oldest_ms = oldest;
  self.newest_ms = newest;
  return {};
}

const reduce_counts& reducer::counts() const { return impl_->counts; }

std::string_view reducer::skipped_because() const { return impl_->skipped_because; }

std::size_t reducer::groups() const { return impl_->groups.size(); }

std::vector<std::pair<std::string, std::string>> reducer::rows() const {
  std::vector<std::pair<std::string, std::string>> all;
  all.reserve(impl_->groups.size());
  const auto seconds = impl_->rate_seconds();
  for (const auto& [key, state] : impl_->groups)
    all.emplace_back(key, state.to_row(impl_->plan, seconds));
  std::sort(all.begin(), all.end());
  return all;
}

} // namespace weir::batch
