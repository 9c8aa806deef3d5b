#include "runtime/embedded/proc_sampler.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

namespace weir::embedded {
namespace {

using nlohmann::json;

// A /proc of files that the test writes.
class proc_sampler_test : public ::testing::Test {
protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "weir-proc-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    root = pattern;
    write("stat",
          "cpu  200 0 100 700 0 0 0 0 0 0\ncpu0 100 0 50 350 0 0 0 0 0 0\ncpu1 100 0 50 350 0 0 0 0 0 0\nintr 1\n");
    write("meminfo", "MemTotal:        2048000 kB\nMemFree:          512000 kB\nMemAvailable:    1024000 "
                     "kB\nSwapTotal: 1024 kB\nSwapFree: 0 kB\n");
    write("loadavg", "0.50 0.25 0.10 3/200 4242\n");
    write("diskstats", " 254 0 vda 10 0 1000 5 20 0 2000 9 0 100 0\n 254 1 vda1 9 0 900 5 20 0 2000 9 0 100 0\n 7 0 "
                       "loop0 5 0 50 1 0 0 0 0 0 1 0\n"
                       " 259 0 nvme0n1 1 0 8 1 0 0 0 0 0 1 0\n 259 1 nvme0n1p1 1 0 8 1 0 0 0 0 0 1 0\n 254 16 vdb 0 0 "
                       "0 0 0 0 0 0 0 0 0\n");
    write("net/dev", "Inter-|   Receive                                                |  Transmit\n"
                     " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop "
                     "fifo colls carrier compressed\n"
                     "    lo: 1000 1 0 0 0 0 0 0 1000 1 0 0 0 0 0 0\n  eth0:5000 1 0 0 0 0 0 0 7000 1 0 0 0 0 0 0\n");
  }
  void TearDown() override { std::filesystem::remove_all(root); }

  void write(const std::string& name, const std::string& text) {
    const auto path = std::filesystem::path(root) / name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << text;
  }
  void process(int pid, const std::string& name, std::uint64_t ticks, int pages = 256) {
    write(std::to_string(pid) + "/stat", std::to_string(pid) + " (" + name + ") S 1 1 1 0 -1 0 0 0 0 0 " +
                                             std::to_string(ticks) + " 0 0 0 20 0 1 0 100 1000000 " +
                                             std::to_string(pages) + " 0 0 0\n");
  }
  void end_process(int pid) { std::filesystem::remove_all(std::filesystem::path(root) / std::to_string(pid)); }

  static const demo_record* find(const std::vector<demo_record>& in, const std::string& topic, const std::string& key) {
    const auto at =
        std::find_if(in.begin(), in.end(), [&](const demo_record& r) { return r.topic == topic && r.key == key; });
    return at == in.end() ? nullptr : &*at;
  }
  static json value(const std::vector<demo_record>& in, const std::string& topic, const std::string& key) {
    const auto* r = find(in, topic, key);
    EXPECT_TRUE(r && r->value) << topic << " " << key;
    return r && r->value ? json::parse(*r->value) : json{};
  }

