// The owner's side of a partition's chain of transactions: stamps each with the one it follows, and judges the answers.
//
// Plain class, one per partition, used by its actor alone. What it promises: at most `bound` transactions are in
// flight; after any answer but applied or already nothing more is stamped until the partition was claimed again (so a
// stale cache is never written).
#pragma once

#include "runtime/redis/store.hpp"

#include <deque>
#include <string_view>

namespace weir::redis {

// An epoch that orders behind the stored one and all before it, as views want. `head` is a claim's answer (its `last`
// is Redis' time, or above).
stream_epoch epoch_after(const partition_state& head, std::string_view unique);

class chain {
public:
  explicit chain(partition_key partition, std::size_t bound = 2);

  // What a claim's answer means for what this owner believed before.
  struct claim_verdict {
    bool rolled_back = false; // Redis lost transactions that were acknowledged to this owner
  };

  // Starts (again) on the stored head. Whatever was in flight is forgotten.
  claim_verdict claimed(const partition_state& head);
  // Gives the partition a new stream epoch with the next transaction.
  void renew_epoch(stream_epoch epoch);

  bool open() const { return open_; }
  bool full() const { return in_flight_.size() >= bound_; }
  std::size_t in_flight() const { return in_flight_.size(); }

  // Fills partition, follows, id, hint and renew_epoch, and counts it as in flight. Only while open() and not full().
  void stamp(transaction& tx, version hint);

  enum class verdict {
    done,    // applied now or before
    broken,  // refused: drop caches and queued batches, claim again
    unknown, // an answer to a transaction of an earlier life: ignore
  };
  verdict acknowledged(const batch_id& id, const tx_result& answer);
  // The transaction failed or its fate is unknown and will not be resent.
  verdict failed(const batch_id& id);

  batch_id newest() const { return tail_; } // stamped last, or stored where nothing was stamped since the claim
  version last() const { return last_; }
  const partition_key& partition() const { return partition_; }

private:
  partition_key partition_;
  std::size_t bound_;
  bool open_ = false;
  owner_epoch epoch_;
  batch_id tail_;         // the newest stamped, or the stored one after a claim
  std::uint64_t n_ = 0;   // of the newest stamped in this epoch
  batch_id acknowledged_; // the newest known to be applied
  stream_epoch stream_;   // the newest known
  version last_;
  std::deque<batch_id> in_flight_;
  std::optional<stream_epoch> renew_;
};

} // namespace weir::redis
