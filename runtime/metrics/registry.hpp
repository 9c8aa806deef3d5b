// Metrics of one node: thin handles over prometheus-cpp, resolved once by whoever counts and then free of look-ups and
// locks.
//
//   auto read = registry.get(names::records_read, "readings");   // one value for each label of the name, checked at
//   compile time read.add(100);
#pragma once

#include "runtime/metrics/names.hpp"

#include <array>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace weir::metrics {

// Handles are copied freely and used from any thread; valid as long as their registry. A default one counts nowhere.
class counter {
public:
  counter() = default;
  void add(double n = 1); // n >= 0
  double value() const;

private:
  friend class registry;
  void* metric_ = nullptr;
};

class gauge {
public:
  gauge() = default;
  void set(double v);
  void add(double n);
  double value() const;

private:
  friend class registry;
  void* metric_ = nullptr;
};

class histogram {
public:
  histogram() = default;
  void observe(double v);
  void observe(double v, std::size_t times);

private:
  friend class registry;
  void* metric_ = nullptr;
  std::span<const double> bounds_;
};

class registry {
public:
  registry();
  ~registry();
  registry(const registry&) = delete;
  registry& operator=(const registry&) = delete;

  // The same name and values give the same metric. Takes a lock: resolve once, at spawn.
  template <class... Values>
  counter get(const counter_name<sizeof...(Values)>& n, const Values&... values) {
    return find_counter(n.name, n.help, {n.labels.data(), n.labels.size()}, array_of(values...));
  }
  template <class... Values>
  gauge get(const gauge_name<sizeof...(Values)>& n, const Values&... values) {
    return find_gauge(n.name, n.help, {n.labels.data(), n.labels.size()}, array_of(values...));
  }
  template <class... Values>
  histogram get(const histogram_name<sizeof...(Values)>& n, const Values&... values) {
    return find_histogram(n.name, n.help, {n.labels.data(), n.labels.size()}, array_of(values...), n.buckets);
  }

  // Ends a series, as the lag of a partition that moved to another node. Its handles must not be used any more.
  template <class... Values>
  void drop(const gauge_name<sizeof...(Values)>& n, const Values&... values) {
    drop_gauge(n.name, {n.labels.data(), n.labels.size()}, array_of(values...));
  }

  // Runs before each scrape, on the scraping thread: for values that are cheaper to look up than to keep. Must not call
  // the registry.
  void before_scrape(std::function<void()> f);

  // All series in Prometheus' text format. Also refreshes the process' own figures. From any thread.
  std::string scrape();
  static constexpr std::string_view content_type = "text/plain; version=0.0.4; charset=utf-8";

private:
  using texts = std::vector<std::string_view>;
  template <class... Values>
  static texts array_of(const Values&... values) {
    return {std::string_view(values)...};
  }
  counter find_counter(std::string_view name, std::string_view help, std::span<const std::string_view> labels,
                       const texts& values);
  gauge find_gauge(std::string_view name, std::string_view help, std::span<const std::string_view> labels,
                   const texts& values);
  histogram find_histogram(std::string_view name, std::string_view help, std::span<const std::string_view> labels,
                           const texts& values, std::span<const double> buckets);
  void drop_gauge(std::string_view name, std::span<const std::string_view> labels, const texts& values);

  struct impl;
  std::unique_ptr<impl> impl_;
};

} // namespace weir::metrics
