#include "actors/result_merger.hpp"

#include "actors/batch_reducer.hpp"
#include "runtime/core/priority.hpp"

#include <caf/event_based_actor.hpp>
#include <caf/send.hpp>

namespace weir::actors {
namespace {

result<std::shared_ptr<merged_result>> merge(const result_merger_config& config) {
  auto out = std::make_shared<merged_result>();
  const auto& partials = config.partials;
  for (const auto share : config.checkpoints) // before the first one is all of them
    out->checkpoints.emplace(share, final_checkpoint(*partials.at(share)));
  auto& all = *partials.front();
  for (std::size_t i = 1; i < partials.size(); ++i)
    if (auto merged = all.merge(*partials[i]); !merged)
      return tl::unexpected(merged.error());
  out->rows = std::make_shared<const std::vector<std::pair<std::string, std::string>>>(all.rows());
  return out;
}

void result_merger(caf::event_based_actor*, const result_merger_config& config) {
  if (config.node->threads_for_steps)
    give_way(); // this thread is its own
  caf::anon_send(config.report_to, result_merged{config.job, config.run, merge(config)});
}

} // namespace

void spawn_result_merger(caf::actor_system& system, result_merger_config config) {
  if (config.node->threads_for_steps)
    system.spawn<caf::detached>(result_merger, std::move(config));
  else
    system.spawn(result_merger, std::move(config));
}

} // namespace weir::actors
