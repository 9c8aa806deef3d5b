// Every kind of problem: where it is said to be, and what is said.
#include "tests/unit/config/fixture.hpp"

#include <gmock/gmock.h>

namespace weir::config_test {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAreArray;

// One line for each part, so that the line tells which part was at fault. Line 5 is free.
struct parts {
  std::string kafka = R"({"brokers": "k:9092"})";
  std::string redis = R"({"url": "redis://r:6379"})";
  std::string http = R"({"listen": "127.0.0.1:8080"})";
  std::string more;
  std::string sources = R"({"s": {"topic": "in"}})";
  std::string tables =
      R"({"t": {"from": "s", "kind": "latest"}, "l": {"from": "s", "kind": "log"}, "o": {"from": "job:j", "kind": "latest"}})";
  std::string jobs =
      R"({"j": {"every": "1s", "read": {"table": "l"}, "fields": {"n": "count"}, "write": {"table": "o"}}})";

  std::string text() const {
    return "{\"topology\": \"x\",\n\"kafka\": " + kafka + ",\n\"redis\": " + redis + ",\n\"http\": " + http + ",\n" +
           (more.empty() ? "" : more + ",") + "\n\"sources\": " + sources + ",\n\"tables\": " + tables +
           ",\n\"jobs\": " + jobs + "}";
  }
};

struct fault {
  std::string rule;
  std::string parts::*part;
  std::string text;
  std::vector<std::string> said; // without the place; in any order
};

void PrintTo(const fault& f, std::ostream* out) { *out << f.text; }

int line_of(std::string parts::*part) {
  if (part == &parts::kafka)
    return 2;
  if (part == &parts::redis)
    return 3;
  if (part == &parts::http)
    return 4;
  if (part == &parts::more)
    return 5;
  if (part == &parts::sources)
    return 6;
  return part == &parts::tables ? 7 : 8;
}

// Tables and jobs that go with the good rest.
std::string table(const std::string& t) {
  return R"({"t": )" + t + R"(, "l": {"from": "s", "kind": "log"}, "o": {"from": "job:j", "kind": "latest"}})";
}
std::string log_table(const std::string& t) {
  return R"({"l": )" + t + R"(, "o": {"from": "job:j", "kind": "latest"}})";
}
std::string out_table(const std::string& t) { return R"({"l": {"from": "s", "kind": "log"}, "o": )" + t + "}"; }
std::string job(const std::string& rest) {
  return R"({"j": {"read": {"table": "l"}, "fields": {"n": "count"}, "write": {"table": "o"})" + rest + "}}";
}
std::string job_fields(const std::string& fields) {
  return R"({"j": {"every": "1s", "read": {"table": "l"}, "write": {"table": "o"}, "fields": )" + fields + "}}";
}

class a_bad_topology : public ::testing::TestWithParam<fault> {};

TEST_P(a_bad_topology, is_told_where_what_and_what_would_be_right) {
  const auto& f = GetParam();
  parts p;
  p.*f.part = f.text;
  const auto result = load(p.text());
  std::vector<std::string> said;
  for (const auto& found : result.problems) {
    EXPECT_EQ(found.line, line_of(f.part)) << to_string(found);
    EXPECT_GT(found.column, 0);
    EXPECT_EQ(found.place, "t");
    auto bare = found;
    bare.place.clear();
    bare.line = 0;
    said.push_back(to_string(bare));
  }
  EXPECT_THAT(said, UnorderedElementsAreArray(f.said));
}

TEST(topology_parts, the_good_one_has_no_problems) { EXPECT_THAT(lines(load(parts{}.text()).problems), IsEmpty()); }

const auto kafka = &parts::kafka;
const auto redis = &parts::redis;
const auto http = &parts::http;
const auto more = &parts::more;
const auto sources = &parts::sources;
const auto tables = &parts::tables;
const auto jobs = &parts::jobs;

const std::string three_forms = "write redis://host:6379, rediss://host:6379, unix:///path/of/socket or \"embedded\"";

const std::vector<fault> faults{
    {"unknown_part", more, R"("source": {})", {"/source: unknown key 'source'; did you mean 'sources'?"}},
    {"schema_is_a_string",
     more,
     R"("$schema": 1)",
     {"/$schema: a string is wanted, not a number; put it in double quotes"}},

    // kafka
    {"kafka_no_object", kafka, "[]", {"/kafka: 'kafka' is an object, not an array; write { ... }"}},
    {"kafka_key",
     kafka,
     R"({"broker": "k:1", "brokers": "k:1"})",
     {"/kafka/broker: unknown key 'broker'; did you mean 'brokers'?"}},
    {"brokers_list", kafka, R"({"brokers": ["k:1"]})", {"/kafka/brokers: a string is wanted, not an array"}},
    {"brokers_embedded_slip",
     kafka,
     R"({"brokers": "embeded"})",
     {"/kafka/brokers: 'embeded' is no broker; did you mean 'embedded'?"}},
    {"brokers_port",
     kafka,
     R"({"brokers": "k:1,k:x"})",
     {"/kafka/brokers: no list of brokers; write host:port, more of them with commas between, or \"embedded\""}},
    {"brokers_empty",
     kafka,
     R"({"brokers": ""})",
     {"/kafka/brokers: no list of brokers; write host:port, more of them with commas between, or \"embedded\""}},
    {"group_name",
     kafka,
     R"({"brokers": "k:1", "group": "a b"})",
     {"/kafka/group: 'a b' is no name of a consumer group; use letters, digits and . _ - in it, at most 128"}},
    {"property_group",
     kafka,
     R"({"brokers": "k:1", "properties": {"group.id": "a"}})",
     {"/kafka/properties/group.id: 'group.id' is set by weir itself; say it as kafka.group"}},
    {"property_brokers",
     kafka,
     R"({"brokers": "k:1", "properties": {"bootstrap.servers": "a"}})",
     {"/kafka/properties/bootstrap.servers: 'bootstrap.servers' is set by weir itself; say it as kafka.brokers"}},
    {"property_commit",
     kafka,
     R"({"brokers": "k:1", "properties": {"enable.auto.commit": true}})",
     {"/kafka/properties/enable.auto.commit: 'enable.auto.commit' is set by weir itself; remove it: weir commits what "
      "Redis holds"}},
    {"property_store",
     kafka,
     R"({"brokers": "k:1", "properties": {"enable.auto.offset.store": "true"}})",
     {"/kafka/properties/enable.auto.offset.store: 'enable.auto.offset.store' is set by weir itself; remove it: weir "
      "commits what Redis holds"}},
    {"property_reset",
     kafka,
     R"({"brokers": "k:1", "properties": {"auto.offset.reset": "latest"}})",
     {"/kafka/properties/auto.offset.reset: 'auto.offset.reset' is set by weir itself; say it as \"start\" of the "
      "source"}},
    {"property_unknown",
     kafka,
     R"({"brokers": "k:1", "properties": {"security.protocl": "ssl"}})",
     {"/kafka/properties/security.protocl: librdkafka has no property 'security.protocl'; did you mean "
      "'security.protocol'?"}},
    {"property_value",
     kafka,
     R"({"brokers": "k:1", "properties": {"security.protocol": "SSSL"}})",
     {"/kafka/properties/security.protocol: librdkafka refuses this value of 'security.protocol'; its CONFIGURATION.md "
      "lists what is allowed"}},
    {"property_list",
     kafka,
     R"({"brokers": "k:1", "properties": {"client.id": ["a"]}})",
     {"/kafka/properties/client.id: a string is wanted, not an array"}},
    {"property_file_key",
     kafka,
     R"({"brokers": "k:1", "properties": {"sasl.password": {"fille": "a"}}})",
     {"/kafka/properties/sasl.password/fille: unknown key 'fille'; did you mean 'file'?",
      "/kafka/properties/sasl.password: 'file' is missing; add \"file\": \"path\""}},

    // redis
    {"redis_scheme",
     redis,
     R"({"url": "rdis://r"})",
     {"/redis/url: unknown scheme 'rdis' of the URL; did you mean 'redis'?"}},
    {"redis_http",
     redis,
     R"({"url": "http://r:6379"})",
     {"/redis/url: unknown scheme 'http' of the URL; " + three_forms}},
    {"redis_no_scheme", redis, R"({"url": "r:6379"})", {"/redis/url: no URL of a Redis; " + three_forms}},
    {"redis_port",
     redis,
     R"({"url": "redis://r:99999"})",
     {"/redis/url: no host, or no port from 1 to 65535, in the URL; " + three_forms}},
    {"redis_database",
     redis,
     R"({"url": "redis://r/main"})",
     {"/redis/url: no database number after the host; write redis://host:6379/1"}},
    {"redis_query",
     redis,
     R"({"url": "redis://r/1?a=b"})",
     {"/redis/url: the URL's query is not understood; a database number is written redis://host:6379/1, or "
      "unix:///path?db=1"}},
    {"redis_unix",
     redis,
     R"({"url": "unix://run/redis.sock"})",
     {"/redis/url: no absolute path in the URL; write unix:///path/of/socket"}},
    {"redis_connections",
     redis,
     R"({"url": "redis://r", "connections": 0})",
     {"/redis/connections: a whole number from 1 to 64 is wanted"}},
    {"redis_connections_text",
     redis,
     R"({"url": "redis://r", "connections": "2"})",
     {"/redis/connections: a whole number from 1 to 64 is wanted; write it without quotes"}},
    {"redis_two_passwords",
     redis,
     R"({"url": "redis://:a@r", "password": "b"})",
     {"/redis/password: a password here and another one in the URL; keep one of them"}},
    {"redis_two_users",
     redis,
     R"({"url": "redis://u:a@r", "username": "b"})",
     {"/redis/username: a user here and another one in the URL; keep one of them"}},
    {"redis_user_alone",
     redis,
     R"({"url": "redis://r", "username": "b"})",
     {"/redis/username: a user without a password; add \"password\": {\"file\": \"path\"}"}},
    {"redis_ca_without_tls",
     redis,
     R"({"url": "redis://r", "ca_file": "/dev/null"})",
     {"/redis/ca_file: 'ca_file' is for TLS, and the URL is none of rediss://; write rediss:// in the URL, or remove "
      "it"}},

    // http
    {"listen_open",
     http,
     R"({"listen": "0.0.0.0:80"})",
     {"/http/listen: '0.0.0.0' can be reached from other hosts, and nobody has to authenticate; listen on 127.0.0.1, "
      "or say \"auth\": {\"jwt\": {...}} or \"auth\": \"none\" in 'http'"}},
    {"listen_open_v6",
     http,
     R"({"listen": "[::]:80"})",
     {"/http/listen: '::' can be reached from other hosts, and nobody has to authenticate; listen on 127.0.0.1, or say "
      "\"auth\": {\"jwt\": {...}} or \"auth\": \"none\" in 'http'"}},
    {"listen_port",
     http,
     R"({"listen": "127.0.0.1:99999"})",
     {"/http/listen: '127.0.0.1:99999' is no host:port; write 127.0.0.1:8080 or [::1]:8080"}},
    {"listen_no_host",
     http,
     R"({"listen": ":8080"})",
     {"/http/listen: a port without a host; did you mean '127.0.0.1:8080'? ('0.0.0.0:8080' is every interface)"}},
    {"listen_number",
     http,
     R"({"listen": 8080})",
     {"/http/listen: a host and a port are wanted, not a number; did you mean \"127.0.0.1:8080\"?"}},
    {"listen_v6_bare",
     http,
     R"({"listen": "::1:80"})",
     {"/http/listen: '::1:80' is no host:port; write 127.0.0.1:8080 or [::1]:8080"}},
    {"limits_range",
     http,
     R"({"limits": {"connections": 0, "message": "1B", "stall": "10ms", "connect": "1h"}})",
     {"/http/limits/connections: a whole number from 1 to 1000000 is wanted",
      "/http/limits/message: a size from 1024 to 16777216 bytes is wanted",
      "/http/limits/stall: '10ms' is too short; at least 1000ms",
      "/http/limits/connect: a time of more than ten minutes; a client that is gone would be kept for so long"}},
    {"limits_name",
     http,
     R"({"limits": {"conections": 5}})",
     {"/http/limits/conections: unknown key 'conections'; did you mean 'connections'?"}},
    {"compression", http, R"({"compression": 1})", {"/http/compression: true or false is wanted, not a number"}},
    {"auth", http, R"({"auth": "non"})", {"/http/auth: unknown authentication 'non'; did you mean 'none'?"}},
    {"auth_empty",
     http,
     R"({"auth": {}})",
     {"/http/auth: 'jwt' is missing; add \"jwt\": {\"keys\": [{\"alg\": \"HS256\", \"secret\": {\"file\": "
      "\"path\"}}]}"}},
    {"auth_other",
     http,
     R"({"auth": {"basic": {}}})",
     {"/http/auth/basic: unknown key 'basic'; there are: jwt",
      "/http/auth: 'jwt' is missing; add \"jwt\": {\"keys\": [{\"alg\": \"HS256\", \"secret\": {\"file\": "
      "\"path\"}}]}"}},
    {"jwt_without_keys",
     http,
     R"({"auth": {"jwt": {}}})",
     {"/http/auth/jwt: tokens are asked for, and no key is there to verify them; add \"keys\": [{\"alg\": \"HS256\", "
      "\"secret\": {\"file\": \"path\"}}], or \"jwks\": \"path\""}},
    {"jwt_no_keys",
     http,
     R"({"auth": {"jwt": {"keys": []}}})",
     {"/http/auth/jwt: tokens are asked for, and no key is there to verify them; add \"keys\": [{\"alg\": \"HS256\", "
      "\"secret\": {\"file\": \"path\"}}], or \"jwks\": \"path\""}},
    {"jwt_keys_form",
     http,
     R"({"auth": {"jwt": {"keys": {"alg": "HS256"}}}})",
     {"/http/auth/jwt/keys: an array of keys is wanted, not an object; write [{\"alg\": \"HS256\", \"secret\": "
      "{\"file\": \"path\"}}]"}},
    {"jwt_none",
     http,
     R"({"auth": {"jwt": {"keys": [{"alg": "none"}]}}})",
     {"/http/auth/jwt/keys/0/alg: unknown algorithm 'none'; there are: HS256, RS256, ES256"}},
    {"jwt_other_algorithm",
     http,
     R"({"auth": {"jwt": {"keys": [{"alg": "RS512", "public_key": "x"}]}}})",
     {"/http/auth/jwt/keys/0/alg: unknown algorithm 'RS512'; there are: HS256, RS256, ES256"}},
    {"jwt_no_algorithm",
     http,
     R"({"auth": {"jwt": {"keys": [{"secret": "0123456789abcdef0123456789abcdef"}]}}})",
     {"/http/auth/jwt/keys/0: 'alg' is missing; add \"alg\": \"HS256\", \"RS256\" or \"ES256\""}},
    {"jwt_weak_secret",
     http,
     R"({"auth": {"jwt": {"keys": [{"alg": "HS256", "secret": "short-and-secret"}]}}})",
     {"/http/auth/jwt/keys/0/secret: the secret has 16 bytes, HS256 wants at least 32; make one with: openssl rand "
      "-base64 48"}},
    {"jwt_empty_secret",
     http,
     R"({"auth": {"jwt": {"keys": [{"alg": "HS256", "secret": ""}]}}})",
     {"/http/auth/jwt/keys/0/secret: the secret has 0 bytes, HS256 wants at least 32; make one with: openssl rand "
      "-base64 48"}},
    {"jwt_no_secret",
     http,
     R"({"auth": {"jwt": {"keys": [{"alg": "HS256"}]}}})",
     {"/http/auth/jwt/keys/0: 'secret' is missing; add \"secret\": {\"file\": \"path\"}"}},
    {"jwt_public_key_as_secret",
     http,
     R"({"auth": {"jwt": {"keys": [{"alg": "HS256", "secret": "-----BEGIN PUBLIC KEY-----\nMFkw\n-----END PUBLIC KEY-----"}]}}})",
     {"/http/auth/jwt/keys/0/secret: a PEM file is no secret: a public key verifies RS256 or ES256; make one with: "
      "openssl rand -base64 48"}},
    {"jwt_public_key_of_hs256",
     http,
     R"({"auth": {"jwt": {"keys": [{"alg": "HS256", "public_key": "x"}]}}})",
     {"/http/auth/jwt/keys/0/public_key: a public key is no secret, and HS256 is signed with one; write \"secret\": "
      "{\"file\": \"path\"}, or another 'alg'",
      "/http/auth/jwt/keys/0: 'secret' is missing; add \"secret\": {\"file\": \"path\"}"}},
    {"jwt_secret_of_rs256",
     http,
     R"({"auth": {"jwt": {"keys": [{"alg": "RS256", "secret": "0123456789abcdef0123456789abcdef"}]}}})",
     {"/http/auth/jwt/keys/0/secret: RS256 is verified with a public key, not with a secret; write \"public_key\": "
      "{\"file\": \"path\"}, or \"alg\": \"HS256\"",
      "/http/auth/jwt/keys/0: 'public_key' is missing; add \"public_key\": {\"file\": \"path of a PEM file\"}"}},
    {"jwt_bad_public_key",
     http,
     R"({"auth": {"jwt": {"keys": [{"alg": "ES256", "public_key": "x"}]}}})",
     {"/http/auth/jwt/keys/0/public_key: no public key in PEM form ('-----BEGIN PUBLIC KEY-----')"}},
    {"jwt_file_missing",
     http,
     R"({"auth": {"jwt": {"keys": [{"alg": "HS256", "secret": {"file": "/nowhere/secret"}}]}}})",
     {"/http/auth/jwt/keys/0/secret/file: can't read '/nowhere/secret': No such file or directory; relative paths "
      "start "
      "at the topology file's folder"}},
    {"jwt_jwks_missing",
     http,
     R"({"auth": {"jwt": {"jwks": "/nowhere/jwks"}}})",
     {"/http/auth/jwt/jwks: can't read '/nowhere/jwks': No such file or directory; relative paths start at the "
      "topology "
      "file's folder"}},
    {"jwt_kid_twice",
     http,
     R"({"auth": {"jwt": {"keys": [{"kid": "a", "alg": "HS256", "secret": "0123456789abcdef0123456789abcdef"}, {"kid": "a", "alg": "HS256", "secret": "1123456789abcdef0123456789abcdef"}]}}})",
     {"/http/auth/jwt/keys: key 2 of http.auth.jwt: two keys of one 'kid'"}},
    {"jwt_kid_empty",
     http,
     R"({"auth": {"jwt": {"keys": [{"kid": "", "alg": "HS256", "secret": "0123456789abcdef0123456789abcdef"}]}}})",
     {"/http/auth/jwt/keys/0/kid: a 'kid' has 1 to 256 bytes; leave it out if tokens name no key"}},
    {"jwt_leeway",
     http,
     R"({"auth": {"jwt": {"leeway": "5m", "keys": [{"alg": "HS256", "secret": "0123456789abcdef0123456789abcdef"}]}}})",
     {"/http/auth/jwt/leeway: a leeway of more than a minute; it is for clocks that differ; let them agree instead"}},
    {"jwt_audience",
     http,
     R"({"auth": {"jwt": {"audience": "", "keys": [{"alg": "HS256", "secret": "0123456789abcdef0123456789abcdef"}]}}})",
     {"/http/auth/jwt/audience: an empty string; remove it, or say what tokens have to have"}},
    {"jwt_metrics",
     http,
     R"({"auth": {"jwt": {"metrics": "none", "keys": [{"alg": "HS256", "secret": "0123456789abcdef0123456789abcdef"}]}}})",
     {"/http/auth/jwt/metrics: unknown reader of /metrics 'none'; there are: admin, public"}},
    {"origin_path",
     http,
     R"({"origins": ["https://a/"]})",
     {"/http/origins/0: no origin; write scheme, host and port without a path or a '/' at the end, such as "
      "'https://example.org:8443'"}},
    {"origin_scheme",
     http,
     R"({"origins": ["https://a", "a.org"]})",
     {"/http/origins/1: no origin; write scheme, host and port without a path or a '/' at the end, such as "
      "'https://example.org:8443'"}},
    {"origin_star",
     http,
     R"({"origins": ["*"]})",
     {"/http/origins/0: '*' would let every site in; list each origin, such as 'https://example.org'"}},
    {"origins_text",
     http,
     R"({"origins": "https://a"})",
     {"/http/origins: an array of origins is wanted, not a string; write [\"https://example.org\"]"}},
    {"tls_half",
     http,
     R"({"tls": {"certificate": "/dev/null"}})",
     {"/http/tls: 'key' is missing; add \"key\": \"path of a PEM file\""}},
    {"tls_file",
     http,
     R"({"tls": {"certificate": "/nowhere/c.pem", "key": "/dev/null"}})",
     {"/http/tls/certificate: can't read '/nowhere/c.pem': No such file or directory; relative paths start at the "
      "topology file's folder"}},

    // sources
    {"source_name",
     sources,
     R"({"a:b": {"topic": "x"}, "s": {"topic": "in"}})",
     {"/sources/a:b: 'a:b' is no name of a source; use letters, digits and . _ - in it, at most 128"}},
    {"source_topic_missing", sources, R"({"s": {}})", {"/sources/s: 'topic' is missing; add \"topic\": \"a topic\""}},
    {"source_topic_name",
     sources,
     R"({"s": {"topic": "a/b"}})",
     {"/sources/s/topic: 'a/b' is no name of a topic; Kafka allows letters, digits and . _ - in it, at most 249"}},
    {"source_format",
     sources,
     R"({"s": {"topic": "a", "format": "avro"}})",
     {"/sources/s/format: unknown format 'avro'; there is: json"}},
    {"source_start",
     sources,
     R"({"s": {"topic": "a", "start": "earlyest"}})",
     {"/sources/s/start: unknown start 'earlyest'; did you mean 'earliest'?"}},
    {"source_max_record",
     sources,
     R"({"s": {"topic": "a", "max_record": "1MB"}})",
     {"/sources/s/max_record: '1MB' is no size; write a whole number of bytes, or with KiB MiB GiB, such as "
      "\"64KiB\""}},
    {"source_max_record_zero",
     sources,
     R"({"s": {"topic": "a", "max_record": 0}})",
     {"/sources/s/max_record: a size from 1 to 1073741824 bytes is wanted"}},
    {"dead_letter_to_itself",
     sources,
     R"({"s": {"topic": "a", "dead_letter": "a"}})",
     {"/sources/s/dead_letter: the dead letters would go back into the source's own topic; did you mean 'a.dead'?"}},
    {"dead_letters_in_a_circle",
     sources,
     R"({"s": {"topic": "a", "dead_letter": "b"}, "r": {"topic": "b", "dead_letter": "a"}})",
     {"/sources/r/dead_letter: the dead letters would come back to this source by way of others; give one of the "
      "sources a topic of its own for them",
      "/sources/s/dead_letter: the dead letters would come back to this source by way of others; give one of the "
      "sources a topic of its own for them"}},
    {"source_secret",
     sources,
     R"({"s": {"topic": {"file": "x"}}})",
     {"/sources/s/topic: a string is wanted, not an object; {\"file\": ...} may stand only for redis.url, "
      "redis.username, redis.password, "
      "values of kafka.properties, and secret and public_key of http.auth.jwt.keys"}},

    // tables
    {"table_name",
     tables,
     R"({"T": {"from": "s", "kind": "latest"}, "l": {"from": "s", "kind": "log"}, "o": {"from": "job:j", "kind": "latest"}})",
     {"/tables/T: 'T' is no name of a table; begin with a-z, and use a-z 0-9 . _ - after it, at most 128 characters"}},
    {"table_empty",
     tables,
     table("{}"),
     {"/tables/t: 'from' is missing; add \"from\": \"a source, or job:name\"",
      "/tables/t: 'kind' is missing; add \"kind\": \"latest\", \"aggregate\" or \"log\""}},
    {"table_key_name",
     tables,
     table(R"({"from": "s", "knd": "latest", "kind": "latest"})"),
     {"/tables/t/knd: unknown key 'knd'; did you mean 'kind'?"}},
    {"table_kind",
     tables,
     table(R"({"from": "s", "kind": "agregate"})"),
     {"/tables/t/kind: unknown kind 'agregate'; did you mean 'aggregate'?"}},
    {"table_source",
     tables,
     table(R"({"from": "ss", "kind": "latest"})"),
     {"/tables/t/from: unknown source 'ss'; did you mean 's'?"}},
    {"table_source_far",
     tables,
     table(R"({"from": "readings", "kind": "latest"})"),
     {"/tables/t/from: unknown source 'readings'; there are: s"}},
    {"table_of_table",
     tables,
     table(R"({"from": "l", "kind": "latest"})"),
     {"/tables/t/from: unknown source 'l'; a table reads a source; a job makes one table of another"}},
    {"table_job_without_prefix",
     tables,
     out_table(R"({"from": "j", "kind": "latest"})"),
     {"/tables/o/from: unknown source 'j'; did you mean 'job:j'?"}},
    {"table_unknown_job",
     tables,
     table(R"({"from": "job:jj", "kind": "latest"})"),
     {"/tables/t/from: unknown job 'jj'; did you mean 'job:j'?"}},
    {"table_not_written",
     tables,
     table(R"({"from": "job:j", "kind": "latest"})"),
     {"/tables/t/from: the job 'j' does not write this table; it writes 'o', and a job writes one table"}},
    {"key_no_pointer",
     tables,
     table(R"({"from": "s", "kind": "latest", "key": "machine"})"),
     {"/tables/t/key: 'machine' is no JSON Pointer; did you mean '/machine'?"}},
    {"key_escape",
     tables,
     table(R"({"from": "s", "kind": "latest", "key": "/a~b"})"),
     {"/tables/t/key: '/a~b' is no JSON Pointer; '~' is written '~0', and '/' in a name '~1'"}},
    {"key_empty",
     tables,
     table(R"({"from": "s", "kind": "latest", "key": ""})"),
     {"/tables/t/key: an empty pointer is the whole record, which has no place here; name a field, such as '/id'"}},
    {"key_on_log",
     tables,
     log_table(R"({"from": "s", "kind": "log", "key": "/a"})"),
     {"/tables/l/key: 'key' does not belong to a table of kind 'log'; a log has no keys: remove it"}},
    {"ttl_on_aggregate",
     tables,
     table(R"({"from": "s", "kind": "aggregate", "fields": {"n": "count"}, "ttl": "1h"})"),
     {"/tables/t/ttl: 'ttl' does not belong to a table of kind 'aggregate'; a log has \"keep\": {\"age\": ...}; an "
      "aggregate stays"}},
    {"keep_on_latest",
     tables,
     table(R"({"from": "s", "kind": "latest", "keep": {"age": "1h"}})"),
     {"/tables/t/keep: 'keep' does not belong to a table of kind 'latest'; rows of 'latest' go by \"ttl\""}},
    {"time_on_latest",
     tables,
     table(R"({"from": "s", "kind": "latest", "time": "/ts"})"),
     {"/tables/t/time: 'time' does not belong to a table of kind 'latest'; only a log has an event time"}},
    {"fields_on_latest",
     tables,
     table(R"({"from": "s", "kind": "latest", "fields": {"n": "count"}})"),
     {"/tables/t/fields: 'fields' does not belong to a table of kind 'latest'; use 'select' to choose fields, or "
      "\"kind\": \"aggregate\""}},
    {"select_on_aggregate",
     tables,
     table(R"({"from": "s", "kind": "aggregate", "fields": {"n": "count"}, "select": {"a": "/a"}})"),
     {"/tables/t/select: 'select' does not belong to a table of kind 'aggregate'; say what to keep in 'fields'"}},
    {"expected_rows_on_log",
     tables,
     log_table(R"({"from": "s", "kind": "log", "expected_rows": 5})"),
     {"/tables/l/expected_rows: 'expected_rows' does not belong to a table of kind 'log'; a log has \"keep\": "
      "{\"count\": ...}"}},
    {"aggregate_without_fields",
     tables,
     table(R"({"from": "s", "kind": "aggregate"})"),
     {"/tables/t: an aggregate without 'fields'; add \"fields\": {\"n\": \"count\"}"}},
    {"fields_empty",
     tables,
     table(R"({"from": "s", "kind": "aggregate", "fields": {}})"),
     {"/tables/t/fields: 'fields' is empty; write {\"n\": \"count\"}"}},
    {"function",
     tables,
     table(R"({"from": "s", "kind": "aggregate", "fields": {"m": {"maxx": "/a"}}})"),
     {"/tables/t/fields/m: unknown function 'maxx'; did you mean 'max'?"}},
    {"function_other_word",
     tables,
     table(R"({"from": "s", "kind": "aggregate", "fields": {"m": {"mean": "/a"}}})"),
     {"/tables/t/fields/m: unknown function 'mean'; did you mean 'avg'?"}},
    {"function_text",
     tables,
     table(R"({"from": "s", "kind": "aggregate", "fields": {"m": "cuont"}})"),
     {"/tables/t/fields/m: unknown function 'cuont'; did you mean 'count'?"}},
    {"function_pointer_only",
     tables,
     table(R"({"from": "s", "kind": "aggregate", "fields": {"m": "/a"}})"),
     {"/tables/t/fields/m: unknown function '/a'; write {\"max\": \"/a\"}, with the function that you want"}},
    {"function_far",
     tables,
     table(R"({"from": "s", "kind": "aggregate", "fields": {"m": {"frobnicate": "/a"}}})"),
     {"/tables/t/fields/m: unknown function 'frobnicate'; there are: count, sum, min, max, avg, first, last, var, "
      "stddev, rate, distinct, top, p50, "
      "p90, p95, p99"}},
    {"function_without_field",
     tables,
     table(R"({"from": "s", "kind": "aggregate", "fields": {"m": "max"}})"),
     {"/tables/t/fields/m: 'max' needs the field it works on; write {\"max\": \"/field\"}"}},
    {"count_with_field",
     tables,
     table(R"({"from": "s", "kind": "aggregate", "fields": {"m": {"count": "/a"}}})"),
     {"/tables/t/fields/m: 'count' counts records and takes no pointer; write \"count\""}},
    {"two_functions",
     tables,
     table(R"({"from": "s", "kind": "aggregate", "fields": {"m": {"min": "/a", "max": "/a"}}})"),
     {"/tables/t/fields/m: a field is one function, not 2; write {\"max\": \"/field\"}"}},
    {"function_argument",
     tables,
     table(R"({"from": "s", "kind": "aggregate", "fields": {"m": {"max": "cpu"}}})"),
     {"/tables/t/fields/m/max: 'cpu' is no JSON Pointer; did you mean '/cpu'?"}},
    {"percentile_100",
     tables,
     table(R"({"from": "s", "kind": "aggregate", "fields": {"m": {"p100": "/a"}}})"),
     {"/tables/t/fields/m: unknown function 'p100'; a percentile lies above 0 and below 100, such as 'p99'"}},
    {"select_pointer",
     tables,
     table(R"({"from": "s", "kind": "latest", "select": {"a/b": "x"}})"),
     {"/tables/t/select/a~1b: 'x' is no JSON Pointer; did you mean '/x'?"}},
    {"select_empty",
     tables,
     table(R"({"from": "s", "kind": "latest", "select": {}})"),
     {"/tables/t/select: 'select' chooses nothing; name a field, or remove it: the record stays as it is"}},
    {"ttl_form",
     tables,
     table(R"({"from": "s", "kind": "latest", "ttl": "1 hour"})"),
     {"/tables/t/ttl: '1 hour' is no duration; write a whole number and one of ms s m h d, such as 250ms, 10s, 5m, 1h, "
      "7d"}},
    {"ttl_number",
     tables,
     table(R"({"from": "s", "kind": "latest", "ttl": 60})"),
     {"/tables/t/ttl: a duration is a string with a unit; did you mean \"60s\"?"}},
    {"ttl_zero",
     tables,
     table(R"({"from": "s", "kind": "latest", "ttl": "0s"})"),
     {"/tables/t/ttl: '0s' is too short; at least 1ms"}},
    {"keep_key",
     tables,
     log_table(R"({"from": "s", "kind": "log", "keep": {"rows": 5}})"),
     {"/tables/l/keep/rows: unknown key 'rows'; there are: age, count"}},
    {"keep_count",
     tables,
     log_table(R"({"from": "s", "kind": "log", "keep": {"count": 1.5}})"),
     {"/tables/l/keep/count: a whole number from 1 to 1000000000000 is wanted"}},
    {"keep_negative",
     tables,
     log_table(R"({"from": "s", "kind": "log", "keep": {"count": -5}})"),
     {"/tables/l/keep/count: a whole number from 1 to 1000000000000 is wanted"}},
    {"max_rate",
     tables,
     table(R"({"from": "s", "kind": "latest", "max_rate": "fast"})"),
     {"/tables/t/max_rate: 'fast' is no rate; write a number and /s, /m or /h, such as '20/s' or '30/m'; at most "
      "1000/s"}},
    {"access",
     tables,
     table(R"({"from": "s", "kind": "latest", "access": "pubic"})"),
     {"/tables/t/access: unknown access 'pubic'; did you mean 'public'?"}},
    {"access_form",
     tables,
     table(R"({"from": "s", "kind": "latest", "access": ["a"]})"),
     {"/tables/t/access: a string is wanted, not an array"}},
    {"access_without_auth",
     tables,
     table(R"({"from": "s", "kind": "latest", "access": "claims"})"),
     {"/tables/t/access: nobody has to authenticate, so 'claims' would keep everybody out; add \"auth\": {\"jwt\": "
      "{...}} in 'http', or remove it"}},
    {"where_operator",
     tables,
     table(R"({"from": "s", "kind": "latest", "where": {"/a": {"ge": 5}}})"),
     {"/tables/t/where/~1a/ge: unknown operator 'ge'; did you mean 'gte'?"}},
    {"where_sign",
     tables,
     table(R"({"from": "s", "kind": "latest", "where": {"/a": {"!=": 5}}})"),
     {"/tables/t/where/~1a/!=: unknown operator '!='; did you mean 'ne'?"}},
    {"where_pointer",
     tables,
     table(R"({"from": "s", "kind": "latest", "where": {"temp": 5}})"),
     {"/tables/t/where/temp: 'temp' is no JSON Pointer; did you mean '/temp'?"}},
    {"where_list",
     tables,
     table(R"({"from": "s", "kind": "latest", "where": [1]})"),
     {"/tables/t/where: an object from pointers to tests is wanted, not an array; write {\"/field\": value}"}},
    {"job_table_aggregate",
     tables,
     out_table(R"({"from": "job:j", "kind": "aggregate", "fields": {"n": "count"}})"),
     {"/tables/o/kind: a job's rows are results already, and can't be aggregated again; \"kind\": \"latest\""}},
    {"job_table_where",
     tables,
     out_table(R"({"from": "job:j", "kind": "latest", "where": {"/n": 1}})"),
     {"/tables/o/where: 'where' is for tables that read a source; say it in the job"}},
    {"job_table_key",
     tables,
     out_table(R"({"from": "job:j", "kind": "latest", "key": "/n"})"),
     {"/tables/o/key: rows of the job 'j' are keyed by its 'group_by'; remove the key, or make the two equal"}},

    // jobs
    {"job_name",
     jobs,
     R"({"a b": {"every": "1s", "read": "l", "fields": {"n": "count"}, "write": {"topic": "x"}},
    "j": {"every": "1s", "read": {"table": "l"}, "fields": {"n": "count"}, "write": {"table": "o"}}})",
     {"/jobs/a b: 'a b' is no name of a job; use letters, digits and . _ - in it, at most 128"}},
    {"job_without_trigger",
     jobs,
     job(""),
     {"/jobs/j: a job without a trigger; add \"every\": \"10s\", or \"on\": \"demand\""}},
    {"job_two_triggers",
     jobs,
     job(R"(, "every": "1s", "on": "demand")"),
     {"/jobs/j/on: 'every' and 'on' exclude each other; keep one of them"}},
    {"job_three_triggers",
     jobs,
     job(R"(, "every": "1s", "cron": "* * * * *", "on": "change")"),
     {"/jobs/j/cron: 'every' and 'cron' exclude each other; keep one of them",
      "/jobs/j/on: 'every' and 'on' exclude each other; keep one of them"}},
    {"job_on", jobs, job(R"(, "on": "deman")"), {"/jobs/j/on: unknown trigger 'deman'; did you mean 'demand'?"}},
    {"job_every", jobs, job(R"(, "every": "10ms")"), {"/jobs/j/every: '10ms' is too short; at least 100ms"}},
    {"job_cron_fields",
     jobs,
     job(R"(, "cron": "* * * *")"),
     {"/jobs/j/cron: '* * * *' is no cron expression: it has 4 fields, not five or six; write minute hour day month "
      "weekday, such as '*/5 * * * *', with the second in front if it is not 0"}},
    {"job_cron_hour",
     jobs,
     job(R"(, "cron": "0 24 * * *")"),
     {"/jobs/j/cron: '0 24 * * *' is no cron expression: '24' is no hour (0 to 23); write minute hour day month "
      "weekday, such as '*/5 * * * *', with the second in front if it is not 0"}},
    {"job_zone",
     jobs,
     job(R"(, "cron": "@daily", "zone": "Europe/Atlantis")"),
     {"/jobs/j/zone: this machine knows no time zone 'Europe/Atlantis'; write a name such as 'Europe/Berlin', or "
      "install the time zone database (package tzdata)"}},
    {"job_zone_without_cron",
     jobs,
     job(R"(, "every": "1s", "zone": "UTC")"),
     {"/jobs/j/zone: 'zone' means nothing without 'cron'; add it, or remove this"}},
    {"job_demand_with_timing",
     jobs,
     job(R"(, "on": "demand", "jitter": "1s", "overlap": "queue", "missed": "all")"),
     {"/jobs/j/jitter: 'jitter' means nothing without 'every' or 'cron'; add it, or remove this",
      "/jobs/j/missed: 'missed' means nothing without 'every' or 'cron'; add it, or remove this",
      "/jobs/j/overlap: 'overlap' means nothing without 'every' or 'cron'; add it, or remove this"}},
    {"job_change_keys",
     jobs,
     job(R"(, "every": "1s", "dirty_for": "1s", "changes": 3)"),
     {"/jobs/j/changes: 'changes' means nothing without \"on\": \"change\"; add it, or remove this",
      "/jobs/j/dirty_for: 'dirty_for' means nothing without \"on\": \"change\"; add it, or remove this"}},
    {"job_overlap",
     jobs,
     job(R"(, "every": "1s", "overlap": "queu")"),
     {"/jobs/j/overlap: unknown policy for runs that would overlap 'queu'; did you mean 'queue'?"}},
    {"job_missed",
     jobs,
     job(R"(, "every": "1s", "missed": "onse")"),
     {"/jobs/j/missed: unknown policy for missed runs 'onse'; did you mean 'once'?"}},
    {"job_chunk",
     jobs,
     job(R"(, "every": "1s", "chunk": 0)"),
     {"/jobs/j/chunk: a whole number from 1 to 50000 is wanted"}},
    {"job_deadline",
     jobs,
     job(R"(, "every": "1s", "deadline": "1ms")"),
     {"/jobs/j/deadline: '1ms' is too short; at least 1000ms"}},
    {"job_retries",
     jobs,
     job(R"(, "every": "1s", "retries": "x")"),
     {"/jobs/j/retries: a whole number from 0 to 1000 is wanted; write it without quotes"}},
    {"job_derive",
     jobs,
     job(R"(, "every": "1s", "derive": 1)"),
     {"/jobs/j/derive: 'derive' is an object, not a number; write { ... }"}},
    {"job_derive_none",
     jobs,
     job(R"(, "every": "1s", "derive": {})"),
     {"/jobs/j/derive: 'derive' derives nothing; write {\"load\": \"/cpu / /cores\"}, or remove it"}},
    {"job_derive_expressions",
     jobs,
     job(R"(, "every": "1s", "derive": {"a": "cpu * 2", "b": "/a +", "c": "/d", "d": "/a/x", "e": 5, "": "1"})"),
     {"/jobs/j/derive/a: column 1: 'cpu' is neither a pointer nor a function; did you mean /cpu?",
      "/jobs/j/derive/b: column 5: an operand is missing; write a pointer such as /cpu, a number, a 'text', or a "
      "function",
      "/jobs/j/derive/c: column 1: '/d' is derived below; put that field before this one, or name it otherwise",
      "/jobs/j/derive/d: column 1: 'a' is derived, and has nothing inside; name the derived field another way to reach "
      "the "
      "row's own",
      "/jobs/j/derive/e: a string is wanted, not a number; put it in double quotes",
      "/jobs/j/derive/: a field without a name"}},
    {"job_after_unknown", jobs, job(R"(, "after": ["i"])"), {"/jobs/j/after/0: unknown job 'i'"}},
    {"job_after_itself",
     jobs,
     job(R"(, "after": "j")"),
     {"/jobs/j: the jobs go in a circle: j -> j; let one of them read or write something else"}},
    {"job_reads_nothing",
     jobs,
     R"({"j": {"every": "1s", "fields": {"n": "count"}, "write": {"table": "o"}}})",
     {"/jobs/j: 'read' is missing; add \"read\": {\"table\": \"a table\"}"}},
    {"job_reads_unknown",
     jobs,
     R"({"j": {"every": "1s", "read": {"table": "ll"}, "fields": {"n": "count"}, "write": {"table": "o"}}})",
     {"/jobs/j/read/table: unknown table 'll'; did you mean 'l'?"}},
    {"job_reads_source",
     jobs,
     R"({"j": {"every": "1s", "read": "s", "fields": {"n": "count"}, "write": {"table": "o"}}})",
     {"/jobs/j/read: unknown table 's'; that is a source; a job reads a table"}},
    {"last_on_latest",
     jobs,
     R"({"j": {"every": "1s", "read": {"table": "t", "last": "1m"}, "fields": {"n": "count"}, "write": {"table": "o"}}})",
     {"/jobs/j/read/last: 'last' is a window of a log, and 't' is none; remove it, or read a table of kind 'log'"}},
    {"job_parameter_unknown",
     jobs,
     job(R"(, "every": "1s", "where": {"/a": {"parameter": "b"}})"),
     {"/jobs/j/where/~1a/parameter: the job has no parameter 'b'; add \"parameters\": {\"b\": a value} to it"}},
    {"job_parameter_kind",
     jobs,
     job(R"(, "every": "1s", "parameters": {"b": 5}, "where": {"/a": {"prefix": {"parameter": "b"}}})"),
     {"/jobs/j/where/~1a/prefix/parameter: 'prefix' cannot take the parameter 'b'; parameters are for eq, ne, gt, gte, "
      "lt, lte and, as strings, for prefix"}},
    {"job_parameter_value",
     jobs,
     job(R"(, "every": "1s", "parameters": {"b": [1]})"),
     {"/jobs/j/parameters/b: a parameter is a string, a number or a boolean, not an array; write the value that it has "
      "where a run says nothing else"}},
    {"job_throttle",
     jobs,
     job(R"(, "every": "1s", "throttle": "0/s")"),
     {"/jobs/j/throttle: '0/s' is no rate of rows; write how many rows a second are read at most, such as '100000/s', "
      "or 'none'"}},
    {"job_dead_letter",
     jobs,
     job(R"(, "every": "1s", "dead_letter": "a b")"),
     {"/jobs/j/dead_letter: 'a b' is no name of a topic; Kafka allows letters, digits and . _ - in it, at most 249"}},
    {"window_on_latest",
     jobs,
     R"({"j": {"every": "1s", "read": {"table": "t", "window": "1m"}, "fields": {"n": "count"}, "write": {"table": "o"}}})",
     {"/jobs/j/read/window: 'window' is a window of a log, and 't' is none; remove it, or read a table of kind 'log'"}},
    {"last_and_window",
     jobs,
     R"({"j": {"every": "1s", "read": {"table": "l", "last": "1m", "window": "1m"}, "fields": {"n": "count"}, "write": {"table": "o"}}})",
     {"/jobs/j/read/window: 'last' and 'window' exclude each other; 'last' ends at the fire time, 'window' at a "
      "multiple "
      "of its length; keep one of them"}},
    {"lateness_alone",
     jobs,
     R"({"j": {"every": "1s", "read": {"table": "l", "lateness": "1m"}, "fields": {"n": "count"}, "write": {"table": "o"}}})",
     {"/jobs/j/read/lateness: there is no window that could be waited for; add \"window\": \"1m\", or remove it"}},
    {"job_writes_nowhere",
     jobs,
     R"({"j": {"every": "1s", "read": {"table": "l"}, "fields": {"n": "count"}, "write": {}}})",
     {"/jobs/j/write: the job writes nowhere; add \"table\": \"a table\" or \"topic\": \"a topic\""}},
    {"job_writes_foreign_table",
     jobs,
     R"({"j": {"every": "1s", "read": {"table": "l"}, "fields": {"n": "count"}, "write": {"table": "t"}}})",
     {"/jobs/j/write/table: the table 't' is written by 's', not by this job; say \"from\": \"job:j\" in that table, "
      "or write another one"}},
    {"job_writes_unknown",
     jobs,
     R"({"j": {"every": "1s", "read": {"table": "l"}, "fields": {"n": "count"}, "write": {"table": "oo"}}})",
     {"/jobs/j/write/table: unknown table 'oo'; did you mean 'o'?"}},
    {"job_reads_itself",
     jobs,
     R"({"j": {"every": "1s", "read": {"table": "o"}, "fields": {"n": "count"}, "write": {"table": "o"}}})",
     {"/jobs/j: the jobs go in a circle: j -> j; let one of them read or write something else"}},
    {"job_feeds_its_source",
     jobs,
     R"({"j": {"every": "1s", "read": {"table": "l"}, "fields": {"n": "count"}, "write": {"table": "o", "topic": "in"}}})",
     {"/jobs/j: the jobs go in a circle: j -> j; let one of them read or write something else"}},
    {"job_without_fields",
     jobs,
     R"({"j": {"every": "1s", "read": {"table": "l"}, "write": {"table": "o"}}})",
     {"/jobs/j: 'fields' is missing; add \"fields\": {\"n\": \"count\"}"}},
    {"job_function",
     jobs,
     job_fields(R"({"a": {"p9x": "/a"}})"),
     {"/jobs/j/fields/a: unknown function 'p9x'; did you mean 'p90'?"}},
    {"job_percentile_zero",
     jobs,
     job_fields(R"({"a": {"p0.0": "/a"}})"),
     {"/jobs/j/fields/a: unknown function 'p0.0'; a percentile lies above 0 and below 100, such as 'p99'"}},
    {"job_percentile_digits",
     jobs,
     job_fields(R"({"a": {"p99.9999999": "/a"}})"),
     {"/jobs/j/fields/a: unknown function 'p99.9999999'; a percentile lies above 0 and below 100, such as 'p99'"}},
    {"job_top_too_many",
     jobs,
     job_fields(R"({"a": {"top101": "/a"}})"),
     {"/jobs/j/fields/a: unknown function 'top101'; there are 'top1' to 'top100'"}},
    {"job_top_none",
     jobs,
     job_fields(R"({"a": {"top0": "/a"}})"),
     {"/jobs/j/fields/a: unknown function 'top0'; there are 'top1' to 'top100'"}},
    {"job_top_without_field",
     jobs,
     job_fields(R"({"a": "top"})"),
     {"/jobs/j/fields/a: 'top' needs the field it works on; write {\"top\": \"/field\"}"}},
    {"job_group_by",
     jobs,
     job(R"(, "every": "1s", "group_by": "site")"),
     {"/jobs/j/group_by: 'site' is no JSON Pointer; did you mean '/site'?"}},
    {"job_group_by_none",
     jobs,
     job(R"(, "every": "1s", "group_by": [])"),
     {"/jobs/j/group_by: 'group_by' names no field; write [\"/site\", \"/kind\"], or remove it: all rows are one "
      "group"}},
    {"job_group_by_twice",
     jobs,
     job(R"(, "every": "1s", "group_by": ["/a", "/b", "/a"])"),
     {"/jobs/j/group_by/2: '/a' is there twice; remove one of them"}},
    {"job_group_by_many",
     jobs,
     job(R"(, "every": "1s", "group_by": ["/1", "/2", "/3", "/4", "/5", "/6", "/7", "/8", "/9"])"),
     {"/jobs/j/group_by: groups by 9 fields; at most 8"}},
    {"job_group_by_member",
     jobs,
     job(R"(, "every": "1s", "group_by": ["/a", "b", 7])"),
     {"/jobs/j/group_by/1: 'b' is no JSON Pointer; did you mean '/b'?",
      "/jobs/j/group_by/2: a string is wanted, not a number; put it in double quotes"}},
    {"job_replace",
     jobs,
     R"({"j": {"every": "1s", "read": {"table": "l"}, "fields": {"n": "count"}, "write": {"table": "o", "replace": 1}}})",
     {"/jobs/j/write/replace: true or false is wanted, not a number"}},
};

