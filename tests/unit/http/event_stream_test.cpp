// Server-Sent Events over the wire, fed by a session of the test's own.
#include "tests/unit/http/fixture.hpp"

using namespace weir;
using namespace weir::http;
using namespace weir::http::test;

namespace {

// Asks for the table of the path's second segment.
void stream(request r, responder answer) {
  response a;
  a.events.emplace();
  a.events->channel = r.segments.size() > 1 ? r.segments[1] : "machines";
  if (const auto id = r.headers.find("last-event-id"); id != r.headers.end())
    a.events->last_event_id = id->second;
  answer(std::move(a));
}

// A session that answers a subscribe as a table with one row does.
struct table_session : web_socket_handler {
  explicit table_session(web_socket& s, std::vector<std::string>* heard = nullptr) : socket(s), heard_(heard) {}
  void on_message(std::string_view text) override {
    if (heard_)
      heard_->emplace_back(text);
    if (text.find("\"subscribe\"") == text.npos)
      return;
    if (text.find("nowhere") != text.npos)
      socket.reply(R"({"id":2,"error":{"code":102,"message":"unknown channel"}})");
    else
      socket.reply(R"({"id":2,"subscribe":{"type":1,"epoch":"e1","offset":5,"state":[{"key":"a","data":{"n":1}}]}})");
  }
  void on_writable() override { ++writable; }
  void on_closed() override {}
  web_socket& socket;
  int writable = 0;

private:
  std::vector<std::string>* heard_;
};

frame_ptr change(int n, std::size_t padding = 0) {
  return make_text_frame("{\"push\":{\"channel\":\"machines\",\"pub\":{\"key\":\"a\",\"data\":{\"n\":" +
                         std::to_string(n) + ",\"p\":\"" + std::string(padding, 'x') +
                         "\"},\"offset\":" + std::to_string(100 + n) + "}}}");
}

// Reads until the text came, and returns everything up to its end.
std::string until(raw_client& c, std::string_view text) {
  while (c.received().find(text) == std::string::npos)
    if (!c.receive_some())
      return "<" + c.received() + ">";
  return c.received().substr(0, c.received().find(text) + text.size());
}

constexpr std::string_view first_events =
    "event: snapshot\ndata: {\"rows\":{\"a\":{\"n\":1}},\"done\":true}\nid: e1:5\n\nid: e1:5\n\n";

} // namespace

TEST(event_stream, is_an_open_response_of_events) {
  table_session* session = nullptr;
  std::atomic<unsigned> status{0};
  serving s({stream,
             [&](web_socket& w) {
               auto made = std::make_unique<table_session>(w);
               session = made.get();
               return made;
             },
             [&](unsigned code) { status = code; }});
  raw_client c(s.port());
  c.send("GET /t/machines HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n");
  const auto head = c.read_answer(); // without a length it has no body here
  EXPECT_EQ(head.status, 200u);
  EXPECT_EQ(head.header("content-type"), "text/event-stream");
  EXPECT_EQ(head.header("connection"), "close");
  EXPECT_EQ(head.header("cache-control"), "no-store");
  EXPECT_FALSE(head.header("content-length"));
  EXPECT_FALSE(head.header("access-control-allow-origin"));
  const auto first = until(c, "id: e1:5\n\nid: e1:5\n\n");
  EXPECT_EQ(first.find("retry: "), 0u);
  EXPECT_EQ(first.substr(first.find("event: ")), first_events);
  c.take_received();
  s.on_reactor([&] { EXPECT_TRUE(session->socket.push(change(2))); });
  EXPECT_EQ(until(c, "\n\n"), "event: change\ndata: {\"key\":\"a\",\"data\":{\"n\":2,\"p\":\"\"}}\nid: e1:102\n\n");
  EXPECT_EQ(status, 200u);
  s.on_reactor([&] { session->socket.close(3001, "shutdown"); });
  EXPECT_TRUE(c.ends());
  EXPECT_FALSE(c.was_reset());
}

TEST(event_stream, a_refusal_is_an_answer_with_its_status) {
  serving s({stream, [](web_socket& w) { return std::make_unique<table_session>(w); }});
  const auto a = raw_client(s.port()).get("/t/nowhere");
  EXPECT_EQ(a.status, 404u);
  EXPECT_EQ(a.header("content-type"), "application/json");
  EXPECT_NE(a.body.find("unknown channel"), std::string::npos);
  EXPECT_TRUE(eventually([&] { return s->connections() == 0; }));
}

