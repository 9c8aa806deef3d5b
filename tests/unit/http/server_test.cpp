#include "tests/support/free_port.hpp"
#include "tests/unit/http/fixture.hpp"

#include <map>
#include <sys/resource.h>

using namespace weir;
using namespace weir::http;
using namespace weir::http::test;

TEST(server, a_request_arrives_split_and_decoded) {
  serving s;
  raw_client c(s.port());
  const auto a = c.get("/api/v1/tables/machines/rows/a%2Fb%20%C3%A4?limit=5&x=%26+1&limit=7");
  EXPECT_EQ(a.status, 200u);
  EXPECT_EQ(a.body, "GET /api/v1/tables/machines/rows/a%2Fb%20%C3%A4 [api] [v1] [tables] [machines] [rows] [a/b "
                    "\xC3\xA4] limit=7 x=& 1\n");
}

TEST(server, answers_carry_the_protective_headers) {
  serving s({[](request, responder answer) {
               response r;
               r.content_type = "text/html; charset=utf-8";
               r.body = "<p>";
               answer(r);
             },
             echo});
  raw_client c(s.port());
  const auto a = c.get("/");
  EXPECT_EQ(a.header("cache-control"), "no-store");
  EXPECT_EQ(a.header("x-content-type-options"), "nosniff");
  EXPECT_EQ(a.header("referrer-policy"), "no-referrer");
  ASSERT_TRUE(a.header("content-security-policy"));
  EXPECT_NE(a.header("content-security-policy")->find("default-src 'self'"), std::string::npos);
}

TEST(server, a_handlers_header_cannot_smuggle_in_another_one) {
  serving s({[](request, responder answer) {
               response r;
               r.headers = {{"X-Name", "a\r\nSet-Cookie: b"}, {"Cache-Control", "max-age=1"}};
               answer(r);
             },
             echo});
  raw_client c(s.port());
  const auto a = c.get("/");
  EXPECT_EQ(a.header("x-name"), "a  Set-Cookie: b");
  EXPECT_FALSE(a.header("set-cookie"));
  EXPECT_EQ(a.header("cache-control"), "max-age=1");
}

TEST(server, a_connection_serves_one_request_after_the_other) {
  serving s;
  raw_client c(s.port());
  for (int i = 0; i < 5; ++i)
    EXPECT_EQ(c.get("/" + std::to_string(i)).status, 200u);
  EXPECT_EQ(s->connections(), 1u);
}

TEST(server, pipelined_requests_are_answered_in_order) {
  serving s;
  raw_client c(s.port());
  std::string many;
  for (int i = 0; i < 20; ++i)
    many += "GET /" + std::to_string(i) + " HTTP/1.1\r\nHost: localhost\r\n\r\n";
  c.send(many);
  for (int i = 0; i < 20; ++i)
    EXPECT_EQ(c.read_answer().body, "GET /" + std::to_string(i) + " [" + std::to_string(i) + "]\n");
}

TEST(server, connection_close_and_http_1_0_end_after_the_answer) {
  serving s;
  raw_client c(s.port());
  EXPECT_EQ(c.get("/", "Connection: close\r\n").header("connection"), "close");
  EXPECT_TRUE(c.ends());
  raw_client old(s.port());
  EXPECT_EQ(old.ask("GET / HTTP/1.0\r\n\r\n").status, 200u);
  EXPECT_TRUE(old.ends());
}

TEST(server, head_gets_the_head_of_get_and_no_body) {
  serving s;
  raw_client c(s.port());
  c.send("HEAD /x HTTP/1.1\r\nHost: localhost\r\n\r\n");
  const auto a = c.read_answer(true);
  EXPECT_EQ(a.status, 200u);
  EXPECT_EQ(a.header("content-length"), std::to_string(std::string("HEAD /x [x]\n").size()));
  // The next answer starts right behind: nothing of a body lies in between.
  EXPECT_EQ(c.get("/y").body, "GET /y [y]\n");
}

