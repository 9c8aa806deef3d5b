#include "runtime/table/inbox.hpp"

#include <atomic>
#include <gtest/gtest.h>
#include <thread>

namespace {

using namespace weir;
using table::change_inbox;

change_set_ptr one_row(std::size_t value_bytes, std::uint64_t at = 1) {
  auto changes = std::make_shared<change_set>();
  changes->table = "t";
  changes->first = changes->last = version{at};
  changes->rows.push_back({"k", std::make_shared<const std::string>(value_bytes, 'x'), {}});
  return changes;
}

TEST(inbox, only_the_first_change_since_the_last_take_asks_for_a_wake_up) {
  change_inbox inbox;
  EXPECT_TRUE(inbox.put(one_row(1)));
  EXPECT_FALSE(inbox.put(one_row(1)));
  EXPECT_EQ(inbox.take().changes.size(), 2u);
  EXPECT_TRUE(inbox.put(one_row(1)));
}

TEST(inbox, overflow_drops_what_waits_and_says_so_once) {
  change_inbox inbox(1000);
  (void)inbox.put(one_row(600, 1));
  EXPECT_FALSE(inbox.put(one_row(600, 2)));
  auto content = inbox.take();
  EXPECT_TRUE(content.gap);
  ASSERT_EQ(content.changes.size(), 1u);
  EXPECT_EQ(content.changes[0]->last, version{2});
  EXPECT_FALSE(inbox.take().gap);
  EXPECT_EQ(inbox.bytes(), 0u);
}

TEST(inbox, a_change_larger_than_the_bound_is_a_gap_and_is_not_kept) {
  change_inbox inbox(1000);
  EXPECT_TRUE(inbox.put(one_row(5000)));
  EXPECT_LE(inbox.bytes(), 1000u);
  auto content = inbox.take();
  EXPECT_TRUE(content.gap);
  EXPECT_TRUE(content.changes.empty());
}

TEST(inbox, writers_on_several_threads_lose_nothing_and_stay_in_their_own_order) {
  change_inbox inbox;
  constexpr std::uint64_t each = 5000;
  std::atomic<int> wake_ups{0};
  std::vector<std::thread> writers;
  for (std::uint64_t w = 0; w < 3; ++w)
    writers.emplace_back([&, w] {
      for (std::uint64_t i = 1; i <= each; ++i)
        if (inbox.put(one_row(1, w * 1'000'000 + i)))
          ++wake_ups;
    });
  std::uint64_t next[3] = {1, 1, 1}, seen = 0;
  int taken = 0;
  while (seen < 3 * each) {
    auto content = inbox.take();
    ASSERT_FALSE(content.gap);
    taken += content.changes.empty() ? 0 : 1;
    for (const auto& c : content.changes) {
      const auto writer = c->last.value / 1'000'000;
      ASSERT_EQ(c->last.value % 1'000'000, next[writer]++);
      ++seen;
    }
  }
  for (auto& w : writers)
    w.join();
  EXPECT_EQ(wake_ups.load(), taken); // one wake-up for each burst, and none missing
}

} // namespace
