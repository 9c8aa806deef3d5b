#include "runtime/core/status.hpp"

namespace weir {

void status_board::waiting(const std::string& what, const std::string& reason) {
  std::lock_guard lock(mutex_);
  if (reason.empty())
    waits_.erase(what);
  else
    waits_[what] = reason;
}

std::map<std::string, std::string> status_board::waits() const {
  std::lock_guard lock(mutex_);
  return waits_;
}

void status_board::link(std::size_t i, bool up) {
  std::lock_guard lock(mutex_);
  if (links_.size() <= i)
    links_.resize(i + 1);
  links_[i] = up;
}

std::map<std::string, source_status> status_board::sources() const {
  std::lock_guard lock(mutex_);
  return sources_;
}

std::map<std::string, job_status> status_board::jobs() const {
  std::lock_guard lock(mutex_);
  return jobs_;
}

std::vector<bool> status_board::links() const {
  std::lock_guard lock(mutex_);
  return links_;
}

} // namespace weir