INSTANTIATE_TEST_SUITE_P(each_kind, a_bad_topology, ::testing::ValuesIn(faults),
                         [](const auto& one) { return one.param.rule; });

TEST(topology_parts, an_embedded_broker_does_not_go_with_an_external_redis) {
  parts p;
  p.kafka = R"({"brokers": "embedded"})";
  EXPECT_THAT(lines(load(p.text()).problems),
              ElementsAre("t:3:18: /redis/url: an embedded broker with an external Redis: the broker's offsets start "
                          "again with each run, and Redis would "
                          "keep the old ones; name your brokers in kafka.brokers, or say \"embedded\" here too"));
  p.kafka = "{}"; // the default is embedded as well
  EXPECT_EQ(load(p.text()).problems.size(), 1u);
  p.redis = R"({"url": "embedded"})";
  EXPECT_THAT(lines(load(p.text()).problems), IsEmpty());
  p.kafka = R"({"brokers": "k:9092"})";
  EXPECT_THAT(lines(load(p.text()).problems), IsEmpty());
}

TEST(topology_parts, a_table_cannot_repeat_several_group_fields) {
  parts p;
  p.tables = R"({"t": {"from": "s", "kind": "latest"}, "o": {"from": "job:j", "kind": "latest", "key": "/a"}})";
  p.jobs =
      R"({"j": {"every": "1s", "read": "t", "group_by": ["/a", "/b"], "fields": {"n": "count"}, "write": {"table": "o"}}})";
  EXPECT_THAT(lines(load(p.text()).problems),
              ElementsAre(::testing::HasSubstr("rows of the job 'j' are keyed by its 'group_by'; remove the key")));
  p.jobs =
      R"({"j": {"every": "1s", "read": "t", "group_by": ["/a"], "fields": {"n": "count"}, "write": {"table": "o"}}})";
  EXPECT_THAT(lines(load(p.text()).problems), IsEmpty());
}

