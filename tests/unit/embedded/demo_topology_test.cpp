#include "runtime/embedded/demo_topology.hpp"

#include "runtime/config/load.hpp"

#include <gtest/gtest.h>
#include <set>

namespace weir::embedded {
namespace {

TEST(demo_topology, passes_the_check_and_uses_nothing_that_is_not_there_yet) {
  const auto read = load_topology_text(demo_topology(), "demo");
  for (const auto& p : read.problems)
    ADD_FAILURE() << to_string(p);
  for (const auto& part : read.value.unavailable)
    ADD_FAILURE() << part.pointer << ": " << part.what;
  EXPECT_EQ(read.value.name, "demo");
  EXPECT_TRUE(read.value.kafka.embedded());
  EXPECT_TRUE(read.value.redis.embedded());
  EXPECT_EQ(read.value.sources.size(), 2u);
  EXPECT_EQ(read.value.tables.size(), 5u);
  EXPECT_EQ(read.value.jobs.size(), 1u);
}

TEST(demo_topology, shows_tables_of_all_three_kinds) {
  const auto read = load_topology_text(demo_topology(), "demo");
  std::set<table_kind> kinds;
  for (const auto& [name, table] : read.value.tables)
    kinds.insert(table.kind);
  EXPECT_EQ(kinds.size(), 3u);
}

} // namespace
} // namespace weir::embedded
