// Each limit of http.limits that the transport holds: what it refuses, that it is counted, and that it ends.
#include "runtime/core/reactor_post.hpp"
#include "tests/unit/http/fixture.hpp"

#include <algorithm>
#include <map>

using namespace weir;
using namespace weir::http;
using namespace weir::http::test;

namespace {

// A server that notes what it refused.
struct limited {
  explicit limited(server_limits limits, std::function<std::unique_ptr<web_socket_handler>(web_socket&)> session = echo,
                   int reactors = 1)
      : s({describe, std::move(session), {},
           [this](std::string_view reason) {
             std::lock_guard lock(mutex);
             ++reasons[std::string(reason)];
           }},
          limits, serving::loopback(), reactors) {}

  int refused(const std::string& reason) {
    std::lock_guard lock(mutex);
    return reasons[reason];
  }

  std::mutex mutex;
  std::map<std::string, int> reasons;
  serving s;
};

} // namespace

TEST(limits, connections_beyond_the_limit_are_counted) {
  limited l({.connections = 1});
  raw_client a(l.s.port());
  ASSERT_EQ(a.get("/").status, 200u);
  const auto refused = raw_client(l.s.port()).get("/");
  EXPECT_EQ(refused.status, 503u);
  EXPECT_GE(std::stoi(refused.header("retry-after").value_or("0")), 1);
  EXPECT_EQ(l.refused("connections"), 1);
}

TEST(limits, an_address_has_its_share_and_another_one_its_own) {
  limited l({.connections_per_address = 2}, echo, 2);
  raw_client a(l.s.port()), b(l.s.port());
  ASSERT_EQ(a.upgrade().status, 101u);
  ASSERT_EQ(b.get("/").status, 200u);
  const auto refused = raw_client(l.s.port()).upgrade();
  EXPECT_EQ(refused.status, 429u);
  EXPECT_TRUE(refused.header("retry-after"));
  EXPECT_EQ(l.refused("address"), 1);
  EXPECT_EQ(raw_client(l.s.port(), 0, "127.0.0.2").get("/").status, 200u);
  // The place of one that went is free again, also when it was a WebSocket's.
  a.close();
  EXPECT_TRUE(eventually([&] { return raw_client(l.s.port()).get("/").status == 200; }));
}

TEST(limits, sessions_that_come_all_at_once_are_let_in_at_the_rate_and_the_others_told_when_to_come) {
  limited l({.upgrades_per_second = 20}, echo, 2);
  int in = 0, out = 0, requests = 0;
  std::map<std::string, int> hints;
  for (int i = 0; i < 120; ++i) {
    raw_client c(l.s.port());
    const auto a = c.upgrade();
    if (a.status == 101) {
      ++in;
    } else {
      EXPECT_EQ(a.status, 503u);
      ++hints[a.header("retry-after").value_or("none")];
      ++out;
    }
    requests += raw_client(l.s.port()).get("/").status == 200; // what is no session is not held up
  }
  EXPECT_GE(in, 40);
  EXPECT_GT(out, 0);
  EXPECT_EQ(l.refused("upgrades"), out);
  EXPECT_EQ(requests, 120);
  EXPECT_FALSE(hints.contains("none"));
  if (out >= 10) {
    EXPECT_GT(hints.size(), 1u) << "they would all come back together";
  }
  EXPECT_TRUE(eventually([&] { return raw_client(l.s.port()).upgrade().status == 101; }));
}

TEST(limits, a_head_that_drips_is_ended_at_its_deadline_and_counted) {
  limited l({.handshake_ms = 150});
  raw_client silent(l.s.port()), dripping(l.s.port());
  dripping.send("GET / HTTP/1.1\r\nHo");
  EXPECT_EQ(dripping.read_answer().status, 408u);
  EXPECT_TRUE(silent.ends());
  EXPECT_TRUE(eventually([&] { return l.refused("handshake") >= 1; }));
}

TEST(limits, heads_bodies_and_messages_that_are_too_large_are_counted) {
  limited l({.message_bytes = 1000, .header_bytes = 1000, .body_bytes = 100});
  EXPECT_EQ(raw_client(l.s.port()).get("/", "X: " + std::string(2000, 'x') + "\r\n").status, 431u);
  EXPECT_EQ(l.refused("head"), 1);
  EXPECT_EQ(raw_client(l.s.port()).ask("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 101\r\n\r\n").status,
            413u);
  EXPECT_EQ(l.refused("body"), 1);
  raw_client c(l.s.port());
  c.upgrade();
  c.send_text(std::string(1000, 'x'));
  EXPECT_EQ(c.read_text().size(), 1000u);
  c.send_text(std::string(1001, 'x'));
  const auto closed = c.read_frame();
  ASSERT_TRUE(closed);
  EXPECT_EQ(closed->close_code(), 1009);
  EXPECT_TRUE(eventually([&] { return l.refused("message") == 1; }));
}

namespace {

// Pushes frames of 10 KB without end, as far as they are taken.
struct flooding : web_socket_handler {
  explicit flooding(web_socket& s) : socket(s) {}
  void push_all() {
    while (socket.push(f)) {
    }
  }
  void on_message(std::string_view text) override {
    socket.reply(std::string(text));
    push_all();
  }
  void on_writable() override {
    ++writable;
    push_all();
  }
  void on_closed() override {}
  web_socket& socket;
  frame_ptr f = make_text_frame(std::string(10'000, 'f'));
  int writable = 0;
};

} // namespace

TEST(limits, a_session_gets_its_bytes_a_second_and_every_reply_at_once) {
  constexpr std::uint64_t rate = 200'000;
  limited l({.session_bytes_per_second = rate}, [](web_socket& w) { return std::make_unique<flooding>(w); });
  raw_client c(l.s.port());
  c.upgrade();
  const auto began = steady_ms();
  c.send_text("go");
  std::uint64_t bytes = 0, replies = 0;
  std::int64_t longest_reply = 0, asked = began;
  while (steady_ms() - began < 1'500) {
    const auto text = c.read_text();
    if (text == "go") {
      ++replies;
      longest_reply = std::max(longest_reply, steady_ms() - asked);
      asked = steady_ms();
      c.send_text("go");
    } else {
      ASSERT_EQ(text.size(), 10'000u);
      bytes += text.size();
    }
  }
  const auto took = static_cast<std::uint64_t>(steady_ms() - began);
  // A second's worth at once, then the rate; one frame may be beyond it.
  EXPECT_LE(bytes, rate + rate * took / 1000 + 20'000);
  EXPECT_GE(bytes, rate + rate * took / 1000 / 2);
  EXPECT_GT(replies, 50u); // not held up by what may not be pushed
}

TEST(limits, a_frame_larger_than_a_seconds_worth_still_goes) {
  limited l({.session_bytes_per_second = 2'000}, [](web_socket& w) { return std::make_unique<flooding>(w); });
  raw_client c(l.s.port());
  c.upgrade();
  c.send_text("go");
  EXPECT_EQ(c.read_text(), "go");
  EXPECT_EQ(c.read_text().size(), 10'000u);
  EXPECT_FALSE(c.read_frame(200ms)); // 4 s are owed
}
