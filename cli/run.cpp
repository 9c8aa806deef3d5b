#include "actors/node.hpp"
#include "cli/commands.hpp"
#include "runtime/config/load.hpp"
#include "runtime/core/backoff.hpp"
#include "runtime/core/priority.hpp"
#include "runtime/core/reactor.hpp"
#include "runtime/embedded/redis_server.hpp"
#include "runtime/http/static_files.hpp"
#include "runtime/kafka/embedded_broker.hpp"
#include "runtime/kafka/rd_consumer.hpp"
#include "runtime/kafka/rd_producer.hpp"
#include "runtime/kafka/rd_transactions.hpp"
#include "runtime/redis/redis_store.hpp"

#include <algorithm>
#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/send.hpp>
#include <csignal>
#include <poll.h>
#include <random>
#include <set>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <thread>
#include <unistd.h>

namespace weir::cli {
namespace {

using clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

// What other threads tell the main one: that the node gives up, or that it has ended.
class mailbox {
public:
  mailbox() : fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}
  ~mailbox() { ::close(fd_); }
  mailbox(const mailbox&) = delete;
  mailbox& operator=(const mailbox&) = delete;

  int fd() const { return fd_; }

  void give_up(int code, const std::string& why) {
    {
      std::lock_guard lock(mutex_);
      if (reason_.empty()) {
        exit_code_ = code;
        reason_ = why;
      }
    }
    wake();
  }

  void ended() {
    ended_ = true;
    wake();
  }

  void drain() {
    std::uint64_t n;
    while (::read(fd_, &n, sizeof n) > 0) {
    }
  }

  bool has_ended() const { return ended_; }
  std::pair<int, std::string> given_up() const {
    std::lock_guard lock(mutex_);
    return {exit_code_, reason_};
  }

private:
  void wake() {
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto n = ::write(fd_, &one, sizeof one); // a full counter has woken already
  }

  int fd_;
  mutable std::mutex mutex_;
  int exit_code_ = 0;
  std::string reason_;
  std::atomic<bool> ended_{false};
};

std::string host_name() {
  char name[256] = {};
  return gethostname(name, sizeof name - 1) == 0 ? name : "node";
}

std::string new_incarnation() {
  std::random_device random;
  return fmt::format("{:08x}{:08x}", random(), random());
}

std::map<std::string, std::int32_t> topics_of(const topology& topo) {
  std::map<std::string, std::int32_t> topics;
  for (const auto& [name, s] : topo.sources) {
    topics[s.topic] = 0;
    if (!s.dead_letter.empty())
      topics.try_emplace(s.dead_letter, 1);
  }
  for (const auto& [name, j] : topo.jobs)
    for (const auto& topic : {j.write_topic, j.dead_letter})
      if (!topic.empty())
        topics.try_emplace(topic, 1);
  return topics;
}

bool writes_to_kafka(const topology& topo) {
  return std::any_of(topo.sources.begin(), topo.sources.end(),
                     [](const auto& s) { return !s.second.dead_letter.empty(); }) ||
         std::any_of(topo.jobs.begin(), topo.jobs.end(),
                     [](const auto& j) { return !j.second.write_topic.empty() || !j.second.dead_letter.empty(); });
}

int fail_with(int code, const std::string& what) {
  fmt::print(stderr, "weir: {}\n", what);
  return code;
}

int exit_code_of(const error& e) {
  switch (e.code) {
  case ec::bad_topology:
  case ec::bad_argument: return exit_config;
  default: return exit_os;
  }
}

// Each client needs a descriptor, and systems give a process 1,024 unless it asks.
void raise_descriptor_limit(const http_limits& limits) {
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) != 0)
    return;
  files.rlim_cur = files.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &files);
  constexpr rlim_t others = 256; // Kafka's, Redis' and files
  ::getrlimit(RLIMIT_NOFILE, &files);
  if (files.rlim_cur != RLIM_INFINITY && files.rlim_cur < limits.connections + others)
    log::warn("node",
              "fewer descriptors than http.limits.connections asks for: raise the limit (ulimit -n, LimitNOFILE)",
              {{"descriptors", files.rlim_cur}, {"connections", limits.connections}});
}

std::string page_url(const http_config& http, std::uint16_t port) {
  const auto host = http.host == "0.0.0.0" || http.host == "::" ? host_name()
                    : http.host.find(':') == std::string::npos  ? http.host
                                                                : "[" + http.host + "]";
  return fmt::format("{}://{}:{}/", http.tls() ? "https" : "http", host, port);
}

// Has an embedded Redis that ended, whatever ended it, start again. It comes back empty, which the partitions find out
// as with any other Redis: they fill their tables again from what Kafka has. On the main thread, which started it.
class redis_keeper {
public:
  explicit redis_keeper(embedded::redis_server* child) : child_(child) {} // null: Redis is not embedded

