#include "actors/job_runner.hpp"

#include "runtime/core/hash.hpp"
#include "runtime/core/log.hpp"
#include "runtime/metrics/registry.hpp"

#include <algorithm>
#include <caf/send.hpp>
#include <fmt/format.h>
#include <utility>

namespace weir::actors {
namespace {

constexpr int watch_every = 5; // ticks between two looks at the table of a job that runs on changes

using batch::execution_status;

} // namespace

job_runner::job_runner(scheduling& home, scheduled_job what)
    : home_(home), what_(std::move(what)),
      key_{home.config.node->topo.name, "job:" + what_.config.name, partition_id{0}} {
  home_.config.node->board->job(name(), [](job_status&) {});
}

// -- the lease

void job_runner::step_up() {
  drop_run("the scheduler has changed");
  adopted_ = false;
  if (what_.writer)
    caf::anon_send(what_.writer, lead{true, home_.token.value});
  adopt();
}

void job_runner::step_down(const std::string& why) {
  if (now_ && adopted_)
    now_->say_where();
  drop_run(why);
  if (restart_)
    refuse(std::exchange(restart_, std::nullopt)->respond, 503, "not_ready", why);
  adopted_ = false;
  schedule_.reset();
  if (what_.writer)
    caf::anon_send(what_.writer, lead{false, 0});
}

void job_runner::drop_run(const std::string& why) {
  if (!now_)
    return;
  now_->drop(why);
  now_.reset();
  home_.config.node->board->job(name(), [](job_status& s) { s.running = false; });
}

void job_runner::look_again(const std::string& why) {
  drop_run(why);
  adopted_ = false;
  adopt_in_ = static_cast<int>(adopt_retry_.next() / scheduler_tick) + 1;
}

bool job_runner::good(const job_answered& m) {
  if (m.answer->verdict == redis::job_verdict::done)
    return true;
  if (m.answer->verdict != redis::job_verdict::fenced) {
    look_again("the job's state in Redis is not what this scheduler left");
    return false;
  }
  // Whoever took over has the lease; where nobody did (Redis lost it), the next token is a higher one.
  home_.too_low = std::max(home_.too_low, m.answer->stored.token);
  home_.step_down("another scheduler has taken a job over");
  return false;
}

// -- the repository

void job_runner::ask(job_step step, redis::job_change change, std::uint64_t run) {
  change.job = key_;
  change.token = home_.token;
  change.keep_count = home_.config.keep_executions;
  change.keep_since_ms = home_.now_ms() - home_.config.keep_for.count();
  const auto share = change.checkpoint ? change.checkpoint->first : 0;
  home_.repository().change_job(std::move(change), [me = home_.me(), id = name(), run, step, token = home_.token.value,
                                                    share](result<redis::job_answer> answer) {
    caf::anon_send(me, job_answered{id, run, step, token, share, std::move(answer), {}});
  });
}

void job_runner::adopt() {
  adopting_ = true;
  home_.repository().adopt_job(key_, home_.token,
                               [me = home_.me(), id = name(), token = home_.token.value](result<redis::job_answer> a) {
                                 caf::anon_send(me, job_answered{id, 0, job_step::adopt, token, 0, std::move(a), {}});
                               });
}

void job_runner::on_answer(const job_answered& m) {
  if (m.step == job_step::adopt)
    return on_adopted(m);
  if (m.step == job_step::history)
    return on_history(m);
  if (auto* run = execution(m.run))
    run->on_answer(m);
}

void job_runner::on_adopted(const job_answered& m) {
  adopting_ = false;
  if (!m.answer) {
    adopt_in_ = static_cast<int>(adopt_retry_.next() / scheduler_tick) + 1;
    return;
  }
  if (!good(m))
    return;
  adopted_ = true;
  adopt_retry_.reset();
  stored_ = m.answer->stored;
  const auto& c = what_.config;
  const auto last = stored_.fire_ms >= 0 ? std::optional(stored_.fire_ms) : std::nullopt;
  // `weir check` has refused what is no timing.
  schedule_.emplace(batch::timing::of(c).value_or(batch::timing()), home_.now_ms(), last,
                    batch::schedule_options{c.missed, c.overlap, c.jitter, stable_hash(key_.prefix())});
  auto newest = batch::parse_execution(stored_.run);
  if (newest)
    know(*newest);
  read_history();
  const auto status = batch::parse_execution_status(stored_.status);
  const auto restart = std::exchange(restart_, std::nullopt);
  if (!status || batch::is_over(*status)) {
    if (restart)
      begin_again(*restart);
    return;
  }
  if (restart)
    refuse(restart->respond, 409, "already_running", fmt::format("job '{}' is running", c.name));
  auto e = newest.value_or(batch::execution{});
  e.job = c.name;
  e.id = stored_.id;
  e.fire_ms = stored_.fire_ms;
  e.status = *status;
  schedule_->taken(e.fire_ms);
  now_.emplace(home_, *this, next_number(), std::move(e));
  now_->take_over();
}

void job_runner::know(const batch::execution& newest) {
  seen_ = newest.seen;
  seen_input_ = {version{newest.input_version}, newest.input_positions};
  dirty_since_ms_ = 0;
  if (newest.status == execution_status::completed) {
    completed_ = newest.id;
    completed_fire_ms_ = newest.fire_ms;
  }
}

void job_runner::read_history() {
  home_.repository().job_history(
      key_, kept_runs, [me = home_.me(), id = name(), token = home_.token.value](auto answer) {
        if (answer)
          caf::anon_send(me, job_answered{id, 0, job_step::history, token, 0, redis::job_answer{}, std::move(*answer)});
      });
}

void job_runner::on_history(const job_answered& m) {
  std::vector<batch::execution> found;
  for (const auto& text : m.history)
    if (auto e = batch::parse_execution(text))
      found.push_back(std::move(*e));
  std::vector<job_run_status> last;
  std::transform(found.begin(), found.end(), std::back_inserter(last), status_of);
  home_.config.node->board->job(name(), [&](job_status& s) { s.last = std::move(last); });
  const auto newest = std::find_if(found.begin(), found.end(),
                                   [](const batch::execution& e) { return e.status == execution_status::completed; });
  if (newest == found.end())
    return;
  if (newest->fire_ms > completed_fire_ms_) {
    completed_ = newest->id;
    completed_fire_ms_ = newest->fire_ms;
  }
  home_.metrics().get(metrics::names::job_success_time, name()).set(static_cast<double>(newest->ended_ms) / 1000);
}

// -- when it runs

bool job_runner::input_known() const {
  return what_.config.reader || !home_.config.node->partitions_of(what_.input).empty();
}

void job_runner::tick() {
  if (!adopted_) {
    if (!adopting_ && (adopt_in_ <= 0 || --adopt_in_ == 0))
      adopt();
    return;
  }
  if (now_)
    now_->tick();
  else if (input_known()) // a fire time waits until its input is known
    fire();
  home_.config.node->board->job(name(), [&](job_status& s) {
    if (schedule_ && !now_)
      s.next_fire_ms = schedule_->wake_at().value_or(0);
  });
}

void job_runner::fire() {
  watch();
  if (const auto at = schedule_->poll(home_.now_ms()))
    return begin(*at);
  auto other = due_after_others();
  if (!other && due_by_changes())
    other = home_.now_ms();
  if (other)
    if (const auto at = schedule_->demand(*other))
      begin(*at);
}

// All of the jobs that this one comes after have completed an execution that it has not seen: then the fire time is the
// newest one of theirs.
std::optional<std::int64_t> job_runner::due_after_others() const {
  std::optional<std::int64_t> newest;
  for (const auto& id : what_.config.after) {
    const auto* other = home_.find(id);
    if (!other || other->completed().empty())
      return std::nullopt;
    if (const auto seen = seen_.find(id); seen != seen_.end() && seen->second == other->completed())
      return std::nullopt;
    newest = std::max(newest.value_or(0), other->completed_fire_ms());
  }
  return newest;
}

bool job_runner::due_by_changes() {
  const auto& when = what_.config.change;
  if (!when || input_.changed <= seen_input_.changed)
    return false;
  if (dirty_since_ms_ == 0)
    dirty_since_ms_ = home_.now_ms();
  return home_.now_ms() - dirty_since_ms_ >= when->dirty_for.count() ||
         (when->changes && input_.positions >= seen_input_.positions + *when->changes);
}

void job_runner::watch() {
  if (!what_.config.change || watching_ || (watch_in_ > 0 && --watch_in_ > 0))
    return;
  watching_ = true;
  read_input_state(*home_.config.node->store, home_.config.node->partitions_of(what_.input), what_.input_ref,
                   [me = home_.me(), id = name()](result<input_state> state) {
                     caf::anon_send(me, input_read{id, std::move(state)});
                   });
}

void job_runner::on_input(const input_read& m) {
  watching_ = false;
  watch_in_ = watch_every;
  if (m.state) // else the next look tells
    input_ = *m.state;
}

void job_runner::begin(std::int64_t fire_ms, responders waiting, batch::parameter_values parameters) {
  batch::execution e;
  e.job = name();
  e.id = batch::execution_id(fire_ms, 1);
  e.fire_ms = fire_ms;
  e.parameters = std::move(parameters);
  // What it reads is at least as new.
  e.input_version = input_.changed.value;
  e.input_positions = input_.positions;
  for (const auto& id : what_.config.after)
    if (const auto* other = home_.find(id))
      e.seen[id] = other->completed();
  know(e);
  now_.emplace(home_, *this, next_number(), std::move(e));
  now_->begin(false, std::move(waiting));
}

void job_runner::begin_again(const control_job& restart) {
  const auto status = batch::parse_execution_status(stored_.status);
  if (!status || !batch::may_restart(*status)) {
    refuse(restart.respond, 409, "not_restartable",
           fmt::format("the newest execution of job '{}' is {}; only a FAILED or STOPPED one is started again, run "
                       "the job for a new one",
                       name(), status ? batch::to_string(*status) : "not there"));
    return;
  }
  schedule_->taken(stored_.fire_ms);
  batch::execution e;
  e.job = name();
  e.id = batch::execution_id(stored_.fire_ms, batch::number_of(stored_.id) + 1);
  e.fire_ms = stored_.fire_ms;
  e.seen = seen_;
  if (const auto before = batch::parse_execution(stored_.run))
    e.parameters = before->parameters;
  e.input_version = seen_input_.changed.value;
  e.input_positions = seen_input_.positions;
  now_.emplace(home_, *this, next_number(), std::move(e));
  now_->begin(true, {restart.respond});
  if (!restart.wait)
    now_->answer_when_stored();
}

void job_runner::over(batch::execution e) {
  now_.reset();
  stored_.id = e.id;
  stored_.fire_ms = e.fire_ms;
  stored_.status = batch::to_string(e.status);
  stored_.run = batch::to_json(e);
  if (e.status == execution_status::completed) {
    completed_ = e.id;
    completed_fire_ms_ = e.fire_ms;
  }
  schedule_->finished(home_.now_ms());
}

// -- requests

void job_runner::refuse(const http::responder& respond, unsigned status, const char* code,
                        const std::string& message) const {
  if (respond)
    respond(http::error_response(status, code, message, "/jobs/" + name()));
}

void job_runner::run(const run_job& m) {
  if (!adopted_)
    return refuse(m.respond, 503, "not_ready",
                  fmt::format("job '{}' is being looked up in Redis; try again in a moment", name()));
  if (!input_known())
    return refuse(m.respond, 503, "not_ready",
                  fmt::format("the partitions of table '{}' are not known yet", what_.input.name));
  if (const auto fits = batch::with_parameters(what_.config, m.parameters); !fits)
    return refuse(m.respond, 400, "bad_argument", fits.error().message);
  const auto at = now_ ? std::nullopt : schedule_->demand(home_.now_ms());
  if (!at)
    return refuse(m.respond, 409, "already_running", fmt::format("job '{}' is running", name()));
  begin(*at, m.respond ? responders{m.respond} : responders{}, m.parameters);
  if (!m.wait)
    now_->answer_when_stored();
}

void job_runner::control(const control_job& m) {
  if (!adopted_)
    return refuse(m.respond, 503, "not_ready",
                  fmt::format("job '{}' is being looked up in Redis; try again in a moment", name()));
  const auto impossible = [&](const std::string& what) { refuse(m.respond, 409, "not_possible", what); };
  if (m.verb == job_verb::restart) {
    if (now_)
      return impossible(fmt::format("job '{}' is running", name()));
    restart_ = m; // its checkpoints are read first
    adopted_ = false;
    return adopt();
  }
  if (now_) {
    if (now_->ending())
      return impossible(fmt::format("the execution {} is at its end", now_->execution().id));
    now_->wait_for_end(m.respond);
    if (m.verb == job_verb::abandon)
      return now_->end(execution_status::abandoned, "abandoned on request");
    return now_->stop();
  }
  const auto status = batch::parse_execution_status(stored_.status);
  if (m.verb == job_verb::stop || !status || !batch::may_restart(*status))
    return impossible(fmt::format("job '{}' is not running", name()));
  auto e = batch::parse_execution(stored_.run).value_or(batch::execution{});
  const auto message = e.message.empty() ? "abandoned on request" : e.message;
  now_.emplace(home_, *this, next_number(), std::move(e));
  now_->wait_for_end(m.respond);
  now_->end(execution_status::abandoned, message);
}

} // namespace weir::actors
