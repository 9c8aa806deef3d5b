// When to ask for the scheduler's lease, and whether it is held. Pure: the caller brings the time of a clock that never
// goes back, in milliseconds, and Redis' answers.
//
// The lease counts as held for `hold` from the moment of the question, not of the answer: Redis counts from some moment
// in between, so this node stops before another can start. That is no guard by itself (a paused process finds out
// late); the guard is the token in every write.
#pragma once

#include <cstdint>
#include <optional>

namespace weir::batch {

class lease_keeper {
public:
  enum class event { none, gained, lost };

  explicit lease_keeper(std::int64_t hold_ms) : hold_ms_(hold_ms) {}

  std::int64_t hold_ms() const { return hold_ms_; }
  bool held() const { return token_.has_value(); }
  std::uint64_t token() const { return token_.value_or(0); }

  // Whether to ask now: no question is open, or the open one is older than the lease, and a third of the lease passed
  // since the last one (where it is held), a quarter where it is not.
  bool due(std::int64_t now) const {
    if (asked_ && now - *asked_ < (open_ ? hold_ms_ : held() ? hold_ms_ / 3 : hold_ms_ / 4))
      return false;
    return true;
  }
  void asked(std::int64_t now) {
    asked_ = now;
    open_ = true;
  }
  // `token`: nothing where another has it. An answer to an older question than the last is to be left out.
  event answered(std::optional<std::uint64_t> token) {
    open_ = false;
    if (!token)
      return lose();
    until_ = *asked_ + hold_ms_;
    if (token_ == token)
      return event::none;
    token_ = token;
    return event::gained; // also where it was held before: everything is looked at again
  }
  // No answer came; the next question is due as usual.
  void failed() { open_ = false; }
  // The time passed.
  event passed(std::int64_t now) { return held() && now >= until_ ? lose() : event::none; }
  event lose() {
    if (!held())
      return event::none;
    token_.reset();
    return event::lost;
  }

private:
  std::int64_t hold_ms_, until_ = 0;
  std::optional<std::int64_t> asked_;
  bool open_ = false;
  std::optional<std::uint64_t> token_;
};

} // namespace weir::batch