  // Until there is something to do, unless SIGCHLD says so before; -1: nothing.
  int wait_ms() const {
    if (!due_)
      return -1;
    return static_cast<int>(
        std::max<std::int64_t>(std::chrono::ceil<std::chrono::milliseconds>(*due_ - clock::now()).count(), 0));
  }

  void look() {
    if (!child_ || (!due_ && child_->running()))
      return;
    const auto now = clock::now();
    if (!due_) {
      if (now - since_ > lives_long)
        pause_.reset();
      due_ = now + pause_.next();
      log::error("node", "the embedded Redis has ended and is started again, empty; its tables are filled again");
    }
    if (now < *due_)
      return;
    if (auto started = child_->restart(); !started) {
      due_ = clock::now() + pause_.next();
      log::error("node", "the embedded Redis does not start", {{"reason", started.error().message}});
      return;
    }
    due_.reset();
    since_ = clock::now();
    log::info("node", "the embedded Redis is there again");
  }

private:
  static constexpr std::chrono::seconds lives_long{60};

  embedded::redis_server* child_;
  clock::time_point since_ = clock::now();
  std::optional<clock::time_point> due_; // when it is started again
  backoff pause_{200ms, 10s};
};

} // namespace

int run(const run_options& options) {
  log::setup(options.level, options.format);
  load_options load;
  load.sets = options.sets;
  load.extensions = options.extensions.get();
  auto loaded = load_topology_file(options.file, load);
  for (const auto& p : loaded.problems)
    fmt::print(stderr, "{}\n", to_string(p));
  if (!loaded.ok())
    return exit_config;
  if (!loaded.value.unavailable.empty()) {
    for (const auto& part : loaded.value.unavailable)
      fmt::print(stderr, "{}: {}: {} is not available yet in this version\n", options.file, part.pointer, part.what);
    return exit_config;
  }
  return run_topology(std::move(loaded.value), options);
}

