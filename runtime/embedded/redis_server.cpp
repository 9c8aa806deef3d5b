#include "runtime/embedded/redis_server.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <poll.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#if __has_include(<linux/close_range.h>)
#include <linux/close_range.h>
#endif

namespace weir::embedded {
namespace {

namespace fs = std::filesystem;
using clock = std::chrono::steady_clock;

constexpr std::string_view prefix = "weir-redis-";

tl::unexpected<error> io(std::string what) { return fail(ec::io, "embedded Redis: " + std::move(what)); }
std::string reason(int number) { return std::generic_category().message(number); }

// The program's path as execvp would find it: looked up before the fork, so that the child only calls what is safe
// there.
std::string find_program(const std::string& name) {
  if (name.find('/') != std::string::npos)
    return access(name.c_str(), X_OK) == 0 ? name : std::string{};
  const char* path = std::getenv("PATH");
  std::string_view rest = path && *path ? path : "/usr/local/bin:/usr/bin:/bin";
  while (!rest.empty()) {
    const auto end = std::min(rest.find(':'), rest.size());
    auto candidate = fmt::format("{}/{}", end ? rest.substr(0, end) : ".", name);
    if (access(candidate.c_str(), X_OK) == 0 && fs::is_regular_file(candidate))
      return candidate;
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return {};
}

int lock_file(const std::string& directory) {
  const int fd = ::open((directory + "/lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0)
    return -1;
  if (flock(fd, LOCK_EX | LOCK_NB) == 0)
    return fd;
  ::close(fd);
  return -1;
}

// Directories of processes that were killed: ours, their process gone, and nobody holds their lock (the process might
// live in another container that shares the file system).
void remove_stale(const std::string& base) {
  std::error_code e;
  for (fs::directory_iterator at(base, e), end; !e && at != end; at.increment(e)) {
    const auto name = at->path().filename().string();
    if (!name.starts_with(prefix))
      continue;
    struct stat info {};
    if (lstat(at->path().c_str(), &info) != 0 || !S_ISDIR(info.st_mode) || info.st_uid != geteuid())
      continue;
    const auto pid = static_cast<pid_t>(std::strtol(name.c_str() + prefix.size(), nullptr, 10));
    if (pid <= 0 || ::kill(pid, 0) == 0 || errno != ESRCH)
      continue;
    const int lock = lock_file(at->path().string());
    if (lock < 0)
      continue;
    std::error_code ignored;
    fs::remove_all(at->path(), ignored);
    ::close(lock);
  }
}

} // namespace

result<std::unique_ptr<redis_server>> redis_server::start(redis_server_options options) {
  auto program = find_program(options.program);
  if (program.empty())
    return io(fmt::format("{} is not installed or not in PATH: install it (Debian: apt install redis-server), or give "
                          "\"redis\": {{\"url\": ...}}",
                          options.program));
  auto base = options.base_directory;
  if (base.empty()) {
    const char* set = std::getenv("TMPDIR");
    base = set && *set ? set : "/tmp";
  }
  // A unix socket's path is short; a deep temporary directory cannot hold one.
  if (base.size() > 60 && options.base_directory.empty())
    base = "/tmp";
  remove_stale(base);

  std::unique_ptr<redis_server> server(new redis_server);
  std::string pattern = fmt::format("{}/{}{}-XXXXXX", base, prefix, getpid());
  if (!mkdtemp(pattern.data())) // makes it 0700
    return io(fmt::format("cannot make a directory in {}: {}", base, reason(errno)));
  server->directory_ = pattern;
  server->lock_ = lock_file(server->directory_);
  if (server->lock_ < 0)
    return io(fmt::format("cannot lock {}: {}", server->directory_, reason(errno)));
  server->socket_path_ = server->directory_ + "/redis.sock";
  if (server->socket_path_.size() > 107)
    return io(fmt::format("{} is too long for the path of a unix socket", server->socket_path_));
  server->options_ = std::move(options);
  server->program_ = std::move(program);
  {
    std::ofstream config(server->directory_ + "/redis.conf");
    config << "port 0\nunixsocket \"" << server->socket_path_ << "\"\nunixsocketperm 700\ndir \"" << server->directory_
           << "\"\nlogfile \"" << server->directory_ << "/redis.log\"\n"
           << "daemonize no\nsave \"\"\nappendonly no\nmaxmemory-policy noeviction\nloglevel warning\nhz 10\n";
    for (const auto& line : server->options_.config_lines)
      config << line << '\n';
    if (!config.flush())
      return io(fmt::format("cannot write in {}", server->directory_));
  }
  if (auto started = server->launch(); !started)
    return tl::unexpected(started.error());
  return server;
}

redis_server::~redis_server() {
  kill();
  if (!directory_.empty()) {
    std::error_code ignored;
    fs::remove_all(directory_, ignored);
  }
  if (lock_ >= 0)
    ::close(lock_);
}

std::string redis_server::url() const { return "unix://" + socket_path_; }

result<void> redis_server::launch() {
  std::array<int, 2> failed{};
  if (pipe2(failed.data(), O_CLOEXEC) != 0)
    return io(reason(errno));
  const std::string config = directory_ + "/redis.conf";
  std::array<char*, 3> arguments{program_.data(), const_cast<char*>(config.c_str()), nullptr};
  const pid_t parent = getpid();
  const pid_t child = fork();
  if (child < 0) {
    const int why = errno;
    ::close(failed[0]);
    ::close(failed[1]);
    return io(fmt::format("cannot start {}: {}", program_, reason(why)));
  }
  if (child == 0) {
    // Only async-signal-safe calls from here on.
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) // it died before the line above
      _exit(1);
    setsid(); // Ctrl-C in the terminal is for the parent, which drains first
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    for (int s : {SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGCHLD, SIGUSR1, SIGUSR2})
      signal(s, SIG_DFL);
    const int null = ::open("/dev/null", O_RDWR);
    dup2(null, 0);
    dup2(null, 1);
    dup2(null, 2);
    // The parent's sockets must not stay open in the child; failed[1] closes itself at exec.
    close_range(3, ~0u, CLOSE_RANGE_CLOEXEC);
    execv(arguments[0], arguments.data());
    const int why = errno;
    [[maybe_unused]] auto told = ::write(failed[1], &why, sizeof why);
    _exit(127);
  }
  ::close(failed[1]);
  pid_ = child;
  int why = 0;
  ssize_t got;
  do
    got = ::read(failed[0], &why, sizeof why);
  while (got < 0 && errno == EINTR);
  ::close(failed[0]);
  if (got == sizeof why) {
    kill();
    return io(fmt::format("cannot start {}: {}", program_, reason(why)));
  }
  return await_ready();
}

result<void> redis_server::await_ready() {
  const auto until = clock::now() + options_.ready_deadline;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, socket_path_.c_str(), socket_path_.size() + 1);
  while (clock::now() < until) {
    if (!running())
      return io(fmt::format("{} ended at once: {}", program_, log_tail()));
    const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
      return io(reason(errno));
    bool ready = false;
    if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 &&
        ::send(fd, "PING\r\n", 6, MSG_NOSIGNAL) == 6) {
      pollfd wait{fd, POLLIN, 0};
      std::array<char, 64> answer{};
      if (poll(&wait, 1, 200) == 1) {
        const auto n = ::recv(fd, answer.data(), answer.size(), 0);
        const std::string_view text(answer.data(), n > 0 ? static_cast<std::size_t>(n) : 0);
        ready = text.starts_with("+PONG") || text.starts_with("-NOAUTH"); // it answers; loading answers otherwise
      }
    }
    ::close(fd);
    if (ready)
      return {};
    std::this_thread::sleep_for(std::chrono::milliseconds(1)); // the pace of asking, bounded by the deadline
  }
  return io(fmt::format("{} does not answer within {} ms: {}", program_, options_.ready_deadline.count(), log_tail()));
}

std::string redis_server::log_tail() const {
  std::ifstream log(directory_ + "/redis.log");
  std::string line, last;
  while (std::getline(log, line))
    if (!line.empty())
      last = line;
  return last.empty() ? "it wrote no log" : last;
}

bool redis_server::running() {
  if (pid_ <= 0)
    return false;
  int status = 0;
  if (waitpid(pid_, &status, WNOHANG) != pid_)
    return true;
  pid_ = -1;
  return false;
}

void redis_server::kill() {
  if (pid_ <= 0)
    return;
  ::kill(pid_, SIGKILL);
  while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
}

result<void> redis_server::restart() {
  kill();
  ::unlink(socket_path_.c_str());
  return launch();
}

} // namespace weir::embedded
