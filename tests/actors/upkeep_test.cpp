// The plain classes behind a partition's upkeep: what a log keeps, and which dead letters are still to be delivered.
#include "runtime/kafka/consumer.hpp"
#include "runtime/kafka/letter_box.hpp"
#include "runtime/redis/log_keeper.hpp"

#include <gtest/gtest.h>

namespace {

using namespace weir;
using namespace std::chrono_literals;

table_config a_log(std::uint64_t count, std::optional<duration> age = {}) {
  table_config t;
  t.kind = table_kind::log;
  t.keep_count = count;
  t.keep_age = age;
  return t;
}

redis::batch_head head(std::uint64_t first, std::uint64_t records, std::int64_t newest_ms) {
  return {version{first}, records, newest_ms, newest_ms};
}

TEST(log_keeper, a_packed_entry_goes_only_when_all_of_it_is_surplus) {
  redis::log_keeper keeper(a_log(40), 4); // 10 in each partition
  keeper.starts_with(12);
  EXPECT_TRUE(keeper.wants_look(0));
  EXPECT_FALSE(keeper.decide({head(100, 3, 5), head(200, 9, 6)}, 0)) << "9 would be left, one too few";
  keeper.appended(1);
  const auto gone = keeper.decide({head(100, 3, 5), head(200, 9, 6), head(300, 1, 7)}, 0);
  ASSERT_TRUE(gone);
  EXPECT_EQ(gone->below, version{101});
  EXPECT_EQ(gone->records, 3u);
  EXPECT_FALSE(keeper.wants_look(0)) << "10 are left";
}

TEST(log_keeper, an_entry_goes_when_its_newest_record_is_too_old) {
  redis::log_keeper keeper(a_log(1000, 1s), 1);
  keeper.starts_with(4);
  EXPECT_TRUE(keeper.wants_look(5000)) << "nobody has looked yet";
  const auto gone = keeper.decide({head(1, 2, 3999), head(5, 2, 4000)}, 5000);
  ASSERT_TRUE(gone);
  EXPECT_EQ(gone->records, 2u);
  EXPECT_FALSE(keeper.wants_look(5000));
  EXPECT_TRUE(keeper.wants_look(5001));
}

TEST(log_keeper, looks_again_after_all_it_saw_has_gone) {
  redis::log_keeper keeper(a_log(1000, 1s), 1);
  keeper.starts_with(3);
  ASSERT_TRUE(keeper.decide({head(1, 2, 10)}, 5000));
  EXPECT_TRUE(keeper.wants_look(5000)) << "one record is left, of an entry that was not shown";
}

struct letters : testing::Test {
  void add(std::string_view value) { box.add("dead", "readings", 3, {offset{7}, 5, std::nullopt, value}, "no key"); }
  std::vector<std::size_t> send_out() {
    std::vector<std::size_t> sent;
    box.send_out([&](const kafka::message&, std::size_t i) { sent.push_back(i); });
    return sent;
  }
  kafka::letter_box box;
};

TEST_F(letters, a_batch_waits_until_the_last_one_has_arrived) {
  EXPECT_TRUE(box.delivered());
  add("a");
  add("b");
  EXPECT_EQ(send_out(), (std::vector<std::size_t>{0, 1}));
  EXPECT_TRUE(box.answered(box.life(), 1, true));
  EXPECT_FALSE(box.delivered());
  EXPECT_FALSE(box.answered(box.life(), 1, true)) << "answered before";
  EXPECT_TRUE(box.answered(box.life(), 0, true));
  EXPECT_TRUE(box.delivered());
}

TEST_F(letters, only_what_failed_is_sent_again) {
  add("a");
  add("b");
  send_out();
  box.answered(box.life(), 0, true);
  box.answered(box.life(), 1, false);
  EXPECT_EQ(send_out(), (std::vector<std::size_t>{1}));
}

TEST_F(letters, an_answer_of_an_earlier_batch_counts_for_nothing) {
  add("a");
  send_out();
  const auto before = box.life();
  box.clear();
  add("b");
  send_out();
  EXPECT_FALSE(box.answered(before, 0, true));
  EXPECT_FALSE(box.delivered());
}

TEST_F(letters, say_why_and_where_from) {
  add("x");
  box.send_out([](const kafka::message& m, std::size_t) {
    EXPECT_EQ(m.topic, "dead");
    EXPECT_EQ(m.value, "x");
    EXPECT_TRUE(m.value_may_go);
    const std::vector<std::pair<std::string, std::string>> headers{
        {"weir.reason", "no key"}, {"weir.topic", "readings"}, {"weir.partition", "3"}, {"weir.offset", "7"}};
    EXPECT_EQ(m.headers, headers);
  });
}

} // namespace
