#include "actors/scheduler.hpp"

#include "runtime/batch/schedule.hpp"
#include "runtime/core/json.hpp"
#include "runtime/core/log.hpp"
#include "runtime/metrics/registry.hpp"

#include <algorithm>
#include <caf/event_based_actor.hpp>
#include <caf/send.hpp>
#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>
#include <fmt/format.h>
#include <map>

namespace weir::actors {
namespace {

using namespace std::chrono_literals;

constexpr auto tick = 100ms;
constexpr std::size_t kept_runs = 20;            // on the board, per job
constexpr std::int64_t answer_after_ms = 10'000; // a request for a run is answered by then, ended or not

struct execution {
  std::uint64_t run = 0;
  std::int64_t fire_ms = 0, started_ms = 0;
  std::size_t shares = 0, open = 0;
  std::vector<std::shared_ptr<batch::reducer>> partials;
  std::shared_ptr<const std::vector<std::pair<std::string, std::string>>> rows;
  batch::reduce_counts counts;
  std::vector<http::responder> waiting; // requests that asked for this run
  bool writing = false;
};

struct running_job {
  scheduled_job what;
  batch::interval_schedule schedule;
  std::optional<execution> now;
  std::uint64_t runs = 0;
};

struct scheduler_state {
  static inline const char* name = "scheduler";

  scheduler_actor::stateful_pointer<scheduler_state> self;
  scheduler_config config;
  std::map<std::string, running_job> jobs;

  explicit scheduler_state(scheduler_actor::stateful_pointer<scheduler_state> s) : self(s) {}

  std::int64_t now_ms() const { return config.node->wall_ms(); }

  void on_tick() {
    self->delayed_send(self, tick, caf::tick_atom::value);
    for (auto& [id, job] : jobs) {
      if (auto fire = job.schedule.poll(now_ms()))
        start(job, *fire);
      if (job.now)
        check_deadline(job);
      show_next(job);
    }
  }

  void show_next(running_job& job) {
    config.node->board->job(job.what.config.name, [&](job_status& s) {
      s.next_fire_ms = job.now ? s.next_fire_ms : job.schedule.wake_at().value_or(0);
    });
  }

  void check_deadline(running_job& job) {
    const auto age = now_ms() - job.now->started_ms;
    if (age >= config.deadline.count())
      return finish(job, fail(ec::timeout, fmt::format("not done within {} s", config.deadline.count() / 1000)));
    if (age >= answer_after_ms)
      answer(job, 202, "STARTED", {});
  }

  void start(running_job& job, std::int64_t fire) {
    auto& run = job.now.emplace();
    run.run = ++job.runs;
    run.fire_ms = fire;
    run.started_ms = now_ms();
    const auto& c = job.what.config;
    config.node->board->job(c.name, [&](job_status& s) {
      s.running = true;
      s.runs = job.runs;
    });
    const auto partitions = config.node->partitions_of(job.what.input);
    if (partitions.empty())
      return finish(job, fail(ec::overloaded,
                              fmt::format("the partitions of table '{}' are not known yet", job.what.input.name)));
    const bool log = job.what.input.kind == table_kind::log;
    const auto buckets = redis::table_buckets(job.what.input.expected_rows);
    run.shares = log ? partitions.size() : std::min<std::size_t>(config.most_reducers, buckets);
    run.open = run.shares;
    run.partials.resize(run.shares);
    for (std::size_t i = 0; i < run.shares; ++i) {
      batch_reducer_config share{config.node, c,  job.what.input, job.what.input_ref,  partitions, run.run, i,
                                 run.shares,  {}, fire,           config.node->hint(), self};
      if (log && c.last)
        share.from_ms = fire - c.last->count();
      share.to_ms = log && c.last ? fire : std::numeric_limits<std::int64_t>::max();
      spawn_batch_reducer(self->system(), std::move(share));
    }
  }

  running_job* find(const std::string& id, std::uint64_t run) {
    auto at = jobs.find(id);
    return at != jobs.end() && at->second.now && at->second.now->run == run ? &at->second : nullptr;
  }

  void on_reduced(const reducer_done& m) {
    auto* job = find(m.job, m.run);
    if (!job || job->now->writing)
      return;
    auto& run = *job->now;
    if (!m.partial)
      return finish(*job, tl::unexpected(m.partial.error()));
    run.partials[m.share] = *m.partial;
    if (--run.open > 0)
      return;
    // Always in the order of the shares, so that sums of doubles have the same bits however the reducers raced.
    auto all = std::move(run.partials.front());
    for (std::size_t i = 1; i < run.partials.size(); ++i)
      if (auto merged = all->merge(*run.partials[i]); !merged)
        return finish(*job, tl::unexpected(merged.error()));
    run.partials.clear();
    run.counts = all->counts();
    run.rows = std::make_shared<const std::vector<std::pair<std::string, std::string>>>(all->rows());
    run.writing = true;
    if (job->what.writer)
      caf::anon_send(job->what.writer, write_rows{m.job, m.run, run.fire_ms, run.rows, self});
    else
      to_topic(*job);
  }

  void on_written(const rows_written& m) {
    auto* job = find(m.job, m.run);
    if (!job)
      return;
    if (!m.written)
      return finish(*job, tl::unexpected(m.written.error()));
    if (m.topic || job->what.config.write_topic.empty())
      return finish(*job, job->now->rows->size());
    to_topic(*job);
  }

