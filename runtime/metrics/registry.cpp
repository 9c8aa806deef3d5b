#include "runtime/metrics/registry.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>
#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>
#include <sys/resource.h>
#include <unistd.h>

namespace weir::metrics {
namespace {

prometheus::Labels pair_up(std::span<const std::string_view> labels, const std::vector<std::string_view>& values) {
  prometheus::Labels out;
  for (std::size_t i = 0; i < labels.size(); ++i)
    out.emplace(labels[i], values[i]);
  return out;
}

double resident_bytes() {
  std::ifstream file("/proc/self/statm");
  double total = 0, resident = 0;
  file >> total >> resident;
  return resident * static_cast<double>(sysconf(_SC_PAGESIZE));
}

double cpu_seconds() {
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}

double open_files() {
  std::error_code failed;
  double n = -1; // the directory's own descriptor
  for (std::filesystem::directory_iterator it("/proc/self/fd", failed), end; !failed && it != end; it.increment(failed))
    ++n;
  return n;
}

// Boot time + start of the process in ticks since boot (field 22 of its stat), as every other exporter of this figure
// has it.
double start_time() {
  std::ifstream stat("/proc/self/stat");
  std::string text((std::istreambuf_iterator<char>(stat)), {});
  const auto after_name = text.rfind(')');
  if (after_name == std::string::npos)
    return 0;
  double ticks = 0;
  const char* p = text.c_str() + after_name + 1;
  for (int field = 3; field <= 22 && *p != '\0'; ++field) {
    while (*p == ' ')
      ++p;
    if (field == 22)
      ticks = std::strtod(p, nullptr);
    while (*p != '\0' && *p != ' ')
      ++p;
  }
  std::ifstream system("/proc/stat");
  std::string word;
  double boot = 0;
  while (system >> word) {
    if (word == "btime") {
      system >> boot;
      break;
    }
  }
  return boot + ticks / static_cast<double>(sysconf(_SC_CLK_TCK));
}

} // namespace

void counter::add(double n) {
  if (metric_)
    static_cast<prometheus::Counter*>(metric_)->Increment(n);
}

double counter::value() const { return metric_ ? static_cast<prometheus::Counter*>(metric_)->Value() : 0; }

void gauge::set(double v) {
  if (metric_)
    static_cast<prometheus::Gauge*>(metric_)->Set(v);
}

void gauge::add(double n) {
  if (metric_)
    static_cast<prometheus::Gauge*>(metric_)->Increment(n);
}

double gauge::value() const { return metric_ ? static_cast<prometheus::Gauge*>(metric_)->Value() : 0; }

void histogram::observe(double v) {
  if (metric_)
    static_cast<prometheus::Histogram*>(metric_)->Observe(v);
}

void histogram::observe(double v, std::size_t times) {
  if (!metric_ || times == 0)
    return;
  std::vector<double> increments(bounds_.size() + 1);
  const auto bucket = std::lower_bound(bounds_.begin(), bounds_.end(), v) - bounds_.begin();
  increments[static_cast<std::size_t>(bucket)] = static_cast<double>(times);
  static_cast<prometheus::Histogram*>(metric_)->ObserveMultiple(increments, v * static_cast<double>(times));
}

struct registry::impl {
  std::mutex mutex; // guards all but what the metrics guard themselves
  prometheus::Registry prometheus{prometheus::Registry::InsertBehavior::Merge};
  std::map<std::string, prometheus::Family<prometheus::Counter>*, std::less<>> counters;
  std::map<std::string, prometheus::Family<prometheus::Gauge>*, std::less<>> gauges;
  std::map<std::string, prometheus::Family<prometheus::Histogram>*, std::less<>> histograms;
  std::vector<std::function<void()>> hooks;
  std::mutex scraping; // one scrape at a time: the hooks and process_cpu's difference need not be re-entrant
  counter cpu;
  gauge memory, fds;

  template <class T, class Builder>
  static prometheus::Family<T>& family(std::map<std::string, prometheus::Family<T>*, std::less<>>& known,
                                       prometheus::Registry& in, Builder build, std::string_view name,
                                       std::string_view help) {
    const auto found = known.find(name);
    if (found != known.end())
      return *found->second;
    auto& made = build().Name(std::string(name)).Help(std::string(help)).Register(in);
    known.emplace(name, &made);
    return made;
  }
};

registry::registry() : impl_(std::make_unique<impl>()) {
  impl_->cpu = get(names::process_cpu);
  impl_->memory = get(names::process_memory);
  impl_->fds = get(names::process_fds);
  get(names::process_start).set(start_time());
  get(names::build_info, WEIR_VERSION).set(1);
}

registry::~registry() = default;

counter registry::find_counter(std::string_view name, std::string_view help, std::span<const std::string_view> labels,
                               const texts& values) {
  std::lock_guard lock(impl_->mutex);
  counter c;
  c.metric_ = &impl::family(impl_->counters, impl_->prometheus, prometheus::BuildCounter, name, help)
                   .Add(pair_up(labels, values));
  return c;
}

gauge registry::find_gauge(std::string_view name, std::string_view help, std::span<const std::string_view> labels,
                           const texts& values) {
  std::lock_guard lock(impl_->mutex);
  gauge g;
  g.metric_ =
      &impl::family(impl_->gauges, impl_->prometheus, prometheus::BuildGauge, name, help).Add(pair_up(labels, values));
  return g;
}

histogram registry::find_histogram(std::string_view name, std::string_view help,
                                   std::span<const std::string_view> labels, const texts& values,
                                   std::span<const double> bounds) {
  std::lock_guard lock(impl_->mutex);
  histogram h;
  h.bounds_ = bounds;
  h.metric_ = &impl::family(impl_->histograms, impl_->prometheus, prometheus::BuildHistogram, name, help)
                   .Add(pair_up(labels, values), prometheus::Histogram::BucketBoundaries(bounds.begin(), bounds.end()));
  return h;
}

void registry::drop_gauge(std::string_view name, std::span<const std::string_view> labels, const texts& values) {
  std::lock_guard lock(impl_->mutex);
  const auto family = impl_->gauges.find(name);
  if (family == impl_->gauges.end())
    return;
  const auto wanted = pair_up(labels, values);
  if (family->second->Has(wanted))
    family->second->Remove(&family->second->Add(wanted));
}

void registry::before_scrape(std::function<void()> f) {
  std::lock_guard lock(impl_->mutex);
  impl_->hooks.push_back(std::move(f));
}

std::string registry::scrape() {
  std::lock_guard one(impl_->scraping);
  std::vector<std::function<void()>> hooks;
  {
    std::lock_guard lock(impl_->mutex);
    hooks = impl_->hooks;
  }
  for (const auto& hook : hooks)
    hook();
  if (const double used = cpu_seconds() - impl_->cpu.value(); used > 0)
    impl_->cpu.add(used);
  impl_->memory.set(resident_bytes());
  impl_->fds.set(open_files());
  return prometheus::TextSerializer().Serialize(impl_->prometheus.Collect());
}

} // namespace weir::metrics
