// How long does one call of a job keep Redis from answering anybody else?
//
//   bench_batch_block [rows=50000] [bytes=200] [groups=1000000]
//
// On a private redis-server with AOF everysec. While each call is under way another connection sends PING after PING:
// "blocked" is the longest of its round trips, "call" the time from the call to its answer. Median and maximum of five.
#include "runtime/batch/reduce.hpp"
#include "runtime/core/log.hpp"
#include "runtime/core/reactor.hpp"
#include "runtime/embedded/redis_server.hpp"
#include "runtime/redis/redis_store.hpp"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <fmt/format.h>
#include <functional>
#include <future>
#include <hiredis/hiredis.h>
#include <thread>

namespace {

using namespace weir;
using namespace weir::redis;
using clock = std::chrono::steady_clock;
using milliseconds = std::chrono::duration<double, std::milli>;

constexpr int rounds = 5;

[[noreturn]] void die(const std::string& why) {
  fmt::print(stderr, "bench_batch_block: {}\n", why);
  std::exit(1);
}

// The longest round trip of a PING since the last question.
class prober {
public:
  explicit prober(const std::string& socket) : link_(redisConnectUnix(socket.c_str())) {
    if (!link_ || link_->err)
      die("no second connection to Redis");
    thread_ = std::thread([this] {
      while (!stop_) {
        const auto begun = clock::now();
        auto* reply = redisCommand(link_, "PING");
        if (!reply)
          die("Redis does not answer PING");
        freeReplyObject(reply);
        const auto took = (clock::now() - begun).count();
        auto longest = longest_.load();
        while (took > longest && !longest_.compare_exchange_weak(longest, took)) {
        }
        ++trips_;
        std::this_thread::sleep_for(std::chrono::microseconds(100)); // one core is enough for it; an interval, no wait
      }
    });
  }
  ~prober() {
    stop_ = true;
    thread_.join();
    redisFree(link_);
  }
  prober(const prober&) = delete;
  prober& operator=(const prober&) = delete;

  double take_longest_ms() {
    // The PING that was under way counts too: until one that began now has been answered.
    for (const auto until = trips_ + 2; trips_ < until;)
      std::this_thread::yield();
    return milliseconds(clock::duration(longest_.exchange(0))).count();
  }

private:
  redisContext* link_;
  std::thread thread_;
  std::atomic<bool> stop_{false};
  std::atomic<std::uint64_t> trips_{0};
  std::atomic<clock::rep> longest_{0};
};

template <class T>
T wait_for(const std::function<void(callback<T>)>& call) {
  std::promise<result<T>> promise;
  auto future = promise.get_future();
  call([&](result<T> r) { promise.set_value(std::move(r)); });
  if (future.wait_for(std::chrono::seconds(60)) != std::future_status::ready)
    die("a call was not answered");
  auto r = future.get();
  if (!r)
    die(r.error().message);
  return std::move(*r);
}

class bench {
public:
  bench(store& over, prober& beside) : store_(over), beside_(beside) {
    std::promise<void> up;
    auto told = std::make_shared<std::atomic<bool>>(false);
    store_.writer(0).on_state([&up, told](link_state s) {
      if (s == link_state::up && !told->exchange(true))
        up.set_value();
    });
    if (up.get_future().wait_for(std::chrono::seconds(10)) != std::future_status::ready)
      die("no connection to Redis");
    claim();
  }

  // One line of the table. `prepare` is not measured.
  void measure(const std::string& what, const std::function<void()>& prepare, const std::function<void()>& call) {
    std::vector<double> calls, blocked;
    for (int i = 0; i < rounds; ++i) {
      prepare();
      beside_.take_longest_ms();
      const auto begun = clock::now();
      call();
      calls.push_back(milliseconds(clock::now() - begun).count());
      blocked.push_back(beside_.take_longest_ms());
    }
    std::sort(calls.begin(), calls.end());
    std::sort(blocked.begin(), blocked.end());
    fmt::print("{:64} call {:7.1f} ms   blocked {:6.1f} ms, at most {:6.1f} ms\n", what, calls[rounds / 2],
               blocked[rounds / 2], blocked.back());
    std::fflush(stdout);
  }

  void replace(std::uint64_t rows, std::size_t bytes);
  void checkpoints(std::uint64_t groups, std::size_t shares);

private:
  void claim() {
    const auto head = wait_for<partition_state>([&](auto done) { store_.claim({job_, "bench", -1, {}}, done); });
    epoch_ = head.epoch;
    tail_ = head.batch;
  }
  void write(const std::vector<std::string>& put, const std::vector<std::string>& remove, std::uint32_t buckets,
             std::size_t bytes);
  void change(job_change c) {
    const auto a = wait_for<job_answer>([&](auto done) { store_.jobs().change_job(c, done); });
    if (a.verdict != job_verdict::done)
      die("a change was refused");
  }

