#include "runtime/batch/cron.hpp"

#include <chrono>
#include <gtest/gtest.h>
#include <random>
#include <string>

namespace weir::batch {
namespace {

std::int64_t at(int y, unsigned m, unsigned d, int h = 0, int min = 0, int s = 0) {
  using namespace std::chrono;
  return (sys_days{year{y} / month{m} / day{d}}.time_since_epoch().count() * std::int64_t{86'400} + h * 3'600 +
          min * 60 + s) *
         1'000;
}

std::int64_t next(const char* text, std::int64_t after, const zone& in = utc()) {
  auto c = cron::parse(text);
  EXPECT_TRUE(c) << text;
  return c ? c->next(after, in) : -1;
}

// Central Europe in 2026: summer time from 29 March 01:00 UTC to 25 October 01:00 UTC.
class berlin final : public zone {
public:
  std::int64_t offset(std::int64_t s) const override {
    return s * 1'000 >= at(2026, 3, 29, 1) && s * 1'000 < at(2026, 10, 25, 1) ? 7'200 : 3'600;
  }
};

TEST(cron, five_fields_fire_at_whole_minutes_and_six_name_the_second) {
  EXPECT_EQ(next("*/15 * * * *", at(2026, 1, 1, 0, 15)), at(2026, 1, 1, 0, 30)) << "later than, not at";
  EXPECT_EQ(next("*/15 * * * *", at(2026, 1, 1, 0, 15) - 1), at(2026, 1, 1, 0, 15));
  EXPECT_EQ(next("10/20 * * * * *", at(2026, 1, 1, 0, 0, 30)), at(2026, 1, 1, 0, 0, 50));
  EXPECT_EQ(next("@hourly", at(2026, 12, 31, 23, 30)), at(2027, 1, 1));
  EXPECT_EQ(next("0 0 29 feb *", at(2096, 3, 1)), at(2104, 2, 29)) << "2100 is no leap year";
}

TEST(cron, either_day_field_matches_if_both_are_set) {
  EXPECT_EQ(next("0 0 13 * fri", at(2026, 1, 1)), at(2026, 1, 2)) << "a Friday";
  EXPECT_EQ(next("0 0 13 * fri", at(2026, 1, 9)), at(2026, 1, 13)) << "a Tuesday";
  EXPECT_EQ(next("0 0 * * 7", at(2026, 1, 1)), at(2026, 1, 4));
  EXPECT_EQ(next("0 0 * * */2", at(2026, 1, 1)), at(2026, 1, 3)) << "Saturday";
}

TEST(cron, says_what_is_wrong) {
  for (const auto* text : {"", "* * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 8",
                           "5-1 * * * *", "*/0 * * * *", ", * * * *", "* * * * fry", "0 0 30 2 *", "@often"})
    EXPECT_FALSE(cron::parse(text)) << text;
}

TEST(cron, a_local_time_left_out_fires_once_at_the_shift) {
  const berlin zone;
  EXPECT_EQ(next("30 2 * * *", at(2026, 3, 28, 12), zone), at(2026, 3, 29, 1));
  EXPECT_EQ(next("30 2 * * *", at(2026, 3, 29, 1), zone), at(2026, 3, 30, 0, 30));
  EXPECT_EQ(next("*/20 2 * * *", at(2026, 3, 29, 1), zone), at(2026, 3, 30, 0, 0)) << "three left out, one fire time";
}

TEST(cron, a_local_time_repeated_fires_at_the_first) {
  const berlin zone;
  EXPECT_EQ(next("30 2 * * *", at(2026, 10, 24, 12), zone), at(2026, 10, 25, 0, 30));
  EXPECT_EQ(next("30 2 * * *", at(2026, 10, 25, 0, 30), zone), at(2026, 10, 26, 1, 30));
}

TEST(cron, next_is_the_least_minute_that_matches) {
  std::mt19937 random(20'260'101);
  const auto pick = [&](int low, int high) { return std::uniform_int_distribution<int>(low, high)(random); };
  for (int round = 0; round < 200; ++round) {
    const int minute = pick(0, 59), hour = pick(0, 23), day = pick(1, 31), weekday = pick(0, 6);
    const bool any_hour = pick(0, 1), any_day = pick(0, 1), any_weekday = pick(0, 1);
    const auto text = std::to_string(minute) + (any_hour ? " * " : " " + std::to_string(hour) + " ") +
                      (any_day ? "*" : std::to_string(day)) + " * " + (any_weekday ? "*" : std::to_string(weekday));
    const auto after = at(2026, 1, 1) + pick(0, 1'000'000) * std::int64_t{1'013};
    auto expected = (after / 60'000 + 1) * 60'000;
    for (;; expected += 60'000) {
      using namespace std::chrono;
      const sys_days date{days{expected / 86'400'000}};
      const bool by_day = static_cast<int>(static_cast<unsigned>(year_month_day{date}.day())) == day;
      const bool by_weekday = static_cast<int>(std::chrono::weekday{date}.c_encoding()) == weekday;
      const bool matches = any_day ? any_weekday || by_weekday : any_weekday ? by_day : by_day || by_weekday;
      if (expected / 60'000 % 60 == minute && (any_hour || expected / 3'600'000 % 24 == hour) && matches)
        break;
    }
    EXPECT_EQ(next(text.c_str(), after), expected) << text << " after " << after;
  }
}

} // namespace
} // namespace weir::batch
