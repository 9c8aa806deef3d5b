#include "actors/scheduler.hpp"

#include "actors/job_runner.hpp"
#include "actors/result_merger.hpp"
#include "runtime/batch/lease_keeper.hpp"
#include "runtime/core/log.hpp"
#include "runtime/metrics/registry.hpp"

#include <caf/event_based_actor.hpp>
#include <caf/send.hpp>
#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>
#include <fmt/format.h>
#include <map>
#include <memory>

namespace weir::actors {
namespace {

struct scheduler_state {
  static inline const char* name = "scheduler";

  scheduler_actor::stateful_pointer<scheduler_state> self;
  scheduling home;
  std::map<std::string, std::unique_ptr<job_runner>> jobs;
  std::unique_ptr<batch::lease_keeper> lease;
  std::uint64_t questions = 0; // about the lease
  std::string holder;          // who schedules, as far as known

  explicit scheduler_state(scheduler_actor::stateful_pointer<scheduler_state> s) : self(s) {}

  std::int64_t steady_ms() const {
    return std::chrono::duration_cast<std::chrono::milliseconds>(self->clock().now().time_since_epoch()).count();
  }

  void begin(scheduler_config config) {
    home.config = std::move(config);
    home.me = [self = self] { return scheduler_actor{self}; };
    home.system = &self->system();
    home.step_down = [this](const std::string& why) { step_down(why); };
    home.find = [this](const std::string& id) -> const job_runner* {
      const auto at = jobs.find(id);
      return at == jobs.end() ? nullptr : at->second.get();
    };
    lease = std::make_unique<batch::lease_keeper>(home.config.node->topo.scheduler.lease.count());
    for (const auto& job : home.config.jobs)
      jobs[job.config.name] = std::make_unique<job_runner>(home, job);
    self->delayed_send(self, scheduler_tick, caf::tick_atom::value);
    ask_lease();
  }

  // -- the lease

  void on_tick() {
    self->delayed_send(self, scheduler_tick, caf::tick_atom::value);
    if (lease->passed(steady_ms()) == batch::lease_keeper::event::lost)
      step_down("Redis did not answer for as long as the lease is");
    ask_lease();
    if (!lease->held())
      return;
    for (auto& [id, job] : jobs)
      job->tick();
  }

  void ask_lease() {
    if (!lease->due(steady_ms()))
      return;
    lease->asked(steady_ms());
    home.repository().take_lease(home.config.node->topo.name, home.config.node->incarnation, lease->hold_ms(),
                                 home.too_low, [me = home.me(), question = ++questions](result<redis::lease> answer) {
                                   caf::anon_send(me, lease_answered{question, std::move(answer)});
                                 });
  }

  void on_lease(const lease_answered& m) {
    if (m.question != questions)
      return;
    if (!m.lease)
      return lease->failed();
    holder = m.lease->owner;
    const auto event =
        lease->answered(m.lease->held ? std::optional<std::uint64_t>(m.lease->token.value) : std::nullopt);
    if (event == batch::lease_keeper::event::lost)
      step_down(fmt::format("'{}' has taken the lease", holder));
    else if (event == batch::lease_keeper::event::gained)
      step_up();
  }

  void step_up() {
    home.token.value = lease->token();
    log::info("scheduler", "this node schedules the jobs now", {{"token", home.token.value}});
    home.metrics().get(metrics::names::scheduling).set(1);
    for (auto& [id, job] : jobs)
      job->step_up();
  }

  void step_down(const std::string& why) {
    log::warn("scheduler", "this node does not schedule any more", {{"reason", why}});
    lease->lose();
    home.metrics().get(metrics::names::scheduling).set(0);
    for (auto& [id, job] : jobs)
      job->step_down(why);
  }

  // -- requests and answers

  // The job, if it is there and this node schedules; else the request is answered.
  job_runner* asked_for(const std::string& id, const http::responder& respond) {
    const auto refuse = [&](unsigned status, const char* code, std::string what) -> job_runner* {
      if (respond)
        respond(http::error_response(status, code, std::move(what), "/jobs/" + id));
      return nullptr;
    };
    const auto at = jobs.find(id);
    if (at == jobs.end())
      return refuse(404, "no_such_thing", fmt::format("there is no job '{}'", id));
    if (!lease->held())
      return refuse(503, "not_scheduling",
                    holder.empty() ? "nobody schedules the jobs yet; try again in a moment"
                                   : fmt::format("the node '{}' schedules the jobs; ask that one", holder));
    return at->second.get();
  }

  execution_run* execution(const std::string& id, std::uint64_t run) {
    const auto at = jobs.find(id);
    return at == jobs.end() ? nullptr : at->second->execution(run);
  }

  void on_answer(const job_answered& m) {
    if (m.answer && m.answer->verdict == redis::job_verdict::fenced) // also where it is not waited for any more
      home.metrics().get(metrics::names::jobs_fenced, m.job).add();
    const auto at = jobs.find(m.job);
    if (at != jobs.end() && lease->held() && m.token == home.token.value)
      at->second->on_answer(m);
  }

  void drain() {
    // What has a thread of its own, and may wait for brokers, would hold up the node's end.
    for (auto& [id, job] : jobs)
      job->drop_run("the node is stopping; the next one goes on with the execution");
    if (lease->held())
      home.repository().drop_lease(home.config.node->topo.name, home.config.node->incarnation, [](auto) {});
    self->quit();
  }
};

scheduler_actor::behavior_type scheduler(scheduler_actor::stateful_pointer<scheduler_state> self,
                                         scheduler_config config) {
  self->state.begin(std::move(config));
  return {
      [self](const run_job& m) {
        if (auto* job = self->state.asked_for(m.job, m.respond))
          job->run(m);
      },
      [self](const control_job& m) {
        if (auto* job = self->state.asked_for(m.job, m.respond))
          job->control(m);
      },
      [self](const share_progress& m) {
        if (auto* run = self->state.execution(m.job, m.run))
          run->on_progress(m);
      },
      [self](const lease_answered& m) { self->state.on_lease(m); },
      [self](const job_answered& m) { self->state.on_answer(m); },
      [self](const input_read& m) {
        if (const auto at = self->state.jobs.find(m.job); at != self->state.jobs.end())
          at->second->on_input(m);
      },
      [self](const input_counted& m) {
        if (auto* run = self->state.execution(m.job, m.run))
          run->on_total(m);
      },
      [self](const reducer_done& m) {
        if (auto* run = self->state.execution(m.job, m.run))
          run->on_reduced(m);
      },
      [self](const result_merged& m) {
        if (auto* run = self->state.execution(m.job, m.run))
          run->on_merged(m);
      },
      [self](const rows_written& m) {
        if (auto* run = self->state.execution(m.job, m.run))
          run->on_written(m);
      },
      [self](caf::tick_atom) { self->state.on_tick(); },
      [self](const stop_work&) { self->state.drain(); },
  };
}

} // namespace

scheduler_actor spawn_scheduler(caf::actor_system& system, scheduler_config config) {
  return system.spawn(scheduler, std::move(config));
}

} // namespace weir::actors
