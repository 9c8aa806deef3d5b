#include "cli/commands.hpp"
#include "runtime/config/load.hpp"
#include "runtime/embedded/demo_topology.hpp"
#include "runtime/embedded/proc_sampler.hpp"
#include "runtime/kafka/rd_producer.hpp"

#include <condition_variable>
#include <mutex>
#include <thread>

namespace weir::cli {
namespace {

using namespace std::chrono_literals;

constexpr auto sample_interval = 200ms;

// Samples this machine five times a second and produces what it found.
class feeder final : public companion {
public:
  explicit feeder(std::unique_ptr<kafka::producer> to) : producer_(std::move(to)), thread_([this] { run(); }) {}

  ~feeder() override {
    {
      std::lock_guard lock(mutex_);
      stop_ = true;
    }
    wake_.notify_all();
    thread_.join();
    producer_->flush(1s);
  }

private:
  void run() {
    embedded::proc_sampler sampler;
    auto next = std::chrono::steady_clock::now();
    std::unique_lock lock(mutex_);
    while (!stop_) {
      lock.unlock();
      for (auto& record : sampler.sample())
        producer_->send({std::move(record.topic), std::move(record.key), std::move(record.value), {}, -1, 0},
                        [](result<void> sent) {
                          if (!sent)
                            log::warn("demo", "a record could not be produced", {{"reason", sent.error().message}});
                        });
      lock.lock();
      next += sample_interval;
      wake_.wait_until(lock, next, [this] { return stop_; });
    }
  }

  std::unique_ptr<kafka::producer> producer_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stop_ = false;
  std::thread thread_;
};

} // namespace

int demo(const demo_options& options) {
  log::setup(options.level, options.format);
  load_options load;
  load.sets = options.sets;
  if (!options.listen.empty())
    load.sets.push_back("http.listen=" + options.listen);
  auto loaded = load_topology_text(embedded::demo_topology(), "demo", load);
  for (const auto& p : loaded.problems)
    fmt::print(stderr, "{}\n", to_string(p));
  if (!loaded.ok())
    return exit_config;
  run_options run;
  run.format = options.format;
  run.level = options.level;
  return run_topology(std::move(loaded.value), run, [](const kafka_config& kafka) -> std::unique_ptr<companion> {
    auto producer = kafka::make_producer(kafka);
    if (!producer) {
      log::error("demo", producer.error().message);
      return nullptr;
    }
    return std::make_unique<feeder>(std::move(*producer));
  });
}

} // namespace weir::cli
