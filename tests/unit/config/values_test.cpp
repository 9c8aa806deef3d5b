#include "runtime/config/values.hpp"

#include <array>
#include <gtest/gtest.h>

namespace weir {
namespace {

TEST(values, a_duration_is_a_whole_number_and_one_unit) {
  EXPECT_EQ(parse_duration("250ms"), duration{250});
  EXPECT_EQ(parse_duration("10s"), duration{10'000});
  EXPECT_EQ(parse_duration("5m"), duration{300'000});
  EXPECT_EQ(parse_duration("1h"), duration{3'600'000});
  EXPECT_EQ(parse_duration("7d"), duration{7 * 86'400'000LL});
  for (const auto* bad :
       {"", "s", "10", "10 s", "1.5s", "-1s", "+1s", "10S", "10sec", "1h30m", "99999999999999999999s", "36526d"})
    EXPECT_EQ(parse_duration(bad), std::nullopt) << bad;
}

TEST(values, a_size_is_bytes_or_a_binary_multiple) {
  EXPECT_EQ(parse_size("0"), 0u);
  EXPECT_EQ(parse_size("512"), 512u);
  EXPECT_EQ(parse_size("512B"), 512u);
  EXPECT_EQ(parse_size("64KiB"), 65536u);
  EXPECT_EQ(parse_size("16MiB"), 16u << 20);
  EXPECT_EQ(parse_size("1GiB"), 1u << 30);
  for (const auto* bad : {"", "KiB", "64KB", "64k", "1.5MiB", "-1", "99999999999GiB"})
    EXPECT_EQ(parse_size(bad), std::nullopt) << bad;
}

TEST(values, a_rate_is_the_least_time_between_two_events) {
  EXPECT_EQ(parse_rate("20/s"), duration{50});
  EXPECT_EQ(parse_rate("0.5/s"), duration{2000});
  EXPECT_EQ(parse_rate("0.1/s"), duration{10'000});
  EXPECT_EQ(parse_rate("3/s"), duration{334}); // rounded up: never more often than said
  EXPECT_EQ(parse_rate("1000/s"), duration{1});
  EXPECT_EQ(parse_rate("30/m"), duration{2000});
  EXPECT_EQ(parse_rate("60000/m"), duration{1});
  EXPECT_EQ(parse_rate("10/h"), duration{360'000});
  for (const auto* bad : {"", "20", "/s", "0/s", "-1/s", "20 /s", "20/d", "20/ms", "inf/s", "nan/s", "1e3/s", "1001/s",
                          "0.00001/s", "0.01/h"})
    EXPECT_EQ(parse_rate(bad), std::nullopt) << bad;
}

TEST(values, pointers_follow_rfc_6901) {
  for (const auto* good : {"", "/", "/a", "/a/b", "/a~1b", "/m~0n", "/a//b", "/ "})
    EXPECT_TRUE(is_pointer(good)) << good;
  for (const auto* bad : {"a", "a/b", "/~", "/a~2", "#/a", "/a~"})
    EXPECT_FALSE(is_pointer(bad)) << bad;
  EXPECT_EQ(pointer_token("a/b~c"), "a~1b~0c");
}

TEST(values, names_keep_out_what_keys_in_redis_are_built_with) {
  for (const auto* good : {"a", "machines", "by_site", "a.b-c", "t1"})
    EXPECT_TRUE(is_table_name(good)) << good;
  for (const auto* bad : {"", "1a", "A", "aB", "_a", "a/b", "a:b", "a{b}", "a b", "\xC3\xA4"})
    EXPECT_FALSE(is_table_name(bad)) << bad;
  EXPECT_TRUE(is_name("Fleet-1.a_b"));
  for (const auto* bad : {"", "a:b", "{a}", "a/b", "a b"})
    EXPECT_FALSE(is_name(bad)) << bad;
  EXPECT_FALSE(is_table_name(std::string(129, 'a')));
  EXPECT_TRUE(is_topic(std::string(249, 'a')));
  EXPECT_FALSE(is_topic(std::string(250, 'a')));
  EXPECT_FALSE(is_topic(".."));
}

TEST(values, the_nearest_word_is_a_slip_of_the_hand_away_or_none) {
  constexpr std::array<std::string_view, 6> words{"count", "sum", "min", "max", "avg", "distinct"};
  EXPECT_EQ(nearest("maxx", words), "max");
  EXPECT_EQ(nearest("cuont", words), "count");
  EXPECT_EQ(nearest("Max", words), "max");
  EXPECT_EQ(nearest("dist", words), "distinct");
  EXPECT_EQ(nearest("foo", words), std::nullopt);
  EXPECT_EQ(nearest("", words), std::nullopt);
  EXPECT_EQ(nearest(std::string(10'000, 'm'), words), std::nullopt);
}

} // namespace
} // namespace weir
