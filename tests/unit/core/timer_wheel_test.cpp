#include "runtime/core/timer_wheel.hpp"

#include <gtest/gtest.h>
#include <map>
#include <memory>
#include <random>
#include <vector>

using weir::timer_wheel;

namespace {

constexpr std::int64_t start = 1'000'000'000; // a clock that began long ago

// Notes when it ran.
struct noting {
  explicit noting(std::int64_t& clock) : now(clock) {}
  std::int64_t& now;
  std::vector<std::int64_t> ran;
  timer_wheel::entry timer{[](void* self) {
                             auto& n = *static_cast<noting*>(self);
                             n.ran.push_back(n.now);
                           },
                           this};
};

} // namespace

TEST(timer_wheel, a_timer_runs_once_within_a_step_after_its_time_and_never_before) {
  timer_wheel wheel;
  std::int64_t now = start;
  for (const std::int64_t after : {0, 1, 15, 16, 17, 100, 1'000, 8'191, 8'192, 8'193, 25'000, 100'000}) {
    noting one(now);
    const auto began = now;
    wheel.set(one.timer, now, after);
    while (one.ran.empty() && now < began + after + 1'000) {
      ++now;
      wheel.advance(now);
    }
    ASSERT_EQ(one.ran.size(), 1u) << after;
    EXPECT_GE(one.ran[0], began + after);
    EXPECT_LE(one.ran[0], began + after + timer_wheel::step_ms) << after;
    EXPECT_FALSE(one.timer.waits());
    wheel.advance(now += 20'000);
    EXPECT_EQ(one.ran.size(), 1u);
    EXPECT_EQ(wheel.size(), 0u);
  }
}

TEST(timer_wheel, who_drives_it_by_next_ms_misses_nothing_and_sleeps_while_nothing_waits) {
  timer_wheel wheel;
  std::int64_t now = start;
  EXPECT_FALSE(wheel.next_ms());
  noting far(now), near(now);
  wheel.set(far.timer, now, 60'000);
  wheel.set(near.timer, now, 500);
  int wakes = 0;
  while (const auto next = wheel.next_ms()) {
    now = std::max(now, *next);
    wheel.advance(now);
    ++wakes;
  }
  EXPECT_EQ(near.ran.size(), 1u);
  ASSERT_EQ(far.ran.size(), 1u);
  EXPECT_LE(far.ran[0], start + 60'000 + timer_wheel::step_ms);
  EXPECT_LE(wakes, 12); // once a turn for the one that is far
}

TEST(timer_wheel, setting_again_counts_from_now_and_cancelling_ends_it) {
  timer_wheel wheel;
  std::int64_t now = start;
  noting again(now), cancelled(now);
  auto destroyed = std::make_unique<noting>(now);
  wheel.set(again.timer, now, 100);
  wheel.set(cancelled.timer, now, 100);
  wheel.set(destroyed->timer, now, 100);
  wheel.advance(now += 90);
  wheel.set(again.timer, now, 100);
  cancelled.timer.cancel();
  destroyed.reset();
  wheel.advance(now += 90);
  EXPECT_TRUE(again.ran.empty());
  EXPECT_EQ(wheel.size(), 1u);
  wheel.advance(now += 30);
  EXPECT_EQ(again.ran.size(), 1u);
  EXPECT_TRUE(cancelled.ran.empty());
}

TEST(timer_wheel, was_set_tells_the_driver_each_time_of_a_timer_set_from_outside) {
  timer_wheel wheel;
  std::vector<std::int64_t> told;
  wheel.was_set = [&](std::int64_t due) { told.push_back(due); };
  std::int64_t now = start;
  noting one(now);
  wheel.set(one.timer, now, 100);
  ASSERT_EQ(told.size(), 1u);
  EXPECT_GE(told[0], start + 100);
  EXPECT_LE(told[0], start + 100 + timer_wheel::step_ms);
}

TEST(timer_wheel, a_callback_may_set_itself_again_cancel_others_and_end_its_owner) {
  struct repeating {
    timer_wheel& wheel;
    std::int64_t& now;
    int runs = 0;
    timer_wheel::entry timer{[](void* self) {
                               auto& r = *static_cast<repeating*>(self);
                               ++r.runs;
                               r.wheel.set(r.timer, r.now, 0);
                             },
                             this};
  };
  timer_wheel wheel;
  std::int64_t now = start;
  repeating r{wheel, now};
  wheel.set(r.timer, now, 0);
  for (int i = 0; i < 10; ++i)
    wheel.advance(now += timer_wheel::step_ms);
  EXPECT_EQ(r.runs, 10); // once a call: it cannot keep advance() from returning

  noting victim(now);
  struct killer {
    std::unique_ptr<killer>& me;
    noting& other;
    timer_wheel::entry timer{[](void* self) {
                               auto& k = *static_cast<killer*>(self);
                               k.other.timer.cancel();
                               k.me.reset();
                             },
                             this};
  };
  r.timer.cancel();
  std::unique_ptr<killer> k;
  k.reset(new killer{k, victim});
  wheel.set(k->timer, now, 50);
  wheel.set(victim.timer, now, 50); // due in the same step, behind it
  wheel.advance(now += 100);
  EXPECT_FALSE(k);
  EXPECT_TRUE(victim.ran.empty());
  EXPECT_EQ(wheel.size(), 0u);
}

TEST(timer_wheel, agrees_with_a_sorted_list_whatever_is_set_cancelled_and_however_long_it_sleeps) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  timer_wheel wheel;
  std::int64_t now = start;
  std::vector<std::unique_ptr<noting>> all;
  for (int i = 0; i < 200; ++i)
    all.push_back(std::make_unique<noting>(now));
  std::map<int, std::int64_t> due; // what waits
  for (int step = 0; step < 20'000; ++step) {
    const int which = static_cast<int>(random() % all.size());
    auto& n = *all[static_cast<std::size_t>(which)];
    switch (random() % 4) {
    case 0:
    case 1: {
      const std::int64_t after = random() % (random() % 3 ? 2'000 : 40'000);
      wheel.set(n.timer, now, after);
      due[which] = now + after;
      break;
    }
    case 2:
      n.timer.cancel();
      due.erase(which);
      break;
    default:
      now += random() % (random() % 50 ? 100 : 30'000);
      wheel.advance(now);
      for (auto it = due.begin(); it != due.end();) {
        auto& ran = all[static_cast<std::size_t>(it->first)]->ran;
        if (!ran.empty()) {
          ASSERT_GE(now, it->second);
          ran.clear();
          it = due.erase(it);
        } else {
          ASSERT_GT(it->second + timer_wheel::step_ms, now);
          ++it;
        }
      }
    }
    ASSERT_EQ(wheel.size(), due.size());
  }
}
