// When a command that follows something has to end: at SIGINT or SIGTERM, or when nobody reads its output any more.
//
// As long as it lives the process takes the first of the two signals as a wish, which every wait of the command sees;
// one more ends a process that is still there after a second, with 128 + its number. SIGPIPE is ignored from then on.
#pragma once

#include "runtime/core/error.hpp"

#include <atomic>
#include <chrono>
#include <csignal>
#include <string_view>
#include <thread>

namespace weir::cli {

class interruption {
public:
  // Before the process has other threads. Throws std::system_error where the system has no descriptors left.
  interruption();
  interruption(const interruption&) = delete;
  interruption& operator=(const interruption&) = delete;
  ~interruption();

  bool happened() const { return happened_; }
  // Readable from then on; for client_options::stop_fd.
  int fd() const { return happened_fd_; }
  // False: interrupted first.
  bool sleep(std::chrono::milliseconds time) const;
  // All of the text to standard output. Waits for a reader that is slow, as long as nothing interrupts. False: it is
  // interrupted, or nobody reads. ec::io: the output can't be written, as on a full disk.
  result<bool> write(std::string_view text) const;

private:
  void watch();

  sigset_t before_{};
  int signal_fd_ = -1, happened_fd_ = -1, end_fd_ = -1;
  std::atomic<bool> happened_{false};
  std::thread watcher_;
};

} // namespace weir::cli
