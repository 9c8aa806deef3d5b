#include "actors/scheduler.hpp"

#include "runtime/batch/execution.hpp"
#include "runtime/batch/lease_keeper.hpp"
#include "runtime/batch/schedule.hpp"
#include "runtime/core/backoff.hpp"
#include "runtime/core/json.hpp"
#include "runtime/core/log.hpp"
#include "runtime/metrics/registry.hpp"

#include <algorithm>
#include <caf/event_based_actor.hpp>
#include <caf/exit_reason.hpp>
#include <caf/send.hpp>
#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>
#include <fmt/format.h>
#include <limits>
#include <map>
#include <set>
#include <utility>

namespace weir::actors {
namespace {

using namespace std::chrono_literals;

constexpr auto tick = 100ms;
constexpr std::size_t kept_runs = 20;            // on the board, per job
constexpr std::int64_t answer_after_ms = 10'000; // a request for a run is answered by then, ended or not
// Versions are Redis' time. What is committed this long after a run starts counts, so that a node whose clock is behind
// misses nothing; what comes later does not, so that the reading of a log that grows has an end.
constexpr std::uint64_t cut_allowance_us = 5'000'000;
constexpr std::uint32_t most_stuck = 20;    // takeovers without a step forward: perhaps it is what ends the nodes
constexpr std::size_t topic_window = 1'000; // records handed to the producer at a time

using batch::execution_status;

// Passes by itself, so it is worth another try.
bool is_transient(ec code) {
  switch (code) {
  case ec::redis_unreachable:
  case ec::redis_busy:
  case ec::redis_cannot_write:
  case ec::kafka_unreachable:
  case ec::kafka_failed:
  case ec::timeout: return true;
  default: return false;
  }
}

struct execution_run {
  std::uint64_t number =
      0; // of this scheduler's life; another one after each retry, so that late answers are told apart
  batch::execution e;
  bool again = false; // begins from the checkpoints of the execution before it
  bool ending = false, stopping = false;
  std::vector<std::shared_ptr<batch::reducer>> partials;
  std::size_t open = 0; // shares without a partial result
  std::vector<batch::reduce_counts> counts;
  std::map<std::uint32_t, std::string> checkpoints;         // by share: what Redis has
  std::map<std::uint32_t, std::string> under_way;           // one of each share
  std::map<std::uint32_t, std::string> waiting_checkpoints; // the newest behind that one
  std::vector<batch_reducer_actor> reducers;
  std::size_t saving = 0; // last checkpoints without an answer
  std::shared_ptr<const std::vector<std::pair<std::string, std::string>>> rows;
  std::uint64_t chunks = 0; // of the result, written by an earlier scheduler
  std::size_t sent = 0;     // rows that the topic has
  std::vector<http::responder> waiting;
  std::int64_t asked_ms = 0; // when this life of it began: for requests and the deadline
  int wait = 0;              // ticks until `then`
  std::function<void()> then;
  backoff retry{200ms, 5s};
};

struct running_job {
  scheduled_job what;
  partition_key key;
  bool adopted = false, adopting = false;
  int adopt_in = 0; // ticks
  backoff adopt_retry{100ms, 5s};
  redis::job_state stored; // as adopted, then as changed from here
  std::optional<batch::interval_schedule> schedule;
  std::optional<execution_run> now;
  std::vector<http::responder> restart; // who asked for it; it comes with the next adoption
  std::uint64_t runs = 0;
};

struct scheduler_state {
  static inline const char* name = "scheduler";

  scheduler_actor::stateful_pointer<scheduler_state> self;
  scheduler_config config;
  std::map<std::string, running_job> jobs;
  std::unique_ptr<batch::lease_keeper> lease;
  std::uint64_t questions = 0; // about the lease
  std::string holder;          // who schedules, as far as known
  redis::fence_token too_low;  // a token that a job has seen

  explicit scheduler_state(scheduler_actor::stateful_pointer<scheduler_state> s) : self(s) {}

  std::int64_t now_ms() const { return config.node->wall_ms(); }
  std::int64_t steady_ms() const {
    return std::chrono::duration_cast<std::chrono::milliseconds>(self->clock().now().time_since_epoch()).count();
  }
  redis::job_store& repository() { return config.node->store->jobs(); }
  metrics::registry& metrics() { return *config.node->metrics; }

  // -- the lease

  void on_tick() {
    self->delayed_send(self, tick, caf::tick_atom::value);
    if (lease->passed(steady_ms()) == batch::lease_keeper::event::lost)
      step_down("Redis did not answer for as long as the lease is");
    ask_lease();
    if (!lease->held())
      return;
    for (auto& [id, job] : jobs)
      tick_job(job);
  }

