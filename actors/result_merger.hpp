// The result merger: makes one result of what the reducers of an execution found, on a thread of its own.
//
// A million groups take a second or two, in which the scheduler has to keep its lease. Owned by nobody: tells the
// scheduler with result_merged, and ends; an execution that is over by then, or tried again, does not listen.
#pragma once

#include "actors/context.hpp"
#include "actors/handles.hpp"
#include "runtime/batch/reduce.hpp"

#include <caf/actor_system.hpp>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace weir::actors {

struct merged_result {
  std::shared_ptr<const std::vector<std::pair<std::string, std::string>>> rows; // key, JSON; ascending by key
  std::map<std::uint32_t, std::string> checkpoints;                             // the final ones that were asked for
};

// What all shares give together, or why it is none. The result is the receiver's own, to move out of.
struct result_merged {
  std::string job;
  std::uint64_t run = 0;
  result<std::shared_ptr<merged_result>> merged;
};

struct result_merger_config {
  context_ptr node;
  std::string job;
  std::uint64_t run = 0;
  // Of each share, of nobody else any more. Merged in this order, so that sums of doubles have the same bits however
  // the reducers raced.
  std::vector<std::shared_ptr<batch::reducer>> partials;
  std::set<std::uint32_t> checkpoints; // of these shares
  scheduler_actor report_to;
};

void spawn_result_merger(caf::actor_system& system, result_merger_config config);

} // namespace weir::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(weir::actors::result_merged)
