// The step writer actor: hands the result of one execution to the job's custom writer, chunk after chunk.
//
// Owned by the execution, which ends it when it is over or tried again. Tells the scheduler with rows_written when all
// chunks are written, or the first error, and ends. Keeps nothing: whoever takes the execution over begins with the
// first chunk, which is why writers have to bear a chunk twice.
#pragma once

#include "actors/context.hpp"
#include "actors/handles.hpp"

#include <caf/actor_system.hpp>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace weir::actors {

struct step_writer_config {
  context_ptr node;
  job_config job;
  std::string execution; // id
  std::int64_t fire_ms = 0;
  std::uint64_t run = 0;
  std::uint32_t chunk_rows = 5'000;
  std::shared_ptr<const std::vector<std::pair<std::string, std::string>>> rows; // key, JSON
  scheduler_actor report_to;
};

step_writer_actor spawn_step_writer(caf::actor_system& system, step_writer_config config);

} // namespace weir::actors
