#include "tests/unit/http/fixture.hpp"

using namespace weir;
using namespace weir::http;
using namespace weir::http::test;

namespace {

// A server whose one session is scripted by the test and counted.
struct scripted {
  std::atomic<int> opened{0}, closed{0}, destroyed{0}, messages{0};
  std::atomic<web_socket*> last{nullptr}; // for use on the reactor, while open
  std::function<void(scripted_session&)> prepare;
  serving s;

  explicit scripted(std::function<void(scripted_session&)> p = {}, server_limits limits = {},
                    http_config config = serving::loopback())
      : prepare(std::move(p)), s({describe, [this](web_socket& w) { return open(w); }}, limits, std::move(config)) {}

  std::unique_ptr<web_socket_handler> open(web_socket& w) {
    auto session = std::make_unique<scripted_session>(w);
    session->message = [this](scripted_session& self, std::string_view text) {
      ++messages;
      self.socket.reply(std::string(text));
    };
    session->closed = [this](scripted_session&) {
      last = nullptr;
      ++closed;
    };
    session->destroyed = [this] { ++destroyed; };
    if (prepare)
      prepare(*session);
    last = &w;
    ++opened;
    return session;
  }

  bool told_once() {
    return eventually([&] { return destroyed == opened && s->connections() == 0; }) && closed == opened;
  }
};

void expect_close(raw_client& c, std::uint16_t code) {
  std::optional<ws_frame> f;
  do
    f = c.read_frame();
  while (f && f->opcode != 8);
  ASSERT_TRUE(f) << "no close frame";
  EXPECT_EQ(f->close_code(), code) << f->close_reason();
}

} // namespace

