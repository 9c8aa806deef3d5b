#include "runtime/redis/identity.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace weir::redis {
namespace {

std::string_view kind_name(table_kind kind) {
  switch (kind) {
  case table_kind::latest: return "latest";
  case table_kind::aggregate: return "aggregate";
  case table_kind::log: return "log";
  }
  return "latest";
}

} // namespace

std::string to_json(const source_identity& id) {
  return nlohmann::json{{"cluster", id.cluster_id}, {"topic", id.topic}, {"partitions", id.partitions}}.dump();
}

identity_judgement judge_source(std::string_view source, std::string_view stored, const source_identity& mine) {
  const auto was = nlohmann::json::parse(stored, nullptr, false);
  if (!was.is_object() || !was.contains("cluster") || !was["cluster"].is_string() || !was.contains("topic") ||
      !was["topic"].is_string() || !was.contains("partitions") || !was["partitions"].is_number_integer())
    return {identity_verdict::foreign,
            fmt::format("source '{}': its identity in Redis is unreadable: {}", source, stored)};
  const auto cluster = was["cluster"].get<std::string>();
  const auto topic = was["topic"].get<std::string>();
  const auto partitions = was["partitions"].get<std::int32_t>();
  if (cluster != mine.cluster_id)
    return {identity_verdict::foreign,
            fmt::format("source '{}': the state in Redis was built from Kafka cluster '{}', but the brokers are "
                        "cluster '{}'. Use another "
                        "topology name or another Redis database for this cluster, or delete the old state",
                        source, cluster, mine.cluster_id)};
  if (topic != mine.topic)
    return {identity_verdict::anew, fmt::format("source '{}': the state in Redis was built from topic '{}', not '{}'. "
                                                "Name the source differently, or delete the old "
                                                "state",
                                                source, topic, mine.topic)};
  if (partitions > mine.partitions)
    return {identity_verdict::anew, fmt::format("source '{}': topic '{}' has {} partitions, but the state in Redis was "
                                                "built from {}: the topic was made anew. Delete "
                                                "the old state to accept it",
                                                source, topic, mine.partitions, partitions)};
  if (partitions < mine.partitions)
    return {identity_verdict::grown, fmt::format("source '{}': topic '{}' has grown from {} to {} partitions; a key "
                                                 "may have moved and left its old row behind: rebuild "
                                                 "the source's tables when convenient",
                                                 source, topic, partitions, mine.partitions)};
  return {};
}

std::string definition_json(const table_config& table, std::uint32_t generation) {
  return nlohmann::json{{"fingerprint", table.fingerprint},
                        {"generation", generation},
                        {"kind", kind_name(table.kind)},
                        {"definition", table.canonical}}
      .dump();
}

definition_judgement judge_definition(std::string_view stored, const table_config& table) {
  const auto was = nlohmann::json::parse(stored, nullptr, false);
  if (!was.is_object() || !was.value("fingerprint", nlohmann::json{}).is_string() ||
      !was.value("generation", nlohmann::json{}).is_number_unsigned())
    return {false, 1, fmt::format("table '{}': its definition in Redis is unreadable", table.name)};
  const auto generation = was["generation"].get<std::uint32_t>();
  if (was["fingerprint"] == table.fingerprint)
    return {true, generation, {}};
  return {false, generation,
          fmt::format("table '{}' is stored under another definition: {} -- the topology now says: {}. Its rows would "
                      "mix both; give the table "
                      "another name, or put the definition back",
                      table.name, was.value("definition", std::string{"?"}), table.canonical)};
}

} // namespace weir::redis
