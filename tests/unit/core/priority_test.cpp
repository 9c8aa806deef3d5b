#include "runtime/core/priority.hpp"

#include <algorithm>
#include <barrier>
#include <cerrno>
#include <gtest/gtest.h>
#include <sched.h>
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
    give_way(); // no further
    there = niceness();
  }).join();
  EXPECT_EQ(there, std::min(before + 10, 19)) << "also in a program that was started with a nice value";
  EXPECT_EQ(niceness(), before);
}

// Two of one core's threads at once: each of them waits for about as long as it runs.
TEST(priority, says_how_long_a_thread_ran_and_how_long_it_waited) {
  cpu_set_t all, one;
  ASSERT_EQ(sched_getaffinity(0, sizeof all, &all), 0);
  CPU_ZERO(&one);
  for (int cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&one) == 0; ++cpu)
    if (CPU_ISSET(cpu, &all))
      CPU_SET(cpu, &one);
  std::optional<processor_time> of[2];
  std::barrier together(2);
  const auto work = [&](std::size_t who) {
    sched_setaffinity(0, sizeof one, &one);
    together.arrive_and_wait();
    do
      of[who] = processor_time_of_thread();
    while (of[who] && of[who]->ran < 100'000'000);
  };
  std::thread a(work, 0), b(work, 1);
  a.join();
  b.join();
  ASSERT_TRUE(of[0] && of[1]) << "no /proc/thread-self/schedstat";
  EXPECT_GE(of[0]->ran, 100'000'000u);
  EXPECT_GE(of[1]->ran, 100'000'000u);
  EXPECT_GT(of[0]->waited + of[1]->waited, 80'000'000u);
}

} // namespace
} // namespace weir
