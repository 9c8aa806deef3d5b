#include "actors/batch_reducer.hpp"

#include "runtime/table/merge.hpp"

#include <algorithm>
#include <caf/event_based_actor.hpp>
#include <caf/send.hpp>
#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>
#include <limits>

namespace weir::actors {
namespace {

constexpr std::uint32_t log_chunk = 64; // packed entries asked for at a time

// A record's event time can be ahead of the moment it was committed by as much as its producer's clock is: the window's
// first packed entry is looked for this much earlier than the window starts.
constexpr std::int64_t clock_allowance_ms = 60'000;

struct batch_reducer_state {
  static inline const char* name = "batch-reducer";

  batch_reducer_actor::stateful_pointer<batch_reducer_state> self;
  batch_reducer_config config;
  std::shared_ptr<batch::reducer> partial;
  std::uint32_t buckets = 1, bucket = 0;
  std::size_t waiting = 0;                              // partitions that have not sent the bucket under way
  std::map<std::string, std::vector<table::part>> rows; // of the bucket under way, by key
  version next;

  explicit batch_reducer_state(batch_reducer_actor::stateful_pointer<batch_reducer_state> s) : self(s) {}

  void finish(result<std::shared_ptr<batch::reducer>> r) {
    caf::anon_send(config.report_to, reducer_done{config.job.name, config.run, config.share, std::move(r)});
    self->quit();
  }

  void start_work() {
    partial = std::make_shared<batch::reducer>(config.job);
    if (config.table.kind == table_kind::log) {
      if (config.from_ms)
        next =
            version{static_cast<std::uint64_t>(std::max<std::int64_t>(*config.from_ms - clock_allowance_ms, 0)) * 1000};
      return ask_log();
    }
    buckets = redis::table_buckets(config.table.expected_rows);
    bucket = static_cast<std::uint32_t>(config.share);
    ask_bucket();
  }

  void ask_bucket() {
    if (bucket >= buckets)
      return finish(partial);
    rows.clear();
    waiting = config.partitions.size();
    batch_reducer_actor me = self;
    for (std::size_t p = 0; p < config.partitions.size(); ++p)
      config.node->store->load_bucket(config.partitions[p], config.ref, bucket,
                                      [me, p](auto answer) { caf::anon_send(me, bucket_read{p, std::move(answer)}); });
  }

  void on_bucket(const bucket_read& m) {
    if (!m.rows)
      return finish(tl::unexpected(m.rows.error()));
    const auto id = config.partitions[m.partition].partition;
    for (const auto& row : *m.rows)
      rows[row.key].push_back({id, {row.time_ms, id, row.at}, std::make_shared<const std::string>(row.value)});
    if (--waiting > 0)
      return;
    for (const auto& [key, parts] : rows) {
      const auto visible = table::visible_row(config.table, parts);
      if (!visible)
        continue;
      if (auto done = partial->add(*visible, parts.back().at); !done)
        return finish(tl::unexpected(done.error()));
    }
    bucket += static_cast<std::uint32_t>(config.shares);
    ask_bucket();
  }

  void ask_log() {
    batch_reducer_actor me = self;
    config.node->store->load_log(config.partitions[config.share], config.ref, next, config.cut, log_chunk, false,
                                 [me](auto answer) { caf::anon_send(me, log_read{std::move(answer)}); });
  }

  void on_log(const log_read& m) {
    if (!m.batches)
      return finish(tl::unexpected(m.batches.error()));
    const auto id = config.partitions[config.share].partition;
    for (const auto& packed : *m.batches) {
      next = version{packed.first.value + std::max<std::uint64_t>(packed.entries.size(), 1)};
      for (const auto& entry : packed.entries) {
        if (config.from_ms && (entry.time_ms < *config.from_ms || entry.time_ms >= config.to_ms))
          continue;
        if (auto done = partial->add(*entry.value, {entry.time_ms, id, entry.at}); !done)
          return finish(tl::unexpected(done.error()));
      }
    }
    if (m.batches->size() < log_chunk)
      return finish(partial);
    ask_log();
  }
};

batch_reducer_actor::behavior_type batch_reducer(batch_reducer_actor::stateful_pointer<batch_reducer_state> self,
                                                 batch_reducer_config config) {
  self->state.config = std::move(config);
  self->state.start_work();
  return {
      [self](const bucket_read& m) { self->state.on_bucket(m); },
      [self](const log_read& m) { self->state.on_log(m); },
  };
}

} // namespace

batch_reducer_actor spawn_batch_reducer(caf::actor_system& system, batch_reducer_config config) {
  return system.spawn(batch_reducer, std::move(config));
}

} // namespace weir::actors