int run_topology(topology topo, const run_options& options, const companion_factory& with) {
  const auto started = clock::now();
  const std::set<std::string> roles(options.roles.begin(), options.roles.end());
  for (const auto& role : roles)
    if (role != "ingest" && role != "gateway" && role != "batch")
      return fail_with(exit_usage, fmt::format("unknown role '{}': ingest, gateway and batch are known", role));
  if (!roles.empty() && roles.size() < 3)
    return fail_with(exit_config, "a node with some of the roles only is not available yet in this version: a node "
                                  "takes all three (leave --roles out)");

  // Before any thread: signals are for the main thread alone, and the embedded Redis follows the thread that started
  // it.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGCHLD);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);

  raise_descriptor_limit(topo.http.limits);
  auto redis_settings = topo.redis;
  std::unique_ptr<embedded::redis_server> redis_child;
  if (topo.redis.embedded()) {
    auto child = embedded::redis_server::start();
    if (!child)
      return fail_with(exit_os, child.error().message);
    redis_child = std::move(*child);
    redis_settings.url = redis_child->url();
    log::info("node", "Redis is embedded: its state ends with this process");
  }
  auto kafka_settings = topo.kafka;
  std::unique_ptr<kafka::embedded_broker> broker;
  if (topo.kafka.embedded()) {
    auto b = kafka::embedded_broker::start(topics_of(topo));
    if (!b)
      return fail_with(exit_os, b.error().message);
    broker = std::move(*b);
    kafka_settings.brokers = broker->bootstrap();
    // It speaks neither TLS nor SASL; what a file says for the real cluster does not concern it.
    std::erase_if(kafka_settings.properties, [](const auto& p) {
      return p.first.starts_with("security.") || p.first.starts_with("sasl.") || p.first.starts_with("ssl.");
    });
    log::info(
        "node",
        "Kafka is embedded: it keeps about 5 MiB or 100,000 message sets a partition, and nothing beyond this process",
        {{"brokers", kafka_settings.brokers}});
  }

  const auto cores = std::clamp<std::size_t>(std::thread::hardware_concurrency(), 1, 8);
  std::vector<std::unique_ptr<reactor>> reactors;
  const auto start_reactors = [&](const char* of, std::size_t count) {
    std::vector<reactor*> of_them;
    for (std::size_t i = 0; i < count; ++i) {
      reactors.push_back(std::make_unique<reactor>(fmt::format("{}-{}", of, i)));
      reactors.back()->start();
      of_them.push_back(reactors.back().get());
    }
    return of_them;
  };
  const auto reactor_pointers = start_reactors("weir-io", cores);
  // Redis has reactors of its own: a round that writes to thousands of sessions takes tens of milliseconds, for which
  // ingest must not wait.
  const auto redis_reactors =
      start_reactors("weir-redis", std::min<std::size_t>(cores, redis_settings.connections + 1));
  reactor* scanning = nullptr;
  if (!topo.jobs.empty()) {
    scanning = start_reactors("weir-scan", 1).front();
    scanning->post(give_way);
  }
  auto store = redis::make_redis_store(redis_settings, redis_reactors, {}, scanning);
  if (!store)
    return fail_with(exit_code_of(store.error()), store.error().message);
  std::unique_ptr<kafka::producer> producer;
  if (writes_to_kafka(topo)) {
    auto made = kafka::make_producer(kafka_settings);
    if (!made)
      return fail_with(exit_code_of(made.error()), made.error().message);
    producer = std::move(*made);
  }
  std::unique_ptr<kafka::transactions> transactions;
  if (std::any_of(topo.jobs.begin(), topo.jobs.end(), [](const auto& j) { return j.second.exactly_once; })) {
    auto made = kafka::make_transactions(kafka_settings);
    if (!made)
      return fail_with(exit_code_of(made.error()), made.error().message);
    transactions = std::move(*made);
  }

  mailbox box;
  status_board board;
  metrics::registry metrics;
  metrics.get(metrics::names::build_info, WEIR_VERSION).set(1);
  auto node = std::make_shared<actors::node_context>();
  node->topo = std::move(topo);
  node->node_name = options.name.empty() ? host_name() : options.name;
  node->incarnation = new_incarnation();
  node->store = store->get();
  node->producer = producer.get();
  node->transactions = transactions.get();
  node->metrics = &metrics;
  node->board = &board;
  node->extensions = options.extensions;
  node->threads_for_steps = true;
  node->commit_to_kafka = !node->topo.redis.embedded() && !node->topo.kafka.embedded();
  node->wall_ms = [] {
    return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
        .count();
  };
  node->give_up = [&box](int code, const std::string& why) { box.give_up(code, why); };
  node->make_consumer = [kafka_settings, by_hand = node->topo.kafka.embedded()](const source_config& source) {
    kafka::consumer_options o;
    o.assign_by_hand = by_hand;
    return kafka::make_consumer(kafka_settings, source, o);
  };
  for (const auto& [name, s] : node->topo.sources)
    node->partition_counts[name] = 0;

  int code = exit_ok;
  caf::actor_system_config config;
  // One queue with a condition variable: faster at our rates than work stealing, and idle when there is nothing to do.
  config.set("scheduler.policy", caf::atom("sharing"));
  config.set("scheduler.max-threads", std::max<std::size_t>(cores, 2));
  config.set("scheduler.max-throughput", std::size_t{300});
  auto system = std::make_unique<caf::actor_system>(config);
  actors::node_config settings;
  settings.node = node;
  settings.reactors = reactor_pointers;
  settings.assets = http::dashboard_assets();
  settings.on_end = [&box](int) { box.ended(); };
  auto running = actors::start_node(*system, std::move(settings));
  if (!running) {
    fmt::print(stderr, "weir: {}\n", running.error().message);
    std::_Exit(exit_os); // the publishers that were spawned have nothing to save
  }
  const auto url = page_url(node->topo.http, running->server->port());
  log::info("node", "listening", {{"url", url}, {"topology", node->topo.name}});

  const int signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
  std::unique_ptr<companion> beside;
  bool ready = false, stopping = false;
  redis_keeper keeper(redis_child.get());
  while (!box.has_ended()) {
    pollfd fds[] = {{signal_fd, POLLIN, 0}, {box.fd(), POLLIN, 0}};
    ::poll(fds, 2, !ready ? 10 : stopping ? -1 : keeper.wait_ms());
    box.drain();
    if (!stopping)
      keeper.look();
    signalfd_siginfo info;
    if (::read(signal_fd, &info, sizeof info) == sizeof info && info.ssi_signo != SIGCHLD) {
      if (stopping)
        std::_Exit(128 + static_cast<int>(info.ssi_signo)); // the second one ends at once
      stopping = true;
      beside.reset();
      caf::anon_send(running->actor, actors::stop_work{});
    }
    if (const auto [why_code, why] = box.given_up(); why_code != 0 && !stopping) {
      log::error("node", "gives up", {{"reason", why}});
      fmt::print(stderr, "weir: {}\n", why);
      code = why_code;
      stopping = true;
      beside.reset();
      caf::anon_send(running->actor, actors::stop_work{});
    }
    if (!ready && !stopping && board.waits().empty()) {
      ready = true;
      log::info("node", "ready",
                {{"after_ms", std::chrono::duration_cast<std::chrono::milliseconds>(clock::now() - started).count()}});
      if (with) {
        fmt::print("weir {}: open {}\n", WEIR_VERSION, url);
        std::fflush(stdout);
        beside = with(kafka_settings);
      }
    }
  }
  ::close(signal_fd);
  running->server->close(2'000);
  if (producer)
    producer->flush(2s);
  (*store)->close();
  for (auto& r : reactors)
    r->stop();
  running.value() = {}; // what lives on reactors is destroyed while they do not run (actors/reactor_companion.hpp)
  producer.reset();
  // Last: threads that ever sent a message hold CAF's logger until they end, and the system waits for that.
  system.reset();
  return code;
}

} // namespace weir::cli
