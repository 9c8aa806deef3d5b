// What a view knows of each partition's chain of transactions: decides whether a change set may be applied, and gives
// the table's watermark and epoch. Not thread-safe.
#pragma once

#include "proto/change_set.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace weir::table {

enum class chain_verdict {
  accepted,
  old,       // already known, or of an earlier stream epoch: drop it
  gap,       // something in between is missing, or the partition was never loaded: load the partition
  new_epoch, // the partition's history was taken back, or looks so: load the partition, which tells
};

class view_chain {
public:
  // Index of a partition, added if it is new (then it is not loaded).
  std::uint32_t index_of(const partition_key& source);
  const partition_key& source(std::uint32_t index) const { return partitions_[index].source; }
  std::size_t size() const { return partitions_.size(); }

  // A set without rows and entries is a heartbeat: it moves what is known, not what changed last. Accepted is what
  // starts anywhere between the last change and what is known, as nothing touched the table between these two.
  chain_verdict check(std::uint32_t index, const change_set& changes) const;
  void accept(std::uint32_t index, const change_set& changes);
  // The partition as stored, whatever was known of it before. True: its history was taken back.
  [[nodiscard]] bool load(std::uint32_t index, const stream_epoch& epoch, version last, version changed);

  bool loaded(std::uint32_t index) const { return partitions_[index].loaded; }
  bool all_loaded() const;
  version known(std::uint32_t index) const { return partitions_[index].known; }
  const stream_epoch& epoch(std::uint32_t index) const { return partitions_[index].epoch; }
  // The lowest version up to which all partitions are known; 0 while one was never loaded.
  version watermark() const;
  // Short hex over definition, generation, partitions and their stream epochs.
  std::string epoch_text(std::string_view fingerprint, std::uint32_t generation) const;

private:
  struct partition {
    partition_key source;
    stream_epoch epoch;
    version known, changed;
    bool loaded = false;
  };
  std::vector<partition> partitions_;
};

} // namespace weir::table
