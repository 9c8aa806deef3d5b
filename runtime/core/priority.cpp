#include "runtime/core/priority.hpp"

#include <charconv>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace weir {
namespace {

constexpr int nicer = 10;

} // namespace

void give_way() {
  // Of this thread alone: Linux keeps the nice value by thread, whatever POSIX says of processes. The first thread has
  // the one that the program was started with.
  const int program = getpriority(PRIO_PROCESS, static_cast<id_t>(getpid()));
  setpriority(PRIO_PROCESS, static_cast<id_t>(syscall(SYS_gettid)), program + nicer); // the kernel ends it at 19
}

std::optional<processor_time> processor_time_of_thread() {
  const int file = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
  if (file < 0)
    return std::nullopt;
  char text[128]; // "<ran> <waited> <how often it ran>"
  const auto size = read(file, text, sizeof text);
  close(file);
  if (size <= 0)
    return std::nullopt;
  const auto* end = text + size;
  processor_time t;
  const auto ran = std::from_chars(text, end, t.ran);
  if (ran.ec != std::errc{} || ran.ptr == end || std::from_chars(ran.ptr + 1, end, t.waited).ec != std::errc{})
    return std::nullopt;
  return t;
}

} // namespace weir
