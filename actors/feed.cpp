#include "actors/feed.hpp"

#include <algorithm>
#include <caf/send.hpp>
#include <limits>

namespace weir::actors {

void feed::put(feed_table& to, change_set_ptr changes) {
  if (to.inbox->put(std::move(changes)))
    caf::anon_send(to.publisher, inbox_ready{});
}

void feed::publish(const redis::transaction& tx, const redis::tx_result& answer) {
  bool changed = false;
  for (auto& to : tables_) {
    std::shared_ptr<change_set> changes;
    bool expiry = false;
    for (std::size_t i = 0; i < tx.tables.size(); ++i) {
      const auto& write = tx.tables[i];
      if (write.table != to.ref || !write.changes)
        continue;
      changes = write.changes;
      expiry = write.expire_up_to_ms.has_value();
      if (write.expire_up_to_ms && i < answer.kept.size() && !answer.kept[i].empty()) {
        // Rows that were renewed in the meantime stay: they are no change. Indexes come in ascending order.
        auto left = std::make_shared<change_set>(*changes);
        for (auto k = answer.kept[i].rbegin(); k != answer.kept[i].rend(); ++k)
          left->rows.erase(left->rows.begin() + *k);
        changes = std::move(left);
      }
    }
    const bool touched = changes != nullptr;
    if (!touched) {
      changes = std::make_shared<change_set>();
      changes->table = to.ref.name;
      changes->source = partition_;
    }
    changes->epoch = answer.epoch;
    // Which rows an expiry kept is only in the answer that was lost: let the view see a gap and heal it.
    const bool unknown = touched && expiry && answer.status == redis::tx_status::already;
    changes->previous = unknown ? version{std::numeric_limits<std::uint64_t>::max()} : to.changed;
    changes->first = touched ? answer.first : answer.last;
    changes->last = answer.last;
    if (touched) {
      to.changed = answer.last;
      changed = changed || !changes->rows.empty() || !changes->entries.empty();
    }
    put(to, std::move(changes));
  }
  progress_->known = std::max(progress_->known.load(), answer.last.value);
  if (changed)
    progress_->changed = std::max(progress_->changed.load(), answer.last.value);
}

void feed::announce(const stream_epoch& epoch, version last) {
  for (auto& to : tables_) {
    auto head = std::make_shared<change_set>();
    head->table = to.ref.name;
    head->source = partition_;
    head->epoch = epoch;
    head->previous = to.changed;
    head->first = head->last = last;
    put(to, std::move(head));
  }
  progress_->known = std::max(progress_->known.load(), last.value);
}

} // namespace weir::actors
