// What a partition keeps of one log: decides when to look at the oldest packed entries and which of them go. Pure.
//
// Each partition keeps its share of `keep.count`, and what is younger than `keep.age` by event time. A packed entry
// goes only as a whole, so the count is exact to one entry: it never falls below the share while records are there.
#pragma once

#include "proto/topology.hpp"
#include "runtime/redis/store.hpp"

namespace weir::redis {

class log_keeper {
public:
  log_keeper(const table_config& log, std::int32_t partitions);

  void starts_with(std::uint64_t records); // as stored at a claim
  void appended(std::uint64_t records) { records_ += records; }

  // Whether the oldest entries are worth a look now. now_ms: milliseconds since 1970.
  bool wants_look(std::int64_t now_ms) const;

  struct trim {
    version below;             // entries with a lower id go
    std::uint64_t records = 0; // that are in them
  };
  // `oldest`: heads of the oldest entries, oldest first. What is decided counts as gone.
  std::optional<trim> decide(const std::vector<batch_head>& oldest, std::int64_t now_ms);

private:
  std::int64_t oldest_kept(std::int64_t now_ms) const;

  std::uint64_t share_;
  std::optional<duration> age_;
  std::uint64_t records_ = 0;
  std::int64_t oldest_newest_ms_ = 0; // newest event time in the oldest entry; 0: not known
};

} // namespace weir::redis