  store& store_;
  prober& beside_;
  partition_key job_{"bench", "job:nightly", partition_id{0}};
  owner_epoch epoch_;
  batch_id tail_;
  std::uint64_t n_ = 0;
  std::int64_t fire_ = 0;
};

void bench::write(const std::vector<std::string>& put, const std::vector<std::string>& remove, std::uint32_t buckets,
                  std::size_t bytes) {
  auto tx = std::make_shared<transaction>();
  tx->partition = job_;
  tx->follows = tail_;
  tx->id = tail_ = {epoch_, ++n_};
  table_write w;
  w.table = {"sums", 1};
  w.buckets = buckets;
  w.changes = std::make_shared<change_set>();
  const auto row = std::make_shared<const std::string>(bytes, 'x');
  const stamp at{1'700'000'000'000, partition_id{0}, offset{0}};
  for (const auto& key : put)
    w.changes->rows.push_back({key, row, at});
  for (const auto& key : remove)
    w.changes->rows.push_back({key, nullptr, at});
  tx->tables.push_back(std::move(w));
  const auto r = wait_for<tx_result>([&](auto done) { store_.writer(0).submit(tx, done); });
  if (r.status != tx_status::applied)
    die("a transaction was refused");
}

void bench::replace(std::uint64_t rows, std::size_t bytes) {
  std::vector<std::string> keys[2], none;
  for (std::uint64_t i = 0; i < rows; ++i)
    for (int side : {0, 1})
      keys[side].push_back(fmt::format("site-{}-{}", side, i));
  const auto buckets = table_buckets(rows);
  int side = 0;
  const auto clear = [&] { write({}, keys[side], buckets, 0); };
  const std::vector<std::string> chunk(
      keys[0].begin(), keys[0].begin() + std::min<std::ptrdiff_t>(5'000, static_cast<std::ptrdiff_t>(rows)));
  measure(fmt::format("a chunk of {} rows", chunk.size()), [] {}, [&] { write(chunk, none, buckets, bytes); });
  measure(fmt::format("replace: {} rows into an empty table", rows), clear,
          [&] { write(keys[0], none, buckets, bytes); });
  measure(fmt::format("replace: the same {} keys", rows), [] {}, [&] { write(keys[0], none, buckets, bytes); });
  measure(
      fmt::format("replace: {} rows, and {} others go", rows, rows), [&] { side = 1 - side; },
      [&] { write(keys[side], keys[1 - side], buckets, bytes); });
}

// One reducer's state over so many groups: what weir writes as its checkpoint.
std::string state_of(std::uint64_t groups, std::uint64_t first) {
  job_config job;
  job.group_by = {"/site"};
  job.fields = {{"n", function::count, ""}, {"cpu_sum", function::sum, "/cpu"}, {"cpu_max", function::max, "/cpu"}};
  batch::reducer reduced(job);
  for (std::uint64_t i = 0; i < groups; ++i)
    if (auto added = reduced.add(fmt::format(R"({{"site":"site-{:07}","cpu":{}}})", first + i, i % 10'000)); !added)
      die(added.error().message);
  return "done\n" + reduced.save();
}

void bench::checkpoints(std::uint64_t groups, std::size_t shares) {
  std::vector<std::string> marks;
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < shares; ++i) {
    marks.push_back(state_of(groups / shares, i * groups / shares));
    bytes += marks.back().size();
  }
  const auto what = fmt::format("{} groups in {} share(s), {} MB", groups, shares, bytes / 1'000'000);
  job_change c;
  c.job = job_;
  c.token = {7};
  const auto begin = [&] {
    c.id = fmt::format("{}.1", ++fire_);
    c.fire_ms = fire_;
    c.expect = {};
    c.ends = false;
    c.checkpoint.reset();
    c.status = "STARTED";
    change(c);
    c.expect = {"STARTED"};
  };
  const auto store_all = [&] {
    for (std::uint32_t i = 0; i < shares; ++i) {
      c.checkpoint = {i, marks[i]};
      change(c);
    }
    c.checkpoint.reset();
  };
  const auto end = [&] {
    c.expect = {"STARTED"};
    c.ends = true;
    c.status = "COMPLETED";
    c.ended_ms = fire_;
    change(c);
  };
  bool open = false;
  const auto renew = [&] {
    if (open)
      end();
    begin();
    open = true;
  };
  measure("write: " + what, renew, store_all);
  measure(
      "adopt: " + what, [] {},
      [&] { wait_for<job_answer>([&](auto done) { store_.jobs().adopt_job(job_, {7}, done); }); });
  const auto renew_with_marks = [&] {
    if (!open) {
      begin();
      store_all();
      open = true;
    }
  };
  measure("end: " + what, renew_with_marks, [&] {
    end();
    open = false;
  });
}

} // namespace

int main(int argc, char** argv) {
  log::setup(log::level::warn, log::format::text);
  const auto argument = [&](int i, std::uint64_t otherwise) {
    return argc > i ? std::strtoull(argv[i], nullptr, 10) : otherwise;
  };
  auto server = embedded::redis_server::start({.config_lines = {"appendonly yes", "appendfsync everysec"}});
  if (!server)
    die(server.error().message);
  reactor loop("redis");
  loop.start();
  redis_config config;
  config.url = (*server)->url();
  config.connections = 1;
  auto made = make_redis_store(config, {&loop});
  if (!made)
    die(made.error().message);
  {
    prober beside((*server)->socket_path());
    bench run(**made, beside);
    run.replace(argument(1, 50'000), argument(2, 200));
    run.checkpoints(argument(3, 1'000'000), 8);
    run.checkpoints(argument(3, 1'000'000), 1);
  }
  (*made)->close();
  loop.stop();
}
