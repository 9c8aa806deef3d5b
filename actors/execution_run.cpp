#include "actors/execution_run.hpp"

#include "actors/custom_steps.hpp"
#include "actors/job_runner.hpp"
#include "actors/result_merger.hpp"
#include "runtime/batch/parameters.hpp"
#include "runtime/batch/window.hpp"
#include "runtime/core/json.hpp"
#include "runtime/core/log.hpp"
#include "runtime/metrics/registry.hpp"

#include <algorithm>
#include <caf/exit_reason.hpp>
#include <caf/send.hpp>
#include <fmt/format.h>
#include <limits>
#include <set>
#include <utility>

namespace weir::actors {
namespace {

constexpr std::int64_t answer_after_ms = 10'000; // a request for a run is answered by then, ended or not
// Versions are Redis' time. What is committed this long after a run starts counts, so that a node whose clock is behind
// misses nothing; what comes later does not, so that the reading of a log that grows has an end.
constexpr std::uint64_t cut_allowance_us = 5'000'000;
constexpr std::uint32_t most_stuck = 20; // takeovers without a step forward: perhaps it is what ends the nodes

using batch::execution_status;

// Passes by itself, so it is worth another try.
bool is_transient(ec code) {
  switch (code) {
  case ec::redis_unreachable:
  case ec::redis_busy:
  case ec::redis_cannot_write:
  case ec::kafka_unreachable:
  case ec::kafka_failed:
  case ec::timeout:
  case ec::step_unavailable: return true;
  default: return false;
  }
}

std::vector<std::string> words(const std::vector<execution_status>& statuses) {
  std::vector<std::string> out;
  for (const auto s : statuses)
    out.emplace_back(batch::to_string(s));
  return out;
}

} // namespace

job_run_status status_of(const batch::execution& e) {
  return {.id = e.id,
          .status = std::string(batch::to_string(e.status)),
          .fire_ms = e.fire_ms,
          .started_ms = e.started_ms,
          .ended_ms = e.ended_ms,
          .read = e.read,
          .filtered = e.filtered,
          .skipped = e.skipped,
          .written = e.written,
          .commits = e.commits,
          .retried = e.retried,
          .takeovers = e.takeovers,
          .message = e.message,
          .total = e.total};
}

execution_run::execution_run(scheduling& home, job_runner& job, std::uint64_t number, batch::execution e)
    : home_(home), job_(job), number_(number), e_(std::move(e)), asked_ms_(home.now_ms()) {}

// -- how it begins

void execution_run::begin(bool again, std::vector<http::responder> waiting) {
  again_ = again;
  waiting_ = std::move(waiting);
  const auto& c = job_.what().config;
  const auto& stored = job_.stored();
  e_.started_ms = asked_ms_;
  e_.node = home_.config.node->node_name;
  e_.definition = c.fingerprint;
  e_.chunk = c.chunk;
  e_.replace = c.replace;
  if (again) {
    checkpoints_ = stored.checkpoints;
    chunks_ = stored.chunks;
    if (const auto before = batch::parse_execution(stored.run)) {
      e_.shares = before->shares;
      e_.definition = before->definition;
      e_.chunk = before->chunk;
      e_.replace = before->replace;
    }
  }
  show();
  ask_begin();
}

void execution_run::take_over() {
  const auto& stored = job_.stored();
  ++e_.takeovers;
  ++e_.stuck;
  checkpoints_ = stored.checkpoints;
  chunks_ = stored.chunks;
  log::warn("scheduler", "going on with an execution of another scheduler",
            {{"job", e_.job}, {"execution", e_.id}, {"status", stored.status}, {"chunks", chunks_}});
  home_.metrics().get(metrics::names::job_takeovers, e_.job).add();
  show();
  if (e_.status == execution_status::stopping)
    return end(execution_status::stopped, "stopped on request");
  if (e_.stuck > most_stuck)
    return end(
        execution_status::failed,
        fmt::format("taken over {} times without a step forward; the last node was '{}'", e_.stuck - 1, e_.node));
  e_.node = home_.config.node->node_name;
  if (fits())
    start();
}

void execution_run::adopt(http::responder waiting) { waiting_.push_back(std::move(waiting)); }

void execution_run::drop(const std::string& why) {
  answer(503, why);
  halt();
}

void execution_run::say_where() {
  if (goes_on())
    ask(job_step::left, going_on());
}

void execution_run::ask(job_step step, redis::job_change change) { job_.ask(step, std::move(change), number_); }

void execution_run::on_answer(const job_answered& m) {
  switch (m.step) {
  case job_step::begin: return goes_on() ? on_begun(m) : void();
  case job_step::start: return goes_on() ? on_started(m) : void();
  case job_step::checkpoint: return goes_on() ? on_checkpoint(m) : void();
  case job_step::stop: return on_stopping(m);
  case job_step::end: return on_ended(m);
  default: return;
  }
}

// -- its course

// Nothing of this run works on.
void execution_run::halt() {
  for (const auto& reducer : reducers_)
    caf::anon_send_exit(reducer, caf::exit_reason::kill);
  reducers_.clear();
  home_.metrics().get(metrics::names::job_slowdown, e_.job).set(1);
  if (step_writer_)
    caf::anon_send_exit(std::exchange(step_writer_, {}), caf::exit_reason::kill);
  if (transaction_wanted_)
    *std::exchange(transaction_wanted_, {}) = false;
  if (job_.what().writer)
    caf::anon_send(job_.what().writer, forget_rows{number_});
  wait_ = 0;
  then_ = {};
}

// Whether checkpoints and chunks are of the job as it is now; else they go, or the execution ends.
bool execution_run::fits() {
  const auto& c = job_.what().config;
  if (e_.definition == c.fingerprint && chunks_ > 0)
    return true;
  if (e_.definition != c.fingerprint) {
    if (chunks_ > 0) {
      end(execution_status::failed,
          "the job was changed after a part of this result had been written; the next run writes a new one");
      return false;
    }
    checkpoints_.clear();
    e_.shares = 0;
    e_.definition = c.fingerprint;
  }
  e_.chunk = c.chunk; // nothing is written yet
  e_.replace = c.replace;
  return true;
}

void execution_run::later(std::function<void()> what) {
  then_ = std::move(what);
  wait_ = static_cast<int>(retry_.next() / scheduler_tick) + 1;
}

void execution_run::tick() {
  if (wait_ > 0 && --wait_ == 0)
    std::exchange(then_, {})();
  else
    check_time();
}

void execution_run::check_time() {
  const auto age = home_.now_ms() - asked_ms_;
  const auto deadline = job_.what().config.deadline.count();
  if (age >= deadline && !ending_)
    return end(execution_status::failed, fmt::format("not done within {} s", deadline / 1000));
  if (age >= answer_after_ms)
    answer(202, {});
}

void execution_run::ask_begin() {
  redis::job_change change;
  change.id = e_.id;
  change.fire_ms = e_.fire_ms;
  change.again = again_;
  change.status = batch::to_string(e_.status);
  change.run = batch::to_json(e_);
  ask(job_step::begin, std::move(change));
}

void execution_run::on_begun(const job_answered& m) {
  if (!m.answer)
    return later([this] { ask_begin(); });
  if (m.answer->verdict != redis::job_verdict::already && !job_.good(m))
    return;
  if (std::exchange(answer_when_stored_, false))
    answer(202, {});
  if (fits())
    start();
}

redis::job_change execution_run::going_on() const {
  redis::job_change change;
  change.id = e_.id;
  change.expect = {"STARTING", "STARTED"};
  change.status = batch::to_string(e_.status);
  change.run = batch::to_json(e_);
  return change;
}

// 0: not known yet.
std::uint32_t execution_run::share_count() const {
  const auto& job = job_.what();
  if (job.config.reader)
    return static_cast<std::uint32_t>(reader_shares(*home_.config.node, job.config));
  const auto partitions = home_.config.node->partitions_of(job.input).size();
  if (partitions == 0 || job.input.kind == table_kind::log)
    return static_cast<std::uint32_t>(partitions);
  const auto buckets = redis::table_buckets(job.input.expected_rows);
  return static_cast<std::uint32_t>(std::min<std::size_t>(home_.config.most_reducers, buckets));
}

void execution_run::start() {
  const auto shares = share_count();
  if (shares == 0) // known again in a moment: this node has just come up
    return later([this] { start(); });
  bool read = e_.shares > 0; // all of it, so that it does not matter how it would be divided now
  for (std::uint32_t i = 0; i < e_.shares; ++i)
    read = read && checkpoints_.contains(i) && is_final_checkpoint(checkpoints_[i]);
  if (!read && e_.shares != shares) {
    checkpoints_.clear();
    e_.shares = shares;
  }
  e_.status = execution_status::started;
  ask(job_step::start, going_on());
}

void execution_run::on_started(const job_answered& m) {
  if (!m.answer)
    return later([this] { start(); });
  if (!job_.good(m))
    return;
  const auto with = batch::with_parameters(job_.what().config, e_.parameters);
  if (!with) // the job has changed since
    return end(execution_status::failed, with.error().message);
  config_ = *with;
  const auto shares = e_.shares;
  open_ = shares;
  partials_.assign(shares, nullptr);
  counts_.assign(shares, {});
  under_way_.reset();
  waiting_checkpoints_.clear();
  rows_.reset();
  sent_ = 0;
  if (config_.reader || batch::window_of(config_, e_.fire_ms))
    return spawn_reducers(0); // only the reading tells how many rows there are
  read_input_total(*home_.config.node->store, home_.config.node->partitions_of(job_.what().input), job_.what().input,
                   job_.what().input_ref, [me = home_.me(), id = e_.job, run = number_](result<std::uint64_t> total) {
                     caf::anon_send(me, input_counted{id, run, std::move(total)});
                   });
}

void execution_run::on_total(const input_counted& m) {
  if (!goes_on() || !reducers_.empty())
    return;
  if (m.total) // for people who look on and for the pace; whatever went wrong, the reading will tell
    e_.total = *m.total;
  const auto& input = job_.what().input;
  const auto partitions = home_.config.node->partitions_of(input).size();
  const bool keyed = input.kind != table_kind::log && partitions > 0;
  spawn_reducers(keyed ? e_.total / redis::table_buckets(input.expected_rows) / partitions : 0);
  show();
}

// `chunk_rows`: about so many are in each chunk; 0: not known.
void execution_run::spawn_reducers(std::uint64_t chunk_rows) {
  const auto& c = config_;
  const auto partitions = home_.config.node->partitions_of(job_.what().input);
  const auto shares = e_.shares;
  pace_ = std::make_shared<batch::pace>(c.throttle);
  const version cut{
      std::max(home_.config.node->hint().value, static_cast<std::uint64_t>(home_.now_ms()) * 1000 + cut_allowance_us)};
  for (std::uint32_t i = 0; i < shares; ++i) {
    batch_reducer_config share{home_.config.node,
                               c,
                               job_.what().input,
                               job_.what().input_ref,
                               partitions,
                               number_,
                               e_.id,
                               i,
                               shares,
                               pace_,
                               chunk_rows,
                               {},
                               0,
                               cut,
                               {},
                               home_.config.checkpoint_every,
                               home_.me(),
                               e_.fire_ms};
    share.to_ms = std::numeric_limits<std::int64_t>::max();
    if (const auto window = batch::window_of(c, e_.fire_ms)) {
      share.from_ms = window->from_ms;
      share.to_ms = window->to_ms;
    }
    if (const auto at = checkpoints_.find(i); at != checkpoints_.end())
      share.checkpoint = at->second;
    reducers_.push_back(spawn_batch_reducer(*home_.system, std::move(share)));
  }
}

void execution_run::count(std::size_t share, const batch::reduce_counts& found) {
  counts_[share] = found;
  e_.read = e_.filtered = e_.skipped = 0;
  for (const auto& c : counts_) {
    e_.read += c.read;
    e_.filtered += c.filtered;
    e_.skipped += c.skipped;
  }
}

// Gives whether the execution goes on.
bool execution_run::skips_allowed() {
  const auto& c = job_.what().config;
  if (!c.skip_limit || e_.skipped <= *c.skip_limit)
    return true;
  end(execution_status::failed,
      fmt::format("{} rows of '{}' could not be used ({}no JSON object, or none of 'group_by' in it), more than "
                  "skip_limit allows ({})",
                  e_.skipped, c.reader ? c.reader.name : c.read_table,
                  c.processor ? fmt::format("refused by '{}', ", c.processor.name) : "", *c.skip_limit));
  return false;
}

void execution_run::on_progress(const share_progress& m) {
  if (!goes_on() || m.share >= counts_.size())
    return;
  count(m.share, m.counts);
  home_.metrics().get(metrics::names::job_slowdown, e_.job).set(pace_->slower());
  show();
  if (skips_allowed() && !m.checkpoint.empty())
    store_checkpoint(static_cast<std::uint32_t>(m.share), m.checkpoint);
}

void execution_run::store_checkpoint(std::uint32_t share, std::string text) {
  waiting_checkpoints_[share] = std::move(text);
  store_next();
}

// One at a time: those of a million groups have tens of megabytes each, all together more than may wait for a
// connection, and between two of them others get their answers.
void execution_run::store_next() {
  if (under_way_ || waiting_checkpoints_.empty())
    return;
  auto at = waiting_checkpoints_.upper_bound(stored_last_);
  if (at == waiting_checkpoints_.end())
    at = waiting_checkpoints_.begin();
  auto next = waiting_checkpoints_.extract(at);
  stored_last_ = next.key();
  under_way_.emplace(next.key(), next.mapped());
  e_.stuck = 0;
  auto change = going_on();
  change.checkpoint.emplace(next.key(), std::move(next.mapped()));
  ask(job_step::checkpoint, std::move(change));
}

void execution_run::on_checkpoint(const job_answered& m) {
  if (!under_way_ || under_way_->first != m.share || (m.answer && !job_.good(m)))
    return;
  auto text = std::exchange(under_way_, {})->second;
  const bool is_last = saving_ > 0 && is_final_checkpoint(text);
  if (m.answer) {
    checkpoints_[m.share] = std::move(text);
    if (is_last && --saving_ == 0)
      return write();
  } else if (is_last) { // this one has to be there
    if (m.answer.error().code != ec::overloaded)
      return failed(m.answer.error());
    waiting_checkpoints_.emplace(m.share, std::move(text));
    return later([this] { store_next(); });
  }
  store_next();
}

void execution_run::on_reduced(const reducer_done& m) {
  if (!goes_on() || rows_)
    return;
  if (!m.partial)
    return failed(m.partial.error());
  count(m.share, (*m.partial)->counts());
  if (!skips_allowed())
    return;
  partials_[m.share] = *m.partial;
  if (--open_ == 0)
    merge();
}

void execution_run::merge() {
  const auto& c = job_.what().config;
  std::size_t groups = 0;
  for (const auto& p : partials_)
    groups += p->groups();
  // Where writing takes more than one step, whoever goes on with it has to come to the same rows.
  std::set<std::uint32_t> finals;
  if ((!e_.replace && groups > e_.chunk) || c.writer || !c.write_topic.empty())
    for (std::uint32_t i = 0; i < partials_.size(); ++i)
      if (const auto at = checkpoints_.find(i); at == checkpoints_.end() || !is_final_checkpoint(at->second))
        finals.insert(i);
  reducers_.clear(); // they have ended
  spawn_result_merger(
      *home_.system, {home_.config.node, c.name, number_, std::exchange(partials_, {}), std::move(finals), home_.me()});
}

void execution_run::on_merged(const result_merged& m) {
  if (!goes_on() || rows_)
    return;
  if (!m.merged)
    return failed(m.merged.error());
  auto& merged = **m.merged;
  rows_ = std::move(merged.rows);
  saving_ = merged.checkpoints.size();
  if (saving_ == 0)
    return write();
  for (auto& [share, text] : merged.checkpoints)
    waiting_checkpoints_[share] = std::move(text);
  store_next();
}

void execution_run::failed(const error& why) {
  if (!is_transient(why.code) || e_.retried >= job_.what().config.retries)
    return end(execution_status::failed, why.message);
  ++e_.retried;
  log::warn("scheduler", "trying an execution again",
            {{"job", e_.job}, {"execution", e_.id}, {"reason", why.message}, {"try", e_.retried}});
  halt();
  number_ = job_.next_number();
  rows_.reset();
  partials_.clear();
  saving_ = 0;
  under_way_.reset();
  waiting_checkpoints_.clear();
  later([this] { start(); });
}

void execution_run::end(execution_status status, const std::string& message) {
  ending_ = true;
  halt();
  const auto from = words(batch::before(status));
  e_.status = status;
  e_.message = message;
  e_.ended_ms = home_.now_ms();
  ask_end(from);
}

void execution_run::ask_end(std::vector<std::string> from) {
  redis::job_change change;
  change.id = e_.id;
  change.expect = std::move(from);
  change.status = batch::to_string(e_.status);
  change.run = batch::to_json(e_);
  change.ends = true;
  change.ended_ms = e_.ended_ms;
  change.keep_checkpoints = batch::may_restart(e_.status);
  ask(job_step::end, std::move(change));
}

void execution_run::on_ended(const job_answered& m) {
  if (!m.answer)
    return later([this] { ask_end(words(batch::before(e_.status))); });
  // An answer that was lost, after which the same was asked again.
  const bool there = m.answer->verdict == redis::job_verdict::mismatch && m.answer->stored.id == e_.id &&
                     m.answer->stored.status == batch::to_string(e_.status);
  if (!there && !job_.good(m))
    return;
  count_end();
  answer(e_.status == execution_status::failed ? 500 : 200, e_.message);
  home_.config.node->board->job(e_.job, [&](job_status& s) {
    s.running = false;
    s.last.insert(s.last.begin(), status_of(e_));
    s.last.front().number = number_;
    if (s.last.size() > kept_runs)
      s.last.resize(kept_runs);
  });
  job_.over(e_); // this is gone
}

// Log and metrics.
void execution_run::count_end() {
  const auto& id = e_.job;
  const bool well = e_.status == execution_status::completed;
  if (!well)
    log::warn("scheduler", "execution ended",
              {{"job", id},
               {"execution", e_.id},
               {"status", std::string(batch::to_string(e_.status))},
               {"reason", e_.message}});
  std::string word(batch::to_string(e_.status));
  std::transform(word.begin(), word.end(), word.begin(), [](char c) { return static_cast<char>(c + 32); });
  home_.metrics().get(metrics::names::job_runs, id, word).add();
  home_.metrics().get(metrics::names::job_seconds, id).observe(static_cast<double>(e_.ended_ms - e_.started_ms) / 1000);
  const auto rows = [&](const char* what, std::uint64_t n) {
    home_.metrics().get(metrics::names::job_rows, id, what).add(static_cast<double>(n));
  };
  rows("read", e_.read);
  rows("filtered", e_.filtered);
  rows("skipped", e_.skipped);
  rows("written", e_.written);
  if (well)
    home_.metrics().get(metrics::names::job_success_time, id).set(static_cast<double>(e_.ended_ms) / 1000);
}

void execution_run::show() {
  home_.config.node->board->job(job_.what().config.name, [&](job_status& s) {
    s.running = true;
    s.runs = job_.runs();
    s.present = status_of(e_);
    s.present.number = number_;
  });
}

std::string execution_run::describe() const {
  return fmt::format(
      R"({{"job":{},"run":{},"execution":"{}","status":"{}","fire":{},"started":{},"read":{},"filtered":{},"skipped":{},"written":{},"message":{}}})",
      json_quote(e_.job), number_, e_.id, batch::to_string(e_.status), e_.fire_ms, e_.started_ms, e_.read, e_.filtered,
      e_.skipped, e_.written, json_quote(e_.message));
}

void execution_run::answer(unsigned status, const std::string& message) {
  const auto told = std::exchange(waiting_, {});
  if (told.empty())
    return;
  http::response r;
  if (status == 503) {
    r = http::error_response(503, "not_ready", message, "/jobs/" + job_.what().config.name);
  } else {
    r.status = status;
    r.body = describe();
  }
  for (const auto& respond : told)
    respond(r);
}

// STOPPING is stored first: if this node dies now, the next one stops it too.
void execution_run::stop() {
  stopping_ = true;
  halt();
  auto change = going_on();
  change.status = "STOPPING";
  auto told = e_;
  told.status = execution_status::stopping;
  change.run = batch::to_json(told);
  change.expect.emplace_back("STOPPING");
  ask(job_step::stop, std::move(change));
}

void execution_run::on_stopping(const job_answered& m) {
  if (!m.answer)
    return later([this] { stop(); });
  if (!job_.good(m))
    return;
  e_.status = execution_status::stopping;
  end(execution_status::stopped, "stopped on request");
}

} // namespace weir::actors
