#include "runtime/embedded/proc_sampler.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <dirent.h>
#include <fmt/format.h>
#include <fstream>
#include <memory>
#include <sstream>
#include <tuple>
#include <unistd.h>

namespace weir::embedded {
namespace {

constexpr std::string_view machine_topic = "machine", process_topic = "processes";
constexpr std::size_t most_disks = 16, most_links = 16;
constexpr double kib_per_mb = 1024, sector_bytes = 512; // the kernel counts 512-byte sectors whatever the disk has

std::optional<std::string> read_all(const std::string& path) {
  std::ifstream in(path);
  if (!in)
    return std::nullopt;
  std::ostringstream out;
  out << in.rdbuf();
  return std::move(out).str();
}

// One decimal is enough for people, and keeps equal values equal.
double tenth(double v) { return std::isfinite(v) ? std::round(v * 10) / 10 : 0; }

// Names come from files: they may hold any byte. (Not called quoted: std::quoted would be found by the argument, and on
// newer libraries preferred.)
std::string in_quotes(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\')
      out += fmt::format("\\{}", c);
    else if (byte < 0x20 || byte >= 0x7f)
      out += '?';
    else
      out += c;
  }
  return out + '"';
}

// "since" may be later than "now" when counters start again (a reset link, a disk that came back): then there is no
// rate.
double rate(std::uint64_t before, std::uint64_t now, double seconds) {
  return now >= before && seconds > 0 ? static_cast<double>(now - before) / seconds : 0;
}

demo_record machine(std::string key, std::string value) {
  return {std::string(machine_topic), std::move(key), std::move(value)};
}

struct process {
  std::int64_t pid = 0;
  std::string name;
  double cpu = 0, rss_mb = 0;
};

} // namespace

proc_sampler::proc_sampler(std::string proc_root, std::size_t processes)
    : root_(std::move(proc_root)), most_(processes), ticks_per_s_(static_cast<double>(sysconf(_SC_CLK_TCK))),
      page_mb_(static_cast<double>(sysconf(_SC_PAGESIZE)) / 1024 / 1024) {}

std::vector<demo_record> proc_sampler::sample() {
  using namespace std::chrono;
  return sample(duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count(),
                duration_cast<microseconds>(steady_clock::now().time_since_epoch()).count());
}

std::vector<demo_record> proc_sampler::sample(std::int64_t now_ms, std::int64_t monotonic_us) {
  const double seconds = last_us_ < 0 ? 0 : static_cast<double>(monotonic_us - last_us_) / 1e6;
  last_us_ = monotonic_us;
  std::vector<demo_record> out;
  cpus(out, now_ms);
  memory(out, now_ms);
  load(out, now_ms);
  disks(out, now_ms, seconds);
  networks(out, now_ms, seconds);
  busiest(out, now_ms, seconds);
  return out;
}

void proc_sampler::cpus(std::vector<demo_record>& out, std::int64_t now_ms) {
  const auto text = read_all(root_ + "/stat");
  if (!text)
    return;
  std::istringstream lines(*text);
  std::size_t cores = 0;
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string name;
    words >> name;
    if (name.size() < 4 || !name.starts_with("cpu"))
      continue;
    ++cores;
    std::array<std::uint64_t, 8> t{}; // user nice system idle iowait irq softirq steal
    for (auto& v : t)
      words >> v;
    const cpu_times now{t[0] + t[1], t[2] + t[5] + t[6] + t[7], t[3] + t[4]};
    auto [at, fresh] = cpu_before_.try_emplace(name, now);
    const auto before = at->second;
    at->second = now;
    const auto user = rate(before.user, now.user, 1), system = rate(before.system, now.system, 1),
               idle = rate(before.idle, now.idle, 1);
    const auto all = std::max(user + system + idle, 1.0);
    out.push_back(machine(name, fmt::format(R"({{"kind":"cpu","name":"{}","busy":{},"user":{},"system":{},"ts":{}}})",
                                            name, tenth(100 * (user + system) / all), tenth(100 * user / all),
                                            tenth(100 * system / all), now_ms)));
  }
  cores_ = std::max<std::size_t>(cores, 1);
}

