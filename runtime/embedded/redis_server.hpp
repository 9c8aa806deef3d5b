// A private redis-server as a child process: unix socket only, nothing on disk but its own temporary directory, gone
// with this object and with the process, however that ends.
#pragma once

#include "runtime/core/error.hpp"

#include <chrono>
#include <memory>
#include <string>
#include <sys/types.h>
#include <vector>

namespace weir::embedded {

struct redis_server_options {
  std::string program = "redis-server";
  std::string base_directory{}; // for the private directory; empty: $TMPDIR, else /tmp
  std::chrono::milliseconds ready_deadline{5000};
  std::vector<std::string> config_lines{}; // appended to redis.conf (tests: TLS, ACL, AOF)
};

class redis_server {
public:
  // Forks: call it from the main thread before any other thread exists. The kernel ends the child when the *thread*
  // that forked it ends (PR_SET_PDEATHSIG), so that thread must live as long as the process. Returns when the server
  // answers PING. Removes directories that killed processes left behind. ec::io with what to do: not installed, no
  // space, did not start.
  static result<std::unique_ptr<redis_server>> start(redis_server_options options = {});

  ~redis_server(); // SIGKILL, wait, remove the directory
  redis_server(const redis_server&) = delete;
  redis_server& operator=(const redis_server&) = delete;

  std::string url() const; // unix:///...
  const std::string& directory() const { return directory_; }
  const std::string& socket_path() const { return socket_path_; }
  pid_t pid() const { return pid_; }
  bool running(); // false once the child has ended

  void kill(); // SIGKILL and wait
  // Again in the same directory with the same settings, on the thread that started it first. Returns when the server
  // answers PING; ec::io as above.
  result<void> restart();

private:
  redis_server() = default;
  result<void> launch();
  result<void> await_ready();
  std::string log_tail() const;

  redis_server_options options_;
  std::string directory_, socket_path_, program_;
  pid_t pid_ = -1;
  int lock_ = -1; // held while the directory is in use
};

} // namespace weir::embedded
