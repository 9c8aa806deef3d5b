// A scheduler of one job, and what it needs around it.
#pragma once

#include "actors/scheduler.hpp"
#include "tests/actors/stage.hpp"

namespace weir::stage {

inline table_config job_table(std::string job) {
  auto t = latest("totals");
  t.from = "job:" + job;
  return t;
}

inline job_config counting(std::optional<duration> every) {
  job_config j;
  j.name = "sum";
  j.every = every;
  j.read_table = "now";
  j.fields = {{"n", function::count, ""}, {"total", function::sum, "/v"}};
  j.write_table = "totals";
  return j;
}

struct scheduled : world {
  // `more`: jobs, which write no table.
  explicit scheduled(job_config j, table_config from = latest("now"), bool delayed = false,
                     std::vector<job_config> more = {})
      : world({.tables = {from, job_table("sum")}, .writers = 2, .delayed_answers = delayed}), input(std::move(from)),
        job(std::move(j)), beside(std::move(more)) {
    node = make_node("a");
    node->topo.scheduler.lease = 60s; // longer than any test that withholds answers
    node->partition_counts[source_name] = 1;
    partition = std::make_unique<lone_partition>(*this);
    const auto end = make_table_end(*this);
    const auto redis_writer = own(actors::spawn_redis_writer(*system, {node, 1}));
    if (!job.write_table.empty())
      job_writer = own(actors::spawn_job_writer(
          *system, {node, table("totals"), {"totals", 1}, end.inbox, end.publisher, redis_writer}));
    scheduler = own(actors::spawn_scheduler(*system, {node, jobs_with(job_writer)}));
  }
  std::vector<job_run_status> runs(const std::string& of = "sum") { return board.jobs()[of].last; } // newest first
  std::vector<actors::scheduled_job> jobs_with(const actors::job_writer_actor& writer) const {
    std::vector<actors::scheduled_job> all{{job, input, {input.name, 1}, writer}};
    for (const auto& other : beside)
      all.push_back({other, input, {input.name, 1}, {}});
    return all;
  }
  // A node of that name schedules from here on, or waits for its turn.
  void start(const std::string& name) {
    auto other = make_node(name);
    other->topo.scheduler.lease = node->topo.scheduler.lease;
    other->partition_counts[source_name] = 1;
    const auto end = make_table_end(*this);
    const auto redis_writer = own(actors::spawn_redis_writer(*system, {other, 0}));
    auto writer = own(actors::spawn_job_writer(
        *system, {other, table("totals"), {"totals", 1}, end.inbox, end.publisher, redis_writer}));
    own(actors::spawn_scheduler(*system, {other, jobs_with(writer)}));
    others.push_back(std::move(other));
  }
  // The first one ends as by SIGKILL.
  void kill() {
    for (const auto& actor : {caf::actor_cast<caf::actor>(scheduler), caf::actor_cast<caf::actor>(job_writer)})
      caf::anon_send_exit(actor, caf::exit_reason::kill);
    while (jobs->try_run_once()) {
    }
  }
  // Executions that ended, newest first.
  std::vector<json> history(const std::string& of = "sum") {
    std::vector<json> out;
    for (const auto& text : ask<std::vector<std::string>>(*this, [&](auto done) {
           store->jobs().job_history({topology_name, "job:" + of, partition_id{0}}, 100, done);
         }))
      out.push_back(json::parse(text));
    return out;
  }
  // How many checkpoints the job repository has. Asked as the scheduler that has the job already, which changes
  // nothing.
  std::size_t checkpoints() {
    const partition_key key{topology_name, "job:sum", partition_id{0}};
    const auto token = ask<redis::job_state>(*this, [&](auto done) { store->jobs().read_job(key, done); }).token;
    return ask<redis::job_answer>(*this, [&](auto done) { store->jobs().adopt_job(key, token, done); })
        .stored.checkpoints.size();
  }
  json stored() {
    const auto all = rows(table("totals"), {topology_name, "job:sum", partition_id{0}});
    return all.contains("all") ? json::parse(all.at("all")) : json{};
  }
  void demand(std::string name = "sum", bool wait = true) {
    const auto keep = [got = answers_got](http::response r) { got->push_back(std::move(r)); };
    caf::anon_send(scheduler, actors::run_job{std::move(name), {}, keep, wait});
  }

  table_config input;
  job_config job;
  std::vector<job_config> beside;
  std::shared_ptr<actors::node_context> node;
  std::vector<std::shared_ptr<actors::node_context>> others;
  actors::job_writer_actor job_writer;
  std::unique_ptr<lone_partition> partition;
  actors::scheduler_actor scheduler;
  std::shared_ptr<std::vector<http::response>> answers_got = std::make_shared<std::vector<http::response>>();
};

} // namespace weir::stage
