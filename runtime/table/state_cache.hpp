// Aggregate states of one table in one partition: those that the open batch changes, and lately used ones.
#pragma once

#include "proto/change_set.hpp"
#include "proto/topology.hpp"
#include "runtime/core/error.hpp"
#include "runtime/table/aggregate.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace weir::table {

// A state that is not known yet can't be added to: adding up apart and merging later would give doubles other bits,
// depending on where batches end. So values wait until the stored state is there, and are then added in their order.
class state_cache {
public:
  explicit state_cache(std::vector<aggregate_field> fields) : fields_(std::move(fields)) {}

  void add(std::string_view key, std::span<const std::optional<number>> values, const stamp& at, std::uint64_t batch);

  std::vector<std::string> unasked();
  result<void> supply(std::string_view key, const std::optional<std::string_view>& stored);
  std::size_t awaited() const { return awaited_; }
  std::size_t waiting_bytes() const { return waiting_bytes_; }

  bool touched() const { return !touched_.empty(); }
  // The states that changed since the last take, in order of first change.
  std::size_t take(std::vector<row_change>& out);

  // Lets go of the longest unused until `most` are left; of none that a batch after `committed` changed, for Redis may
  // still have an older one.
  void shrink(std::size_t most, std::uint64_t committed);
  void clear();
  std::size_t size() const { return entries_.size(); }

private:
  struct waiting {
    std::vector<std::optional<number>> values; // fields.size() a record
    std::vector<stamp> stamps;
  };
  struct entry {
    explicit entry(std::span<const aggregate_field> fields) : state(fields) {}
    aggregate_state state;
    std::unique_ptr<waiting> backlog; // while the stored state is not known
    stamp at;
    std::uint64_t batch = 0; // that changed it last
    const std::string* key = nullptr;
    entry *older = nullptr, *newer = nullptr;
  };
  struct key_hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view key) const { return std::hash<std::string_view>{}(key); }
  };

  void unlink(entry& e);
  void link_newest(entry& e);

  std::vector<aggregate_field> fields_;
  std::unordered_map<std::string, entry, key_hash, std::equal_to<>> entries_;
  std::vector<entry*> touched_;
  std::vector<const std::string*> unasked_;
  std::size_t awaited_ = 0, waiting_bytes_ = 0;
  entry *oldest_ = nullptr, *newest_ = nullptr;
};

} // namespace weir::table
