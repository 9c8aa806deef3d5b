#include "runtime/core/log.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <thread>
#include <vector>

using namespace weir;

namespace {

std::vector<std::string> lines_of(const std::function<void()>& f) {
  testing::internal::CaptureStderr();
  f();
  const auto text = testing::internal::GetCapturedStderr();
  std::vector<std::string> lines;
  for (std::size_t from = 0; from < text.size();) {
    const auto end = text.find('\n', from);
    lines.push_back(text.substr(from, end - from));
    if (end == std::string::npos)
      break;
    from = end + 1;
  }
  return lines;
}

} // namespace

TEST(log, an_event_is_one_line_of_text_with_its_fields) {
  log::setup(log::level::info, log::format::text);
  const auto lines =
      lines_of([] { log::info("partition/readings/3", "claimed", {{"epoch", 7}, {"owner", "a b"}, {"ready", true}}); });
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_NE(lines[0].find("partition/readings/3: claimed epoch=7 owner=\"a b\" ready=true"), std::string::npos)
      << lines[0];
}

TEST(log, a_line_break_in_a_value_makes_no_second_line) {
  log::setup(log::level::info, log::format::text);
  EXPECT_EQ(lines_of([] { log::warn("http", "refused", {{"path", "/a\n2026-01-01 forged: line"}}); }).size(), 1u);
}

TEST(log, below_the_level_nothing_is_written) {
  log::setup(log::level::warn, log::format::text);
  EXPECT_TRUE(lines_of([] {
                log::info("a", "b");
                log::debug("a", "b");
              }).empty());
  EXPECT_EQ(lines_of([] { log::error("a", "b"); }).size(), 1u);
}

// Last: the format stays for the rest of the process.
TEST(log_json, every_line_is_one_object_whatever_is_in_it) {
  log::setup(log::level::debug, log::format::json);
  const auto lines = lines_of([] {
    log::info("source/x", "quote \" and \\ and \n", {{"n", 1.5}, {"text", "\xFF\x01"}, {"yes", true}});
    log::error("source/x", "second");
  });
  ASSERT_EQ(lines.size(), 2u);
  const auto first = nlohmann::json::parse(lines[0]);
  EXPECT_EQ(first.at("component"), "source/x");
  EXPECT_EQ(first.at("message"), "quote \" and \\ and \n");
  EXPECT_EQ(first.at("level"), "info");
  EXPECT_EQ(first.at("n"), 1.5);
  EXPECT_EQ(first.at("yes"), true);
  EXPECT_TRUE(first.contains("time"));
  EXPECT_EQ(nlohmann::json::parse(lines[1]).at("level"), "error");
}

TEST(log_json, lines_of_many_threads_are_not_mixed_up) {
  log::setup(log::level::debug, log::format::json);
  const auto lines = lines_of([] {
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t)
      threads.emplace_back([t] {
        for (int i = 0; i < 200; ++i)
          log::info("thread/" + std::to_string(t), "event", {{"i", i}});
      });
    for (auto& t : threads)
      t.join();
  });
  ASSERT_EQ(lines.size(), 800u);
  for (const auto& line : lines)
    EXPECT_TRUE(nlohmann::json::accept(line)) << line;
}
