#include "runtime/core/priority.hpp"

#include <cerrno>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <thread>
#include <unistd.h>

namespace weir {
namespace {

int niceness() {
  errno = 0;
  const int nice = getpriority(PRIO_PROCESS, static_cast<id_t>(syscall(SYS_gettid)));
  EXPECT_EQ(errno, 0);
  return nice;
}

TEST(priority, of_the_thread_that_gives_way_and_of_no_other) {
  const int before = niceness();
  int there = before;
  std::thread([&] {
    give_way();
    there = niceness();
  }).join();
  EXPECT_GT(there, before);
  EXPECT_EQ(niceness(), before);
}

} // namespace
} // namespace weir
