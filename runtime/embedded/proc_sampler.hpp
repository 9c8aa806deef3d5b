// This machine's own load, read from /proc, as records for `weir demo`.
//
// Topic "machine", key = name of the thing, value a JSON object with "kind", "name", "busy" and "ts" (milliseconds
// since 1970), and besides:
//
//   cpu0      kind cpu: user, system; all three in percent of that core since the last sample
//   memory    kind memory: busy in percent; total_mb, used_mb, available_mb, swap_used_mb
//   load      kind load: busy in percent of all cores, by one; one, five, fifteen, running
//   disk:vda  kind disk, name vda: busy in percent of the time; read_bytes_s, write_bytes_s; whole disks, no partitions
//   net:eth0  kind net, name eth0: busy always 0, a link's rate is not known; in_bytes_s, out_bytes_s
//
// Topic "processes", key = pid, value {"pid":1,"name":"init","cpu":0.3,"rss_mb":11.2,"ts":...}; cpu is percent of one
// core since the last sample. The busiest ten; no value (a tombstone) when a process leaves that list.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace weir::embedded {

struct demo_record {
  std::string topic;
  std::string key;
  std::optional<std::string> value; // none: a tombstone
};

// Used by one thread. What cannot be read (a container's /proc lacks much) is left out.
class proc_sampler {
public:
  explicit proc_sampler(std::string proc_root = "/proc", std::size_t processes = 10);

  // The first call has no rates to give: rates and percentages are 0 in it, and there are no processes.
  std::vector<demo_record> sample();
  // With the clocks given, for tests: `now_ms` since 1970, `monotonic_us` for rates.
  std::vector<demo_record> sample(std::int64_t now_ms, std::int64_t monotonic_us);

private:
  struct cpu_times {
    std::uint64_t user = 0, system = 0, idle = 0; // clock ticks
  };
  struct byte_counts {
    std::uint64_t in = 0, out = 0, busy_ms = 0;
  };

  void cpus(std::vector<demo_record>& out, std::int64_t now_ms);
  void memory(std::vector<demo_record>& out, std::int64_t now_ms);
  void load(std::vector<demo_record>& out, std::int64_t now_ms);
  void disks(std::vector<demo_record>& out, std::int64_t now_ms, double seconds);
  void networks(std::vector<demo_record>& out, std::int64_t now_ms, double seconds);
  void busiest(std::vector<demo_record>& out, std::int64_t now_ms, double seconds);

  std::string root_;
  std::size_t most_;
  double ticks_per_s_, page_mb_;
  std::int64_t last_us_ = -1;
  std::map<std::string, cpu_times> cpu_before_;
  std::map<std::string, byte_counts> disk_before_, net_before_;
  std::map<std::int64_t, std::uint64_t> process_before_; // pid -> ticks
  std::set<std::int64_t> shown_;
  std::size_t cores_ = 1;
};

} // namespace weir::embedded
