#include "actors/follower.hpp"

#include <algorithm>
#include <utility>

namespace weir::actors {

void follower::set_partitions(const std::vector<partition_key>& all) {
  all_ = all;
  update();
}

void follower::set_own(std::set<partition_key> own) {
  own_ = std::move(own);
  std::erase_if(heard_, [this](const partition_key& p) { return !own_.contains(p); });
  update();
}

void follower::heard(const partition_key& source) {
  if (own_.contains(source) && heard_.insert(source).second)
    followed_.erase(source);
}

void follower::update() {
  followed_.clear();
  for (const auto& p : all_)
    if (!heard_.contains(p))
      followed_.insert(p);
}

std::uint64_t follower::ticket() {
  asked_ = finished_ + (open_ > 0 ? 2 : 1);
  return asked_;
}

bool follower::due(std::int64_t now_ms, bool ready) const {
  return open_ == 0 && !followed_.empty() && (now_ms >= next_ms_ || (ready && asked()));
}

void follower::begin(std::int64_t now_ms, std::size_t partitions, bool ready) {
  open_ = partitions;
  serves_ = ready;
  next_ms_ = now_ms + std::max(follow_every_ms, follow_pause_ms * static_cast<std::int64_t>(followed_.size()));
}

bool follower::arrived() {
  if (open_ == 0 || --open_ > 0)
    return false;
  if (serves_)
    ++finished_;
  return true;
}

} // namespace weir::actors
