// How many rows per second does one writer link bring into Redis, transaction by transaction through the apply script?
//
//   redis_apply [rows=1250] [bytes=200] [buckets=16] [in flight=1] [seconds=3]
//
// On a private redis-server with AOF everysec. Prints rows/s and CPU seconds of both processes per million rows, first
// for the ceiling beside it: the same rows as plain HSETs in a pipeline, without chain, versions, change log or
// positions.
#include "runtime/core/log.hpp"
#include "runtime/core/reactor.hpp"
#include "runtime/embedded/redis_server.hpp"
#include "runtime/redis/connection.hpp"
#include "runtime/redis/layout.hpp"
#include "runtime/redis/redis_store.hpp"
#include "runtime/redis/tx_command.hpp"

#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <fmt/format.h>
#include <fstream>
#include <functional>
#include <future>
#include <map>
#include <mutex>
#include <sys/resource.h>
#include <unistd.h>

namespace {

using namespace weir;
using namespace weir::redis;
using seconds = std::chrono::duration<double>;

double cpu_seconds() {
  rusage own{};
  getrusage(RUSAGE_SELF, &own);
  return static_cast<double>(own.ru_utime.tv_sec + own.ru_stime.tv_sec) +
         1e-6 * static_cast<double>(own.ru_utime.tv_usec + own.ru_stime.tv_usec);
}

double cpu_seconds(pid_t pid) {
  std::ifstream in(fmt::format("/proc/{}/stat", pid));
  std::string word;
  double ticks = 0;
  for (int i = 1; i <= 15 && in >> word; ++i) // the program's name has no blank
    if (i >= 14)
      ticks += std::strtod(word.c_str(), nullptr);
  return ticks / static_cast<double>(sysconf(_SC_CLK_TCK));
}

// Keeps `depth` calls of `submit` in flight for a while; submit calls back with whether it went well.
struct figures {
  double rows_per_second, own_cpu, server_cpu; // CPU seconds per million rows
  std::uint64_t failed;
};

figures measure(std::uint64_t rows, std::uint64_t depth, seconds span, pid_t server,
                const std::function<void(std::function<void(bool)>)>& submit) {
  std::mutex mutex;
  std::condition_variable answered;
  std::uint64_t in_flight = 0, done = 0, failed = 0;
  const auto begun = std::chrono::steady_clock::now();
  const auto own = cpu_seconds(), theirs = cpu_seconds(server);
  while (std::chrono::steady_clock::now() - begun < span) {
    {
      std::unique_lock lock(mutex);
      answered.wait(lock, [&] { return in_flight < depth; });
      ++in_flight;
    }
    submit([&](bool well) {
      std::lock_guard lock(mutex);
      --in_flight;
      ++done;
      failed += !well;
      answered.notify_one();
    });
  }
  std::unique_lock lock(mutex);
  answered.wait(lock, [&] { return in_flight == 0; });
  const auto all = static_cast<double>(done * rows);
  return {all / seconds(std::chrono::steady_clock::now() - begun).count(), (cpu_seconds() - own) / all * 1e6,
          (cpu_seconds(server) - theirs) / all * 1e6, failed};
}

void print(std::string_view what, const figures& f) {
  fmt::print("{:28} {:>9.0f} rows/s   CPU s per million rows: own {:.2f}, Redis {:.2f}{}\n", what, f.rows_per_second,
             f.own_cpu, f.server_cpu, f.failed ? fmt::format("   FAILED: {}", f.failed) : "");
}

std::uint64_t argument(int argc, char** argv, int i, std::uint64_t otherwise) {
  return argc > i ? std::strtoull(argv[i], nullptr, 10) : otherwise;
}

} // namespace

