// The ingest path under seeded faults: simulation.hpp says what happens, and what it is judged by.
#include "runtime/core/log.hpp"
#include "tests/actors/simulation.hpp"

#include <cstdio>
#include <fmt/format.h>
#include <gtest/gtest.h>

namespace {

using namespace weir;
using namespace weir::stage;

std::string named(std::uint64_t seed) { return fmt::format("seed {}", seed); }

totals run(std::uint64_t runs, std::uint64_t first = 1) {
  log::setup(number_from("WEIR_TRACE", 0) ? log::level::info : log::level::error, log::format::text);
  totals all;
  const auto only = number_from("WEIR_SEED", 0);
  runs = number_from("WEIR_RUNS", runs);
  for (auto seed = only ? only : first; seed < (only ? only + 1 : first + runs); ++seed) {
    simulation s(seed);
    const auto steps = 500 + seed * 37 % 3000;
    for (std::uint64_t i = 0; i < steps && s.problem.empty(); ++i)
      s.step();
    if (s.problem.empty())
      s.settle();
    ++all.runs;
    if (!s.problem.empty()) {
      std::fprintf(stderr, "seed %llu: %s\n", static_cast<unsigned long long>(seed), s.problem.c_str());
      if (all.failed++ == 0)
        all.first = named(seed) + ": " + s.problem;
    }
    const auto& h = s.happened;
    all.rollbacks += h.rollbacks;
    all.kills += h.kills;
    all.rebalances += h.rebalances;
    all.resets += h.resets;
    all.recoveries += h.recoveries;
    all.unrecoverable += h.unrecoverable;
    all.frames += h.frames;
    all.checks += h.checks;
    all.store.applied += h.store.applied;
    all.store.mismatch += h.store.mismatch;
    all.store.fenced += h.store.fenced;
    all.store.claims += h.store.claims;
    all.store.refused_claims += h.store.refused_claims;
  }
  std::printf("%zu runs: %zu transactions applied, %zu mismatched, %zu fenced, %zu claims, %zu refused; %zu failovers, "
              "%zu kills, %zu rebalances; %zu "
              "frames, %zu resets, %zu recoveries, %zu unrecoverable; %zu checks; %zu failed\n",
              all.runs, all.store.applied, all.store.mismatch, all.store.fenced, all.store.claims,
              all.store.refused_claims, all.rollbacks, all.kills, all.rebalances, all.frames, all.resets,
              all.recoveries, all.unrecoverable, all.checks, all.failed);
  return all;
}

TEST(simulation, store_and_subscribers_end_with_the_fold_of_the_log_whatever_fails_on_the_way) {
  const auto all = run(300);
  EXPECT_EQ(all.failed, 0u) << all.first << "\n(WEIR_SEED=<seed> repeats it)";
  if (std::getenv("WEIR_SEED") || std::getenv("WEIR_RUNS"))
    return;
  // The faults have met the guards.
  EXPECT_GT(all.store.mismatch, all.runs / 30);
  EXPECT_GT(all.store.fenced, all.runs / 4);
  EXPECT_GT(all.store.refused_claims, 0u);
  EXPECT_GT(all.rollbacks, all.runs / 4);
  EXPECT_GT(all.kills, all.runs / 4);
  EXPECT_GT(all.resets, all.runs / 4);
  EXPECT_GT(all.recoveries, all.runs / 4);
}

} // namespace
