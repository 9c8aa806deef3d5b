// Slow and many readers: what a session may queue, and what it costs.
#include "runtime/http/outbox.hpp"
#include "tests/unit/http/fixture.hpp"

#include <random>

using namespace weir;
using namespace weir::http;
using namespace weir::http::test;

namespace {

// Pushes numbered frames as fast as they are taken; after a refusal it waits for on_writable.
struct pusher : web_socket_handler {
  pusher(web_socket& s, std::atomic<std::uint64_t>& taken, std::atomic<int>& refused)
      : socket(s), taken_(taken), refused_(refused) {}

  void push_all(std::uint64_t most) {
    for (std::uint64_t i = 0; i < most; ++i) {
      auto text = std::to_string(taken_.load()) + ":";
      text.resize(frame_bytes, '.');
      if (!socket.push(make_text_frame(text))) {
        ++refused_;
        return;
      }
      ++taken_;
    }
  }
  void on_message(std::string_view) override { push_all(1000); }
  void on_writable() override { writable = true; }
  void on_closed() override {}

  static constexpr std::size_t frame_bytes = 20'000;
  web_socket& socket;
  bool writable = false;

private:
  std::atomic<std::uint64_t>& taken_;
  std::atomic<int>& refused_;
};

} // namespace

TEST(flow, a_reader_that_stops_is_refused_pushes_within_the_bound_and_told_when_it_reads_again) {
  std::atomic<std::uint64_t> taken{0};
  std::atomic<int> refused{0};
  pusher* session = nullptr;
  serving s({describe, [&](web_socket& w) {
               auto made = std::make_unique<pusher>(w, taken, refused);
               session = made.get();
               return made;
             }});
  raw_client c(s.port(), 4096);
  ASSERT_EQ(c.upgrade().status, 101u);
  c.send_text("go");
  ASSERT_TRUE(eventually([&] { return refused >= 1; }));
  // Whatever is tried round after round, only so much is taken; the rest of the bound is what the kernels hold.
  for (int i = 0; i < 200; ++i)
    s.on_reactor([&] {
      if (session->writable) {
        session->writable = false;
        session->push_all(1000);
      }
    });
  std::uint64_t stopped_at = 0;
  ASSERT_TRUE(eventually([&] {
    s.on_reactor([&] {
      if (std::exchange(session->writable, false))
        session->push_all(1000);
    });
    return std::exchange(stopped_at, taken.load()) == taken.load() && !session->writable &&
           session->socket.stalled_ms() > 50;
  }));
  for (int i = 0; i < 100; ++i)
    s.on_reactor([&] { EXPECT_FALSE(session->socket.push(make_text_frame("x"))); });
  EXPECT_LE(taken.load() * pusher::frame_bytes, outbox::round_bytes + (3u << 20));

  // It reads on: everything taken arrives once and in order, then the session hears that there is room.
  for (std::uint64_t i = 0; i < stopped_at; ++i) {
    const auto text = c.read_text();
    ASSERT_EQ(text.substr(0, text.find(':')), std::to_string(i));
  }
  bool writable = false;
  EXPECT_TRUE(eventually([&] {
    s.on_reactor([&] { writable = session->writable; });
    return writable;
  }));
  s.on_reactor([&] {
    EXPECT_EQ(session->socket.stalled_ms(), 0u);
    session->push_all(1);
  });
  const auto text = c.read_text();
  EXPECT_EQ(text.substr(0, text.find(':')), std::to_string(stopped_at));
}

TEST(flow, on_writable_comes_only_after_a_refusal) {
  std::atomic<int> writable{0};
  serving s({describe, [&](web_socket& w) {
               auto session = std::make_unique<scripted_session>(w);
               session->message = [](scripted_session& self, std::string_view) {
                 EXPECT_TRUE(self.socket.push(make_text_frame("x")));
               };
               session->writable = [&](scripted_session&) { ++writable; };
               return session;
             }});
  raw_client c(s.port());
  c.upgrade();
  for (int i = 0; i < 100; ++i) {
    c.send_text("x");
    ASSERT_EQ(c.read_text(), "x");
  }
  EXPECT_EQ(writable, 0);
}

