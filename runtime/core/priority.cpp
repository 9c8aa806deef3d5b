#include "runtime/core/priority.hpp"

#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace weir {
namespace {

constexpr int nicer = 10;

} // namespace

void give_way() {
  // Of this thread alone: Linux keeps the nice value by thread, whatever POSIX says of processes.
  setpriority(PRIO_PROCESS, static_cast<id_t>(syscall(SYS_gettid)), nicer);
}

} // namespace weir
