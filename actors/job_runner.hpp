// A job on the node that schedules: adopts what the repository has of it, decides when it runs (fire times, changes of
// its table, other jobs, requests), and owns the execution under way. Runs in the scheduler actor; owned by it.
//
// Before the first adoption it does nothing, and after step_down() nothing until the next one.
#pragma once

#include "actors/execution_run.hpp"
#include "actors/input_watch.hpp"
#include "runtime/batch/parameters.hpp"
#include "runtime/batch/schedule.hpp"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace weir::actors {

class job_runner {
public:
  job_runner(scheduling& home, scheduled_job what);

  const scheduled_job& what() const { return what_; }
  const redis::job_state& stored() const { return stored_; } // as adopted, then as changed from here
  const std::string& completed() const { return completed_; }
  std::int64_t completed_fire_ms() const { return completed_fire_ms_; }
  std::uint64_t runs() const { return runs_; }
  std::uint64_t next_number() { return ++runs_; }

  void step_up();
  void step_down(const std::string& why);
  // Ends all that the execution has under way here; whoever schedules next goes on with it.
  void drop_run(const std::string& why);
  void tick();

  // -- requests, answered at once or with the execution's end; only while this node has the lease

  void run(const run_job& m);
  void control(const control_job& m);

  // -- answers

  void on_answer(const job_answered& m);
  void on_input(const input_read& m);
  // The execution that the message is of; null: it is over.
  execution_run* execution(std::uint64_t number) { return now_ && now_->number() == number ? &*now_ : nullptr; }

  // -- for its execution

  void ask(job_step step, redis::job_change change, std::uint64_t run);
  // Gives whether the answer is one; else what is to be done about it is done, and the execution may be gone.
  bool good(const job_answered& m);
  // Another scheduler has been at this job, or its state is not what it was taken for. The execution is gone then.
  void look_again(const std::string& why);
  // It has ended, and is gone then.
  void over(batch::execution e);

private:
  using responders = std::vector<http::responder>;

  const std::string& name() const { return what_.config.name; }
  void adopt();
  void on_adopted(const job_answered& m);
  void know(const batch::execution& newest);
  void read_history();
  void on_history(const job_answered& m);
  void refuse(const http::responder& respond, unsigned status, const char* code, const std::string& message) const;
  bool input_known() const;
  void begin(std::int64_t fire_ms, responders waiting = {}, batch::parameter_values parameters = {});
  void begin_again(const control_job& restart);
  void fire();
  std::optional<std::int64_t> due_after_others() const;
  bool due_by_changes();
  void watch();

  scheduling& home_;
  scheduled_job what_;
  partition_key key_;
  bool adopted_ = false, adopting_ = false;
  int adopt_in_ = 0; // ticks
  backoff adopt_retry_{std::chrono::milliseconds(100), std::chrono::seconds(5)};
  redis::job_state stored_;
  std::optional<batch::schedule> schedule_;
  std::optional<execution_run> now_;
  std::optional<control_job> restart_; // comes with the next adoption
  std::uint64_t runs_ = 0;
  // The newest execution that completed, for the jobs after this one.
  std::string completed_;
  std::int64_t completed_fire_ms_ = 0;
  // What the newest execution has seen: of the jobs that this one comes after, and of its table.
  std::map<std::string, std::string> seen_;
  input_state seen_input_, input_;
  std::int64_t dirty_since_ms_ = 0; // 0: nothing has changed since
  bool watching_ = false;
  int watch_in_ = 0; // ticks
};

} // namespace weir::actors
