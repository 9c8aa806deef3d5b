// The schema and the checker know the same names, and think alike about the examples' values.
#include "runtime/config/schema.hpp"

#include "runtime/config/keys.hpp"
#include "tests/unit/config/fixture.hpp"

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>
#include <set>

namespace weir::config_test {
namespace {

using nlohmann::json;
using names = std::set<std::string>;

json schema() { return json::parse(topology_schema()); }

names members(const json& object) {
  names out;
  for (const auto& [name, value] : object.items())
    out.insert(name);
  return out;
}

template <class Range>
names set_of(const Range& range) {
  names out;
  for (const auto& name : range)
    out.emplace(name);
  return out;
}

const json& definition(const json& root, std::string_view name) {
  return name.empty() ? root : root.at("definitions").at(std::string(name));
}

TEST(schema, is_the_file_of_the_source_tree) {
  std::ifstream in(std::string(WEIR_SOURCE_DIR) + "/proto/topology.schema.json", std::ios::binary);
  const std::string file((std::istreambuf_iterator<char>(in)), {});
  EXPECT_EQ(topology_schema(), file);
}

TEST(schema, has_the_checker_s_keys_at_every_place) {
  const auto root = schema();
  for (const auto& place : config::key_places) {
    names wanted;
    for (const auto& k : place.keys)
      wanted.emplace(k.name);
    const auto& d = definition(root, place.definition);
    EXPECT_EQ(members(d.at("properties")), wanted) << place.definition;
    EXPECT_EQ(d.at("additionalProperties"), false) << place.definition;
  }
}

TEST(schema, every_object_with_named_keys_is_held_to_a_table_of_the_checker) {
  names held{"function", "where", "tests"}; // by the test below
  for (const auto& place : config::key_places)
    held.emplace(place.definition);
  const auto root = schema();
  for (const auto& [name, d] : root.at("definitions").items())
    EXPECT_TRUE(!d.contains("properties") || held.contains(name)) << name;
}

TEST(schema, has_the_checker_s_words) {
  const auto root = schema();
  auto functions = members(definition(root, "function").at("properties"));
  functions.insert("count");
  EXPECT_EQ(functions, set_of(config::functions));
  EXPECT_EQ(members(definition(root, "tests").at("properties")), set_of(config::comparisons));
  const auto words = [&](std::string_view place, const char* key) {
    return definition(root, place).at("properties").at(key).at("anyOf").at(0).at("enum").get<names>();
  };
  EXPECT_EQ(words("table", "kind"), set_of(config::kinds));
  EXPECT_EQ(words("source", "start"), set_of(config::starts));
  EXPECT_EQ(words("source", "format"), set_of(config::formats));
  EXPECT_EQ(words("table", "access"), set_of(config::accesses));
  EXPECT_EQ(words("jwt", "metrics"), set_of(config::metrics_readers));
  EXPECT_EQ(words("job", "on"), set_of(config::triggers));
  EXPECT_EQ(words("job", "missed"), set_of(config::missed_policies));
}

TEST(schema, says_which_keys_are_not_there_yet) {
  const auto root = schema();
  for (const auto& place : config::key_places)
    for (const auto& k : place.keys) {
      const auto& property = definition(root, place.definition).at("properties").at(std::string(k.name));
      const auto description = property.value("description", "");
      EXPECT_EQ(description.starts_with("Not available yet."), !k.later.empty()) << place.definition << " " << k.name;
    }
}

TEST(schema, every_key_is_described_for_editors) {
  const auto root = schema();
  for (const auto& place : config::key_places)
    for (const auto& [name, property] : definition(root, place.definition).at("properties").items()) {
      auto described = property.contains("description");
      if (!described && property.contains("$ref"))
        described =
            definition(root, property.at("$ref").get<std::string>().substr(std::string_view("#/definitions/").size()))
                .contains("description");
      EXPECT_TRUE(described) << place.definition << " " << name;
    }
}

TEST(schema, every_reference_leads_somewhere) {
  const auto root = schema();
  const std::function<void(const json&)> walk = [&](const json& value) {
    if (value.is_object() && value.contains("$ref") && value["$ref"].is_string()) {
      EXPECT_TRUE(root.contains(json::json_pointer(value["$ref"].get<std::string>().substr(1)))) << value["$ref"];
    }
    if (value.is_structured())
      for (const auto& inner : value)
        walk(inner);
  };
  walk(root);
}

} // namespace
} // namespace weir::config_test
