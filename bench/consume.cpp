// How fast can this machine read the topic at all? Consumes a whole topic once, counting only: the ceiling of any
// ingest figure.
//
//   bench_consume BROKERS TOPIC [RECORDS] [--mode raw|port] [--threads 1] [--queue-bytes 67108864] [--work-ns 0]
//                 [--property name=value]...
//
//   bench_consume BROKERS TOPIC --fill 2000000 [--size 200] [--keys 10000] [--rate 100000]
//
// raw:  librdkafka alone: each partition's own queue, one message at a time, weir's settings.
// port: weir's consumer over the same, as the partition actors use it; its distance to raw is what the port costs.
// --work-ns spends so long on each record, as a reader that does something would: then librdkafka's queues fill, and
// what it does about that counts. The clock starts with the first record. --fill writes JSON records of about `size`
// bytes to the topic's partitions instead, at most --rate a second, and prints how many a second it were until the last
// was acknowledged.
//
// With RECORDS it is an error if the topic gives fewer. Prints one line of name=value: records, seconds, records_per_s,
// cpu_s_per_million (of this process, for a million records), peak_mb (resident).
#include "runtime/kafka/rd_consumer.hpp"
#include "runtime/kafka/rd_producer.hpp"
#include "runtime/kafka/settings.hpp"

#include <CLI/CLI.hpp>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <fmt/format.h>
#include <mutex>
#include <optional>
#include <sys/resource.h>
#include <thread>

namespace {

using namespace weir;
using namespace std::chrono_literals;
using clock_type = std::chrono::steady_clock;

constexpr auto answer_within = 20s;
constexpr auto stalled_after = 30s;

struct settings {
  kafka_config kafka;
  source_config source;
  std::string mode = "raw";
  unsigned threads = 1;
  std::uint64_t queue_bytes = 64ull << 20;
  std::uint64_t fill = 0, rate = 0, expected = 0;
  std::int64_t work_ns = 0;
  std::size_t size = 200, keys = 10'000;
};

struct partition_end {
  partition_id partition;
  offset low, high;
};

// Where the clock stood at the first record.
struct first_record {
  std::once_flag once;
  clock_type::time_point at;
  double cpu = 0;
};
first_record started;

double cpu_seconds() {
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  const auto seconds = [](timeval t) { return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6; };
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}

long peak_mb() {
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  return used.ru_maxrss / 1024;
}

void look_at(const settings& s) {
  if (s.work_ns == 0)
    return;
  const auto until = clock_type::now() + std::chrono::nanoseconds(s.work_ns);
  while (clock_type::now() < until) {
  }
}

[[noreturn]] void die(const std::string& why) {
  fmt::print(stderr, "bench_consume: {}\n", why);
  std::exit(1);
}

// Waits for an asynchronous answer.
template <class T, class Ask>
T must(Ask ask) {
  std::mutex mutex;
  std::condition_variable come;
  std::optional<result<T>> got;
  ask([&](result<T> r) {
    const std::lock_guard lock(mutex);
    got = std::move(r);
    come.notify_one();
  });
  std::unique_lock lock(mutex);
  come.wait(lock, [&] { return got.has_value(); }); // answered by its deadline, one way or the other
  if (!*got)
    die(got->error().message);
  return std::move(**got);
}

std::vector<partition_end> ends_of(kafka::consumer& c) {
  const auto facts = must<kafka::topic_facts>([&](auto done) { c.describe(answer_within, done); });
  std::vector<partition_end> out;
  for (std::int32_t p = 0; p < facts.partitions; ++p) {
    const auto r = must<kafka::partition_range>([&](auto done) { c.range(partition_id{p}, answer_within, done); });
    out.push_back({partition_id{p}, r.low, r.high});
  }
  return out;
}

// Reads partitions i, i + n, i + 2n, ... in thread i; `pull(k)` takes what partition k has and tells how much, and
// whether it is at its end.
std::uint64_t read_all(unsigned threads, std::size_t partitions,
                       const std::function<std::pair<std::size_t, bool>(std::size_t)>& pull) {
  std::atomic<std::uint64_t> records{0};
  std::vector<std::thread> pool;
  for (unsigned t = 0; t < threads; ++t)
    pool.emplace_back([&, t] {
      std::vector<std::size_t> mine;
      for (std::size_t p = t; p < partitions; p += threads)
        mine.push_back(p);
      auto moved = clock_type::now();
      while (!mine.empty()) {
        std::size_t round = 0;
        std::erase_if(mine, [&](std::size_t p) {
          const auto [count, ended] = pull(p);
          if (count > 0)
            std::call_once(started.once, [] {
              started.at = clock_type::now();
              started.cpu = cpu_seconds();
            });
          round += count;
          return ended;
        });
        records += round;
        if (round > 0)
          moved = clock_type::now();
        else if (clock_type::now() - moved > stalled_after)
          die("nothing came for a long time");
        else
          std::this_thread::sleep_for(
              200us); // a real reader is woken; this costs little and delays nothing that counts
      }
    });
  for (auto& t : pool)
    t.join();
  return records;
}

std::uint64_t read_by_port(const settings& s, kafka::consumer& c, const std::vector<partition_end>& ends) {
  std::mutex mutex;
  std::condition_variable come;
  bool offered = false;
  c.start({.assigned =
               [&](auto, auto) {
                 const std::lock_guard lock(mutex);
                 offered = true;
                 come.notify_one();
               },
           .revoked = {},
           .failed = [](error e, bool) { fmt::print(stderr, "bench_consume: {}\n", e.message); }});
  {
    std::unique_lock lock(mutex);
    if (!come.wait_for(lock, answer_within, [&] { return offered; }))
      die("no partitions came");
  }
  std::vector<kafka::partition_start> starts;
  for (const auto& e : ends)
    starts.push_back({e.partition, e.low});
  auto queues = c.assign(starts);
  if (!queues)
    die(queues.error().message);
  std::vector<std::int64_t> last(ends.size(), -1);
  std::atomic<std::uint64_t> bytes{0}; // so that the records are looked at
  return read_all(s.threads, ends.size(), [&](std::size_t p) {
    const auto at = static_cast<std::size_t>((*queues)[p].first.value);
    std::uint64_t seen = 0;
    const auto got = (*queues)[p].second->drain(10'000, [&](const kafka::record& r) {
      seen += r.value ? r.value->size() : 0;
      last[at] = r.at.value;
      look_at(s);
      return true;
    });
    if (!got)
      die(got.error().message);
    bytes += seen;
    return std::pair{*got, last[at] + 1 >= ends[at].high.value || ends[at].low == ends[at].high};
  });
}

