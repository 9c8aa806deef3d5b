#include "cli/commands.hpp"
#include "runtime/config/load.hpp"
#include "runtime/config/schema.hpp"
#include "runtime/core/reactor.hpp"
#include "runtime/kafka/probe.hpp"
#include "runtime/redis/redis_store.hpp"

#include <future>
#include <set>

namespace weir::cli {
namespace {

constexpr auto connect_deadline = std::chrono::seconds{10};

bool try_kafka(const topology& topo) {
  if (topo.kafka.embedded()) {
    fmt::print("kafka: embedded, nothing to reach\n");
    return true;
  }
  std::set<std::string> topics;
  for (const auto& [name, s] : topo.sources) {
    topics.insert(s.topic);
    if (!s.dead_letter.empty())
      topics.insert(s.dead_letter);
  }
  for (const auto& [name, j] : topo.jobs)
    for (const auto& topic : {j.write_topic, j.dead_letter})
      if (!topic.empty())
        topics.insert(topic);
  const auto found = kafka::probe_kafka(topo.kafka, {topics.begin(), topics.end()}, connect_deadline);
  if (!found) {
    fmt::print(stderr, "kafka: {}\n", found.error().message);
    return false;
  }
  for (const auto& line : *found)
    fmt::print("kafka: {}\n", line);
  return true;
}

bool try_redis(const topology& topo) {
  if (topo.redis.embedded()) {
    fmt::print("redis: embedded, nothing to reach\n");
    return true;
  }
  reactor r{"weir-check"};
  r.start();
  redis::store_options options;
  options.log_component = "redis";
  auto store = redis::make_redis_store(topo.redis, {&r}, options);
  if (!store) {
    fmt::print(stderr, "redis: {}\n", store.error().message);
    return false;
  }
  auto promise = std::make_shared<std::promise<result<std::vector<std::string>>>>();
  auto answer = promise->get_future();
  (*store)->examine([promise](result<std::vector<std::string>> warnings) { promise->set_value(std::move(warnings)); });
  const auto warnings = answer.get(); // the store answers every call by its own deadline
  (*store)->close();
  if (!warnings) {
    fmt::print(stderr, "redis: {}\n", warnings.error().message);
    return false;
  }
  fmt::print("redis: reachable\n");
  for (const auto& w : *warnings)
    fmt::print("redis: warning: {}\n", w);
  return true;
}

} // namespace

int check(const check_options& options) {
  log::setup(log::level::error, log::format::text);
  load_options load;
  load.sets = options.sets;
  load.extensions = options.extensions.get();
  const auto loaded = load_topology_file(options.file, load);
  for (const auto& p : loaded.problems)
    fmt::print(stderr, "{}\n", to_string(p));
  if (!loaded.ok()) {
    fmt::print(stderr, "{}: {} problem{}\n", options.file, loaded.problems.size(),
               loaded.problems.size() == 1 ? "" : "s");
    return exit_config;
  }
  const auto& topo = loaded.value;
  for (const auto& part : topo.unavailable)
    fmt::print("{}: {}: not available yet, `weir run` refuses it: {}\n", options.file, part.pointer, part.what);
  fmt::print("{}: ok: topology '{}', {} sources, {} tables, {} jobs\n", options.file, topo.name, topo.sources.size(),
             topo.tables.size(), topo.jobs.size());
  if (!options.connect)
    return exit_ok;
  const bool kafka = try_kafka(topo);
  const bool redis = try_redis(topo);
  return kafka && redis ? exit_ok : exit_unavailable;
}

int schema() {
  fmt::print("{}", topology_schema());
  if (!topology_schema().ends_with('\n'))
    fmt::print("\n");
  return exit_ok;
}

} // namespace weir::cli