TEST(event_stream, the_last_id_goes_to_the_session_and_moves_with_what_was_sent) {
  std::vector<std::string> heard;
  table_session* session = nullptr;
  serving s({stream, [&](web_socket& w) {
               auto made = std::make_unique<table_session>(w, &heard);
               session = made.get();
               return made;
             }});
  raw_client c(s.port());
  c.send("GET /t/machines HTTP/1.1\r\nHost: localhost\r\nLast-Event-ID: e1:4\r\n\r\n");
  until(c, "id: e1:5\n\n");
  s.on_reactor([&] {
    ASSERT_EQ(heard.size(), 1u);
    EXPECT_NE(heard[0].find("\"epoch\":\"e1\",\"offset\":4"), std::string::npos) << heard[0];
    session->socket.push(change(7));
  });
  until(c, "id: e1:107\n\n");
  s.on_reactor([&] {
    session->socket.reply(R"({"push":{"channel":"machines","unsubscribe":{"code":2500,"reason":"insufficient state"}}})");
  });
  EXPECT_TRUE(eventually([&] {
    bool again = false;
    s.on_reactor([&] { again = heard.size() == 2 && heard[1].find("\"offset\":107") != std::string::npos; });
    return again;
  }));
}

TEST(event_stream, pages_of_other_origins_are_refused_and_listed_ones_may_read) {
  auto config = serving::loopback();
  config.origins = {"https://dashboard.example.org"};
  serving s({stream, [](web_socket& w) { return std::make_unique<table_session>(w); }}, {}, config);
  EXPECT_EQ(raw_client(s.port()).get("/t/machines", "Origin: https://evil.example.org\r\n").status, 403u);
  raw_client c(s.port());
  c.send("GET /t/machines HTTP/1.1\r\nHost: localhost\r\nOrigin: https://dashboard.example.org\r\n\r\n");
  const auto head = c.read_answer();
  EXPECT_EQ(head.status, 200u);
  EXPECT_EQ(head.header("access-control-allow-origin"), "https://dashboard.example.org");
  EXPECT_EQ(head.header("vary"), "Origin");
}

TEST(event_stream, head_gets_the_head_alone) {
  serving s({stream, [](web_socket& w) { return std::make_unique<table_session>(w); }});
  raw_client c(s.port());
  c.send("HEAD /t/machines HTTP/1.1\r\nHost: localhost\r\n\r\n");
  const auto a = c.read_answer(true);
  EXPECT_EQ(a.status, 200u);
  EXPECT_EQ(a.header("content-type"), "text/event-stream");
  EXPECT_TRUE(c.ends());
}

TEST(event_stream, sessions_share_one_text_and_one_that_does_not_read_is_refused) {
  std::vector<table_session*> sessions;
  serving s({stream, [&](web_socket& w) {
               auto made = std::make_unique<table_session>(w);
               sessions.push_back(made.get());
               return made;
             }});
  raw_client reads(s.port(), 4096), stuck(s.port(), 4096);
  for (auto* c : {&reads, &stuck}) {
    c->send("GET /t/machines HTTP/1.1\r\nHost: localhost\r\n\r\n");
    until(*c, "id: e1:5\n\nid: e1:5\n\n");
    c->take_received();
  }
  int sent = 0;
  bool refused = false;
  while (!refused && sent < 10'000) {
    s.on_reactor([&] {
      const auto f = change(sent, 20'000);
      const auto before = f.use_count();
      EXPECT_TRUE(sessions[0]->socket.push(f));
      EXPECT_EQ(f.use_count(), before); // what is shared is its form
      refused = !sessions[1]->socket.push(f);
    });
    until(reads, "id: e1:" + std::to_string(100 + sent) + "\n\n");
    reads.take_received();
    ++sent;
  }
  EXPECT_TRUE(refused);
  EXPECT_LT(sent * 20'000, 4 << 20);
  // It reads, and its session hears of it.
  EXPECT_TRUE(eventually([&] {
    stuck.receive_some(10ms);
    stuck.take_received();
    bool told = false;
    s.on_reactor([&] { told = sessions[1]->writable > 0; });
    return told;
  }));
}

TEST(event_stream, ends_with_its_client_and_with_the_server) {
  std::atomic<int> gone{0};
  const auto counted = [&](web_socket& w) {
    auto session = std::make_unique<scripted_session>(w);
    session->message = [](scripted_session& self, std::string_view) {
      self.socket.reply(R"({"id":2,"subscribe":{"type":1,"epoch":"e1","offset":5}})");
    };
    session->destroyed = [&] { ++gone; };
    return session;
  };
  serving s({stream, counted});
  raw_client a(s.port()), b(s.port());
  for (auto* c : {&a, &b}) {
    c->send("GET /t/machines HTTP/1.1\r\nHost: localhost\r\n\r\n");
    until(*c, "id: e1:5\n\n");
  }
  a.close();
  EXPECT_TRUE(eventually([&] { return gone == 1; }));
  s->close(5'000);
  EXPECT_TRUE(b.ends());
  EXPECT_EQ(gone, 2);
}