TEST(flow, a_client_that_asks_and_never_reads_is_not_read_any_further) {
  // Each command is answered with 20 KB; commands that are not read stay with the client.
  std::atomic<int> answered{0};
  serving s({describe, [&](web_socket& w) {
               auto session = std::make_unique<scripted_session>(w);
               session->message = [&](scripted_session& self, std::string_view) {
                 self.socket.reply(std::string(20'000, 'r'));
                 ++answered;
               };
               return session;
             }});
  raw_client c(s.port(), 4096);
  c.upgrade();
  // Until the client itself can't send any more: the pause has reached it.
  const std::string command = raw_client::frame(1, std::string(1000, 'c'));
  std::string commands;
  for (int i = 0; i < 100; ++i)
    commands += command;
  int sent = 0;
  while (sent < 200 && c.send(commands, 500ms))
    ++sent;
  ASSERT_LT(sent, 200);
  const int stopped_at = answered;
  EXPECT_LE(stopped_at * 20'000ul, outbox::reply_bytes_bound + (3u << 20));
  // It reads, and is answered on.
  ASSERT_TRUE(eventually([&] {
    c.receive_some(10ms);
    c.take_received();
    return answered > stopped_at;
  }));
}

TEST(flow, a_client_that_pings_and_never_reads_is_not_read_any_further) {
  serving s;
  raw_client c(s.port(), 4096);
  c.upgrade();
  std::string pings;
  for (int i = 0; i < 1000; ++i)
    pings += raw_client::frame(9, std::string(125, 'p'));
  int sent = 0;
  while (sent < 400 && c.send(pings, 500ms))
    ++sent;
  EXPECT_LT(sent, 400);
  EXPECT_TRUE(s.lives());
}

TEST(flow, two_hundred_sessions_share_one_frame) {
  constexpr int sessions = 200;
  std::mutex m;
  std::vector<web_socket*> open;
  serving s({describe, [&](web_socket& w) {
               std::lock_guard lock(m);
               open.push_back(&w);
               return std::make_unique<scripted_session>(w);
             }});
  std::vector<raw_client> clients;
  for (int i = 0; i < sessions; ++i) {
    clients.emplace_back(s.port());
    ASSERT_EQ(clients.back().upgrade().status, 101u);
  }
  ASSERT_TRUE(eventually([&] {
    std::lock_guard lock(m);
    return open.size() == sessions;
  }));
  for (int round = 0; round < 20; ++round) {
    auto f = make_text_frame("round " + std::to_string(round));
    std::weak_ptr<const frame> shared = f;
    s.on_reactor([&] {
      for (auto* w : open)
        EXPECT_TRUE(w->push(f));
      EXPECT_EQ(f.use_count(), sessions + 1); // shared, not copied
      f.reset();
    });
    for (auto& c : clients)
      ASSERT_EQ(c.read_text(), "round " + std::to_string(round));
    EXPECT_TRUE(eventually([&] { return shared.expired(); }));
  }
}

TEST(flow, clients_coming_going_and_stalling_at_random_leave_nothing_behind) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  std::atomic<int> opened{0}, closed{0}, destroyed{0};
  serving s({describe,
             [&](web_socket& w) {
               auto session = std::make_unique<scripted_session>(w);
               session->message = [&](scripted_session& self, std::string_view text) {
                 for (std::size_t i = 0; i < text.size(); ++i)
                   self.socket.push(make_text_frame(std::string(5000, 'p')));
                 self.socket.reply(std::string(text));
                 if (text.size() == 7)
                   self.socket.close(3501, "seven");
               };
               session->writable = [](scripted_session& self) { self.socket.push(make_text_frame("more")); };
               session->closed = [&](scripted_session&) { ++closed; };
               session->destroyed = [&] { ++destroyed; };
               ++opened;
               return session;
             }},
            {}, serving::loopback(), 2);
  std::vector<raw_client> clients;
  for (int step = 0; step < 600; ++step) {
    if (clients.size() < 30 && random() % 3 == 0) {
      clients.emplace_back(s.port(), 4096);
      clients.back().upgrade();
      continue;
    }
    if (clients.empty())
      continue;
    const auto which = random() % clients.size();
    auto& c = clients[which];
    switch (random() % 6) {
    case 0: c.send(raw_client::frame(1, std::string(random() % 12, 'x')), 10ms); break;
    case 1: c.send(raw_client::frame(9, "p"), 10ms); break;
    case 2: c.receive_some(1ms); break;
    case 3: c.send(raw_client::frame(1, std::string(10, 'x')), 10ms); break;
    default: {
      const auto how = random() % 12;
      if (how > 2)
        break;
      if (how == 0)
        c.reset();
      else if (how == 1)
        c.send(raw_client::close_frame(1000), 10ms);
      // Moves the last one into the place of the one that goes.
      std::vector<raw_client> rest;
      for (std::size_t i = 0; i < clients.size(); ++i)
        if (i != which)
          rest.push_back(std::move(clients[i]));
      clients = std::vector<raw_client>();
      clients.swap(rest);
    }
    }
  }
  clients.clear();
  EXPECT_TRUE(eventually([&] { return s->connections() == 0 && destroyed == opened; }));
  EXPECT_EQ(closed, opened);
  EXPECT_TRUE(s.lives());
}