  void ask_lease() {
    if (!lease->due(steady_ms()))
      return;
    lease->asked(steady_ms());
    repository().take_lease(config.node->topo.name, config.node->incarnation, lease->hold_ms(), too_low,
                            [me = scheduler_actor{self}, question = ++questions](result<redis::lease> answer) {
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
    log::info("scheduler", "this node schedules the jobs now", {{"token", lease->token()}});
    metrics().get(metrics::names::scheduling).set(1);
    for (auto& [id, job] : jobs) {
      drop_run(job, "the scheduler has changed");
      job.adopted = false;
      if (job.what.writer)
        caf::anon_send(job.what.writer, lead{true, lease->token()});
      adopt(job);
    }
  }

  void step_down(const std::string& why) {
    log::warn("scheduler", "this node does not schedule any more", {{"reason", why}});
    lease->lose();
    metrics().get(metrics::names::scheduling).set(0);
    for (auto& [id, job] : jobs) {
      drop_run(job, why);
      job.adopted = false;
      job.schedule.reset();
      if (job.what.writer)
        caf::anon_send(job.what.writer, lead{false, 0});
    }
  }

  // Forgets what is under way here; in the repository it goes on to be what it is.
  void drop_run(running_job& job, const std::string& why) {
    if (!job.now)
      return;
    answer(job, 503, why);
    halt(job);
    job.now.reset();
    config.node->board->job(job.what.config.name, [](job_status& s) { s.running = false; });
  }

  // Nothing of this run works on.
  void halt(running_job& job) {
    auto& run = *job.now;
    for (const auto& reducer : run.reducers)
      caf::anon_send_exit(reducer, caf::exit_reason::kill);
    run.reducers.clear();
    if (job.what.writer)
      caf::anon_send(job.what.writer, forget_rows{run.number});
    run.wait = 0;
    run.then = {};
  }

  // Another scheduler has been at this job, or its state is not what it was taken for.
  void look_again(running_job& job, const std::string& why) {
    drop_run(job, why);
    job.adopted = false;
    job.adopt_in = static_cast<int>(job.adopt_retry.next() / tick) + 1;
  }

  // Gives whether the answer is one; else what is to be done about it is done.
  bool good(running_job& job, const job_answered& m) {
    if (m.answer->verdict == redis::job_verdict::done)
      return true;
    if (m.answer->verdict != redis::job_verdict::fenced) {
      look_again(job, "the job's state in Redis is not what this scheduler left");
      return false;
    }
    // Whoever took over has the lease; where nobody did (Redis lost it), the next token is a higher one.
    metrics().get(metrics::names::jobs_fenced, job.what.config.name).add();
    too_low = std::max(too_low, m.answer->stored.token);
    step_down("another scheduler has taken a job over");
    return false;
  }

  // -- adoption

  void ask(running_job& job, job_step step, redis::job_change change) {
    change.job = job.key;
    change.token = redis::fence_token{lease->token()};
    change.keep_count = config.keep_executions;
    change.keep_since_ms = now_ms() - config.keep_for.count();
    const auto share = change.checkpoint ? change.checkpoint->first : 0;
    repository().change_job(std::move(change),
                            [me = scheduler_actor{self}, id = job.what.config.name, run = job.now ? job.now->number : 0,
                             step, token = lease->token(), share](result<redis::job_answer> answer) {
                              caf::anon_send(me, job_answered{id, run, step, token, share, std::move(answer), {}});
                            });
  }

  void adopt(running_job& job) {
    job.adopting = true;
    const auto token = lease->token();
    repository().adopt_job(job.key, redis::fence_token{token},
                           [me = scheduler_actor{self}, id = job.what.config.name, token](result<redis::job_answer> a) {
                             caf::anon_send(me, job_answered{id, 0, job_step::adopt, token, 0, std::move(a), {}});
                           });
  }

  void on_adopted(running_job& job, const job_answered& m) {
    job.adopting = false;
    if (!m.answer) {
      job.adopt_in = static_cast<int>(job.adopt_retry.next() / tick) + 1;
      return;
    }
    if (!good(job, m))
      return;
    job.adopted = true;
    job.adopt_retry.reset();
    job.stored = m.answer->stored;
    const auto& c = job.what.config;
    const auto last = job.stored.fire_ms >= 0 ? std::optional(job.stored.fire_ms) : std::nullopt;
    job.schedule.emplace(c.every, now_ms(), last, c.missed);
    read_history(job);
    const auto status = batch::parse_execution_status(job.stored.status);
    auto restart = std::exchange(job.restart, {});
    if (!status || batch::is_over(*status)) {
      if (!restart.empty())
        begin_again(job, std::move(restart));
      return;
    }
    for (auto& respond : restart)
      respond(
          http::error_response(409, "already_running", fmt::format("job '{}' is running", c.name), "/jobs/" + c.name));
    take_over(job, *status);
  }

  // An execution that its scheduler did not bring to an end.
  void take_over(running_job& job, execution_status status) {
    auto& run = job.now.emplace();
    run.number = ++job.runs;
    if (auto e = batch::parse_execution(job.stored.run))
      run.e = std::move(*e);
    run.e.job = job.what.config.name;
    run.e.id = job.stored.id;
    run.e.fire_ms = job.stored.fire_ms;
    run.e.status = status;
    ++run.e.takeovers;
    ++run.e.stuck;
    run.checkpoints = job.stored.checkpoints;
    run.chunks = job.stored.chunks;
    run.asked_ms = now_ms();
    log::warn("scheduler", "going on with an execution of another scheduler",
              {{"job", run.e.job}, {"execution", run.e.id}, {"status", job.stored.status}, {"chunks", run.chunks}});
    metrics().get(metrics::names::job_takeovers, run.e.job).add();
    job.schedule->taken(run.e.fire_ms);
    show(job);
    if (status == execution_status::stopping)
      return end(job, execution_status::stopped, "stopped on request");
    if (run.e.stuck > most_stuck)
      return end(job, execution_status::failed,
                 fmt::format("taken over {} times without a step forward; the last node was '{}'", run.e.stuck - 1,
                             run.e.node));
    run.e.node = config.node->node_name;
    if (fits(job))
      start(job);
  }

  // Whether checkpoints and chunks are of the job as it is now; else they go, or the execution ends.
  bool fits(running_job& job) {
    auto& run = *job.now;
    const auto& c = job.what.config;
    if (run.e.definition == c.fingerprint && run.chunks > 0)
      return true;
    if (run.e.definition != c.fingerprint) {
      if (run.chunks > 0) {
        end(job, execution_status::failed,
            "the job was changed after a part of this result had been written; the next run writes a new one");
        return false;
      }
      run.checkpoints.clear();
      run.e.shares = 0;
      run.e.definition = c.fingerprint;
    }
    run.e.chunk = c.chunk; // nothing is written yet
    run.e.replace = c.replace;
    return true;
  }

  void read_history(running_job& job) {
    repository().job_history(
        job.key, kept_runs,
        [me = scheduler_actor{self}, id = job.what.config.name, token = lease->token()](auto answer) {
          if (answer)
            caf::anon_send(me,
                           job_answered{id, 0, job_step::history, token, 0, redis::job_answer{}, std::move(*answer)});
        });
  }

  void on_history(running_job& job, const job_answered& m) {
    std::vector<job_run_status> last;
    for (const auto& text : m.history)
      if (const auto e = batch::parse_execution(text))
        last.push_back(status_of(*e));
    config.node->board->job(job.what.config.name, [&](job_status& s) { s.last = std::move(last); });
    for (const auto& text : m.history)
      if (const auto e = batch::parse_execution(text); e && e->status == execution_status::completed) {
        metrics().get(metrics::names::job_success_time, e->job).set(static_cast<double>(e->ended_ms) / 1000);
        break;
      }
  }

  // -- an execution

  void tick_job(running_job& job) {
    if (!job.adopted) {
      if (!job.adopting && (job.adopt_in <= 0 || --job.adopt_in == 0))
        adopt(job);
      return;
    }
    if (!job.now) {
      // A fire time waits until its input is known.
      if (!config.node->partitions_of(job.what.input).empty())
        if (const auto fire = job.schedule->poll(now_ms()))
          begin(job, *fire, batch::execution_id(*fire, 1));
    } else if (job.now->wait > 0 && --job.now->wait == 0) {
      std::exchange(job.now->then, {})();
    }
    if (job.now)
      check_time(job);
    config.node->board->job(job.what.config.name, [&](job_status& s) {
      s.next_fire_ms = job.now ? s.next_fire_ms : job.schedule->wake_at().value_or(0);
    });
  }

  void later(running_job& job, std::function<void()> what) {
    job.now->then = std::move(what);
    job.now->wait = static_cast<int>(job.now->retry.next() / tick) + 1;
  }

  void check_time(running_job& job) {
    const auto age = now_ms() - job.now->asked_ms;
    const auto deadline = job.what.config.deadline.count();
    if (age >= deadline && !job.now->ending)
      return end(job, execution_status::failed, fmt::format("not done within {} s", deadline / 1000));
    if (age >= answer_after_ms)
      answer(job, 202, {});
  }

  void begin(running_job& job, std::int64_t fire, std::string id, std::vector<http::responder> waiting = {},
             bool again = false) {
    auto& run = job.now.emplace();
    run.number = ++job.runs;
    run.again = again;
    run.e.job = job.what.config.name;
    run.e.id = std::move(id);
    run.e.fire_ms = fire;
    run.e.started_ms = run.asked_ms = now_ms();
    run.e.node = config.node->node_name;
    run.waiting = std::move(waiting);
    run.e.definition = job.what.config.fingerprint;
    run.e.chunk = job.what.config.chunk;
    run.e.replace = job.what.config.replace;
    if (again) {
      run.checkpoints = job.stored.checkpoints;
      run.chunks = job.stored.chunks;
      if (const auto before = batch::parse_execution(job.stored.run)) {
        run.e.shares = before->shares;
        run.e.definition = before->definition;
        run.e.chunk = before->chunk;
        run.e.replace = before->replace;
      }
    }
    show(job);
    ask_begin(job);
  }

  void begin_again(running_job& job, std::vector<http::responder> waiting) {
    const auto status = batch::parse_execution_status(job.stored.status);
    const auto& c = job.what.config;
    if (!status || !batch::may_restart(*status)) {
      for (auto& respond : waiting)
        respond(
            http::error_response(409, "not_restartable",
                                 fmt::format("the newest execution of job '{}' is {}; only a FAILED or STOPPED one is "
                                             "started again, run the job for a new one",
                                             c.name, status ? batch::to_string(*status) : "not there"),
                                 "/jobs/" + c.name));
      return;
    }
    job.schedule->taken(job.stored.fire_ms);
    begin(job, job.stored.fire_ms, batch::execution_id(job.stored.fire_ms, batch::number_of(job.stored.id) + 1),
          std::move(waiting), true);
  }

  void ask_begin(running_job& job) {
    auto& run = *job.now;
    redis::job_change change;
    change.id = run.e.id;
    change.fire_ms = run.e.fire_ms;
    change.again = run.again;
    change.status = batch::to_string(run.e.status);
    change.run = batch::to_json(run.e);
    ask(job, job_step::begin, std::move(change));
  }

  void on_begun(running_job& job, const job_answered& m) {
    if (!m.answer)
      return later(job, [this, &job] { ask_begin(job); });
    if (m.answer->verdict != redis::job_verdict::already && !good(job, m))
      return;
    if (fits(job))
      start(job);
  }

  static std::vector<std::string> words(const std::vector<execution_status>& statuses) {
    std::vector<std::string> out;
    for (const auto s : statuses)
      out.emplace_back(batch::to_string(s));
    return out;
  }

  redis::job_change going_on(running_job& job) {
    auto& run = *job.now;
    redis::job_change change;
    change.id = run.e.id;
    change.expect = {"STARTING", "STARTED"};
    change.status = batch::to_string(run.e.status);
    change.run = batch::to_json(run.e);
    return change;
  }

  void start(running_job& job) {
    auto& run = *job.now;
    const auto partitions = config.node->partitions_of(job.what.input);
    if (partitions.empty()) // known again in a moment: this node has just come up
      return later(job, [this, &job] { start(job); });
    const bool log = job.what.input.kind == table_kind::log;
    const auto buckets = redis::table_buckets(job.what.input.expected_rows);
    const auto shares =
        static_cast<std::uint32_t>(log ? partitions.size() : std::min<std::size_t>(config.most_reducers, buckets));
    bool read = run.e.shares > 0; // all of it, so that it does not matter how it would be divided now
    for (std::uint32_t i = 0; i < run.e.shares; ++i)
      read = read && run.checkpoints.contains(i) && is_final_checkpoint(run.checkpoints[i]);
    if (!read && run.e.shares != shares) {
      run.checkpoints.clear();
      run.e.shares = shares;
    }
    run.e.status = execution_status::started;
    ask(job, job_step::start, going_on(job));
  }

  void on_started(running_job& job, const job_answered& m) {
    if (!m.answer)
      return later(job, [this, &job] { start(job); });
    if (!good(job, m))
      return;
    auto& run = *job.now;
    const auto& c = job.what.config;
    const auto partitions = config.node->partitions_of(job.what.input);
    const bool log = job.what.input.kind == table_kind::log;
    const auto shares = run.e.shares;
    run.open = shares;
    run.partials.assign(shares, nullptr);
    run.counts.assign(shares, {});
    run.under_way.clear();
    run.waiting_checkpoints.clear();
    run.rows.reset();
    run.sent = 0;
    const version cut{
        std::max(config.node->hint().value, static_cast<std::uint64_t>(now_ms()) * 1000 + cut_allowance_us)};
    for (std::uint32_t i = 0; i < shares; ++i) {
      batch_reducer_config share{config.node,
                                 c,
                                 job.what.input,
                                 job.what.input_ref,
                                 partitions,
                                 run.number,
                                 i,
                                 shares,
                                 {},
                                 0,
                                 cut,
                                 {},
                                 config.checkpoint_every,
                                 self};
      share.to_ms = std::numeric_limits<std::int64_t>::max();
      if (log && c.last) {
        share.from_ms = run.e.fire_ms - c.last->count();
        share.to_ms = run.e.fire_ms;
      }
      if (const auto at = run.checkpoints.find(i); at != run.checkpoints.end())
        share.checkpoint = at->second;
      run.reducers.push_back(spawn_batch_reducer(self->system(), std::move(share)));
    }
  }

  running_job* find(const std::string& id, std::uint64_t run) {
    auto at = jobs.find(id);
    return at != jobs.end() && at->second.now && at->second.now->number == run ? &at->second : nullptr;
  }

  void count(execution_run& run, std::size_t share, const batch::reduce_counts& counts) {
    run.counts[share] = counts;
    run.e.read = run.e.filtered = run.e.skipped = 0;
    for (const auto& c : run.counts) {
      run.e.read += c.read;
      run.e.filtered += c.filtered;
      run.e.skipped += c.skipped;
    }
  }

  // Gives whether the execution goes on.
  bool skips_allowed(running_job& job) {
    const auto& c = job.what.config;
    if (!c.skip_limit || job.now->e.skipped <= *c.skip_limit)
      return true;
    end(job, execution_status::failed,
        fmt::format("{} rows of '{}' could not be used (no JSON object, or none of 'group_by' in it), more than "
                    "skip_limit allows ({})",
                    job.now->e.skipped, c.read_table, *c.skip_limit));
    return false;
  }

  void on_progress(const share_progress& m) {
    auto* job = find(m.job, m.run);
    if (!job || job->now->ending || job->now->stopping || m.share >= job->now->counts.size())
      return;
    count(*job->now, m.share, m.counts);
    show(*job);
    if (skips_allowed(*job) && !m.checkpoint.empty())
      store_checkpoint(*job, static_cast<std::uint32_t>(m.share), m.checkpoint);
  }

  // One of each share is under way, and the newest waits behind it.
  void store_checkpoint(running_job& job, std::uint32_t share, std::string text) {
    auto& run = *job.now;
    if (run.under_way.contains(share)) {
      run.waiting_checkpoints[share] = std::move(text);
      return;
    }
    run.under_way[share] = text;
    run.e.stuck = 0;
    auto change = going_on(job);
    change.checkpoint.emplace(share, std::move(text));
    ask(job, job_step::checkpoint, std::move(change));
  }

  void on_checkpoint(running_job& job, const job_answered& m) {
    auto& run = *job.now;
    auto stored = run.under_way.extract(m.share);
    if (stored.empty() || (m.answer && !good(job, m)))
      return;
    if (m.answer)
      run.checkpoints[m.share] = std::move(stored.mapped());
    if (auto next = run.waiting_checkpoints.extract(m.share); !next.empty())
      return store_checkpoint(job, m.share, std::move(next.mapped()));
    if (run.saving == 0)
      return;
    if (!m.answer) // this one has to be there
      return failed(job, m.answer.error());
    if (is_final_checkpoint(run.checkpoints[m.share]) && --run.saving == 0)
      write(job);
  }

  void on_reduced(const reducer_done& m) {
    auto* job = find(m.job, m.run);
    if (!job || job->now->ending || job->now->stopping || job->now->rows)
      return;
    auto& run = *job->now;
    if (!m.partial)
      return failed(*job, m.partial.error());
    count(run, m.share, (*m.partial)->counts());
    if (!skips_allowed(*job))
      return;
    run.partials[m.share] = *m.partial;
    if (--run.open == 0)
      merge(*job);
  }

  void merge(running_job& job) {
    auto& run = *job.now;
    const auto& c = job.what.config;
    std::size_t groups = 0;
    for (const auto& p : run.partials)
      groups += p->groups();
    // Where writing takes more than one step, whoever goes on with it has to come to the same rows.
    std::map<std::uint32_t, std::string> finals;
    if ((!run.e.replace && groups > run.e.chunk) || !c.write_topic.empty())
      for (std::uint32_t i = 0; i < run.partials.size(); ++i)
        if (const auto at = run.checkpoints.find(i); at == run.checkpoints.end() || !is_final_checkpoint(at->second))
          finals.emplace(i, final_checkpoint(*run.partials[i]));
    // Always in the order of the shares, so that sums of doubles have the same bits however the reducers raced.
    auto all = std::move(run.partials.front());
    for (std::size_t i = 1; i < run.partials.size(); ++i)
      if (auto merged = all->merge(*run.partials[i]); !merged)
        return failed(job, merged.error());
    run.partials.clear();
    run.reducers.clear(); // they have ended
    run.rows = std::make_shared<const std::vector<std::pair<std::string, std::string>>>(all->rows());
    run.saving = finals.size();
    if (finals.empty())
      return write(job);
    for (auto& [share, text] : finals)
      store_checkpoint(job, share, std::move(text));
  }

  void write(running_job& job) {
    auto& run = *job.now;
    run.saving = 0;
    if (job.what.writer)
      caf::anon_send(job.what.writer, write_rows{run.e.job, run.number, run.e.fire_ms, lease->token(), run.e.id,
                                                 run.chunks, run.e.chunk, run.e.replace, run.rows, self});
    else
      to_topic(job);
  }

  void on_written(const rows_written& m) {
    auto* job = find(m.job, m.run);
    if (!job || job->now->ending || job->now->stopping)
      return;
    if (!m.written && m.written.error().code == ec::fenced) {
      metrics().get(metrics::names::jobs_fenced, m.job).add();
      return look_again(*job, m.written.error().message);
    }
    if (!m.written)
      return failed(*job, m.written.error());
    const auto& c = job->what.config;
    auto& e = job->now->e;
    e.written = job->now->rows->size();
    if (!m.topic) {
      job->now->chunks = std::numeric_limits<std::uint64_t>::max(); // all of them, also for a retry of what follows
      e.commits = e.replace ? 1 : std::max<std::uint64_t>(1, (e.written + e.chunk - 1) / e.chunk);
    }
    if (c.write_topic.empty())
      return end(*job, execution_status::completed, {});
    to_topic(*job);
  }

  // Rows go to the topic after they are in Redis: once there, at least once in Kafka, told apart by their headers. So
  // many at a time that the producer's queue has room.
  void to_topic(running_job& job) {
    const auto& c = job.what.config;
    auto& run = *job.now;
    const auto end_of_window = std::min(run.rows->size(), run.sent + topic_window);
    if (run.sent == end_of_window)
      return end(job, execution_status::completed, {});
    auto left = std::make_shared<std::atomic<std::size_t>>(end_of_window - run.sent);
    auto failed_one = std::make_shared<std::atomic<bool>>(false);
    scheduler_actor me = self;
    const auto done = [me, left, failed_one, id = c.name, number = run.number](result<void> sent) {
      if (!sent && !failed_one->exchange(true))
        caf::anon_send(me, rows_written{id, number, tl::unexpected(sent.error()), true});
      if (left->fetch_sub(1) == 1 && !*failed_one)
        caf::anon_send(me, rows_written{id, number, std::size_t{0}, true});
    };
    const auto from = std::exchange(run.sent, end_of_window);
    for (auto i = from; i < end_of_window; ++i) {
      const auto& [key, row] = (*run.rows)[i];
      config.node->producer->send(
          {c.write_topic,
           key,
           row,
           {{"weir.job", c.name}, {"weir.fire", std::to_string(run.e.fire_ms)}, {"weir.execution", run.e.id}},
           -1,
           0},
          done);
    }
  }

  void failed(running_job& job, const error& why) {
    auto& run = *job.now;
    if (!is_transient(why.code) || run.e.retried >= job.what.config.retries)
      return end(job, execution_status::failed, why.message);
    ++run.e.retried;
    log::warn("scheduler", "trying an execution again",
              {{"job", run.e.job}, {"execution", run.e.id}, {"reason", why.message}, {"try", run.e.retried}});
    halt(job);
    run.number = ++job.runs;
    run.rows.reset();
    run.partials.clear();
    run.saving = 0;
    run.under_way.clear();
    run.waiting_checkpoints.clear();
    later(job, [this, &job] { start(job); });
  }

  // -- its end

  void end(running_job& job, execution_status status, const std::string& message) {
    auto& run = *job.now;
    run.ending = true;
    halt(job);
    const auto from = words(batch::before(status));
    run.e.status = status;
    run.e.message = message;
    run.e.ended_ms = now_ms();
    ask_end(job, from);
  }

  void ask_end(running_job& job, std::vector<std::string> from) {
    auto& run = *job.now;
    redis::job_change change;
    change.id = run.e.id;
    change.expect = std::move(from);
    change.status = batch::to_string(run.e.status);
    change.run = batch::to_json(run.e);
    change.ends = true;
    change.ended_ms = run.e.ended_ms;
    change.keep_checkpoints = batch::may_restart(run.e.status);
    ask(job, job_step::end, std::move(change));
  }

  void on_ended(running_job& job, const job_answered& m) {
    auto& run = *job.now;
    if (!m.answer)
      return later(job, [this, &job] { ask_end(job, words(batch::before(job.now->e.status))); });
    // An answer that was lost, after which the same was asked again.
    const bool there = m.answer->verdict == redis::job_verdict::mismatch && m.answer->stored.id == run.e.id &&
                       m.answer->stored.status == batch::to_string(run.e.status);
    if (!there && !good(job, m))
      return;
    const auto& id = run.e.job;
    const bool well = run.e.status == execution_status::completed;
    if (!well)
      log::warn("scheduler", "execution ended",
                {{"job", id},
                 {"execution", run.e.id},
                 {"status", std::string(batch::to_string(run.e.status))},
                 {"reason", run.e.message}});
    std::string word(batch::to_string(run.e.status));
    std::transform(word.begin(), word.end(), word.begin(), [](char c) { return static_cast<char>(c + 32); });
    metrics().get(metrics::names::job_runs, id, word).add();
    metrics()
        .get(metrics::names::job_seconds, id)
        .observe(static_cast<double>(run.e.ended_ms - run.e.started_ms) / 1000);
    metrics().get(metrics::names::job_rows, id, "read").add(run.e.read);
    metrics().get(metrics::names::job_rows, id, "filtered").add(run.e.filtered);
    metrics().get(metrics::names::job_rows, id, "skipped").add(run.e.skipped);
    metrics().get(metrics::names::job_rows, id, "written").add(run.e.written);
    if (well)
      metrics().get(metrics::names::job_success_time, id).set(static_cast<double>(run.e.ended_ms) / 1000);
    job.stored.id = run.e.id;
    job.stored.fire_ms = run.e.fire_ms;
    job.stored.status = batch::to_string(run.e.status);
    job.stored.run = batch::to_json(run.e);
    answer(job, run.e.status == execution_status::failed ? 500 : 200, run.e.message);
    config.node->board->job(id, [&](job_status& s) {
      s.running = false;
      s.last.insert(s.last.begin(), status_of(run.e));
      s.last.front().number = run.number;
      if (s.last.size() > kept_runs)
        s.last.resize(kept_runs);
    });
    job.now.reset();
    job.schedule->finished(now_ms());
  }

  static job_run_status status_of(const batch::execution& e) {
    return {0,         e.id,         std::string(batch::to_string(e.status)),
            e.fire_ms, e.started_ms, e.ended_ms,
            e.read,    e.filtered,   e.skipped,
            e.written, e.message};
  }

  void show(running_job& job) {
    const auto& run = *job.now;
    config.node->board->job(job.what.config.name, [&](job_status& s) {
      s.running = true;
      s.runs = job.runs;
      s.present = status_of(run.e);
      s.present.number = run.number;
    });
  }

  // -- requests

  std::string describe(const running_job& job) const {
    const auto& run = *job.now;
    const auto& e = run.e;
    return fmt::format(
        R"({{"job":{},"run":{},"execution":"{}","status":"{}","fire":{},"started":{},"read":{},"filtered":{},"skipped":{},"written":{},"message":{}}})",
        json_quote(e.job), run.number, e.id, batch::to_string(e.status), e.fire_ms, e.started_ms, e.read, e.filtered,
        e.skipped, e.written, json_quote(e.message));
  }

  void answer(running_job& job, unsigned status, const std::string& message) {
    auto waiting = std::exchange(job.now->waiting, {});
    if (waiting.empty())
      return;
    http::response r;
    if (status == 503) {
      r = http::error_response(503, "not_ready", message, "/jobs/" + job.what.config.name);
    } else {
      r.status = status;
      r.body = describe(job);
    }
    for (auto& respond : waiting)
      respond(r);
  }

  // The job, if it is there and this node can do something about it; else the request is answered.
  running_job* asked_for(const std::string& id, const http::responder& respond) {
    const auto refuse = [&](unsigned status, const char* code, std::string what) -> running_job* {
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
    if (!at->second.adopted)
      return refuse(503, "not_ready", fmt::format("job '{}' is being looked up in Redis; try again in a moment", id));
    return &at->second;
  }

  void on_run(const run_job& m) {
    auto* job = asked_for(m.job, m.respond);
    if (!job)
      return;
    if (config.node->partitions_of(job->what.input).empty()) {
      if (m.respond)
        m.respond(http::error_response(
            503, "not_ready", fmt::format("the partitions of table '{}' are not known yet", job->what.input.name),
            "/jobs/" + m.job));
      return;
    }
    const auto fire = job->now ? std::nullopt : job->schedule->demand(now_ms());
    if (!fire) {
      if (m.respond)
        m.respond(
            http::error_response(409, "already_running", fmt::format("job '{}' is running", m.job), "/jobs/" + m.job));
      return;
    }
    begin(*job, *fire, batch::execution_id(*fire, 1),
          m.respond ? std::vector<http::responder>{m.respond} : std::vector<http::responder>{});
  }

  void on_control(const control_job& m) {
    auto* job = asked_for(m.job, m.respond);
    if (!job)
      return;
    const auto refuse = [&](const std::string& what) {
      m.respond(http::error_response(409, "not_possible", what, "/jobs/" + m.job));
    };
    if (m.verb == job_verb::restart) {
      if (job->now)
        return refuse(fmt::format("job '{}' is running", m.job));
      job->restart.push_back(m.respond); // its checkpoints are read first
      job->adopted = false;
      return adopt(*job);
    }
    if (job->now) {
      if (job->now->ending)
        return refuse(fmt::format("the execution {} is at its end", job->now->e.id));
      job->now->waiting.push_back(m.respond);
      if (m.verb == job_verb::abandon)
        return end(*job, execution_status::abandoned, "abandoned on request");
      return ask_stop(*job);
    }
    const auto status = batch::parse_execution_status(job->stored.status);
    if (m.verb == job_verb::stop || !status || !batch::may_restart(*status))
      return refuse(fmt::format("job '{}' is not running", m.job));
    auto& run = job->now.emplace();
    run.number = ++job->runs;
    if (auto e = batch::parse_execution(job->stored.run))
      run.e = std::move(*e);
    run.asked_ms = now_ms();
    run.waiting.push_back(m.respond);
    end(*job, execution_status::abandoned, run.e.message.empty() ? "abandoned on request" : run.e.message);
  }

  // STOPPING is stored first: if this node dies now, the next one stops it too.
  void ask_stop(running_job& job) {
    auto& run = *job.now;
    run.stopping = true;
    halt(job);
    auto change = going_on(job);
    change.status = "STOPPING";
    auto told = run.e;
    told.status = execution_status::stopping;
    change.run = batch::to_json(told);
    change.expect.emplace_back("STOPPING");
    ask(job, job_step::stop, std::move(change));
  }

  void on_stopping(running_job& job, const job_answered& m) {
    if (!m.answer)
      return later(job, [this, &job] { ask_stop(job); });
    if (!good(job, m))
      return;
    job.now->e.status = execution_status::stopping;
    end(job, execution_status::stopped, "stopped on request");
  }

  void on_answer(const job_answered& m) {
    const auto at = jobs.find(m.job);
    if (at == jobs.end() || !lease->held() || m.token != lease->token())
      return;
    auto& job = at->second;
    if (m.step == job_step::adopt)
      return on_adopted(job, m);
    if (m.step == job_step::history)
      return on_history(job, m);
    if (!job.now || job.now->number != m.run)
      return;
    switch (m.step) {
    case job_step::begin: return job.now->ending || job.now->stopping ? void() : on_begun(job, m);
    case job_step::start: return job.now->ending || job.now->stopping ? void() : on_started(job, m);
    case job_step::checkpoint: return job.now->ending || job.now->stopping ? void() : on_checkpoint(job, m);
    case job_step::stop: return on_stopping(job, m);
    case job_step::end: return on_ended(job, m);
    default: return;
    }
  }

  void drain() {
    if (lease->held())
      repository().drop_lease(config.node->topo.name, config.node->incarnation, [](auto) {});
    self->quit();
  }
};

scheduler_actor::behavior_type scheduler(scheduler_actor::stateful_pointer<scheduler_state> self,
                                         scheduler_config config) {
  auto& s = self->state;
  s.config = std::move(config);
  s.lease = std::make_unique<batch::lease_keeper>(s.config.node->topo.scheduler.lease.count());
  for (auto& job : s.config.jobs) {
    const auto id = job.config.name;
    s.config.node->board->job(id, [](job_status&) {});
    auto& made = s.jobs[id];
    made.key = {s.config.node->topo.name, "job:" + id, partition_id{0}};
    made.what = job;
  }
  self->delayed_send(self, tick, caf::tick_atom::value);
  s.ask_lease();
  return {
      [self](const run_job& m) { self->state.on_run(m); },
      [self](const control_job& m) { self->state.on_control(m); },
      [self](const share_progress& m) { self->state.on_progress(m); },
      [self](const lease_answered& m) { self->state.on_lease(m); },
      [self](const job_answered& m) { self->state.on_answer(m); },
      [self](const reducer_done& m) { self->state.on_reduced(m); },
      [self](const rows_written& m) { self->state.on_written(m); },
      [self](caf::tick_atom) { self->state.on_tick(); },
      [self](const stop_work&) { self->state.drain(); },
  };
}

} // namespace

scheduler_actor spawn_scheduler(caf::actor_system& system, scheduler_config config) {
  return system.spawn(scheduler, std::move(config));
}

} // namespace weir::actors