std::uint64_t read_raw(const settings& s, const std::vector<partition_end>& ends) {
  using namespace weir::kafka;
  auto conf = consumer_conf(s.kafka, "bench", "bench",
                            divide_budget(s.queue_bytes, static_cast<std::int32_t>(ends.size())), false);
  if (!conf)
    die(conf.error().message);
  auto opened = handle::open(RD_KAFKA_CONSUMER, std::move(*conf), make_context(s.kafka, "bench"));
  if (!opened)
    die(opened.error().message);
  auto* rk = (*opened)->get();
  const list_ptr list{rd_kafka_topic_partition_list_new(static_cast<int>(ends.size()))};
  std::vector<queue_ptr> queues;
  for (const auto& e : ends) {
    rd_kafka_topic_partition_list_add(list.get(), s.source.topic.c_str(), e.partition.value)->offset = e.low.value;
    queues.emplace_back(rd_kafka_queue_get_partition(rk, s.source.topic.c_str(), e.partition.value));
    rd_kafka_queue_forward(queues.back().get(), nullptr);
  }
  rd_kafka_assign(rk, list.get());
  std::vector<std::int64_t> last(ends.size(), -1);
  std::atomic<std::uint64_t> bytes{0};
  const auto records = read_all(s.threads, ends.size(), [&](std::size_t p) {
    std::size_t count = 0;
    std::uint64_t seen = 0;
    while (count < 10'000) {
      const message_ptr m{rd_kafka_consume_queue(queues[p].get(), 0)};
      if (!m)
        break;
      if (m->err)
        die(rd_kafka_message_errstr(m.get()));
      ++count;
      seen += m->len;
      last[p] = m->offset;
      look_at(s);
    }
    bytes += seen;
    return std::pair{count, last[p] + 1 >= ends[p].high.value || ends[p].low == ends[p].high};
  });
  queues.clear();
  rd_kafka_assign(rk, nullptr);
  return records;
}

