// One execution of a job on the node that schedules, from its begin to its end: writes each step into the job
// repository, splits the input among reducers and stores their checkpoints, has what they found merged, hands the rows
// to the job's writer and to a Kafka topic. Owned by its job (actors/job_runner); runs in the scheduler actor.
#pragma once

#include "actors/scheduling.hpp"
#include "runtime/batch/execution.hpp"
#include "runtime/core/backoff.hpp"

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace weir::actors {

class execution_run {
public:
  // `number`: of this scheduler's life; another one after each retry, so that late answers are told apart.
  execution_run(scheduling& home, job_runner& job, std::uint64_t number, batch::execution e);

  std::uint64_t number() const { return number_; }
  const batch::execution& execution() const { return e_; }
  bool ending() const { return ending_; }
  // Neither at its end nor to be stopped.
  bool goes_on() const { return !ending_ && !stopping_; }

  // -- how it begins: one of them, once

  // `again`: from the checkpoints and chunks of the execution before it.
  void begin(bool again, std::vector<http::responder> waiting);
  // Left by another scheduler.
  void take_over();
  // Only to be ended.
  void adopt(http::responder waiting);

  // -- what happens to it

  void tick();
  void on_answer(const job_answered& m);
  void on_progress(const share_progress& m);
  void on_reduced(const reducer_done& m);
  void on_merged(const result_merged& m);
  void on_written(const rows_written& m);
  void on_total(const input_counted& m);
  // Told its end.
  void wait_for_end(http::responder respond) { waiting_.push_back(std::move(respond)); }
  // Those who wait are told as soon as the repository has it, so that it begins whatever dies.
  void answer_when_stored() { answer_when_stored_ = true; }
  void stop();
  void end(batch::execution_status status, const std::string& message);
  // Forgets what is under way here; in the repository it goes on to be what it is.
  void drop(const std::string& why);
  // How far it got, for the next scheduler. Where that one is at it already, this is refused, and counted.
  void say_where();

private:
  void ask(job_step step, redis::job_change change);
  void ask_begin();
  void ask_end(std::vector<std::string> from);
  redis::job_change going_on() const;
  bool fits();
  std::uint32_t share_count() const;
  void start();
  void check_time();
  void spawn_reducers(std::uint64_t chunk_rows);
  void later(std::function<void()> what);
  void halt();
  void failed(const error& why);
  void count(std::size_t share, const batch::reduce_counts& counts);
  bool skips_allowed();
  void store_checkpoint(std::uint32_t share, std::string text);
  void store_next();
  void merge();
  void write();
  void to_custom();
  void to_topic();
  void to_topic_once();
  void answer(unsigned status, const std::string& message);
  std::string describe() const;
  void show();
  void count_end();

  void on_begun(const job_answered& m);
  void on_started(const job_answered& m);
  void on_checkpoint(const job_answered& m);
  void on_stopping(const job_answered& m);
  void on_ended(const job_answered& m);

  scheduling& home_;
  job_runner& job_;
  std::uint64_t number_;
  batch::execution e_;
  job_config config_; // the job's, with the execution's parameters in it
  bool again_ = false, ending_ = false, stopping_ = false;
  std::vector<std::shared_ptr<batch::reducer>> partials_;
  std::size_t open_ = 0; // shares without a partial result
  std::vector<batch::reduce_counts> counts_;
  std::map<std::uint32_t, std::string> checkpoints_; // by share: what Redis has
  std::optional<std::pair<std::uint32_t, std::string>> under_way_;
  std::map<std::uint32_t, std::string> waiting_checkpoints_; // the newest of each share behind that one
  std::uint32_t stored_last_ = 0;                            // shares take turns
  std::vector<batch_reducer_actor> reducers_;
  std::shared_ptr<batch::pace> pace_; // theirs
  step_writer_actor step_writer_;     // null: none, or it has ended
  std::size_t saving_ = 0;            // last checkpoints without an answer
  std::shared_ptr<const std::vector<std::pair<std::string, std::string>>> rows_;
  std::uint64_t chunks_ = 0;                              // of the result, written by an earlier scheduler
  std::size_t sent_ = 0;                                  // rows that the topic has
  std::shared_ptr<std::atomic<bool>> transaction_wanted_; // null: none is under way
  std::vector<http::responder> waiting_;
  bool answer_when_stored_ = false; // else at the end
  std::int64_t asked_ms_ = 0;       // when this life of it began: for requests and the deadline
  int wait_ = 0;                    // ticks until `then_`
  std::function<void()> then_;
  backoff retry_{std::chrono::milliseconds(200), std::chrono::seconds(5)};
};

job_run_status status_of(const batch::execution& e);

} // namespace weir::actors
