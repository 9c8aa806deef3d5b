#include "runtime/http/static_files.hpp"

#include <gtest/gtest.h>

using namespace weir::http;

namespace {

constexpr asset files[] = {
    {"/index.html", "text/html; charset=utf-8", "<!doctype html>", false},
    {"/assets/app.1234.js", "text/javascript", "let a;", true},
};

request get(std::vector<std::string> segments, std::string method = "GET") {
  request r;
  r.method = std::move(method);
  r.segments = std::move(segments);
  return r;
}

std::string header(const response& r, std::string_view name) {
  for (const auto& [n, value] : r.headers)
    if (n == name)
      return value;
  return {};
}

} // namespace

TEST(static_files, the_root_is_the_index) {
  const static_files s(files);
  const auto r = s.find(get({}));
  ASSERT_TRUE(r);
  EXPECT_EQ(r->status, 200u);
  EXPECT_EQ(r->body, "<!doctype html>");
  EXPECT_EQ(r->content_type, "text/html; charset=utf-8");
  EXPECT_EQ(header(*r, "Cache-Control"), "no-cache");
  EXPECT_EQ(s.find(get({"index.html"}))->body, r->body);
}

TEST(static_files, hashed_names_are_kept_by_browsers) {
  const auto r = static_files(files).find(get({"assets", "app.1234.js"}));
  ASSERT_TRUE(r);
  EXPECT_EQ(header(*r, "Cache-Control"), "public, max-age=31536000, immutable");
}

TEST(static_files, a_known_etag_is_304_without_a_body) {
  const static_files s(files);
  const auto etag = header(*s.find(get({})), "ETag");
  for (const std::string& list : {etag, "W/" + etag, "\"x\", " + etag, std::string("*")}) {
    auto r = get({});
    r.headers["if-none-match"] = list;
    EXPECT_EQ(s.find(r)->status, 304u) << list;
    EXPECT_EQ(s.find(r)->body, "");
    EXPECT_EQ(header(*s.find(r), "ETag"), etag);
  }
  auto r = get({});
  r.headers["if-none-match"] = "\"other\"";
  EXPECT_EQ(s.find(r)->status, 200u);
}

TEST(static_files, what_is_not_there_is_left_to_others) {
  const static_files s(files);
  EXPECT_FALSE(s.find(get({"nothing"})));
  EXPECT_FALSE(s.find(get({"assets"})));
  EXPECT_FALSE(s.find(get({"assets/app.1234.js"}))); // %2F in the path
  EXPECT_FALSE(s.find(get({"..", "index.html"})));
  EXPECT_FALSE(s.find(get({"", "index.html"})));
  EXPECT_FALSE(static_files({}).find(get({})));
}

TEST(static_files, files_are_only_read) {
  const auto r = static_files(files).find(get({}, "POST"));
  ASSERT_TRUE(r);
  EXPECT_EQ(r->status, 405u);
  EXPECT_EQ(static_files(files).find(get({}, "HEAD"))->status, 200u);
}
