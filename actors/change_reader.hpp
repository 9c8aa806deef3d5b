// Reads what a partition's owner, another node, has changed in a table since a known version: the keys from the change
// log and their rows, or the log's new entries. What comes out are change sets like those that a publisher gets from
// partitions of its own node.
#pragma once

#include "proto/topology.hpp"
#include "runtime/redis/store.hpp"
#include "runtime/table/channel.hpp"

#include <vector>

namespace weir::actors {

struct changes_read {
  // What is known can't be gone on from (the change log does not reach back so far, there is too much, the history was
  // taken back): all of the partition has to be loaded.
  bool whole = false;
  std::vector<change_set_ptr> changes; // oldest first; the last one brings the partition to its head. Empty: none
  batch_id batch; // the transaction that was the partition's last one; in the stream that was given
};

inline constexpr std::size_t most_keys_read = 10'000;   // changed; with more, the whole partition
inline constexpr std::uint32_t most_batches_read = 256; // of a log

// `newest`: the greatest batch that is known of that stream (node_context::batches). A lower one that is stored now
// tells that Redis went back, and that perhaps an owner of before has written on top of it (each transaction follows
// exactly one other, and owners' epochs rise): nothing is read then until the present owner has noticed, and begun a
// new stream.
//
// Runs on the store's callbacks. `done` is called exactly once, on a reactor's thread.
void read_changes(redis::store& store, const table_config& table, const table_ref& ref, const partition_key& partition,
                  const table::known_version& since, const batch_id& newest, redis::callback<changes_read> done);

} // namespace weir::actors