TEST(web_socket, the_handshake_of_the_rfc_is_answered) {
  serving s;
  raw_client c(s.port());
  const auto a = c.upgrade();
  EXPECT_EQ(a.status, 101u);
  EXPECT_EQ(a.header("sec-websocket-accept"), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
  EXPECT_FALSE(a.header("sec-websocket-protocol"));
  EXPECT_FALSE(a.header("sec-websocket-extensions"));
}

TEST(web_socket, of_subprotocols_only_the_json_one_is_echoed_and_no_extension_agreed) {
  serving s;
  EXPECT_EQ(
      raw_client(s.port()).upgrade("Sec-WebSocket-Protocol: x, centrifuge-json\r\n").header("sec-websocket-protocol"),
      "centrifuge-json");
  EXPECT_FALSE(
      raw_client(s.port()).upgrade("Sec-WebSocket-Protocol: centrifuge-protobuf\r\n").header("sec-websocket-protocol"));
  EXPECT_FALSE(raw_client(s.port())
                   .upgrade("Sec-WebSocket-Extensions: permessage-deflate\r\n")
                   .header("sec-websocket-extensions"));
}

TEST(web_socket, handshakes_that_are_none_get_an_error) {
  serving s;
  EXPECT_EQ(raw_client(s.port()).upgrade({}, "/other").status, 404u);
  const auto plain = raw_client(s.port()).get("/connection/websocket");
  EXPECT_EQ(plain.status, 426u);
  EXPECT_EQ(plain.header("upgrade"), "websocket");
  const std::string head =
      "GET /connection/websocket HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n";
  EXPECT_EQ(raw_client(s.port())
                .ask(head + "Sec-WebSocket-Version: 8\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
                .status,
            426u);
  EXPECT_EQ(raw_client(s.port()).ask(head + "Sec-WebSocket-Version: 13\r\n\r\n").status, 400u);
  EXPECT_EQ(raw_client(s.port()).ask(head + "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: short\r\n\r\n").status,
            400u);
  EXPECT_EQ(raw_client(s.port()).get("/x", "Upgrade: h2c\r\nConnection: Upgrade\r\n").status, 200u);
}

TEST(web_socket, messages_of_all_sizes_come_back) {
  serving s;
  raw_client c(s.port());
  c.upgrade();
  for (const std::size_t n : {0u, 1u, 125u, 126u, 5000u, 65535u, 65536u}) {
    const std::string text(n, 'x');
    ASSERT_TRUE(c.send_text(text));
    EXPECT_EQ(c.read_text(), text) << n;
  }
}

TEST(web_socket, frames_sent_together_with_the_handshake_are_not_lost) {
  serving s;
  raw_client c(s.port());
  EXPECT_EQ(c.upgrade({}, "/connection/websocket", raw_client::frame(1, "early") + raw_client::frame(1, "bird")).status,
            101u);
  EXPECT_EQ(c.read_text(), "early");
  EXPECT_EQ(c.read_text(), "bird");
}

TEST(web_socket, a_message_may_come_in_fragments_with_pings_between) {
  serving s;
  raw_client c(s.port());
  c.upgrade();
  c.send(raw_client::frame(1, "he", false) + raw_client::frame(9, "ping") + raw_client::frame(0, "", false) +
         raw_client::frame(0, "llo"));
  const auto pong = c.read_frame();
  ASSERT_TRUE(pong);
  EXPECT_EQ(pong->opcode, 10u);
  EXPECT_EQ(pong->payload, "ping");
  EXPECT_EQ(c.read_text(), "hello");
  // A character may be cut by a fragment's border.
  c.send(raw_client::frame(1, "\xE2\x82", false) + raw_client::frame(0, "\xAC"));
  EXPECT_EQ(c.read_text(), "\xE2\x82\xAC");
}

TEST(web_socket, bytes_may_come_one_by_one) {
  serving s;
  raw_client c(s.port());
  c.upgrade();
  for (const char byte : raw_client::frame(1, "hello") + raw_client::frame(9, "p"))
    c.send({&byte, 1});
  EXPECT_EQ(c.read_text(), "hello");
  EXPECT_EQ(c.read_frame()->opcode, 10u);
}

TEST(web_socket, every_breach_of_the_protocol_has_its_close_code) {
  scripted t;
  struct breach {
    const char* name;
    std::string bytes;
    std::uint16_t code;
  };
  const std::string too_large(65 << 10, 'x');
  const breach breaches[] = {
      {"unmasked", raw_client::frame(1, "x", true, false), 1002},
      {"reserved opcode", raw_client::frame(3, "x"), 1002},
      {"reserved control opcode", raw_client::frame(11, "x"), 1002},
      {"reserved bit 1 without deflate", raw_client::frame(1, "x", true, true, 4), 1002},
      {"reserved bit 3", raw_client::frame(1, "x", true, true, 1), 1002},
      {"fragmented ping", raw_client::frame(9, "x", false), 1002},
      {"ping over 125 bytes", raw_client::frame(9, std::string(126, 'x')), 1002},
      {"continuation of nothing", raw_client::frame(0, "x"), 1002},
      {"message inside a message", raw_client::frame(1, "x", false) + raw_client::frame(1, "y"), 1002},
      {"invalid UTF-8", raw_client::frame(1, "\xFF\xFE"), 1007},
      {"UTF-8 cut at the end", raw_client::frame(1, "\xE2\x82"), 1007},
      {"a surrogate", raw_client::frame(1, "\xED\xA0\x80"), 1007},
      {"overlong UTF-8", raw_client::frame(1, "\xC0\xAF"), 1007},
      {"too large", raw_client::frame(1, too_large), 1009},
      {"too large by fragments",
       raw_client::frame(1, too_large.substr(0, 40'000), false) + raw_client::frame(0, too_large.substr(0, 40'000)),
       1009},
      {"claims 2^62 bytes", std::string("\x81\xFF\x40\x00\x00\x00\x00\x00\x00\x00\x01\x02\x03\x04", 14), 1009},
      {"length with the top bit", std::string("\x81\xFF\x80\x00\x00\x00\x00\x00\x00\x00\x01\x02\x03\x04", 14), 0},
      {"length not the shortest", std::string("\x81\xFE\x00\x01\x01\x02\x03\x04x", 9), 1002},
      {"binary", raw_client::frame(2, "x"), 3501},
      {"close of one byte", raw_client::frame(8, "x"), 1002},
      {"close with a code for nobody", raw_client::close_frame(1005), 1002},
      {"close with an unknown code", raw_client::close_frame(2999), 1002},
      {"close with a reason that is no UTF-8", raw_client::close_frame(1000, "\xFF"), 1002},
  };
  for (const auto& b : breaches) {
    SCOPED_TRACE(b.name);
    raw_client c(t.s.port());
    ASSERT_EQ(c.upgrade().status, 101u);
    c.send(b.bytes);
    if (b.code != 0) {
      expect_close(c, b.code);
      c.send(raw_client::close_frame(b.code)); // ignored where the socket is done for
    }
    c.finish_sending();
    EXPECT_TRUE(c.ends());
  }
  EXPECT_EQ(t.messages, 0);
  EXPECT_TRUE(t.told_once());
  EXPECT_TRUE(t.s.lives());
}

TEST(web_socket, a_close_of_the_client_is_answered_with_its_code) {
  scripted t;
  raw_client c(t.s.port());
  c.upgrade();
  c.send(raw_client::close_frame(4321, "bye"));
  expect_close(c, 4321);
  EXPECT_TRUE(c.ends(1s)); // the server ends it first
  c.close();
  EXPECT_TRUE(t.told_once());
}

TEST(web_socket, a_client_that_vanishes_is_noticed) {
  scripted t;
  {
    raw_client gone(t.s.port());
    gone.upgrade();
    raw_client reset(t.s.port());
    reset.upgrade();
    reset.reset();
  }
  EXPECT_TRUE(eventually([&] { return t.opened == 2; }));
  EXPECT_TRUE(t.told_once());
}

TEST(web_socket, our_close_carries_code_and_reason_and_nothing_follows_it) {
  scripted t([](scripted_session& session) {
    session.message = [](scripted_session& self, std::string_view) {
      self.socket.reply("before");
      self.socket.close(3501, "bad request");
      self.socket.reply("after");
      EXPECT_FALSE(self.socket.push(make_text_frame("after")));
      self.socket.close(3000, "again");
    };
  });
  raw_client c(t.s.port());
  c.upgrade();
  c.send_text("x");
  EXPECT_EQ(c.read_text(), "before");
  const auto f = c.read_frame();
  ASSERT_TRUE(f);
  EXPECT_EQ(f->opcode, 8u);
  EXPECT_EQ(f->close_code(), 3501);
  EXPECT_EQ(f->close_reason(), "bad request");
  // Pings and messages that were on their way are not answered any more.
  c.send(raw_client::frame(9, "x") + raw_client::frame(1, "y") + raw_client::close_frame(3501));
  EXPECT_TRUE(c.ends());
  EXPECT_EQ(c.received(), "");
  c.close();
  EXPECT_TRUE(t.told_once());
}

TEST(web_socket, a_session_may_close_in_any_callback) {
  // In its making, at a message, when writable.
  scripted at_once([](scripted_session& session) { session.socket.close(3500, "invalid token"); });
  raw_client a(at_once.s.port());
  a.upgrade();
  expect_close(a, 3500);
  a.close();
  EXPECT_TRUE(at_once.told_once());

  scripted when_writable([](scripted_session& session) {
    session.writable = [](scripted_session& self) { self.socket.close(3008, "slow"); };
    session.message = [](scripted_session& self, std::string_view) {
      while (self.socket.push(make_text_frame("x"))) {
      }
    };
  });
  raw_client b(when_writable.s.port());
  b.upgrade();
  b.send_text("x");
  expect_close(b, 3008);
  b.close();
  EXPECT_TRUE(when_writable.told_once());
}

TEST(web_socket, a_session_that_is_refused_or_throws_is_closed_with_1011) {
  serving none({describe, [](web_socket&) { return nullptr; }});
  raw_client a(none.port());
  a.upgrade();
  expect_close(a, 1011);
  scripted t([](scripted_session& session) {
    session.message = [](scripted_session&, std::string_view) { throw std::runtime_error("no"); };
  });
  raw_client b(t.s.port());
  b.upgrade();
  b.send_text("x");
  expect_close(b, 1011);
  b.close();
  EXPECT_TRUE(t.told_once());
}

TEST(web_socket, a_client_that_never_answers_our_close_is_cut_off) {
  scripted t([](scripted_session& session) {
    session.message = [](scripted_session& self, std::string_view) { self.socket.close(3012, "no pong"); };
  });
  raw_client c(t.s.port());
  c.upgrade();
  c.send_text("x");
  expect_close(c, 3012);
  const auto began = std::chrono::steady_clock::now();
  EXPECT_TRUE(c.ends(9s));
  EXPECT_GT(std::chrono::steady_clock::now() - began, 3s);
  EXPECT_TRUE(t.told_once());
}

TEST(web_socket, a_client_that_keeps_its_end_open_after_the_handshake_is_cut_off_sooner) {
  scripted t;
  raw_client c(t.s.port());
  c.upgrade();
  c.send(raw_client::close_frame(1000));
  expect_close(c, 1000);
  EXPECT_TRUE(eventually([&] { return t.destroyed == 1; }, 4s));
  EXPECT_TRUE(t.told_once());
}

TEST(web_socket, closing_the_server_closes_sessions_with_3001_and_tells_each_once) {
  scripted t;
  std::vector<raw_client> clients;
  for (int i = 0; i < 20; ++i) {
    clients.emplace_back(t.s.port());
    ASSERT_EQ(clients.back().upgrade().status, 101u);
  }
  ASSERT_TRUE(eventually([&] { return t.opened == 20; }));
  std::thread closing([&] { t.s->close(10'000); });
  for (auto& c : clients) {
    expect_close(c, 3001);
    c.send(raw_client::close_frame(3001));
    EXPECT_TRUE(c.ends());
    c.close();
  }
  closing.join();
  EXPECT_TRUE(t.told_once());
}

TEST(web_socket, a_session_knows_its_peer_and_its_reactor) {
  std::string address;
  std::atomic<bool> at_home{false};
  scripted t([&](scripted_session& session) {
    address = session.socket.peer().address;
    EXPECT_FALSE(session.socket.peer().tls);
    EXPECT_NE(session.socket.peer().port, 0);
    at_home = session.socket.home().on_thread();
  });
  raw_client c(t.s.port());
  c.upgrade();
  ASSERT_TRUE(eventually([&] { return t.opened == 1; }));
  EXPECT_EQ(address, "127.0.0.1");
  EXPECT_TRUE(at_home);
}

TEST(web_socket, replies_and_pushes_of_a_round_leave_in_order) {
  scripted t([](scripted_session& session) {
    session.message = [](scripted_session& self, std::string_view) {
      self.socket.reply("1");
      EXPECT_TRUE(self.socket.push(make_text_frame("2")));
      self.socket.reply("3");
      EXPECT_TRUE(self.socket.push(make_text_frame(std::string(100'000, '4'))));
      self.socket.reply("5");
    };
  });
  raw_client c(t.s.port());
  c.upgrade();
  for (int i = 0; i < 50; ++i) {
    c.send_text("go");
    EXPECT_EQ(c.read_text(), "1");
    EXPECT_EQ(c.read_text(), "2");
    EXPECT_EQ(c.read_text(), "3");
    EXPECT_EQ(c.read_text(), std::string(100'000, '4'));
    EXPECT_EQ(c.read_text(), "5");
  }
}

TEST(web_socket, objects_share_a_message_for_browsers_only) {
  scripted t([](scripted_session& session) {
    session.message = [](scripted_session& self, std::string_view) {
      self.socket.reply("{1}\n{2}");
      EXPECT_TRUE(self.socket.push(make_text_frame("{3}\n" + std::string(200, '4') + "\n{5}")));
    };
  });
  raw_client program(t.s.port());
  program.upgrade();
  program.send_text("go");
  for (const auto& object :
       {std::string("{1}"), std::string("{2}"), std::string("{3}"), std::string(200, '4'), std::string("{5}")})
    EXPECT_EQ(program.read_text(), object);
  raw_client browser(t.s.port());
  ASSERT_EQ(browser.upgrade("Origin: http://localhost\r\n").status, 101u);
  browser.send_text("go");
  EXPECT_EQ(browser.read_text(), "{1}\n{2}");
  EXPECT_EQ(browser.read_text(), "{3}\n" + std::string(200, '4') + "\n{5}");
}
