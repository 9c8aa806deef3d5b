#include "runtime/http/uri.hpp"

#include <gtest/gtest.h>
#include <random>

using namespace weir;
using namespace weir::http;

TEST(uri, percent_coding_goes_round) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  for (int i = 0; i < 500; ++i) {
    std::string text;
    for (auto n = random() % 20; n > 0; --n)
      text += random() % 3 ? std::string(1, static_cast<char>(random() % 128)) : std::string("\xE2\x82\xAC");
    EXPECT_EQ(percent_decode(percent_encode(text)), text);
  }
  EXPECT_EQ(percent_encode("a/b c"), "a%2Fb%20c");
}

TEST(uri, bad_encoding_is_refused) {
  for (const char* bad : {"%", "%4", "%4g", "%zz", "a%", "%ff", "%c0%af", "%ed%a0%80", "%f4%90%80%80"})
    EXPECT_FALSE(percent_decode(bad)) << bad;
  EXPECT_EQ(percent_decode("a+b"), "a+b");
  EXPECT_EQ(percent_decode("a+b", true), "a b");
}

TEST(uri, a_slash_in_a_segment_does_not_split_it) {
  const auto t = parse_target("/a%2fb/c?x=1&y&x=2&&z=a%3Db");
  ASSERT_TRUE(t);
  EXPECT_EQ(t->segments, (std::vector<std::string>{"a/b", "c"}));
  EXPECT_EQ(t->query, (std::map<std::string, std::string>{{"x", "2"}, {"y", ""}, {"z", "a=b"}}));
  EXPECT_EQ(parse_target("/")->segments, std::vector<std::string>{});
  EXPECT_EQ(parse_target("/a/")->segments, (std::vector<std::string>{"a", ""}));
}

TEST(uri, absolute_targets_name_their_authority) {
  const auto t = parse_target("HTTP://host:1/a?b");
  ASSERT_TRUE(t);
  EXPECT_EQ(t->authority, "host:1");
  EXPECT_EQ(t->path, "/a");
  EXPECT_EQ(parse_target("http://host")->path, "/");
  EXPECT_EQ(parse_target("http://host?a=b")->query.at("a"), "b");
  for (const char* bad : {"", "a", "*", "http://", "http:///a", "ftp://a/b", "/a#b"})
    EXPECT_FALSE(parse_target(bad)) << bad;
}

TEST(uri, urls_have_default_ports_and_paths) {
  const auto u = parse_url("https://Example.org");
  ASSERT_TRUE(u);
  EXPECT_EQ(u->host, "example.org");
  EXPECT_EQ(u->port, 443);
  EXPECT_EQ(u->target, "/");
  EXPECT_TRUE(u->tls());
  EXPECT_EQ(parse_url("127.0.0.1:8080")->port, 8080);
  EXPECT_EQ(parse_url("ws://[::1]:9/x?y#z")->host, "::1");
  EXPECT_EQ(parse_url("ws://[::1]:9/x?y#z")->target, "/x?y");
  EXPECT_EQ(parse_url("http://a?b")->target, "/?b");
  for (const char* bad : {"", "ftp://a", "http://", "http://a b", "http://a:99999", "http://a/b c", "http://u@a"}) {
    ASSERT_FALSE(parse_url(bad)) << bad;
    EXPECT_EQ(parse_url(bad).error().code, ec::bad_argument);
  }
}
