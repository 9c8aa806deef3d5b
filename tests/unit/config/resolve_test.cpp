// ${NAME}, {"file": ...}, --set, and what is never shown.
#include "tests/unit/config/fixture.hpp"

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

namespace weir::config_test {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::Pair;

const std::string external = R"({"topology": "x", "kafka": {"brokers": "k:9092"}, "redis": {"url": "redis://r"}})";

TEST(environment_names, are_replaced_wherever_a_string_holds_them) {
  const auto r =
      load(R"({"topology": "${A}-${B:-b}", "kafka": {"brokers": "${HOST}:${PORT:-9092}"}, "http": {"origins": ["${O}"]},
      "sources": {"s": {"topic": "in"}}, "tables": {"t": {"from": "s", "kind": "latest", "where": {"/site": "${A}"}}}})",
           {{"A", "fleet"}, {"HOST", "k"}, {"O", "https://o"}});
  ASSERT_TRUE(r.ok()) << joined(r.problems);
  EXPECT_EQ(r.value.name, "fleet-b");
  EXPECT_EQ(r.value.kafka.brokers, "k:9092");
  EXPECT_THAT(r.value.http.origins, ElementsAre("https://o"));
  EXPECT_EQ(std::get<std::string>(r.value.tables.at("t").where.all.at(0).operands.at(0)), "fleet");
}

TEST(environment_names, an_unset_one_without_a_default_is_a_problem_that_names_it) {
  const auto r =
      load("{\"topology\": \"x\",\n \"kafka\": {\"brokers\": \"${KAFKA}\"}, \"redis\": {\"url\": \"${REDIS_URL}\"}}");
  EXPECT_THAT(
      lines(r.problems),
      ::testing::IsSupersetOf(
          {std::string(
               "t:2:23: /kafka/brokers: the environment variable KAFKA is not set; set it, or write ${KAFKA:-default}"),
           std::string("t:2:53: /redis/url: the environment variable REDIS_URL is not set; set it, or write "
                       "${REDIS_URL:-default}")}));
}

TEST(environment_names, a_default_stands_in_for_an_empty_value_too) {
  EXPECT_EQ(load(R"({"topology": "${A:-d}"})", {{"A", ""}}).value.name, "d");
  EXPECT_EQ(load(R"({"topology": "x${A:-}"})").value.name, "x");
}

TEST(environment_names, two_dollars_stand_for_the_characters_themselves) {
  const auto r = load(R"({"topology": "x", "kafka": {"brokers": "k:1", "properties": {"client.id": "a$${B}-$c-$"}}})",
                      {{"B", "no"}});
  ASSERT_TRUE(r.ok()) << joined(r.problems);
  EXPECT_THAT(r.value.kafka.properties, ElementsAre(Pair("client.id", "a${B}-$c-$")));
}

TEST(environment_names, a_value_is_not_searched_for_names_again) {
  const auto r =
      load(R"({"topology": "x", "kafka": {"brokers": "k:1", "properties": {"client.id": "${A}"}}})", {{"A", "${B}"}});
  ASSERT_TRUE(r.ok()) << joined(r.problems);
  EXPECT_THAT(r.value.kafka.properties, ElementsAre(Pair("client.id", "${B}")));
}

TEST(environment_names, a_string_that_is_only_one_may_be_a_number_or_a_boolean) {
  const auto r = load(R"({"topology": "x", "redis": {"connections": "${N}"},
      "sources": {"s": {"topic": "a"}}, "tables": {
        "h": {"from": "s", "kind": "log", "keep": {"count": "${C:-77}"}, "where": {"/t": {"gt": "${N}"}, "/e": {"exists": "${E}"}}}}})",
                      {{"N", "4"}, {"E", "false"}});
  ASSERT_TRUE(r.ok()) << joined(r.problems);
  EXPECT_EQ(r.value.redis.connections, 4u);
  EXPECT_EQ(r.value.tables.at("h").keep_count, 77u);
  EXPECT_EQ(std::get<std::int64_t>(r.value.tables.at("h").where.all.at(0).operands.at(0)), 4);
  EXPECT_FALSE(std::get<bool>(r.value.tables.at("h").where.all.at(1).operands.at(0)));
  EXPECT_FALSE(load(R"({"topology": "x", "redis": {"connections": "1${N}"}})", {{"N", "4"}}).ok());
  EXPECT_FALSE(load(R"({"topology": "x", "redis": {"connections": "${N}"}})", {{"N", "four"}}).ok());
}

