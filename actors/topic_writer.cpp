#include "actors/topic_writer.hpp"

#include "actors/job_writer.hpp"

#include <caf/event_based_actor.hpp>
#include <caf/send.hpp>
#include <utility>

namespace weir::actors {
namespace {

void topic_writer(caf::event_based_actor*, const topic_writer_config& config) {
  auto written = config.node->transactions->write(config.what, [&] { return config.wanted->load(); });
  auto told = written ? result<std::size_t>(config.what.rows->size()) : tl::unexpected(std::move(written.error()));
  caf::anon_send(config.report_to, rows_written{config.job, config.run, std::move(told), written_to::topic});
}

} // namespace

void spawn_topic_writer(caf::actor_system& system, topic_writer_config config) {
  if (config.node->threads_for_steps)
    system.spawn<caf::detached>(topic_writer, std::move(config));
  else
    system.spawn(topic_writer, std::move(config));
}

} // namespace weir::actors
