#include "runtime/http/origin.hpp"

#include <gtest/gtest.h>

using namespace weir::http;

namespace {

bool allows(const origin_policy& p, std::string_view origin, std::string_view host) {
  return !p.refuse_origin(origin, host);
}

} // namespace

TEST(origin, an_authority_is_a_host_and_perhaps_a_port) {
  EXPECT_EQ(parse_authority("Example.ORG:80"), (authority{"example.org", 80}));
  EXPECT_EQ(parse_authority("example.org"), (authority{"example.org", 0}));
  EXPECT_EQ(parse_authority("example.org."), (authority{"example.org", 0}));
  EXPECT_EQ(parse_authority("[::1]:8080"), (authority{"::1", 8080}));
  EXPECT_EQ(parse_authority("[::1]"), (authority{"::1", 0}));
  for (const char* bad : {"", ":80", "a:b", "a:0", "a:65536", "a:-1", "user@host", "a b", "[::1", "[]", "[::1]x", "a/b",
                          "a,b", "::1", "a:80:80"})
    EXPECT_FALSE(parse_authority(bad)) << bad;
}

TEST(origin, an_origin_is_scheme_and_authority_with_the_port_filled_in) {
  EXPECT_EQ(parse_origin("https://A.example"), (web_origin{"https", {"a.example", 443}}));
  EXPECT_EQ(parse_origin("http://a.example:8080"), (web_origin{"http", {"a.example", 8080}}));
  for (const char* bad : {"null", "", "a.example", "://a", "http://", "http://a/path", "http://a/", "http://a b"})
    EXPECT_FALSE(parse_origin(bad)) << bad;
}

TEST(origin, a_page_of_the_same_host_and_scheme_is_allowed) {
  const origin_policy plain({}, false, false), tls({}, true, false);
  EXPECT_TRUE(allows(plain, "http://node:8080", "node:8080"));
  EXPECT_TRUE(allows(plain, "http://NODE:8080", "node:8080"));
  EXPECT_TRUE(allows(plain, "http://node", "node:80"));
  EXPECT_TRUE(allows(plain, "http://node:80", "node"));
  EXPECT_TRUE(allows(tls, "https://node", "node"));
  EXPECT_FALSE(allows(plain, "https://node:8080", "node:8080"));
  EXPECT_FALSE(allows(tls, "http://node", "node"));
  EXPECT_FALSE(allows(plain, "http://node:8081", "node:8080"));
  EXPECT_FALSE(allows(plain, "http://other:8080", "node:8080"));
  EXPECT_FALSE(allows(plain, "http://node.evil.example:8080", "node:8080"));
  EXPECT_FALSE(allows(plain, "http://node:8080", ""));
}

TEST(origin, no_origin_comes_from_no_browser_and_null_from_nobody_known) {
  const origin_policy p({"null"}, false, false);
  EXPECT_FALSE(p.refuse_origin({}, "node"));
  EXPECT_TRUE(p.refuse_origin("null", "node"));
  EXPECT_TRUE(p.refuse_origin("", "node"));
}

TEST(origin, listed_origins_are_allowed_exactly) {
  const origin_policy p({"https://dash.example.org", "http://dev.example:3000/"}, false, false);
  EXPECT_TRUE(allows(p, "https://dash.example.org", "node"));
  EXPECT_TRUE(allows(p, "https://dash.example.org:443", "node"));
  EXPECT_TRUE(allows(p, "http://dev.example:3000", "node"));
  EXPECT_FALSE(allows(p, "http://dash.example.org", "node"));
  EXPECT_FALSE(allows(p, "https://evil.dash.example.org", "node"));
  EXPECT_FALSE(allows(p, "https://dash.example.org.evil.example", "node"));
}

TEST(origin, a_refusal_names_the_remedy_and_repeats_nothing_harmful) {
  const origin_policy p({}, false, false);
  const auto why = p.refuse_origin("http://evil.example", "node");
  ASSERT_TRUE(why);
  EXPECT_NE(why->find("\"http://evil.example\" to http.origins"), std::string::npos);
  const auto nasty = p.refuse_origin("http://e\x1b[31m\n'x" + std::string(10'000, 'x'), "node");
  ASSERT_TRUE(nasty);
  EXPECT_EQ(nasty->find('\x1b'), std::string::npos);
  EXPECT_LT(nasty->size(), 1000u);
}

TEST(origin, a_loopback_listener_answers_to_loopback_names_and_listed_hosts_only) {
  const origin_policy p({"https://dash.example.org"}, false, true);
  for (const char* good : {"localhost", "localhost:8080", "LocalHost.", "app.localhost", "127.0.0.1:1", "127.9.9.9",
                           "[::1]:80", "[::ffff:127.0.0.1]", "dash.example.org:8080"})
    EXPECT_FALSE(p.refuse_host(good)) << good;
  for (const char* bad : {"evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "notlocalhost",
                          "10.0.0.1", "0.0.0.0", "[::2]", "", "a b"})
    EXPECT_TRUE(p.refuse_host(bad)) << bad;
  EXPECT_FALSE(p.refuse_host({}));
  const origin_policy open({}, false, false);
  EXPECT_FALSE(open.refuse_host("anything.example"));
}