TEST(environment_names, bad_ones_and_bad_values_are_problems) {
  EXPECT_THAT(joined(load(R"({"topology": "${"})").problems), HasSubstr("a '${' without its '}'"));
  EXPECT_THAT(joined(load(R"({"topology": "${}"})").problems), HasSubstr("'' is no name of an environment variable"));
  EXPECT_THAT(joined(load(R"({"topology": "${1A}"})").problems), HasSubstr("'1A' is no name"));
  EXPECT_THAT(joined(load(R"({"topology": "${A-b}"})").problems), HasSubstr("'A-b' is no name"));
  EXPECT_THAT(joined(load(R"({"topology": "${A}"})", {{"A", "\xFF"}}).problems), HasSubstr("A is not valid UTF-8"));
}

TEST(secret_files, are_read_and_lose_one_new_line_at_the_end) {
  const folder f;
  f.write("user", "weir");
  f.write("password", "hunter2\n\n");
  f.write("sasl", "s3cret\r\n");
  const auto file = f.write(
      "t.jsonc", R"({"topology": "x", "kafka": {"brokers": "k:1", "properties": {"sasl.password": {"file": "sasl"}}},
      "redis": {"url": "redis://r", "username": {"file": "user"}, "password": {"file": "${NAME:-password}"}}})");
  const auto r = load_topology_file(file, with({}));
  ASSERT_TRUE(r.ok()) << joined(r.problems);
  EXPECT_EQ(r.value.redis.username, "weir");
  EXPECT_EQ(r.value.redis.password, "hunter2\n");
  EXPECT_THAT(r.value.kafka.properties, ElementsAre(Pair("sasl.password", "s3cret")));
}

TEST(secret_files, a_url_may_come_from_one) {
  const folder f;
  const auto path = f.write("url", "redis://:hunter2@r:6380/3\n");
  const auto r = load(external, {}, {R"(redis.url={"file": ")" + path.string() + R"("})"});
  ASSERT_TRUE(r.ok()) << joined(r.problems);
  EXPECT_EQ(r.value.redis.url, "redis://:hunter2@r:6380/3");
  EXPECT_THAT(r.value.masked_json, AllOf(HasSubstr(R"("url": "***")"), Not(HasSubstr("hunter2"))));
}

TEST(secret_files, what_cannot_be_read_is_a_problem_with_its_place) {
  const folder f;
  f.write("binary", std::string("a\0b", 3));
  f.write("large", std::string(secret_file_limit + 1, 'x'));
  f.write("empty", "\n");
  const auto said = [&](const std::string& name) {
    auto options = with({});
    options.base = f.path();
    return joined(load_topology_text("{\"topology\": \"x\", \"kafka\": {\"brokers\": \"k:1\"},\n\"redis\": {\"url\": "
                                     "\"redis://r\", \"password\": {\"file\": \"" +
                                         name + "\"}}}",
                                     "t", options)
                      .problems);
  };
  EXPECT_EQ(said("none"), "t:2:52: /redis/password/file: can't read '" + (f.path() / "none").string() +
                              "': No such file or directory; relative paths start at the topology file's folder\n");
  EXPECT_THAT(said("."), HasSubstr("is a folder"));
  EXPECT_THAT(said("binary"), HasSubstr("is no text in UTF-8"));
  EXPECT_THAT(said("large"), HasSubstr("has more than 65536 bytes"));
  EXPECT_THAT(said("empty"), HasSubstr("is empty"));
}

TEST(sets, win_over_the_file_and_its_environment) {
  const auto r =
      load(R"({"topology": "x", "kafka": {"brokers": "${UNSET}"}, "redis": {"url": "embedded", "connections": 2}})", {},
           {"kafka.brokers=k:9092", "redis.connections=3", "topology=y", "topology=z"});
  ASSERT_TRUE(r.ok()) << joined(r.problems);
  EXPECT_EQ(r.value.kafka.brokers, "k:9092");
  EXPECT_EQ(r.value.redis.connections, 3u);
  EXPECT_EQ(r.value.name, "z");
}

