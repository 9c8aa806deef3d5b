#include "runtime/redis/command.hpp"
#include "runtime/redis/layout.hpp"
#include "runtime/redis/scripts.hpp"
#include "runtime/redis/url.hpp"

#include <gtest/gtest.h>
#include <set>

namespace weir::redis {
namespace {

TEST(url, all_three_schemes_with_their_parts) {
  auto u = parse_url("redis://user:p%40ss%3a%2f@db.example:6380/7");
  ASSERT_TRUE(u) << u.error().message;
  EXPECT_EQ(u->kind, server_url::scheme::tcp);
  EXPECT_EQ(u->host, "db.example");
  EXPECT_EQ(u->port, 6380);
  EXPECT_EQ(u->username, "user");
  EXPECT_EQ(u->password, "p@ss:/");
  EXPECT_EQ(u->database, 7u);
  EXPECT_EQ(u->text(), "redis://db.example:6380/7");
  u = parse_url("rediss://:secret@[::1]");
  ASSERT_TRUE(u);
  EXPECT_EQ(u->kind, server_url::scheme::tls);
  EXPECT_EQ(u->host, "::1");
  EXPECT_EQ(u->port, 6379);
  EXPECT_EQ(u->username, "");
  EXPECT_EQ(u->password, "secret");
  EXPECT_EQ(u->text(), "rediss://[::1]:6379");
  u = parse_url("unix:///run/redis%20x.sock?db=3");
  ASSERT_TRUE(u);
  EXPECT_EQ(u->path, "/run/redis x.sock");
  EXPECT_EQ(u->database, 3u);
  EXPECT_TRUE(parse_url("redis://localhost"));
  EXPECT_TRUE(parse_url("redis://localhost/"));
  EXPECT_EQ(parse_url("redis://:a@b@host")->password, "a@b");
}

TEST(url, a_bad_one_is_refused_without_repeating_the_secret) {
  for (const char* bad :
       {"", "embedded", "http://u:hunter2@h", "redis://", "redis://u:hunter2@", "redis://u:hunter2@h:0",
        "redis://u:hunter2@h:70000", "redis://u:hunter2@h:x", "redis://u:hunter2@h/x", "redis://u:hunter2%zz@h",
        "redis://u:hunter2@[::1", "unix://", "unix://relative", "unix:///x?database=1",
        "redis://u:hunter2@h/1?x=hunter2", "redis://u:hunter2@h/-1", "redis://h h"}) {
    auto u = parse_url(bad);
    ASSERT_FALSE(u) << bad;
    EXPECT_EQ(u.error().code, ec::bad_argument);
    EXPECT_EQ(u.error().message.find("hunter2"), std::string::npos) << u.error().message;
  }
}

TEST(url, the_configs_credentials_go_before_those_of_the_url) {
  redis_config c;
  c.url = "redis://a:b@h";
  c.password = "x";
  EXPECT_EQ(resolve_url(c)->username, "a");
  EXPECT_EQ(resolve_url(c)->password, "x");
  c.username = "y";
  EXPECT_EQ(resolve_url(c)->username, "y");
  c.url = "redis://h";
  c.password = "";
  EXPECT_FALSE(resolve_url(c)) << "a user without a password";
  c.url = "embedded";
  EXPECT_FALSE(resolve_url(c));
}

TEST(command, is_written_as_redis_reads_it) {
  command_writer w;
  w.arg("SET").arg("k\r\n").arg(std::int64_t{-7});
  w.begin(3);
  w.raw("a");
  w.raw("bc");
  w.end();
  EXPECT_EQ(w.finish().view(), "*4\r\n$3\r\nSET\r\n$3\r\nk\r\n\r\n$2\r\n-7\r\n$3\r\nabc\r\n");
}

TEST(error_reply, each_kind_has_its_code) {
  EXPECT_EQ(classify("LOADING Redis is loading the dataset in memory").code, ec::redis_busy);
  EXPECT_EQ(classify("BUSY Redis is busy running a script").code, ec::redis_busy);
  EXPECT_EQ(classify("TRYAGAIN x").code, ec::redis_busy);
  EXPECT_EQ(classify("MASTERDOWN Link with MASTER is down").code, ec::redis_busy);
  EXPECT_EQ(classify("READONLY You can't write against a read only replica.").code, ec::redis_cannot_write);
  EXPECT_EQ(classify("OOM command not allowed").code, ec::redis_cannot_write);
  EXPECT_EQ(classify("MISCONF Errors writing to the AOF file").code, ec::redis_cannot_write);
  EXPECT_EQ(classify("NOAUTH Authentication required.").code, ec::redis_refused);
  EXPECT_EQ(classify("WRONGPASS invalid username-password pair").code, ec::redis_refused);
  EXPECT_EQ(classify("NOPERM this user has no permissions").code, ec::redis_refused);
  EXPECT_EQ(classify("MOVED 1 h:1").code, ec::redis_unsuitable);
  EXPECT_EQ(classify("ERR whatever").code, ec::redis_script);
  EXPECT_EQ(classify("ERR Error running script (call to f_1): @user_script:1: -OOM command not allowed").code,
            ec::redis_cannot_write);
}

TEST(layout, keys_of_rows_spread_and_stay_where_they_are) {
  // Stored for ever: another number here would lose every row.
  EXPECT_EQ(bucket_of("machine-1", 16), bucket_of("machine-1", 32) & 15);
  EXPECT_EQ(bucket_of("", 1024), 82u);
  EXPECT_EQ(bucket_of("machine-1", 1024), 837u);
  std::vector<int> counts(16);
  for (int i = 0; i < 16'000; ++i)
    ++counts[bucket_of(std::to_string(i), 16)];
  for (int n : counts)
    EXPECT_NEAR(n, 1000, 150);
}

TEST(layout, a_bucket_holds_about_a_thousand_rows) {
  EXPECT_EQ(bucket_count(0, 8), 1u);
  EXPECT_EQ(bucket_count(8000, 8), 1u);
  EXPECT_EQ(bucket_count(100'000, 8), 16u);
  EXPECT_EQ(bucket_count(10'000'000, 1), 16384u);
  EXPECT_EQ(bucket_count(~0ull, 0), 65536u);
}

TEST(layout, packed_keys_of_any_bytes_come_back) {
  std::vector<std::string> keys{"a", "", "3:b", std::string("\0\n", 2)}, back;
  std::string packed;
  for (auto& k : keys)
    layout::pack_key(packed, k);
  ASSERT_TRUE(layout::unpack_keys(packed, back));
  EXPECT_EQ(back, keys);
  EXPECT_FALSE(layout::unpack_keys("5:abc", back));
  EXPECT_FALSE(layout::unpack_keys("x", back));
}

TEST(layout, a_row_that_is_none_is_not_taken_for_one) {
  EXPECT_FALSE(layout::parse_row("k", ""));
  EXPECT_FALSE(layout::parse_row("k", "1 {}"));
  EXPECT_FALSE(layout::parse_row("k", "x 1 {}"));
  auto row = layout::parse_row("k", "-5 7 {\"a\": 1}");
  ASSERT_TRUE(row);
  EXPECT_EQ(row->time_ms, -5);
  EXPECT_EQ(row->at, offset{7});
  EXPECT_EQ(row->value, "{\"a\": 1}");
}

TEST(scripts, never_format_a_version_by_tostring) {
  for (const auto& s : all_scripts()) {
    EXPECT_EQ(s.text.find("tostring"), std::string_view::npos) << s.name;
    EXPECT_EQ(s.sha.size(), 40u);
  }
}

} // namespace
} // namespace weir::redis
