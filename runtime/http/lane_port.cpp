#include "runtime/http/lane_port.hpp"

#include "runtime/http/session_policy.hpp"

#include <utility>

namespace weir::http {

std::size_t lane_port::deliver(const table::fan_out& changes, std::int64_t now_ms, bool owed) {
  if (owed)
    --under_way_;
  std::size_t taken = 0;
  // A session that takes a frame, or can't, neither joins nor leaves here.
  for (const auto& m : members_)
    taken += m.who->on_fan_out(m.generation, changes, now_ms);
  if (under_way_ == 0 && left_out_ && left_out_.exchange(false))
    for (const auto& m : members_)
      m.who->on_left_out(m.generation, now_ms);
  return taken;
}

void lane_port::reset() {
  const auto members = members_; // each leaves
  for (const auto& m : members)
    m.who->on_reset(m.generation);
}

std::size_t lane_port::join(session_policy& who, std::uint32_t generation) {
  members_.push_back({&who, generation});
  return members_.size() - 1;
}

void lane_port::leave(std::size_t index) {
  if (index + 1 < members_.size()) {
    members_[index] = members_.back();
    members_[index].who->moved_in_lane(members_[index].generation, index);
  }
  members_.pop_back();
}

} // namespace weir::http