TEST(topology_parts, a_job_without_write_writes_nowhere) {
  parts p;
  p.jobs = R"({"j": {"every": "1s", "read": {"table": "l"}, "fields": {"n": "count"}}})";
  EXPECT_THAT(lines(load(p.text()).problems), ElementsAre("t:8:15: /jobs/j: the job writes nowhere; add \"write\": "
                                                          "{\"table\": \"a table\"} or {\"topic\": \"a topic\"}"));
}

TEST(topology_parts, a_table_from_a_job_that_writes_only_a_topic_is_told_so) {
  parts p;
  p.jobs = R"({"j": {"every": "1s", "read": {"table": "l"}, "fields": {"n": "count"}, "write": {"topic": "out"}}})";
  EXPECT_THAT(
      lines(load(p.text()).problems),
      ElementsAre(
          "t:7:99: /tables/o/from: the job 'j' does not write this table; add \"table\": \"o\" to the job's 'write'"));
}

TEST(topology_parts, a_problem_is_one_line_whatever_the_file_holds) {
  EXPECT_THAT(lines(load(R"({"topology": "x", "a\nb\u001b[31m": 1})").problems),
              ElementsAre(::testing::StartsWith("t:1:19: /a\\u000ab\\u001b[31m: unknown key 'a\\u000ab\\u001b[31m'")));
}

TEST(topology_parts, the_name_is_required_and_has_no_braces_or_colons) {
  EXPECT_THAT(lines(load("{}").problems), ElementsAre("t:1:1: 'topology' is missing; add \"topology\": \"a name\" (it "
                                                      "names the keys in Redis and the consumer group)"));
  EXPECT_THAT(
      lines(load(R"({"topology": "a:{b}"})").problems),
      ElementsAre(
          "t:1:14: /topology: 'a:{b}' is no name of a topology; use letters, digits and . _ - in it, at most 128"));
}

TEST(topology_parts, a_circle_of_jobs_is_named_once_with_all_its_jobs) {
  const auto result = load(R"({"topology": "x", "tables": {
    "a": {"from": "job:one", "kind": "latest"},
    "b": {"from": "job:two", "kind": "latest"},
    "c": {"from": "job:three", "kind": "latest"}},
    "jobs": {
      "one":   {"on": "demand", "read": "c", "fields": {"n": "count"}, "write": {"table": "a"}},
      "two":   {"on": "demand", "read": "a", "fields": {"n": "count"}, "write": {"table": "b"}},
      "three": {"on": "demand", "after": "two", "read": "b", "fields": {"n": "count"}, "write": {"table": "c"}},
      "four":  {"on": "demand", "read": "c", "fields": {"n": "count"}, "write": {"topic": "z"}}}})");
  EXPECT_THAT(lines(result.problems), ElementsAre("t:6:41: /jobs/one: the jobs go in a circle: one -> two -> three -> "
                                                  "one; let one of them read or write something else"));
}