void proc_sampler::memory(std::vector<demo_record>& out, std::int64_t now_ms) {
  const auto text = read_all(root_ + "/meminfo");
  if (!text)
    return;
  std::map<std::string, double> kib;
  std::istringstream lines(*text);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string name;
    double value = 0;
    if (words >> name >> value)
      kib[name] = value;
  }
  const auto total = kib["MemTotal:"], available = kib["MemAvailable:"];
  if (total <= 0)
    return;
  const auto used = std::max(total - available, 0.0);
  out.push_back(machine(
      "memory",
      fmt::format(
          R"({{"kind":"memory","name":"memory","busy":{},"total_mb":{},"used_mb":{},"available_mb":{},"swap_used_mb":{},"ts":{}}})",
          tenth(100 * used / total), tenth(total / kib_per_mb), tenth(used / kib_per_mb), tenth(available / kib_per_mb),
          tenth(std::max(kib["SwapTotal:"] - kib["SwapFree:"], 0.0) / kib_per_mb), now_ms)));
}

void proc_sampler::load(std::vector<demo_record>& out, std::int64_t now_ms) {
  const auto text = read_all(root_ + "/loadavg");
  if (!text)
    return;
  std::istringstream words(*text);
  double one = 0, five = 0, fifteen = 0;
  std::uint64_t running = 0;
  if (!(words >> one >> five >> fifteen >> running))
    return;
  const auto busy = std::min(100.0, 100 * one / static_cast<double>(cores_));
  out.push_back(machine(
      "load",
      fmt::format(R"({{"kind":"load","name":"load","busy":{},"one":{},"five":{},"fifteen":{},"running":{},"ts":{}}})",
                  tenth(busy), one, five, fifteen, running, now_ms)));
}

void proc_sampler::disks(std::vector<demo_record>& out, std::int64_t now_ms, double seconds) {
  const auto text = read_all(root_ + "/diskstats");
  if (!text)
    return;
  std::istringstream lines(*text);
  std::vector<std::string> seen;
  for (std::string line; std::getline(lines, line) && seen.size() < most_disks;) {
    std::istringstream words(line);
    std::uint64_t major = 0, minor = 0;
    std::string name;
    std::array<std::uint64_t, 10> t{}; // reads merged sectors ms, writes merged sectors ms, in flight, ms busy
    if (!(words >> major >> minor >> name))
      continue;
    for (auto& v : t)
      words >> v;
    const auto made_up = [&](std::string_view prefix) { return name.starts_with(prefix); };
    if (t[0] + t[4] == 0 || made_up("loop") || made_up("ram") || made_up("dm-") || made_up("zram") || made_up("sr"))
      continue;
    // The kernel lists a disk before its partitions, whose names begin with its own.
    if (std::any_of(seen.begin(), seen.end(), [&](const std::string& disk) {
          const auto rest = name.starts_with(disk) ? name.substr(disk.size()) : std::string{};
          return !rest.empty() && rest.find_first_not_of("p0123456789") == rest.npos;
        }))
      continue;
    seen.push_back(name);
    const byte_counts now{t[2], t[6], t[9]};
    auto [at, fresh] = disk_before_.try_emplace(name, now);
    const auto before = at->second;
    at->second = now;
    out.push_back(machine(
        "disk:" + name,
        fmt::format(R"({{"kind":"disk","name":{},"busy":{},"read_bytes_s":{:.0f},"write_bytes_s":{:.0f},"ts":{}}})",
                    in_quotes(name), tenth(std::min(100.0, rate(before.busy_ms, now.busy_ms, seconds) / 10)),
                    rate(before.in, now.in, seconds) * sector_bytes, rate(before.out, now.out, seconds) * sector_bytes,
                    now_ms)));
  }
}