// By the clock, not by pauses: what was late is caught up with.
void keep_pace(const settings& s, std::uint64_t sent, clock_type::time_point began) {
  if (s.rate == 0)
    return;
  const auto due = began + std::chrono::nanoseconds(sent * 1'000'000'000 / s.rate);
  if (due - clock_type::now() > 1ms)
    std::this_thread::sleep_until(due);
}

void fill(const settings& s) {
  kafka::producer_options options;
  options.delivery_deadline = 120s;
  auto made = kafka::make_producer(s.kafka, options);
  if (!made)
    die(made.error().message);
  auto& to = **made;
  std::atomic<std::uint64_t> waiting{0}, lost{0};
  const std::string padding(s.size, 'x');
  const auto began = clock_type::now();
  for (std::uint64_t i = 0; i < s.fill; ++i) {
    if (i % 64 == 0)
      keep_pace(s, i, began);
    while (waiting > 50'000)
      std::this_thread::sleep_for(1ms);
    kafka::message m;
    m.topic = s.source.topic;
    // A multiplicative step over the keys: every key comes equally often and neighbours differ.
    const auto key = fmt::format("machine-{}", (i * 7919) % s.keys);
    auto value = fmt::format(R"({{"machine":"{}","n":{},"cpu":{}.{},"ok":true,"note":")", key, i, i % 100, i % 10);
    value += padding.substr(0, s.size > value.size() + 2 ? s.size - value.size() - 2 : 0) + "\"}";
    m.key = key;
    m.value = std::move(value);
    ++waiting;
    to.send(std::move(m), [&](result<void> r) {
      lost += r ? 0 : 1;
      --waiting;
    });
  }
  if (!to.flush(120s) || lost > 0)
    die(fmt::format("{} records were not delivered", lost.load()));
  const auto seconds = std::chrono::duration<double>(clock_type::now() - began).count();
  fmt::print("records={} seconds={:.3f} records_per_s={:.0f} cpu_s={:.2f}\n", s.fill, seconds,
             static_cast<double>(s.fill) / seconds, cpu_seconds());
}

} // namespace

int main(int argc, char** argv) {
  settings s;
  std::vector<std::string> properties;
  CLI::App app{"Consumes a whole topic once, counting only"};
  app.add_option("brokers", s.kafka.brokers)->required();
  app.add_option("topic", s.source.topic)->required();
  app.add_option("records", s.expected);
  app.add_option("--mode", s.mode)->check(CLI::IsMember({"raw", "port"}));
  app.add_option("--threads", s.threads)->check(CLI::Range(1u, 64u));
  app.add_option("--queue-bytes", s.queue_bytes);
  app.add_option("--property", properties, "librdkafka's, as name=value");
  app.add_option("--work-ns", s.work_ns);
  app.add_option("--fill", s.fill, "write so many records instead");
  app.add_option("--rate", s.rate, "of --fill, records a second; as fast as it goes without");
  app.add_option("--size", s.size);
  app.add_option("--keys", s.keys)->check(CLI::PositiveNumber);
  CLI11_PARSE(app, argc, argv);
  for (const auto& p : properties) {
    const auto equal = p.find('=');
    if (equal == p.npos)
      die("--property wants name=value");
    s.kafka.properties.emplace_back(p.substr(0, equal), p.substr(equal + 1));
  }
  s.kafka.group = "bench";
  s.source.name = "consume";
  if (s.fill > 0) {
    fill(s);
    return 0;
  }
  kafka::consumer_options options;
  options.assign_by_hand = true;
  options.queue_bytes = s.queue_bytes;
  auto made = kafka::make_consumer(s.kafka, s.source, options);
  if (!made)
    die(made.error().message);
  const auto ends = ends_of(**made);
  const auto records = s.mode == "raw" ? read_raw(s, ends) : read_by_port(s, **made, ends);
  const auto seconds = std::chrono::duration<double>(clock_type::now() - started.at).count();
  const auto millions = static_cast<double>(records) / 1e6;
  if (records < s.expected)
    die(fmt::format("the topic gave {} of {} records", records, s.expected));
  fmt::print("mode={} records={} seconds={:.3f} records_per_s={:.0f} cpu_s_per_million={:.3f} peak_mb={}\n", s.mode,
             records, seconds, static_cast<double>(records) / seconds, (cpu_seconds() - started.cpu) / millions,
             peak_mb());
  (*made)->close(5s);
  return 0;
}
