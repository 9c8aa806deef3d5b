#include "cli/interruption.hpp"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <system_error>
#include <unistd.h>

namespace weir::cli {
namespace {

constexpr int gone = POLLERR | POLLHUP | POLLNVAL;

int checked(int fd) {
  if (fd < 0)
    throw std::system_error(errno, std::generic_category(), "no descriptor to wait for signals");
  return fd;
}

void raise_event(int fd) {
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = ::write(fd, &one, sizeof one); // the counter is never full
}

sigset_t ending_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  return set;
}

} // namespace

interruption::interruption() {
  const auto signals = ending_signals();
  pthread_sigmask(SIG_BLOCK, &signals, &before_);
  std::signal(SIGPIPE, SIG_IGN);
  signal_fd_ = checked(signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
  happened_fd_ = checked(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  end_fd_ = checked(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  watcher_ = std::thread([this] { watch(); });
}

interruption::~interruption() {
  raise_event(end_fd_);
  watcher_.join();
  for (const int fd : {signal_fd_, happened_fd_, end_fd_})
    ::close(fd);
  pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

void interruption::watch() {
  // No event is asked for on the output: an error alone is told, which is what a pipe without a reader has.
  pollfd fds[] = {{signal_fd_, POLLIN, 0}, {STDOUT_FILENO, 0, 0}, {end_fd_, POLLIN, 0}};
  int most_ms = -1; // until the destructor says so
  for (;;) {
    const int ready = ::poll(fds, std::size(fds), most_ms);
    if (ready == 0) {
      const auto signals = ending_signals();
      pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
      most_ms = -1;
    }
    if (ready <= 0)
      continue;
    if (fds[2].revents != 0)
      return;
    // Only the first signal is a wish: a second later this thread takes the next one by its default, which ends the
    // process. Not at once, since some senders send twice, to a process and to its group.
    if (fds[0].revents != 0) {
      signalfd_siginfo first;
      [[maybe_unused]] const auto taken = ::read(signal_fd_, &first, sizeof first);
      fds[0].fd = -1;
      most_ms = 1'000;
    }
    if ((fds[1].revents & gone) != 0)
      fds[1].fd = -1;
    happened_ = true;
    raise_event(happened_fd_);
  }
}

bool interruption::sleep(std::chrono::milliseconds time) const {
  using clock = std::chrono::steady_clock;
  const auto until = clock::now() + time;
  while (!happened_) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - clock::now()).count();
    if (left <= 0)
      return true;
    pollfd fd{happened_fd_, POLLIN, 0};
    ::poll(&fd, 1, static_cast<int>(std::min<std::int64_t>(left, INT_MAX)));
  }
  return false;
}

result<bool> interruption::write(std::string_view text) const {
  while (!text.empty()) {
    // A pipe that can be written takes so many bytes without blocking, which no signal would end.
    pollfd fds[] = {{STDOUT_FILENO, POLLOUT, 0}, {happened_fd_, POLLIN, 0}};
    if (::poll(fds, std::size(fds), -1) < 0) // as long as the reader wishes, or until interrupted
      continue;
    // Lines are not cut in two where the reader takes them.
    if (happened_ && (fds[0].revents & (POLLOUT | gone)) == 0)
      return false;
    const auto written = ::write(STDOUT_FILENO, text.data(), std::min<std::size_t>(text.size(), PIPE_BUF));
    if (written >= 0)
      text.remove_prefix(static_cast<std::size_t>(written));
    else if (errno == EPIPE)
      return false;
    else if (errno != EINTR && errno != EAGAIN)
      return fail(ec::io, std::string("can't write to standard output: ") + std::strerror(errno));
  }
  return true;
}

} // namespace weir::cli