  std::string root;
};

TEST_F(proc_sampler_test, every_record_of_a_machine_names_its_kind_itself_and_its_time) {
  proc_sampler sampler(root);
  const auto got = sampler.sample(1'700'000'000'123, 0);
  for (const auto* key : {"cpu0", "cpu1", "memory", "load", "disk:vda", "net:lo", "net:eth0"}) {
    const auto v = value(got, "machine", key);
    EXPECT_EQ(v["ts"], 1'700'000'000'123) << key;
    EXPECT_TRUE(v["kind"].is_string() && v["name"].is_string() && v["busy"].is_number()) << key;
  }
  EXPECT_EQ(value(got, "machine", "disk:vda")["name"], "vda");
}

TEST_F(proc_sampler_test, cores_are_busy_by_what_they_did_since_the_last_sample) {
  proc_sampler sampler(root);
  auto got = sampler.sample(0, 0);
  EXPECT_EQ(value(got, "machine", "cpu0")["busy"], 0);
  write("stat", "cpu0 130 0 60 410 0 0 0 0\ncpu1 100 0 50 450 0 0 0 0\n");
  got = sampler.sample(200, 200'000);
  EXPECT_EQ(value(got, "machine", "cpu0")["user"], 30);
  EXPECT_EQ(value(got, "machine", "cpu0")["system"], 10);
  EXPECT_EQ(value(got, "machine", "cpu0")["busy"], 40);
  EXPECT_EQ(value(got, "machine", "cpu1")["busy"], 0);
}

TEST_F(proc_sampler_test, memory_and_load_are_as_the_kernel_says) {
  proc_sampler sampler(root);
  const auto got = sampler.sample(0, 0);
  const auto m = value(got, "machine", "memory");
  EXPECT_EQ(m["total_mb"], 2000);
  EXPECT_EQ(m["used_mb"], 1000);
  EXPECT_EQ(m["busy"], 50);
  EXPECT_EQ(m["swap_used_mb"], 1);
  const auto l = value(got, "machine", "load");
  EXPECT_EQ(l["one"], 0.5);
  EXPECT_EQ(l["running"], 3);
  EXPECT_EQ(l["busy"], 25) << "of two cores";
}

TEST_F(proc_sampler_test, disks_and_links_have_rates_and_partitions_and_idle_disks_are_left_out) {
  proc_sampler sampler(root);
  auto got = sampler.sample(0, 0);
  EXPECT_TRUE(find(got, "machine", "disk:nvme0n1"));
  for (const auto* key : {"disk:vda1", "disk:loop0", "disk:nvme0n1p1", "disk:vdb"})
    EXPECT_FALSE(find(got, "machine", key)) << key;
  write("diskstats", " 254 0 vda 10 0 1010 5 20 0 2020 9 0 600 0\n");
  write("net/dev", "  eth0: 7000 1 0 0 0 0 0 0 7500 1 0 0 0 0 0 0\n");
  got = sampler.sample(2000, 2'000'000);
  EXPECT_EQ(value(got, "machine", "disk:vda")["read_bytes_s"], 10 * 512 / 2);
  EXPECT_EQ(value(got, "machine", "disk:vda")["write_bytes_s"], 20 * 512 / 2);
  EXPECT_EQ(value(got, "machine", "disk:vda")["busy"], 25);
  EXPECT_EQ(value(got, "machine", "net:eth0")["in_bytes_s"], 1000);
  EXPECT_EQ(value(got, "machine", "net:eth0")["out_bytes_s"], 250);
  write("net/dev", "  eth0: 5 1 0 0 0 0 0 0 5 1 0 0 0 0 0 0\n");
  EXPECT_EQ(value(sampler.sample(3000, 3'000'000), "machine", "net:eth0")["in_bytes_s"], 0)
      << "a counter that started again";
}

TEST_F(proc_sampler_test, the_busiest_processes_are_listed_and_those_that_leave_get_a_tombstone) {
  proc_sampler sampler(root, 2);
  process(10, "idle", 100);
  process(11, "busy", 100);
  process(12, "half) (odd \"name\\", 100, 512);
  auto got = sampler.sample(0, 0);
  EXPECT_TRUE(std::none_of(got.begin(), got.end(), [](const demo_record& r) { return r.topic == "processes"; }))
      << "no rates yet";
  const auto hz = static_cast<std::uint64_t>(sysconf(_SC_CLK_TCK));
  process(11, "busy", 100 + hz);
  process(12, "half) (odd \"name\\", 100 + hz / 2, 512);
  got = sampler.sample(1000, 1'000'000);
  EXPECT_FALSE(find(got, "processes", "10"));
  EXPECT_EQ(value(got, "processes", "11")["cpu"], 100);
  const auto odd = value(got, "processes", "12");
  EXPECT_EQ(odd["cpu"], 50);
  EXPECT_EQ(odd["pid"], 12);
  EXPECT_EQ(odd["name"], "half) (odd \"name\\");
  EXPECT_EQ(odd["rss_mb"], std::round(512.0 * static_cast<double>(sysconf(_SC_PAGESIZE)) / 1024 / 1024 * 10) / 10);
  end_process(11);
  process(10, "idle", 101);
  got = sampler.sample(2000, 2'000'000);
  const auto* gone = find(got, "processes", "11");
  ASSERT_TRUE(gone);
  EXPECT_FALSE(gone->value);
  EXPECT_TRUE(find(got, "processes", "10")->value);
  got = sampler.sample(3000, 3'000'000);
  EXPECT_FALSE(find(got, "processes", "11")) << "one tombstone is enough";
}

TEST_F(proc_sampler_test, what_cannot_be_read_is_left_out) {
  proc_sampler nothing(root + "/absent");
  EXPECT_TRUE(nothing.sample(0, 0).empty());
  write("stat", "garbage\n\xff\xfe");
  write("meminfo", "MemTotal: none\n");
  write("loadavg", "");
  write("diskstats", "x\n");
  write("net/dev", "a\n");
  write("77/stat", "77 (cut");
  proc_sampler sampler(root);
  sampler.sample(0, 0);
  EXPECT_TRUE(sampler.sample(1, 1).empty());
}

TEST(proc_sampler, reads_this_machine) {
  proc_sampler sampler;
  sampler.sample();
  const auto got = sampler.sample();
  EXPECT_FALSE(got.empty());
  for (const auto& r : got) {
    if (r.value) {
      EXPECT_TRUE(json::accept(*r.value)) << *r.value;
    }
  }
}

} // namespace
} // namespace weir::embedded