  // Rows go to the topic after they are in Redis: once there, at least once in Kafka, told apart by their headers.
  void to_topic(running_job& job) {
    const auto& c = job.what.config;
    auto left = std::make_shared<std::atomic<std::size_t>>(job.now->rows->size());
    auto failed = std::make_shared<std::atomic<bool>>(false);
    scheduler_actor me = self;
    const auto done = [me, left, failed, id = c.name, run = job.now->run](result<void> sent) {
      if (!sent && !failed->exchange(true))
        caf::anon_send(me, rows_written{id, run, tl::unexpected(sent.error()), true});
      if (left->fetch_sub(1) == 1 && !*failed)
        caf::anon_send(me, rows_written{id, run, std::size_t{0}, true});
    };
    if (job.now->rows->empty())
      return finish(job, std::size_t{0});
    for (const auto& [key, row] : *job.now->rows)
      config.node->producer->send(
          {c.write_topic, key, row, {{"weir.job", c.name}, {"weir.fire", std::to_string(job.now->fire_ms)}}, -1, 0},
          done);
  }

  std::string describe(const running_job& job, std::string_view status, const std::string& message) const {
    const auto& run = *job.now;
    return fmt::format(
        R"({{"job":{},"run":{},"status":"{}","fire":{},"started":{},"read":{},"filtered":{},"skipped":{},"written":{},"message":{}}})",
        json_quote(job.what.config.name), run.run, status, run.fire_ms, run.started_ms, run.counts.read,
        run.counts.filtered, run.counts.skipped, run.rows ? run.rows->size() : 0, json_quote(message));
  }

  void answer(running_job& job, unsigned status, std::string_view word, const std::string& message) {
    if (job.now->waiting.empty())
      return;
    http::response r;
    r.status = status;
    r.body = describe(job, word, message);
    for (auto& respond : job.now->waiting)
      respond(r);
    job.now->waiting.clear();
  }

  void finish(running_job& job, result<std::size_t> outcome) {
    auto& run = *job.now;
    const auto ended = now_ms();
    const auto& id = job.what.config.name;
    const std::string message = outcome ? std::string{} : outcome.error().message;
    if (!outcome)
      log::warn("scheduler", "execution failed", {{"job", id}, {"run", run.run}, {"reason", message}});
    auto& m = *config.node->metrics;
    m.get(metrics::names::job_runs, id, outcome ? "completed" : "failed").add();
    m.get(metrics::names::job_seconds, id).observe(static_cast<double>(ended - run.started_ms) / 1000);
    if (outcome)
      m.get(metrics::names::job_success_time, id).set(static_cast<double>(ended) / 1000);
    answer(job, outcome ? 200 : 500, outcome ? "COMPLETED" : "FAILED", message);
    config.node->board->job(id, [&](job_status& s) {
      s.running = false;
      s.last.insert(s.last.begin(),
                    {run.run, outcome ? "COMPLETED" : "FAILED", run.fire_ms, run.started_ms, ended, run.counts.read,
                     run.counts.filtered, run.counts.skipped, outcome && run.rows ? run.rows->size() : 0, message});
      if (s.last.size() > kept_runs)
        s.last.resize(kept_runs);
    });
    job.now.reset();
    job.schedule.finished(ended);
    show_next(job);
  }

  void on_run(const run_job& m) {
    auto at = jobs.find(m.job);
    if (at == jobs.end()) {
      if (m.respond)
        m.respond(http::error_response(404, "no_such_thing", fmt::format("there is no job '{}'", m.job), "/jobs"));
      return;
    }
    auto& job = at->second;
    const auto fire = job.schedule.demand(now_ms());
    if (!fire) {
      if (m.respond)
        m.respond(
            http::error_response(409, "already_running", fmt::format("job '{}' is running", m.job), "/jobs/" + m.job));
      return;
    }
    start(job, *fire);
    if (!m.respond)
      return;
    if (job.now) {
      job.now->waiting.push_back(m.respond);
    } else {
      m.respond(http::error_response(503, "not_ready",
                                     fmt::format("job '{}' could not start: its input is not ready yet", m.job),
                                     "/jobs/" + m.job));
    }
  }
};

scheduler_actor::behavior_type scheduler(scheduler_actor::stateful_pointer<scheduler_state> self,
                                         scheduler_config config) {
  auto& s = self->state;
  s.config = std::move(config);
  for (auto& job : s.config.jobs) {
    const auto id = job.config.name;
    s.config.node->board->job(id, [](job_status&) {});
    s.jobs.emplace(id, running_job{job, batch::interval_schedule{job.config.every, s.now_ms()}, std::nullopt, 0});
  }
  self->delayed_send(self, tick, caf::tick_atom::value);
  return {
      [self](const run_job& m) { self->state.on_run(m); },
      [self](const reducer_done& m) { self->state.on_reduced(m); },
      [self](const rows_written& m) { self->state.on_written(m); },
      [self](caf::tick_atom) { self->state.on_tick(); },
      [self](const stop_work&) { self->quit(); },
  };
}

} // namespace

scheduler_actor spawn_scheduler(caf::actor_system& system, scheduler_config config) {
  return system.spawn(scheduler, std::move(config));
}

} // namespace weir::actors