TEST(sets, take_a_pointer_where_names_have_dots_and_make_what_is_missing) {
  const auto r = load(external, {},
                      {"/kafka/properties/security.protocol=SSL", "http.listen=[::1]:0", "http.origins=[\"https://a\"]",
                       "http.origins.1=https://b"});
  ASSERT_TRUE(r.ok()) << joined(r.problems);
  EXPECT_THAT(r.value.kafka.properties, ElementsAre(Pair("security.protocol", "SSL")));
  EXPECT_EQ(r.value.http.host, "::1");
  EXPECT_EQ(r.value.http.port, 0);
  EXPECT_THAT(r.value.http.origins, ElementsAre("https://a", "https://b"));
}

TEST(sets, values_are_json_where_they_parse_and_text_elsewhere) {
  const auto r = load(minimal, {},
                      {"tables.t.ttl=1h", "tables.t.where={\"/a~1b\": {\"in\": [1, \"x\"]}}", "tables.t.key=\"/id\"",
                       "/tables/t/select={\"a\":\"/x=y\"}"});
  ASSERT_TRUE(r.ok()) << joined(r.problems);
  const auto& t = r.value.tables.at("t");
  EXPECT_EQ(t.ttl, duration{3'600'000});
  EXPECT_EQ(t.where.all.at(0).operands.size(), 2u);
  EXPECT_EQ(t.key, "/id");
  EXPECT_THAT(t.select, ElementsAre(Pair("a", "/x=y")));
}

TEST(sets, a_number_may_be_a_name) {
  const auto r = load(external, {}, {"topology=42", "/kafka/properties/client.id=007", "redis.password=12345"});
  ASSERT_TRUE(r.ok()) << joined(r.problems);
  EXPECT_EQ(r.value.name, "42");
  EXPECT_THAT(r.value.kafka.properties, ElementsAre(Pair("client.id", "007")));
  EXPECT_EQ(r.value.redis.password, "12345");
}

TEST(sets, take_the_environment_too) {
  EXPECT_EQ(load(minimal, {{"A", "fromenv"}}, {"topology=${A}"}).value.name, "fromenv");
}

TEST(sets, are_checked_and_their_problems_name_them) {
  EXPECT_THAT(lines(load(external, {}, {"kafka.brokrs=a:1"}).problems),
              ElementsAre("--set kafka.brokrs: /kafka/brokrs: unknown key 'brokrs'; did you mean 'brokers'?"));
  EXPECT_THAT(lines(load(external, {}, {"redis.connections=many"}).problems),
              ElementsAre("--set redis.connections: /redis/connections: a whole number from 1 to 64 is wanted; write "
                          "it without quotes"));
  EXPECT_THAT(lines(load(minimal, {}, {"tables.t={\"from\":\"s\",\"kind\":\"lates\"}"}).problems),
              ElementsAre("--set tables.t: /tables/t/kind: unknown kind 'lates'; did you mean 'latest'?"));
  EXPECT_THAT(lines(load(minimal, {}, {"tables.t={\"from\":\"s\",\"kind\":\"latest\",\"kind\":\"log\"}"}).problems),
              ElementsAre("--set tables.t: /tables/t/kind: a second member named 'kind' (the first is on line 1); "
                          "remove one, or give it another name"));
}

TEST(sets, a_number_where_no_array_is_yet_is_a_problem_that_says_how_to_give_one) {
  const std::string said = ": a number in the path reaches into an array, and there is none yet; give the whole array "
                           "first: --set '";
  EXPECT_THAT(lines(load(external, {}, {"http.origins.0=https://a"}).problems),
              ElementsAre("--set http.origins.0: /http/origins" + said + "http.origins=[...]'"));
  EXPECT_THAT(lines(load(minimal, {}, {"/tables/t/where/~1site/in/0=a"}).problems),
              ElementsAre("--set /tables/t/where/~1site/in/0: /tables/t/where/~1site/in" + said +
                          "/tables/t/where/~1site/in=[...]'"));
  // A name may be a number.
  EXPECT_TRUE(load(minimal, {}, {"tables.t.select.0=/a"}).ok());
}

