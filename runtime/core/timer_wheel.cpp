#include "runtime/core/timer_wheel.hpp"

#include <algorithm>

namespace weir {
namespace {

constexpr std::int64_t in_running = -1; // instead of a due step: the entry is in the list of those that run now

} // namespace

void timer_wheel::entry::cancel() {
  if (wheel_)
    wheel_->unlink(*this);
}

timer_wheel::~timer_wheel() {
  for (auto& slot : slots_)
    while (slot.first)
      unlink(*slot.first);
  while (running_.first)
    unlink(*running_.first);
}

timer_wheel::list& timer_wheel::list_of(const entry& e) {
  return e.due_ == in_running ? running_ : slots_[static_cast<std::size_t>(e.due_) % slots];
}

void timer_wheel::append(list& to, entry& e) {
  e.wheel_ = this;
  e.previous_ = to.last;
  e.next_ = nullptr;
  (to.last ? to.last->next_ : to.first) = &e;
  to.last = &e;
  ++size_;
}

void timer_wheel::unlink(entry& e) {
  auto& from = list_of(e);
  (e.previous_ ? e.previous_->next_ : from.first) = e.next_;
  (e.next_ ? e.next_->previous_ : from.last) = e.previous_;
  e.wheel_ = nullptr;
  --size_;
}

void timer_wheel::set(entry& e, std::int64_t now_ms, std::int64_t after_ms) {
  e.cancel();
  if (size_ == 0 && !advancing_) // nothing was driven meanwhile
    at_ = std::max(at_, now_ms / step_ms - 1);
  const auto due = (now_ms + std::max<std::int64_t>(after_ms, 0) + step_ms - 1) / step_ms;
  // A step that was advanced to is not looked at again.
  e.due_ = std::max(due, at_ + 1);
  append(list_of(e), e);
  if (was_set && !advancing_)
    was_set(e.due_ * step_ms);
}

void timer_wheel::advance(std::int64_t now_ms) {
  const auto to = now_ms / step_ms;
  if (to <= at_ || advancing_)
    return;
  // After a long sleep each slot is looked at once, not once a turn.
  const auto from = std::max(at_ + 1, to - static_cast<std::int64_t>(slots) + 1);
  at_ = to;
  advancing_ = true;
  for (auto step = from; size_ > 0 && step <= to; ++step) {
    auto* e = slots_[static_cast<std::size_t>(step) % slots].first;
    while (e) {
      auto* next = e->next_;
      if (e->due_ <= to) {
        unlink(*e);
        e->due_ = in_running;
        append(running_, *e);
      }
      e = next;
    }
  }
  while (running_.first) {
    auto& e = *running_.first;
    unlink(e);
    e.call_(e.owner_);
  }
  advancing_ = false;
}

std::optional<std::int64_t> timer_wheel::next_ms() const {
  if (size_ == 0)
    return std::nullopt;
  for (std::int64_t step = at_ + 1; step <= at_ + static_cast<std::int64_t>(slots); ++step)
    if (slots_[static_cast<std::size_t>(step) % slots].first)
      return step * step_ms;
  return std::nullopt; // all that waits is being run
}

} // namespace weir
