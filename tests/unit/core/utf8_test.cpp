#include "runtime/core/utf8.hpp"

#include <gtest/gtest.h>
#include <string>

namespace {

using weir::is_utf8;

TEST(utf8, is_what_rfc_3629_says) {
  for (const auto* good : {"", "a", "longer than eight bytes", "\u00e4", "a\u20acb", "\U0001F600", "\xED\x9F\xBF", "\xEE\x80\x80", "\xF4\x8F\xBF\xBF"})
    EXPECT_TRUE(is_utf8(good)) << good;
  for (const auto* bad : {"\xFF", "\x80", "\xC3", "a\xE2\x82", "\xC0\xAF", "\xE0\x80\xAF", "\xF0\x80\x80\xAF",
                          "\xED\xA0\x80", "\xED\xBF\xBF", "\xF4\x90\x80\x80", "\xF8\x88\x80\x80\x80", "\xC3\x28"})
    EXPECT_FALSE(is_utf8(bad));
  EXPECT_TRUE(is_utf8(std::string("a\0b", 3)));
}

TEST(utf8, is_judged_alike_wherever_the_bad_byte_stands) {
  for (std::size_t size = 1; size < 40; ++size)
    for (std::size_t at = 0; at < size; ++at) {
      std::string text(size, 'x');
      EXPECT_TRUE(is_utf8(text));
      text[at] = '\xA9';
      EXPECT_FALSE(is_utf8(text)) << size << ' ' << at;
    }
}

} // namespace