int main(int argc, char** argv) {
  log::setup(log::level::warn, log::format::text);
  const auto rows = argument(argc, argv, 1, 1250), bytes = argument(argc, argv, 2, 200);
  const auto buckets = static_cast<std::uint32_t>(argument(argc, argv, 3, 16));
  const auto depth = argument(argc, argv, 4, 1);
  const seconds span(static_cast<double>(argument(argc, argv, 5, 3)));

  auto server = embedded::redis_server::start({.config_lines = {"appendonly yes", "appendfsync everysec"}});
  if (!server) {
    fmt::print(stderr, "{}\n", server.error().message);
    return 1;
  }
  reactor loop("redis");
  loop.start();
  redis_config config;
  config.url = (*server)->url();
  config.connections = 1;
  auto made = make_redis_store(config, {&loop});
  if (!made) {
    fmt::print(stderr, "{}\n", made.error().message);
    return 1;
  }
  auto& store = **made;
  const partition_key partition{"bench", "s", partition_id{0}};
  std::promise<result<partition_state>> claimed;
  store.claim({partition, "bench", -1, {}}, [&](auto r) { claimed.set_value(std::move(r)); });
  auto head = claimed.get_future().get();
  std::promise<void> up;
  std::atomic<bool> told{false};
  store.writer(0).on_state([&](link_state s) {
    if (s == link_state::up && !told.exchange(true))
      up.set_value();
  });
  up.get_future().wait();

  // Ten sets of rows over 10 times as many keys; each transaction rewrites one set.
  std::vector<std::shared_ptr<change_set>> sets;
  for (std::uint64_t s = 0; s < 10; ++s) {
    auto set = std::make_shared<change_set>();
    for (std::uint64_t i = 0; i < rows; ++i)
      set->rows.push_back({fmt::format("machine-{}", s * rows + i),
                           std::make_shared<const std::string>(bytes, 'x'),
                           {1'700'000'000'000, partition_id{0}, offset{static_cast<std::int64_t>(i)}}});
    sets.push_back(std::move(set));
  }
  batch_id tail = head->batch;
  std::uint64_t n = 0;
  const auto next = [&] {
    auto tx = std::make_shared<transaction>();
    tx->partition = partition;
    tx->follows = tail;
    tx->id = tail = {head->epoch, ++n};
    table_write w;
    w.table = {"machines", 1};
    w.buckets = buckets;
    w.changes = sets[n % sets.size()];
    tx->tables.push_back(std::move(w));
    tx->positions.push_back(
        {{"machines", 1}, offset{static_cast<std::int64_t>(n) - 2}, offset{static_cast<std::int64_t>(n) - 1}});
    return tx;
  };

  const auto pid = (*server)->pid();
  fmt::print("{} rows of {} bytes in {} buckets, {} in flight\n", rows, bytes, buckets, depth);

  auto plain =
      std::make_shared<connection>(loop, connection::settings{*resolve_url(config), nullptr, {}, "bench-plain", true});
  plain->start();
  const auto ceiling = measure(rows, depth, span, pid, [&](std::function<void(bool)> done) {
    std::map<std::uint32_t, std::vector<const row_change*>> by_bucket;
    for (const auto& row : sets[++n % sets.size()]->rows)
      by_bucket[bucket_of(row.key, buckets)].push_back(&row);
    std::string all;
    all.reserve(rows * (bytes + 64));
    for (const auto& [bucket, list] : by_bucket) {
      command_writer w(list.size() * (bytes + 64));
      w.arg("HSET").arg(layout::bucket_key({"plain", "s", partition_id{0}}, {"machines", 1}, bucket));
      for (const auto* row : list)
        w.arg(row->key).arg(*row->value);
      all.append(w.finish().view());
    }
    plain->send({std::move(all), 0}, by_bucket.size(), [done](result<replies> r) { done(r.has_value()); });
  });
  print("plain HSET", ceiling);

  n = 0;
  const auto ours = measure(rows, depth, span, pid, [&](std::function<void(bool)> done) {
    store.writer(0).submit(next(), [done](result<tx_result> r) { done(r && r->status == tx_status::applied); });
  });
  print("transactions", ours);

  const auto before = cpu_seconds();
  std::size_t made_bytes = 0;
  for (int i = 0; i < 200; ++i)
    made_bytes += encode(*next(), 4u << 20)->data.size();
  fmt::print("encoding alone: {:.2f} CPU s per million rows, {} bytes a transaction\n",
             (cpu_seconds() - before) / (200.0 * static_cast<double>(rows)) * 1e6, made_bytes / 200);
  plain->close();
  store.close();
  loop.stop();
  return ours.failed + ceiling.failed ? 1 : 0;
}
