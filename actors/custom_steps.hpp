// Calls the custom steps of a job (include/weir/extension.hpp) for the batch reducers and the scheduler: makes the
// objects, turns what they throw into errors that name the step, holds what they give to its bounds, and measures how
// long they take. Each belongs to one share of an execution, or one try at writing its result; one thread at a time.
//
// Errors: ec::step_failed, or ec::step_unavailable where the step says that the cause passes by itself.
#pragma once

#include "actors/context.hpp"

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>
#include <weir/extension.hpp>

namespace weir::actors {

// What a step is made for.
struct step_place {
  const node_context& node;
  const job_config& job; // with the parameters of the run
  std::string execution; // id
  std::int64_t fire_ms = 0;
};

// The error that the exception being handled stands for; `step`: "processor 'enrich'".
error step_error(const std::string& step);

// Times the calls of one step.
class step_watch {
public:
  step_watch(const step_place& at, std::string_view kind, const custom_step& step);
  ~step_watch();
  step_watch(step_watch&&) = delete;

  const std::string& name() const { return name_; } // "processor 'enrich'"

  template <class Work>
  result<void> call(Work&& work) {
    const auto begun = std::chrono::steady_clock::now();
    result<void> answer;
    try {
      work();
    } catch (...) {
      answer = tl::unexpected(step_error(name_));
    }
    took(std::chrono::steady_clock::now() - begun);
    return answer;
  }

private:
  void took(std::chrono::nanoseconds time);
  void publish();

  std::string job_, name_;
  metrics::counter seconds_, slow_;
  std::chrono::nanoseconds spent_{0}; // not published yet
  bool told_ = false;
};

class processor_step {
public:
  // Null: the job has none.
  static result<std::unique_ptr<processor_step>> make(const step_place& at);

  // Error: the execution fails. Else `into` has what became of the row, or `refused` says why it is skipped.
  result<void> process(ext::item row, std::vector<ext::item>& into, std::optional<std::string>& refused);

private:
  explicit processor_step(const step_place& at) : watch_(at, "processor", at.job.processor) {}

  step_watch watch_;
  std::unique_ptr<ext::processor> user_;
};

class reader_step {
public:
  static result<std::unique_ptr<reader_step>> make(const step_place& at, ext::share share);

  // Puts the next rows in the place of those that are in `into`. False: these are the last ones.
  result<bool> read(std::vector<ext::item>& into);
  result<std::string> place();

private:
  explicit reader_step(const step_place& at) : watch_(at, "reader", at.job.reader) {}

  step_watch watch_;
  std::unique_ptr<ext::reader> user_;
};

// How many shares the job's reader can be divided into.
std::size_t reader_shares(const node_context& node, const job_config& job);

class writer_step {
public:
  // The object is made with the first chunk, by the thread that writes it.
  explicit writer_step(const step_place& at);

  result<void> write(const ext::chunk& part);

private:
  step_watch watch_;
  std::shared_ptr<const ext::extensions> extensions_;
  std::string step_;
  ext::execution for_;
  std::unique_ptr<ext::writer> user_;
};

} // namespace weir::actors
