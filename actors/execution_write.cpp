// The end of an execution: its result goes to the job's table, then to its custom writer, then to its topic.
#include "actors/execution_run.hpp"
#include "actors/job_runner.hpp"
#include "actors/step_writer.hpp"
#include "actors/topic_writer.hpp"
#include "runtime/batch/parameters.hpp"
#include "runtime/metrics/registry.hpp"

#include <algorithm>
#include <atomic>
#include <caf/send.hpp>
#include <fmt/format.h>
#include <limits>
#include <utility>

namespace weir::actors {
namespace {

constexpr std::size_t topic_window = 1'000; // records handed to the producer at a time

using batch::execution_status;

std::vector<std::pair<std::string, std::string>> headers_of(const batch::execution& e) {
  return {{"weir.job", e.job}, {"weir.fire", std::to_string(e.fire_ms)}, {"weir.execution", e.id}};
}

} // namespace

void execution_run::write() {
  saving_ = 0;
  if (job_.what().writer)
    caf::anon_send(job_.what().writer, write_rows{e_.job, number_, e_.fire_ms, home_.token.value, e_.id, chunks_,
                                                  e_.chunk, e_.replace, rows_, home_.me()});
  else
    to_custom();
}

void execution_run::on_written(const rows_written& m) {
  if (!goes_on())
    return;
  if (!m.written && m.written.error().code == ec::fenced) {
    home_.metrics().get(metrics::names::jobs_fenced, m.job).add();
    return job_.look_again(m.written.error().message);
  }
  if (!m.written)
    return failed(m.written.error());
  const auto& c = job_.what().config;
  e_.written = rows_->size();
  if (m.where == written_to::table) {
    chunks_ = std::numeric_limits<std::uint64_t>::max(); // all of them, also for a retry of what follows
    e_.commits = e_.replace ? 1 : std::max<std::uint64_t>(1, (e_.written + e_.chunk - 1) / e_.chunk);
  }
  if (m.where == written_to::table && c.writer)
    return to_custom();
  to_topic();
}

void execution_run::to_custom() {
  const auto& c = job_.what().config;
  if (!c.writer)
    return to_topic();
  auto with = batch::with_parameters(c, e_.parameters).value_or(c); // those of a run that began fit
  step_writer_ = spawn_step_writer(
      *home_.system, {home_.config.node, std::move(with), e_.id, e_.fire_ms, number_, e_.chunk, rows_, home_.me()});
}

// Rows go to the topic after they are in Redis: at least once in Kafka, told apart by their headers, or in one
// transaction. So many at a time that the producer's queue has room.
void execution_run::to_topic() {
  const auto& c = job_.what().config;
  if (c.exactly_once)
    return to_topic_once();
  const auto end_of_window = std::min(rows_->size(), sent_ + topic_window);
  if (c.write_topic.empty() || sent_ == end_of_window)
    return end(execution_status::completed, {});
  auto left = std::make_shared<std::atomic<std::size_t>>(end_of_window - sent_);
  auto failed_one = std::make_shared<std::atomic<bool>>(false);
  scheduler_actor me = home_.me();
  const auto done = [me, left, failed_one, id = c.name, run = number_](result<void> answer) {
    if (!answer && !failed_one->exchange(true))
      caf::anon_send(me, rows_written{id, run, tl::unexpected(answer.error()), written_to::topic});
    if (left->fetch_sub(1) == 1 && !*failed_one)
      caf::anon_send(me, rows_written{id, run, std::size_t{0}, written_to::topic});
  };
  const auto headers = headers_of(e_);
  const auto from = std::exchange(sent_, end_of_window);
  for (auto i = from; i < end_of_window; ++i) {
    const auto& [key, row] = (*rows_)[i];
    home_.config.node->producer->send({c.write_topic, key, row, headers, -1, 0}, done);
  }
}

void execution_run::to_topic_once() {
  const auto& c = job_.what().config;
  if (transaction_wanted_) { // and there it is
    transaction_wanted_.reset();
    return end(execution_status::completed, {});
  }
  const auto& node = home_.config.node;
  const auto& kafka = node->topo.kafka;
  transaction_wanted_ = std::make_shared<std::atomic<bool>>(true);
  spawn_topic_writer(*home_.system, {node,
                                     c.name,
                                     number_,
                                     {fmt::format("{}.job.{}", kafka.group, c.name), c.write_topic, e_.id, e_.fire_ms,
                                      headers_of(e_), rows_},
                                     transaction_wanted_,
                                     home_.me()});
}

} // namespace weir::actors
