#include "runtime/redis/chain.hpp"

#include <algorithm>
#include <cstdlib>
#include <fmt/format.h>
#include <utility>

namespace weir::redis {

stream_epoch epoch_after(const partition_state& head, std::string_view unique) {
  // The claim may have made the stored one of the same microsecond.
  const std::uint64_t stored = std::strtoull(head.stream.value.c_str(), nullptr, 10);
  return stream_epoch{fmt::format("{:016}-{}", std::max(head.last.value, stored) + 1, unique)};
}

chain::chain(partition_key partition, std::size_t bound) : partition_(std::move(partition)), bound_(bound) {}

chain::claim_verdict chain::claimed(const partition_state& head) {
  // Ids rise with epoch and number, so a stored id below an acknowledged one means that Redis went back in time (I10).
  // So does an older stream epoch: what an earlier owner still had on its way may have been applied on top of the older
  // state before this owner looked.
  claim_verdict judged{.rolled_back = head.batch < acknowledged_ || head.stream < stream_};
  stream_ = head.stream;
  open_ = true;
  epoch_ = head.epoch;
  tail_ = head.batch;
  acknowledged_ = head.batch;
  n_ = 0;
  last_ = head.last;
  in_flight_.clear();
  return judged;
}

void chain::renew_epoch(stream_epoch epoch) { renew_ = std::move(epoch); }

void chain::stamp(transaction& tx, version hint) {
  tx.partition = partition_;
  tx.follows = tail_;
  tx.id = {epoch_, ++n_};
  tx.hint = std::max(hint, last_);
  tx.renew_epoch = renew_;
  tail_ = tx.id;
  in_flight_.push_back(tx.id);
}

chain::verdict chain::acknowledged(const batch_id& id, const tx_result& answer) {
  if (!open_ || in_flight_.empty() || in_flight_.front() != id)
    return verdict::unknown;
  switch (answer.status) {
  case tx_status::applied:
  case tx_status::already:
    in_flight_.pop_front();
    acknowledged_ = id;
    last_ = std::max(last_, answer.last);
    stream_ = std::max(stream_, answer.epoch);
    renew_.reset();
    return verdict::done;
  case tx_status::mismatch:
  case tx_status::fenced:
  case tx_status::outdated: return failed(id);
  }
  return failed(id);
}

chain::verdict chain::failed(const batch_id& id) {
  if (!open_ || std::find(in_flight_.begin(), in_flight_.end(), id) == in_flight_.end())
    return verdict::unknown;
  open_ = false;
  in_flight_.clear();
  return verdict::broken;
}

} // namespace weir::redis
