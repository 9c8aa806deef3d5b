// What the state in Redis belongs to: layout, Kafka topics, definitions of tables. Kept in `{topology}:meta`, compared
// at every start, so that a node never goes on with state of another log or another definition.
#pragma once

#include "proto/topology.hpp"

#include <string>
#include <string_view>

namespace weir::redis {

// Of the layout that this program reads and writes; stored in the field "layout".
inline constexpr std::string_view layout_version = "1";

struct source_identity {
  std::string cluster_id, topic;
  std::int32_t partitions = 0;
};

std::string to_json(const source_identity& id);

enum class identity_verdict {
  same,
  grown,   // the topic has more partitions than stored: keys may have moved
  anew,    // another topic, or fewer partitions: the source is blocked
  foreign, // another Kafka cluster (two systems under one name), or unreadable: the node must not start
};

struct identity_judgement {
  identity_verdict verdict = identity_verdict::same;
  std::string reason; // for people, with the remedy; empty when same
};

// `stored`: JSON as found; anything unreadable counts as foreign.
identity_judgement judge_source(std::string_view source, std::string_view stored, const source_identity& mine);

// The stored definition of a table: {"fingerprint","generation","kind","definition"}.
std::string definition_json(const table_config& table, std::uint32_t generation);

struct definition_judgement {
  bool same = true;
  std::uint32_t generation = 1;
  std::string difference; // names what differs and the remedy
};

definition_judgement judge_definition(std::string_view stored, const table_config& table);

} // namespace weir::redis
