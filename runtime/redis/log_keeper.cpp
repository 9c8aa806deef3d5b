#include "runtime/redis/log_keeper.hpp"

#include <algorithm>
#include <limits>

namespace weir::redis {

log_keeper::log_keeper(const table_config& log, std::int32_t partitions) : age_(log.keep_age) {
  const auto n = static_cast<std::uint64_t>(std::max(partitions, 1));
  share_ = (log.keep_count + n - 1) / n;
}

void log_keeper::starts_with(std::uint64_t records) {
  records_ = records;
  oldest_newest_ms_ = 0;
}

std::int64_t log_keeper::oldest_kept(std::int64_t now_ms) const {
  return age_ ? now_ms - age_->count() : std::numeric_limits<std::int64_t>::min();
}

bool log_keeper::wants_look(std::int64_t now_ms) const {
  return records_ > 0 && (records_ > share_ || oldest_newest_ms_ < oldest_kept(now_ms));
}

std::optional<log_keeper::trim> log_keeper::decide(const std::vector<batch_head>& oldest, std::int64_t now_ms) {
  std::optional<trim> decided;
  oldest_newest_ms_ = 0;
  for (const auto& head : oldest) {
    const bool surplus = records_ >= head.records && records_ - head.records >= share_;
    if (!surplus && head.newest_ms >= oldest_kept(now_ms)) {
      oldest_newest_ms_ = head.newest_ms;
      break;
    }
    records_ -= std::min(records_, head.records);
    decided = {version{head.first.value + 1}, (decided ? decided->records : 0) + head.records};
  }
  return decided;
}

} // namespace weir::redis
