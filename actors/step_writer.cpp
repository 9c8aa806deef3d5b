#include "actors/step_writer.hpp"

#include "actors/custom_steps.hpp"
#include "actors/job_writer.hpp"

#include <algorithm>
#include <caf/event_based_actor.hpp>
#include <caf/send.hpp>
#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>

namespace weir::actors {
namespace {

struct step_writer_state {
  static inline const char* name = "step-writer";

  step_writer_actor::stateful_pointer<step_writer_state> self;
  step_writer_config config;
  std::unique_ptr<writer_step> step;
  std::size_t number = 0, count = 1; // of the chunk that is next
  std::vector<ext::item> items;

  explicit step_writer_state(step_writer_actor::stateful_pointer<step_writer_state> s) : self(s) {}

  void start_work() {
    const std::size_t rows = config.rows->size(), each = config.chunk_rows;
    count = std::max<std::size_t>(1, (rows + each - 1) / each);
    step = std::make_unique<writer_step>(step_place{*config.node, config.job, config.execution, config.fire_ms});
    go_on();
  }

  // By way of the mailbox, so that the end of the execution gets between two chunks.
  void go_on() { caf::anon_send(step_writer_actor(self), caf::tick_atom::value); }

  void write_next() {
    const auto from = number * config.chunk_rows;
    const auto to = std::min(config.rows->size(), from + config.chunk_rows);
    items.clear();
    for (auto i = from; i < to; ++i)
      items.push_back({(*config.rows)[i].first, (*config.rows)[i].second, config.fire_ms});
    if (auto written = step->write({number, count, items}); !written)
      return finish(tl::unexpected(written.error()));
    if (++number == count)
      return finish(config.rows->size());
    go_on();
  }

  void finish(result<std::size_t> written) {
    caf::anon_send(config.report_to, rows_written{config.job.name, config.run, std::move(written), written_to::custom});
    self->quit();
  }
};

step_writer_actor::behavior_type step_writer(step_writer_actor::stateful_pointer<step_writer_state> self,
                                             step_writer_config config) {
  self->state.config = std::move(config);
  self->state.start_work();
  return {[self](caf::tick_atom) { self->state.write_next(); }};
}

} // namespace

step_writer_actor spawn_step_writer(caf::actor_system& system, step_writer_config config) {
  if (config.node->threads_for_steps)
    return system.spawn<caf::detached>(step_writer, std::move(config));
  return system.spawn(step_writer, std::move(config));
}

} // namespace weir::actors