TEST(sets, a_bad_path_is_a_problem) {
  EXPECT_THAT(lines(load(external, {}, {"hunter2"}).problems),
              ElementsAre("--set: number 1 is no path=value; write --set path.to.key=value"));
  EXPECT_THAT(lines(load(external, {}, {"topology=y", "=x"}).problems),
              ElementsAre("--set: number 2 is no path=value; write --set path.to.key=value"));
  EXPECT_THAT(joined(load(external, {}, {"a..b=1"}).problems), HasSubstr("--set a..b: no path"));
  EXPECT_THAT(joined(load(external, {}, {"/a~b=1"}).problems), HasSubstr("--set /a~b: no path"));
  EXPECT_THAT(lines(load(external, {}, {"topology.a=1"}).problems),
              ElementsAre("--set topology.a: /topology: has no members: it is a string; is 'a' one level too many?"));
  EXPECT_THAT(joined(load(external, {}, {"http.origins=[]", "http.origins.2=x"}).problems),
              HasSubstr("'2' is no place in an array of 0"));
  EXPECT_THAT(joined(load(external, {}, {"redis.password={\"file\": \"x\""}).problems),
              HasSubstr("begins like JSON and is none"));
}

TEST(masking, the_resolved_topology_shows_no_secret) {
  const folder f;
  f.write("p", "from-file");
  auto options = with({{"PW", "from-env"}});
  options.base = f.path();
  const auto r = load_topology_text(R"({"topology": "x", "kafka": {"brokers": "k:1", "properties": {
        "sasl.password": "secret-1", "ssl.key.password": "secret-2", "ssl.key.pem": "secret-3", "ssl.keystore.password": "secret-4",
        "sasl.oauthbearer.config": "secret-5", "client.id": "shown", "sasl.username": {"file": "p"}}},
      "redis": {"url": "rediss://user:${PW}@r:6379/1"}})",
                                    "t", options);
  ASSERT_TRUE(r.ok()) << joined(r.problems);
  EXPECT_THAT(r.value.masked_json, AllOf(Not(HasSubstr("secret-")), Not(HasSubstr("from-")), HasSubstr("shown"),
                                         HasSubstr("rediss://user:***@r:6379/1")));
  EXPECT_EQ(r.value.redis.url, "rediss://user:from-env@r:6379/1");
  const auto shown = nlohmann::json::parse(r.value.masked_json);
  EXPECT_EQ(shown["kafka"]["properties"]["sasl.password"], "***");
  EXPECT_EQ(shown["kafka"]["properties"]["sasl.username"], "***");
}

TEST(masking, a_password_with_signs_of_a_url_in_it_is_masked_whole) {
  for (const auto* url : {"redis://u:a@b@r", "redis://:a/b@r", "redis://u:a:b?c@r/1", "redis://u:p://q@r"}) {
    const auto r = load(external, {}, {std::string("redis.url=") + url});
    const auto shown = nlohmann::json::parse(r.value.masked_json)["redis"]["url"].get<std::string>();
    EXPECT_THAT(shown, ::testing::MatchesRegex("redis://u?:[*][*][*]@r(/1)?")) << url;
  }
}

TEST(masking, a_password_is_hidden_in_the_document_whatever_its_form) {
  for (const auto* set : {"redis.password=hunter2", "redis.password=\"hunter2\"", "redis.password=12345"}) {
    const auto r = load(external, {}, {set});
    ASSERT_TRUE(r.ok()) << joined(r.problems);
    EXPECT_EQ(nlohmann::json::parse(r.value.masked_json)["redis"]["password"], "***");
  }
}

TEST(masking, problems_never_repeat_a_secret) {
  for (const auto* set :
       {"redis.url=http://u:hunter2@r", "redis.url=redis://u:hunter2@r:x", "redis.url=hunter2@r",
        "redis.password=[\"hunter2\"]", "redis.passwrd=hunter2", "redis.url=redis://u:hunter2@r/x",
        "/kafka/properties/sasl.password=[\"hunter2\"]", "/kafka/properties/security.protocol=hunter2",
        "/kafka/properties/sasl.pasword=hunter2", "http.origins=[\"https://u:hunter2@o\"]",
        "kafka.brokers=u:hunter2@k:1:2", "redis.password={\"file\":hunter2}", "redis.url=redis://:hunter2@"}) {
    const auto r = load(external, {}, {set});
    EXPECT_FALSE(r.ok()) << set;
    EXPECT_THAT(joined(r.problems), Not(HasSubstr("hunter2"))) << set;
  }
}

} // namespace
} // namespace weir::config_test
