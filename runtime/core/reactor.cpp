#include "runtime/core/reactor.hpp"

#include "runtime/core/reactor_post.hpp"

#include <boost/asio/post.hpp>
#include <chrono>
#include <pthread.h>

namespace weir {
namespace {

constexpr int most_of_a_round = 4096;

} // namespace

reactor::reactor(std::string name) : name_(std::move(name)) {
  timers_.was_set = [this](std::int64_t due_ms) { arm_timers(due_ms); };
}

reactor::~reactor() { stop(); }

void reactor::start() {
  thread_ = std::thread([this] { run(); });
  pthread_setname_np(thread_.native_handle(), name_.substr(0, 15).c_str());
}

void reactor::stop() {
  {
    std::lock_guard lock(mutex_);
    closed_ = true;
  }
  stopping_ = true;
  context_.stop();
  if (thread_.joinable())
    thread_.join();
  // Destroyed outside the lock: a task's captures may own things whose destructors post again.
  std::vector<task> left;
  {
    std::lock_guard lock(mutex_);
    left.swap(inbox_);
  }
}

bool post(reactor& to, std::function<void()> task) { return to.post(std::move(task)); }

void at_round_end(reactor& of, std::function<void()> task) { of.at_round_end(std::move(task)); }

bool reactor::post(task t) {
  {
    std::lock_guard lock(mutex_);
    if (closed_)
      return false;
    inbox_.push_back(std::move(t));
    if (wake_pending_)
      return true;
    wake_pending_ = true;
  }
  boost::asio::post(context_, [this] { drain_inbox(); });
  return true;
}

void reactor::at_round_end(task t) { round_end_.push_back(std::move(t)); }

timer_wheel& timers(reactor& of) { return of.timers(); }

std::int64_t steady_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

void reactor::arm_timers(std::int64_t due_ms) {
  if (wake_ms_ != 0 && wake_ms_ <= due_ms)
    return; // it wakes up before, and looks again then
  wake_ms_ = due_ms;
  wake_.expires_at(std::chrono::steady_clock::time_point(std::chrono::milliseconds(due_ms)));
  wake_.async_wait([this](boost::system::error_code cancelled) {
    if (cancelled)
      return;
    wake_ms_ = 0;
    timers_.advance(steady_ms());
    if (const auto next = timers_.next_ms())
      arm_timers(*next);
  });
}

void reactor::drain_inbox() {
  std::vector<task> tasks;
  {
    std::lock_guard lock(mutex_);
    tasks.swap(inbox_);
    wake_pending_ = false;
  }
  for (auto& t : tasks)
    t();
}

void reactor::finish_round() {
  // A hook may ask for another round's end (a partial write); that one runs after the next round.
  std::vector<task> tasks;
  tasks.swap(round_end_);
  for (auto& t : tasks)
    t();
}

void reactor::run() {
  thread_id_ = std::this_thread::get_id();
  while (!stopping_) {
    // A hook may have asked for another round's end: then do not block.
    if (round_end_.empty()) {
      if (context_.run_one() == 0)
        break;
    }
    // A bound, so that the round ends though events keep coming.
    for (int ran = 0; ran < most_of_a_round && context_.poll_one() > 0; ++ran) {
    }
    finish_round();
  }
}

} // namespace weir