TEST(topology_parts, a_circle_by_way_of_after_alone_is_one_too) {
  const auto result = load(
      R"({"topology": "x", "sources": {"s": {"topic": "in"}}, "tables": {"t": {"from": "s", "kind": "latest"}}, "jobs": {
      "one": {"after": "two", "read": "t", "fields": {"n": "count"}, "write": {"topic": "a"}},
      "two": {"after": "one", "read": "t", "fields": {"n": "count"}, "write": {"topic": "b"}}}})");
  ASSERT_EQ(result.problems.size(), 1u) << joined(result.problems);
  EXPECT_EQ(result.problems[0].what, "the jobs go in a circle: one -> two -> one");
}

TEST(topology_parts, all_problems_come_in_one_run_in_the_order_of_the_file) {
  const auto result = load(R"({
  "topology": "x",
  "kafka": {"brokers": "k:1", "properties": {"group.id": "g"}},
  "redis": {"url": "tcp://r", "connections": 0},
  "http": {"listen": "0.0.0.0:80", "origins": ["x"]},
  "sources": {"s": {"topic": "a", "strt": "latest"}},
  "tables": {
    "totals": {"from": "ss", "kind": "aggregate",
      "fields": {
        "cpu_max": {"maxx": "/cpu"},
        "n": "cnt"}},
    "B": {"from": "s", "kind": "log", "keep": {"age": "1x"}}
  },
  "jobs": {"j": {"every": "1s", "read": "nope", "write": {}}}
})");
  std::vector<std::string> pointers;
  std::vector<int> at;
  for (const auto& p : result.problems) {
    pointers.push_back(p.pointer);
    at.push_back(p.line);
  }
  EXPECT_THAT(pointers, ElementsAre("/kafka/properties/group.id", "/redis/url", "/redis/connections", "/http/listen",
                                    "/http/origins/0", "/sources/s/strt", "/tables/totals/from",
                                    "/tables/totals/fields/cpu_max", "/tables/totals/fields/n", "/tables/B",
                                    "/tables/B/keep/age", "/jobs/j", "/jobs/j/read", "/jobs/j/write"));
  EXPECT_THAT(at, ElementsAre(3, 4, 4, 5, 5, 6, 8, 10, 11, 12, 12, 14, 14, 14));
  EXPECT_EQ(to_string(result.problems[7]),
            "t:10:21: /tables/totals/fields/cpu_max: unknown function 'maxx'; did you mean 'max'?");
}

} // namespace
} // namespace weir::config_test
