#include "table_test.hpp"

#include "runtime/table/event_time.hpp"
#include "runtime/table/pointer.hpp"

#include <gtest/gtest.h>
#include <limits>

namespace weir::table {
namespace {

using testing::shown;

TEST(number, integers_and_doubles_compare_without_rounding) {
  EXPECT_EQ(compare(number(std::int64_t{1}), number(1.0)), std::strong_ordering::equal);
  EXPECT_EQ(compare(number(std::int64_t{9007199254740993}), number(9007199254740992.0)), std::strong_ordering::greater);
  EXPECT_EQ(compare(number(std::int64_t{INT64_MAX}), number(9223372036854775808.0)), std::strong_ordering::less);
  EXPECT_EQ(compare(number(std::int64_t{INT64_MIN}), number(-9223372036854775808.0)), std::strong_ordering::equal);
  EXPECT_EQ(compare(number(std::uint64_t{UINT64_MAX}), number(18446744073709551616.0)), std::strong_ordering::less);
  EXPECT_EQ(compare(number(std::uint64_t{UINT64_MAX}), number(-0.5)), std::strong_ordering::greater);
  EXPECT_EQ(compare(number(std::uint64_t{UINT64_MAX}), number(std::int64_t{-1})), std::strong_ordering::greater);
  EXPECT_EQ(compare(number(std::int64_t{-1}), number(-0.5)), std::strong_ordering::less);
  EXPECT_EQ(compare(number(std::int64_t{0}), number(-0.5)), std::strong_ordering::greater);
  EXPECT_EQ(compare(number(2.5), number(std::int64_t{2})), std::strong_ordering::greater);
  EXPECT_EQ(compare(number(1e300), number(std::uint64_t{UINT64_MAX})), std::strong_ordering::greater);
  EXPECT_EQ(compare(number(0.0), number(-0.0)), std::strong_ordering::equal);
}

TEST(number, a_double_is_written_as_the_shortest_text_that_is_still_a_double) {
  EXPECT_EQ(shown(number(5.0)), "5.0");
  EXPECT_EQ(shown(number(0.1)), "0.1");
  EXPECT_EQ(shown(number(-0.0)), "-0.0");
  EXPECT_EQ(shown(number(1e22)), "1e+22");
  EXPECT_EQ(shown(number(std::numeric_limits<double>::denorm_min())), "5e-324");
  EXPECT_EQ(shown(number(std::numeric_limits<double>::infinity())), "null");
  EXPECT_EQ(shown(number(std::uint64_t{UINT64_MAX})), "18446744073709551615");
  EXPECT_EQ(shown(number(std::int64_t{INT64_MIN})), "-9223372036854775808");
}

TEST(number, quoted_text_escapes_only_what_it_must) {
  std::string out;
  append_quoted(out, "a\"b\\c\n\x1f/é");
  EXPECT_EQ(out, "\"a\\\"b\\\\c\\u000a\\u001f/é\"");
}

TEST(pointer, is_split_and_unescaped_as_rfc_6901_says) {
  const pointer p("/a~1b/~01/0/01//-");
  ASSERT_EQ(p.tokens.size(), 6u);
  EXPECT_EQ(p.tokens[0].name, "a/b");
  EXPECT_EQ(p.tokens[1].name, "~1");
  EXPECT_EQ(p.tokens[2].index, 0u);
  EXPECT_FALSE(p.tokens[3].index) << "no leading zeros in an index";
  EXPECT_EQ(p.tokens[4].name, "");
  EXPECT_FALSE(p.tokens[5].index);
  EXPECT_TRUE(pointer("").tokens.empty());
  EXPECT_EQ(pointer("/").tokens.size(), 1u);
}

std::optional<std::int64_t> time_of(std::string_view json) {
  record_reader reader;
  const auto text = "{\"t\":" + std::string(json) + "}";
  EXPECT_EQ(reader.read(text), "");
  return event_time(reader.at(pointer("/t")));
}

TEST(event_time, a_numbers_unit_is_told_by_its_size) {
  EXPECT_EQ(time_of("1714564800000"), 1714564800000);
  EXPECT_EQ(time_of("1714564800000.4"), 1714564800000);
  EXPECT_EQ(time_of("1714564800"), 1714564800000);
  EXPECT_EQ(time_of("1714564800.25"), 1714564800250);
  EXPECT_EQ(time_of("1714564800000000"), 1714564800000);
  EXPECT_EQ(time_of("1714564800000000000"), 1714564800000);
  EXPECT_EQ(time_of("0"), 0);
  EXPECT_EQ(time_of("1e300"), std::nullopt);
}

TEST(event_time, reads_rfc_3339_with_zones_and_fractions) {
  EXPECT_EQ(time_of(R"("2024-05-01T12:00:00Z")"), 1714564800000);
  EXPECT_EQ(time_of(R"("2024-05-01t14:00:00.250+02:00")"), 1714564800250);
  EXPECT_EQ(time_of(R"("2024-05-01 06:30:00.123456789-05:30")"), 1714564800123);
  EXPECT_EQ(time_of(R"("1969-12-31T23:59:59.999Z")"), -1);
  EXPECT_EQ(time_of(R"("2016-12-31T23:59:60Z")"), 1483228800000);
}

TEST(event_time, gives_nothing_for_what_is_no_time) {
  for (const auto* bad :
       {R"("2024-02-30T12:00:00Z")", R"("2024-05-01T12:00:00")", R"("2024-05-01")", R"("2024-05-01T25:00:00Z")",
        R"("2024-05-01T12:00:00.Z")", R"("2024-05-01T12:00:00Z ")", R"("")", "null", "true", "[1]", "{}"})
    EXPECT_EQ(time_of(bad), std::nullopt) << bad;
}

} // namespace
} // namespace weir::table