void proc_sampler::networks(std::vector<demo_record>& out, std::int64_t now_ms, double seconds) {
  // "net" is a link to the own process's: that of the network namespace we are in.
  const auto text = read_all(root_ + "/net/dev");
  if (!text)
    return;
  std::istringstream lines(*text);
  std::size_t count = 0;
  for (std::string line; std::getline(lines, line) && count < most_links;) {
    const auto colon = line.find(':');
    if (colon == line.npos)
      continue;
    auto name = line.substr(0, colon);
    name.erase(0, name.find_first_not_of(' '));
    std::istringstream words(line.substr(colon + 1));
    std::array<std::uint64_t, 9> t{}; // bytes packets errs drop fifo frame compressed multicast, bytes
    for (auto& v : t)
      words >> v;
    ++count;
    const byte_counts now{t[0], t[8], 0};
    auto [at, fresh] = net_before_.try_emplace(name, now);
    const auto before = at->second;
    at->second = now;
    out.push_back(machine(
        "net:" + name,
        fmt::format(R"({{"kind":"net","name":{},"busy":0,"in_bytes_s":{:.0f},"out_bytes_s":{:.0f},"ts":{}}})",
                    in_quotes(name), rate(before.in, now.in, seconds), rate(before.out, now.out, seconds), now_ms)));
  }
}

void proc_sampler::busiest(std::vector<demo_record>& out, std::int64_t now_ms, double seconds) {
  const std::unique_ptr<DIR, int (*)(DIR*)> folder{opendir(root_.c_str()), closedir};
  if (!folder)
    return;
  std::map<std::int64_t, std::uint64_t> now;
  std::vector<process> list;
  while (const auto* entry = readdir(folder.get())) {
    char* end = nullptr;
    const std::int64_t pid = std::strtoll(entry->d_name, &end, 10);
    if (pid <= 0 || *end != '\0')
      continue;
    const auto text = read_all(fmt::format("{}/{}/stat", root_, pid));
    if (!text)
      continue; // it ended meanwhile
    // The name is in parentheses and may hold any of the characters that separate fields.
    const auto open = text->find('('), close = text->rfind(')');
    if (open == text->npos || close == text->npos || close < open)
      continue;
    std::istringstream words(text->substr(close + 1));
    std::vector<std::string> fields; // from field 3 (state) on
    for (std::string word; fields.size() < 22 && words >> word;)
      fields.push_back(word);
    if (fields.size() < 22)
      continue;
    const auto ticks = std::strtoull(fields[11].c_str(), nullptr, 10) + std::strtoull(fields[12].c_str(), nullptr, 10);
    now[pid] = ticks;
    const auto before = process_before_.find(pid);
    if (before == process_before_.end())
      continue; // no rate yet
    list.push_back({pid, text->substr(open + 1, close - open - 1),
                    100 * rate(before->second, ticks, seconds) / ticks_per_s_,
                    std::strtod(fields[21].c_str(), nullptr) * page_mb_});
  }
  process_before_ = std::move(now);
  const auto count = std::min(most_, list.size());
  std::partial_sort(list.begin(), list.begin() + static_cast<std::ptrdiff_t>(count), list.end(),
                    [&](const process& a, const process& b) {
                      // Among equally busy ones those that are shown stay, so that the list does not flicker.
                      const bool shown_a = shown_.contains(a.pid), shown_b = shown_.contains(b.pid);
                      return std::tuple(-tenth(a.cpu), !shown_a, -a.rss_mb, a.pid) <
                             std::tuple(-tenth(b.cpu), !shown_b, -b.rss_mb, b.pid);
                    });
  list.resize(count);
  std::set<std::int64_t> shown;
  for (const auto& p : list) {
    shown.insert(p.pid);
    out.push_back({std::string(process_topic), std::to_string(p.pid),
                   fmt::format(R"({{"pid":{},"name":{},"cpu":{},"rss_mb":{},"ts":{}}})", p.pid, in_quotes(p.name),
                               tenth(p.cpu), tenth(p.rss_mb), now_ms)});
  }
  for (const auto pid : shown_)
    if (!shown.contains(pid))
      out.push_back({std::string(process_topic), std::to_string(pid), std::nullopt});
  shown_ = std::move(shown);
}

} // namespace weir::embedded
