// A reactor: one thread with one io_context. All socket I/O of the process (HTTP, WebSocket, Redis) lives on reactors.
//
// It works in rounds: it takes one event, then all that is ready, then runs the round's end hooks once, in which each
// session or link that became dirty writes what gathered. So a burst of messages costs one write per socket, not one
// per message.
#pragma once

#include "runtime/core/timer_wheel.hpp"

#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace weir {

class reactor {
public:
  using task = std::function<void()>;

  explicit reactor(std::string name);
  ~reactor(); // stops and joins
  reactor(const reactor&) = delete;
  reactor& operator=(const reactor&) = delete;

  void start();
  // Stops the loop after the current round and joins the thread. What is still queued is dropped. Not from the
  // reactor's own thread.
  void stop();

  // Runs `t` on the reactor's thread in its next round. From any thread; a burst costs one wake-up. False: the reactor
  // was stopped.
  bool post(task t);

  // Runs `t` once at the end of the current round. Reactor's thread only.
  void at_round_end(task t);

  // Driven by one timer of the context, in the clock of steady_ms(). Reactor's thread only.
  timer_wheel& timers() { return timers_; }

  bool on_thread() const { return std::this_thread::get_id() == thread_id_; }
  boost::asio::io_context& context() { return context_; }
  const std::string& name() const { return name_; }

private:
  void run();
  void drain_inbox();
  void finish_round();
  void arm_timers(std::int64_t due_ms);

  std::string name_;
  boost::asio::io_context context_{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_{context_.get_executor()};
  timer_wheel timers_;
  boost::asio::steady_timer wake_{context_};
  std::int64_t wake_ms_ = 0; // when wake_ expires; 0: not armed
  std::mutex mutex_; // guards inbox_, awake_
  std::vector<task> inbox_;
  bool wake_pending_ = false;
  bool closed_ = false;
  std::vector<task> round_end_;
  std::atomic<bool> stopping_{false};
  std::atomic<std::thread::id> thread_id_{};
  std::thread thread_;
};

} // namespace weir
