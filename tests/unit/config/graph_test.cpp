#include "runtime/config/graph.hpp"

#include "tests/unit/config/fixture.hpp"

#include <gmock/gmock.h>

namespace weir::config_test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

topology fleet() {
  return load(R"({"topology": "fleet", "sources": {"readings": {"topic": "in", "dead_letter": "in.dead"}}, "tables": {
      "machines": {"from": "readings", "kind": "latest"}, "history": {"from": "readings", "kind": "log", "where": {"/a": 1}},
      "by_site": {"from": "job:rollup", "kind": "latest"}},
    "jobs": {"rollup": {"every": "90s", "read": {"table": "history", "last": "1m"}, "fields": {"n": "count"}, "write": {"table": "by_site", "topic": "out"}}}})")
      .value;
}

TEST(graph, mermaid_shows_the_way_of_a_record) {
  EXPECT_EQ(graph_mermaid(fleet()), R"(flowchart LR
  n0(["in<br/><i>topic</i>"])
  n1[/"readings<br/><i>source</i>"/]
  n2(["in.dead<br/><i>dead letters</i>"])
  n3[("by_site<br/><i>latest</i>")]
  n4[("history<br/><i>log</i>")]
  n5[("machines<br/><i>latest</i>")]
  n6{{"rollup<br/><i>every 90s</i>"}}
  n7(["out<br/><i>topic</i>"])
  n0 --> n1
  n1 -.->|"unreadable"| n2
  n1 -->|"where"| n4
  n1 --> n5
  n4 -->|"last 1m"| n6
  n6 --> n3
  n6 --> n7
)");
}

TEST(graph, dot_has_the_same_nodes_and_edges) {
  const auto dot = graph_dot(fleet());
  EXPECT_THAT(dot, ::testing::StartsWith("digraph \"fleet\" {\n  rankdir=LR;"));
  EXPECT_THAT(dot, HasSubstr("n1 [label=\"readings\\nsource\", shape=parallelogram];"));
  EXPECT_THAT(dot, HasSubstr("n1 -> n2 [label=\"unreadable\", style=dashed];"));
  EXPECT_THAT(dot, HasSubstr("n4 -> n6 [label=\"last 1m\"];"));
  EXPECT_THAT(dot, HasSubstr("n6 -> n7"));
}

TEST(graph, names_cannot_break_out_of_their_labels) {
  topology t;
  t.name = "a\"b\\";
  t.sources["s"].name = "s";
  t.sources["s"].topic = "x\"]; n0-->n9 <b>#";
  const auto mermaid = graph_mermaid(t);
  EXPECT_THAT(mermaid, Not(HasSubstr("x\"")));
  EXPECT_THAT(mermaid, Not(HasSubstr("<b>")));
  EXPECT_THAT(mermaid, HasSubstr("x#34;#93;#59; n0--#62;n9 #60;b#62;#35;"));
  const auto dot = graph_dot(t);
  EXPECT_THAT(dot, HasSubstr("digraph \"a\\\"b\\\\\" {"));
  EXPECT_THAT(dot, HasSubstr("label=\"x\\\"]; n0-->n9 <b>#\\ntopic\""));
}

} // namespace
} // namespace weir::config_test
