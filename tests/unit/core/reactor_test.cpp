#include "runtime/core/reactor.hpp"

#include "runtime/core/reactor_post.hpp"
#include "tests/support/eventually.hpp"

#include <boost/asio/post.hpp>
#include <chrono>
#include <functional>
#include <gtest/gtest.h>
#include <memory>
#include <thread>

using namespace weir;
using namespace std::chrono_literals;

using support::eventually;

TEST(reactor, tasks_of_one_thread_run_in_order_on_the_reactor) {
  reactor r("test");
  r.start();
  std::vector<int> seen;
  std::atomic<bool> done{false};
  for (int i = 0; i < 1000; ++i)
    ASSERT_TRUE(r.post([&, i] {
      EXPECT_TRUE(r.on_thread());
      seen.push_back(i);
    }));
  r.post([&] { done = true; });
  ASSERT_TRUE(eventually([&] { return done.load(); }));
  ASSERT_EQ(seen.size(), 1000u);
  for (int i = 0; i < 1000; ++i)
    EXPECT_EQ(seen[static_cast<std::size_t>(i)], i);
  EXPECT_FALSE(r.on_thread());
}

TEST(reactor, tasks_of_many_threads_all_run) {
  reactor r("test");
  r.start();
  int count = 0; // touched by the reactor alone
  std::atomic<int> done{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < 5000; ++i)
        r.post([&] {
          ++count;
          ++done;
        });
    });
  for (auto& t : threads)
    t.join();
  EXPECT_TRUE(eventually([&] { return done == 20'000; }));
  r.stop();
  EXPECT_EQ(count, 20'000);
}

TEST(reactor, a_burst_of_tasks_ends_in_one_round) {
  reactor r("test");
  std::atomic<int> ends{0}, seen_at_end{-1};
  int ran = 0;
  bool hooked = false;
  // Posted before the start, so all are there when the first round begins.
  for (int i = 0; i < 100; ++i)
    r.post([&] {
      ++ran;
      if (!std::exchange(hooked, true))
        r.at_round_end([&] {
          seen_at_end = ran;
          ++ends;
        });
    });
  r.start();
  ASSERT_TRUE(eventually([&] { return ends == 1; }));
  EXPECT_EQ(seen_at_end, 100);
}

TEST(reactor, a_hook_asked_for_by_a_hook_runs_without_another_event) {
  reactor r("test");
  r.start();
  std::atomic<int> depth{0};
  std::function<void()> again = [&] {
    if (++depth < 5)
      r.at_round_end(again);
  };
  r.post([&] { r.at_round_end(again); });
  EXPECT_TRUE(eventually([&] { return depth == 5; }));
}

TEST(reactor, a_round_ends_though_events_keep_coming) {
  reactor r("test");
  r.start();
  std::atomic<bool> ended{false}, stop{false};
  std::function<void()> busy = [&] {
    if (!stop)
      boost::asio::post(r.context(), busy);
  };
  r.post([&] {
    r.at_round_end([&] { ended = true; });
    busy();
  });
  EXPECT_TRUE(eventually([&] { return ended.load(); }));
  stop = true;
  r.stop();
}

TEST(reactor, a_stopped_reactor_takes_nothing_and_drops_what_waits) {
  auto token = std::make_shared<int>(1);
  reactor r("test");
  std::atomic<bool> ran{false};
  r.post([token, &ran] { ran = true; });
  r.stop(); // never started
  EXPECT_FALSE(ran);
  EXPECT_EQ(token.use_count(), 1) << "what a dropped task holds is let go";
  EXPECT_FALSE(r.post([] {}));
}

TEST(reactor, stop_ends_a_reactor_that_is_never_idle) {
  reactor r("test");
  r.start();
  std::atomic<int> turns{0};
  std::function<void()> busy = [&] {
    ++turns;
    r.post(busy);
  };
  r.post(busy);
  ASSERT_TRUE(eventually([&] { return turns > 100; }));
  r.stop();
  const int at_stop = turns;
  EXPECT_FALSE(r.post([] {}));
  EXPECT_EQ(turns, at_stop);
  r.stop(); // twice does no harm
}

TEST(reactor, a_dropped_task_may_post_from_its_destructor) {
  reactor r("test");
  struct posts_at_end {
    reactor& home;
    ~posts_at_end() {
      EXPECT_FALSE(home.post([] {}));
    }
  };
  r.post([held = std::make_shared<posts_at_end>(r)] {});
  r.stop();
}

TEST(reactor, threads_that_post_while_it_stops_do_no_harm) {
  for (int round = 0; round < 20; ++round) {
    reactor r("test");
    r.start();
    std::atomic<bool> go{true};
    std::atomic<int> ran{0}, taken{0};
    std::thread other([&] {
      while (go)
        if (r.post([&] { ++ran; }))
          ++taken;
    });
    EXPECT_TRUE(eventually([&] { return ran > 10; }));
    r.stop();
    go = false;
    other.join();
    EXPECT_LE(ran, taken);
  }
}

TEST(reactor, timers_run_on_its_thread_in_the_order_of_their_times) {
  reactor r("test");
  r.start();
  struct noting {
    reactor& home;
    std::vector<int>& order;
    std::atomic<int>& ran;
    int number;
    timer_wheel::entry timer{[](void* self) {
                               auto& n = *static_cast<noting*>(self);
                               EXPECT_TRUE(n.home.on_thread());
                               n.order.push_back(n.number);
                               ++n.ran;
                             },
                             this};
  };
  std::vector<int> order;
  std::atomic<int> ran{0};
  noting late{r, order, ran, 2}, early{r, order, ran, 1};
  r.post([&] {
    r.timers().set(late.timer, steady_ms(), 120);
    r.timers().set(early.timer, steady_ms(), 40); // earlier than what the reactor sleeps for
  });
  ASSERT_TRUE(eventually([&] { return ran == 2; }));
  EXPECT_EQ(order, (std::vector<int>{1, 2}));
}