TEST(server, bodies_come_by_length_in_chunks_and_after_a_continue) {
  serving s;
  raw_client c(s.port());
  EXPECT_EQ(c.ask("POST /a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello").body, "POST /a [a]\nhello");
  EXPECT_EQ(c.ask("POST /a HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: "
                  "chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\n\r\n")
                .body,
            "POST /a [a]\nhello");
  c.send("POST /a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_EQ(c.read_answer().status, 100u);
  EXPECT_EQ(c.ask("hello").body, "POST /a [a]\nhello");
  EXPECT_EQ(c.ask("POST /a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nExpect: miracles\r\n\r\n").status, 417u);
}

TEST(server, a_body_over_the_limit_is_413_by_length_and_in_chunks) {
  server_limits limits;
  limits.body_bytes = 1000;
  serving s({describe, echo}, limits);
  EXPECT_EQ(raw_client(s.port()).ask("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1001\r\n\r\n").status,
            413u);
  EXPECT_EQ(raw_client(s.port())
                .ask("POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n7d0\r\n" +
                     std::string(2000, 'x'))
                .status,
            413u);
  EXPECT_EQ(raw_client(s.port())
                .ask("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n" + std::string(1000, 'x'))
                .status,
            200u);
}

TEST(server, the_answer_to_a_body_too_large_arrives_though_the_client_goes_on_sending) {
  serving s;
  raw_client c(s.port());
  c.send("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 200000\r\n\r\n" + std::string(100'000, 'x'));
  EXPECT_EQ(c.read_answer().status, 413u);
  EXPECT_TRUE(c.send(std::string(100'000, 'x')));
  c.finish_sending();
  EXPECT_TRUE(c.ends());
  EXPECT_FALSE(c.was_reset());
}

TEST(server, headers_over_the_limit_are_431) {
  serving s;
  EXPECT_EQ(raw_client(s.port()).get("/", "X: " + std::string(9000, 'x') + "\r\n").status, 431u);
  EXPECT_EQ(raw_client(s.port()).ask("GET /" + std::string(100'000, 'x')).status, 431u);
  std::string many;
  for (int i = 0; i < 2000; ++i)
    many += "A: b\r\n";
  EXPECT_EQ(raw_client(s.port()).get("/", many).status, 431u);
  EXPECT_TRUE(s.lives());
}

TEST(server, a_head_that_drips_in_is_408_when_its_time_is_over) {
  server_limits limits;
  limits.handshake_ms = 150;
  serving s({describe, echo}, limits);
  raw_client c(s.port());
  const auto began = std::chrono::steady_clock::now();
  // Each byte comes well within the time; only the whole head does not.
  const std::string head = "GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: "
                           "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";
  std::size_t sent = 0;
  while (c.received().empty() && sent < head.size()) {
    c.send(head.substr(sent++, 1));
    c.receive_some(10ms);
  }
  EXPECT_EQ(c.read_answer().status, 408u);
  EXPECT_TRUE(c.ends());
  EXPECT_LT(std::chrono::steady_clock::now() - began, 5s);
  EXPECT_LT(sent, head.size());
}

TEST(server, a_connection_that_sends_nothing_is_closed) {
  server_limits limits;
  limits.handshake_ms = 50;
  limits.idle_ms = 50;
  serving s({describe, echo}, limits);
  raw_client silent(s.port());
  EXPECT_TRUE(silent.ends(5s));
  raw_client idle(s.port());
  EXPECT_EQ(idle.get("/").status, 200u);
  EXPECT_TRUE(idle.ends(5s));
  EXPECT_TRUE(eventually([&] { return s->connections() == 0; }));
}

TEST(server, a_body_that_does_not_come_is_408) {
  server_limits limits;
  limits.request_ms = 50;
  serving s({describe, echo}, limits);
  EXPECT_EQ(raw_client(s.port()).ask("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhe").status, 408u);
}

TEST(server, a_request_never_answered_gets_504_and_a_late_answer_is_dropped) {
  server_limits limits;
  limits.request_ms = 50;
  std::mutex m;
  std::vector<responder> kept;
  serving s({[&](request, responder answer) {
               std::lock_guard lock(m);
               kept.push_back(std::move(answer));
             },
             echo},
            limits);
  raw_client c(s.port());
  EXPECT_EQ(c.get("/").status, 504u);
  std::lock_guard lock(m);
  for (auto& late : kept)
    late(response{});
  EXPECT_TRUE(c.ends());
}

TEST(server, an_answer_may_come_from_any_thread_and_twice_does_no_harm) {
  std::vector<std::thread> threads;
  std::mutex m;
  serving s({[&](request r, responder answer) {
               std::lock_guard lock(m);
               threads.emplace_back([answer, path = r.path] {
                 response a;
                 a.body = path;
                 answer(a);
                 answer(a);
               });
             },
             echo},
            {}, serving::loopback(), 2);
  for (int i = 0; i < 20; ++i) {
    raw_client c(s.port());
    EXPECT_EQ(c.get("/a" + std::to_string(i)).body, "/a" + std::to_string(i));
    EXPECT_EQ(c.get("/b" + std::to_string(i)).body, "/b" + std::to_string(i));
  }
  std::lock_guard lock(m);
  for (auto& t : threads)
    t.join();
}

TEST(server, a_responder_may_be_used_after_the_server_is_gone) {
  responder kept;
  std::atomic<bool> asked{false};
  {
    serving s({[&](request, responder answer) {
                 kept = std::move(answer);
                 asked = true;
               },
               echo});
    raw_client c(s.port());
    c.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    ASSERT_TRUE(eventually([&] { return asked.load(); }));
  }
  kept(response{});
}

TEST(server, a_handler_that_throws_is_500_and_the_node_lives) {
  serving s({[](request r, responder answer) {
               if (r.path == "/bad")
                 throw std::runtime_error("no");
               describe(std::move(r), std::move(answer));
             },
             echo});
  EXPECT_EQ(raw_client(s.port()).get("/bad").status, 500u);
  EXPECT_TRUE(s.lives());
}

TEST(server, over_the_connection_limit_is_503_before_any_upgrade) {
  server_limits limits;
  limits.connections = 2;
  serving s({describe, echo}, limits);
  raw_client a(s.port()), b(s.port());
  EXPECT_EQ(a.get("/").status, 200u);
  EXPECT_EQ(b.upgrade().status, 101u);
  raw_client c(s.port());
  const auto refused = c.upgrade();
  EXPECT_EQ(refused.status, 503u);
  EXPECT_NE(refused.body.find("overloaded"), std::string::npos);
  EXPECT_EQ(raw_client(s.port()).get("/").status, 503u);
  b.send_text("still here");
  EXPECT_EQ(b.read_text(), "still here");
  a.close();
  EXPECT_TRUE(eventually([&] { return raw_client(s.port()).get("/").status == 200; }));
}

TEST(server, without_file_descriptors_accepting_pauses_says_so_once_and_goes_on) {
  serving s;
  ASSERT_TRUE(s.lives());
  ASSERT_TRUE(eventually([&] { return s->connections() == 0; }));
  rlimit before{};
  ::getrlimit(RLIMIT_NOFILE, &before);
  testing::internal::CaptureStderr();
  // Room for one descriptor more: the client's own. (A limit is on the number, so holes below are filled first.)
  std::vector<int> fillers;
  for (int i = 0; i < 16; ++i)
    fillers.push_back(::dup(1));
  rlimit tight = before;
  tight.rlim_cur = static_cast<rlim_t>(fillers.back() + 2);
  ::setrlimit(RLIMIT_NOFILE, &tight);
  raw_client c(s.port());
  EXPECT_TRUE(c.connected()); // by the kernel
  c.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
  const auto cpu = [] {
    rusage used{};
    ::getrusage(RUSAGE_SELF, &used);
    return std::chrono::seconds(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
           std::chrono::microseconds(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
  };
  const auto began = cpu();
  EXPECT_FALSE(c.receive_some(500ms));
  EXPECT_LT(cpu() - began, 250ms) << "it must not spin";
  ::setrlimit(RLIMIT_NOFILE, &before);
  for (const int fd : fillers)
    ::close(fd);
  EXPECT_EQ(c.read_answer().status, 200u);
  EXPECT_TRUE(s.lives());
  const auto said = testing::internal::GetCapturedStderr();
  const auto first = said.find("can't be accepted");
  EXPECT_NE(first, std::string::npos);
  EXPECT_EQ(said.find("can't be accepted", first + 1), std::string::npos) << said;
  EXPECT_NE(said.find("accepted again"), std::string::npos);
}

TEST(server, every_status_is_reported_for_the_metrics) {
  std::mutex m;
  std::map<unsigned, int> seen;
  server_handlers handlers{describe, echo};
  handlers.answered = [&](unsigned status) {
    std::lock_guard lock(m);
    ++seen[status];
  };
  serving s(std::move(handlers));
  raw_client(s.port()).get("/");
  raw_client(s.port()).ask("nonsense\r\n\r\n");
  raw_client(s.port()).upgrade();
  EXPECT_TRUE(eventually([&] {
    std::lock_guard lock(m);
    return seen[200] == 1 && seen[400] == 1 && seen[101] == 1;
  }));
}

TEST(server, an_address_in_use_is_said_so_also_to_a_listener_that_would_share) {
  serving s({describe, echo}, {}, serving::loopback(), 2);
  reactor other("other"), another("another");
  http_config config;
  config.port = s.port();
  const auto second = listen(config, {}, {&other, &another}, {describe, echo});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ec::io);
  EXPECT_NE(second.error().message.find("127.0.0.1:" + std::to_string(s.port())), std::string::npos);
}

// Looking whether a port is in use must not make it so, also while clients try to reach it.
TEST(server, a_free_port_can_be_listened_on_each_time) {
  serving home({describe, echo}, {}, serving::loopback(), 2);
  std::atomic<std::uint16_t> port{0};
  std::atomic<bool> over{false};
  std::thread knocking([&] {
    while (!over) {
      const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
      sockaddr_in to{};
      to.sin_family = AF_INET;
      to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      to.sin_port = htons(port);
      ::connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to); // refused mostly
      ::close(fd);
    }
  });
  for (int i = 0; i < 2'000 && !testing::Test::HasFailure(); ++i) {
    http_config config;
    port = config.port = support::free_port();
    const auto made = listen(config, {}, {&home.home(0), &home.home(1)}, {describe, echo});
    EXPECT_TRUE(made) << "after " << i << ": " << made.error().message;
  }
  over = true;
  knocking.join();
}

TEST(server, every_reactor_listens_on_the_one_chosen_port) {
  std::mutex m;
  std::map<std::thread::id, int> threads;
  serving s({[&](request r, responder answer) {
               {
                 std::lock_guard lock(m);
                 ++threads[std::this_thread::get_id()];
               }
               describe(std::move(r), std::move(answer));
             },
             echo},
            {}, serving::loopback(), 2);
  EXPECT_TRUE(eventually([&] {
    EXPECT_EQ(raw_client(s.port()).get("/").status, 200u);
    std::lock_guard lock(m);
    return threads.size() == 2;
  }));
}

// ---- who may ask

TEST(server, a_change_from_a_strange_page_is_403_and_a_read_is_not) {
  auto config = serving::loopback();
  config.origins = {"https://dash.example.org"};
  serving s({describe, echo}, {}, config);
  const auto host = "Host: localhost:" + std::to_string(s.port()) + "\r\n";
  const auto post = [&](const std::string& headers) {
    return raw_client(s.port()).ask("POST /api/v1/jobs/j/run HTTP/1.1\r\n" + host + headers +
                                    "Content-Length: 0\r\n\r\n");
  };
  EXPECT_EQ(post("").status, 200u); // no browser
  EXPECT_EQ(post("Origin: http://localhost:" + std::to_string(s.port()) + "\r\n").status, 200u);
  EXPECT_EQ(post("Origin: https://dash.example.org\r\n").status, 200u);
  EXPECT_EQ(post("Origin: null\r\n").status, 403u);
  EXPECT_EQ(post("Origin: http://localhost:1\r\n").status, 403u);
  EXPECT_EQ(post("Origin: http://localhost:1\r\nOrigin: https://dash.example.org\r\n").status, 400u);
  const auto refused = post("Origin: http://evil.example\r\n");
  EXPECT_EQ(refused.status, 403u);
  EXPECT_NE(refused.body.find("http.origins"), std::string::npos);
  EXPECT_NE(refused.body.find("\"at\":\"/api/v1/jobs/j/run\""), std::string::npos);
  EXPECT_EQ(raw_client(s.port()).ask("GET /x HTTP/1.1\r\n" + host + "Origin: http://evil.example\r\n\r\n").status,
            200u);
}

TEST(server, a_web_socket_of_a_strange_page_is_403) {
  serving s;
  EXPECT_EQ(raw_client(s.port()).upgrade("Origin: http://evil.example\r\n").status, 403u);
  EXPECT_EQ(raw_client(s.port()).upgrade("Origin: null\r\n").status, 403u);
  // The Host header of this helper is "localhost": port 80.
  EXPECT_EQ(raw_client(s.port()).upgrade("Origin: http://localhost\r\n").status, 101u);
  EXPECT_EQ(raw_client(s.port()).upgrade("Origin: https://localhost\r\n").status, 403u);
}

TEST(server, a_loopback_listener_does_not_answer_to_a_strangers_name) {
  serving s;
  const auto with_host = [&](const std::string& host) {
    return raw_client(s.port()).ask("GET / HTTP/1.1\r\nHost: " + host + "\r\n\r\n").status;
  };
  EXPECT_EQ(with_host("evil.example:8080"), 421u);
  EXPECT_EQ(with_host("127.0.0.1.evil.example"), 421u);
  EXPECT_EQ(with_host("127.0.0.1"), 200u);
  EXPECT_EQ(with_host("LOCALHOST:9"), 200u);
  EXPECT_EQ(with_host("[::1]:9"), 200u);
  EXPECT_EQ(raw_client(s.port()).ask("GET http://evil.example/ HTTP/1.1\r\nHost: localhost\r\n\r\n").status, 421u);
  EXPECT_EQ(raw_client(s.port()).ask("GET http://localhost/a HTTP/1.1\r\nHost: evil.example\r\n\r\n").status, 200u);
}

// ---- the end

TEST(server, close_ends_idle_connections_at_once_and_lets_requests_finish) {
  std::mutex m;
  std::vector<responder> kept;
  serving s({[&](request, responder answer) {
               std::lock_guard lock(m);
               kept.push_back(std::move(answer));
             },
             echo});
  raw_client idle(s.port()), busy(s.port());
  busy.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
  ASSERT_TRUE(eventually([&] {
    std::lock_guard lock(m);
    return kept.size() == 1 && s->connections() == 2;
  }));
  std::thread closing([&] { s->close(10'000); });
  EXPECT_TRUE(idle.ends());
  {
    std::lock_guard lock(m);
    kept.front()(response{});
  }
  const auto last = busy.read_answer();
  EXPECT_EQ(last.status, 200u);
  EXPECT_EQ(last.header("connection"), "close");
  busy.close();
  closing.join();
  EXPECT_EQ(s->connections(), 0u);
  EXPECT_FALSE(raw_client(s.port()).connected());
}

TEST(server, close_keeps_its_deadline_whatever_clients_do) {
  serving s({[](request, responder) {}, echo});
  raw_client stuck(s.port()), half(s.port()), socket(s.port());
  stuck.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
  half.send("GET / HTTP/1.1\r\nHo");
  EXPECT_EQ(socket.upgrade().status, 101u); // never answers the close frame
  ASSERT_TRUE(eventually([&] { return s->connections() == 3; }));
  const auto began = std::chrono::steady_clock::now();
  s->close(300);
  EXPECT_LT(std::chrono::steady_clock::now() - began, 2s);
  EXPECT_EQ(s->connections(), 0u);
  const auto f = socket.read_frame();
  ASSERT_TRUE(f);
  EXPECT_EQ(f->close_code(), 3001);
}

TEST(server, stop_accepting_leaves_requests_under_way_alone) {
  serving s;
  raw_client c(s.port());
  EXPECT_EQ(c.get("/").status, 200u);
  s->stop_accepting();
  EXPECT_TRUE(eventually([&] { return !raw_client(s.port()).connected(); }));
  EXPECT_EQ(c.get("/").status, 200u);
}
