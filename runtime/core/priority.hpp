// Threads that give way to others.
#pragma once

#include <cstdint>
#include <optional>

namespace weir {

// From now on the calling thread gets the processor mostly when nobody else wants it (nice 10 more than the
// program was started with: about a tenth of the share of a thread that has not called this). For long work that nobody
// waits for by the millisecond. Linux; not called by the first thread. Not undone, and no more by a second call.
void give_way();

// Since the thread's start, nanoseconds.
struct processor_time {
  std::uint64_t ran = 0;    // on a processor
  std::uint64_t waited = 0; // able to run, while others had the processors
};

// Of the calling thread, as the kernel keeps it in /proc/thread-self/schedstat; nothing where there is no such file.
std::optional<processor_time> processor_time_of_thread();

} // namespace weir
