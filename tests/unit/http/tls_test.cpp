#include "runtime/http/client.hpp"
#include "runtime/http/outbox.hpp"
#include "tests/unit/http/fixture.hpp"

#include <cstdio>
#include <filesystem>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

using namespace weir;
using namespace weir::http;
using namespace weir::http::test;

namespace {

// A certificate for localhost and 127.0.0.1 that signs itself, and its key, in a folder of their own.
class certificate {
public:
  certificate() {
    std::string pattern = (std::filesystem::temp_directory_path() / "weir-tls-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
    EVP_PKEY* key = EVP_EC_gen("P-256");
    X509* x = X509_new();
    X509_set_version(x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
    X509_gmtime_adj(X509_getm_notBefore(x), -3600);
    X509_gmtime_adj(X509_getm_notAfter(x), 3600);
    X509_set_pubkey(x, key);
    X509_NAME* name = X509_get_subject_name(x);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>("weir test"), -1, -1,
                               0);
    X509_set_issuer_name(x, name);
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, x, x, nullptr, nullptr, 0);
    for (const auto& [kind, text] :
         {std::pair{NID_subject_alt_name, "DNS:localhost,IP:127.0.0.1"}, {NID_basic_constraints, "critical,CA:TRUE"}}) {
      X509_EXTENSION* e = X509V3_EXT_conf_nid(nullptr, &context, kind, text);
      X509_add_ext(x, e, -1);
      X509_EXTENSION_free(e);
    }
    X509_sign(x, key, EVP_sha256());
    FILE* f = std::fopen(certificate_file().c_str(), "w");
    PEM_write_X509(f, x);
    std::fclose(f);
    f = std::fopen(key_file().c_str(), "w");
    PEM_write_PrivateKey(f, key, nullptr, nullptr, 0, nullptr, nullptr);
    std::fclose(f);
    X509_free(x);
    EVP_PKEY_free(key);
  }
  ~certificate() { std::filesystem::remove_all(folder_); }

  std::string certificate_file() const { return folder_ + "/cert.pem"; }
  std::string key_file() const { return folder_ + "/key.pem"; }

  http_config config() const {
    auto c = serving::loopback();
    c.certificate_file = certificate_file();
    c.key_file = key_file();
    return c;
  }
  client_options trust() const {
    client_options o;
    o.ca_file = certificate_file();
    return o;
  }

private:
  std::string folder_;
};

std::string url(const std::string& scheme, serving& s, const std::string& path) {
  return scheme + "://localhost:" + std::to_string(s.port()) + path;
}

} // namespace

TEST(tls, requests_are_answered_over_https) {
  certificate own;
  serving s({describe, echo}, {}, own.config());
  const auto a = http_get(url("https", s, "/a?b=c"), 10s, own.trust());
  ASSERT_TRUE(a) << a.error().message;
  EXPECT_EQ(a->status, 200u);
  EXPECT_EQ(a->body, "GET /a [a] b=c\n");
  const auto posted = http_post(url("https", s, "/p"), std::string(50'000, 'x'), 10s, own.trust());
  ASSERT_TRUE(posted) << posted.error().message;
  EXPECT_EQ(posted->body.size(), std::string("POST /p [p]\n").size() + 50'000);
}

TEST(tls, a_certificate_that_is_not_trusted_or_of_another_name_is_refused) {
  certificate own, other;
  serving s({describe, echo}, {}, own.config());
  EXPECT_EQ(http_get(url("https", s, "/"), 10s).error().code, ec::io);
  EXPECT_EQ(http_get(url("https", s, "/"), 10s, other.trust()).error().code, ec::io);
  const auto wrong_name = http_get("https://sub.localhost:" + std::to_string(s.port()) + "/", 10s, own.trust());
  EXPECT_FALSE(wrong_name);
  client_options careless;
  careless.verify = false;
  EXPECT_TRUE(http_get(url("https", s, "/"), 10s, careless));
}

TEST(tls, web_sockets_work_over_wss) {
  certificate own;
  serving s({describe, echo}, {}, own.config());
  auto c = ws_client::connect(url("wss", s, "/connection/websocket"), 10s, own.trust());
  ASSERT_TRUE(c) << c.error().message;
  for (const std::size_t n : {1u, 1000u, 65536u}) {
    ASSERT_TRUE(c->send(std::string(n, 'x')));
    const auto back = c->receive(10s);
    ASSERT_TRUE(back) << back.error().message;
    EXPECT_EQ(back->size(), n);
  }
  c->close();
  EXPECT_TRUE(eventually([&] { return s->connections() == 0; }));
}

TEST(tls, a_reader_that_stops_is_refused_pushes_and_told_when_it_reads_again) {
  certificate own;
  web_socket* socket = nullptr;
  std::atomic<int> opened{0}, writable{0};
  serving s({describe,
             [&](web_socket& w) {
               auto session = std::make_unique<scripted_session>(w);
               session->writable = [&](scripted_session&) { ++writable; };
               socket = &w;
               ++opened;
               return session;
             }},
            {}, own.config());
  auto c = ws_client::connect(url("wss", s, "/connection/websocket"), 10s, own.trust());
  ASSERT_TRUE(c) << c.error().message;
  ASSERT_TRUE(eventually([&] { return opened == 1; }));
  // The client reads nothing while it is not asked to.
  int taken = 0;
  bool stalled = false;
  ASSERT_TRUE(eventually([&] {
    s.on_reactor([&] {
      while (socket->push(make_text_frame(std::to_string(taken) + ":" + std::string(50'000, 'x'))))
        ++taken;
      stalled = socket->stalled_ms() > 100;
    });
    return stalled;
  }));
  EXPECT_LE(taken * 50'000ul, outbox::round_bytes + (16u << 20));
  writable = 0;
  for (int i = 0; i < taken; ++i) {
    const auto text = c->receive(10s);
    ASSERT_TRUE(text) << text.error().message;
    ASSERT_EQ(text->substr(0, text->find(':')), std::to_string(i));
  }
  EXPECT_TRUE(eventually([&] { return writable >= 1; }));
}

TEST(tls, sessions_are_closed_with_code_and_reason) {
  certificate own;
  serving s({describe,
             [](web_socket& w) {
               auto session = std::make_unique<scripted_session>(w);
               session->message = [](scripted_session& self, std::string_view) {
                 self.socket.reply("last");
                 self.socket.close(3005, "expired");
               };
               return session;
             }},
            {}, own.config());
  auto c = ws_client::connect(url("wss", s, "/connection/websocket"), 10s, own.trust());
  ASSERT_TRUE(c) << c.error().message;
  ASSERT_TRUE(c->send("x"));
  EXPECT_EQ(c->receive(10s).value_or("nothing"), "last");
  const auto end = c->receive(10s);
  ASSERT_FALSE(end);
  EXPECT_EQ(end.error().code, ec::stopped);
  EXPECT_EQ(c->close_code(), 3005);
  EXPECT_EQ(c->close_reason(), "expired");
}

TEST(tls, plain_text_silence_and_cut_handshakes_leave_nothing_behind) {
  certificate own;
  server_limits limits;
  limits.handshake_ms = 100;
  serving s({describe, echo}, limits, own.config());
  raw_client plain(s.port()), silent(s.port()), cut(s.port());
  plain.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
  cut.send(std::string("\x16\x03\x01\x02\x00\x01", 6));
  cut.reset();
  EXPECT_TRUE(plain.ends());
  EXPECT_TRUE(silent.ends());
  EXPECT_TRUE(eventually([&] { return s->connections() == 0; }));
  EXPECT_TRUE(http_get(url("https", s, "/"), 10s, own.trust()));
}

TEST(tls, a_head_that_does_not_come_is_408_over_tls_too) {
  certificate own;
  server_limits limits;
  limits.request_ms = 100;
  serving s({[](request, responder) {}, echo}, limits, own.config());
  const auto a = http_get(url("https", s, "/"), 10s, own.trust());
  ASSERT_TRUE(a) << a.error().message;
  EXPECT_EQ(a->status, 504u);
}

TEST(tls, files_that_can_not_be_used_are_named) {
  certificate own, other;
  reactor r("r");
  auto config = own.config();
  config.certificate_file = "/nowhere/cert.pem";
  auto failed = listen(config, {}, {&r}, {describe, echo});
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, ec::io);
  EXPECT_NE(failed.error().message.find("/nowhere/cert.pem"), std::string::npos);
  config = own.config();
  config.key_file = other.key_file(); // of another certificate
  failed = listen(config, {}, {&r}, {describe, echo});
  ASSERT_FALSE(failed);
  EXPECT_NE(failed.error().message.find(other.key_file()), std::string::npos);
}

// ---- the blocking clients, over plain text

TEST(client, a_deadline_is_kept_and_says_so) {
  serving s({[](request, responder) {}, echo});
  const auto began = std::chrono::steady_clock::now();
  const auto a = http_get(url("http", s, "/"), 100ms);
  ASSERT_FALSE(a);
  EXPECT_EQ(a.error().code, ec::timeout);
  EXPECT_LT(std::chrono::steady_clock::now() - began, 5s);
}

TEST(client, a_silent_server_is_a_timeout_for_every_kind_of_url) {
  const int silent = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof at;
  ASSERT_EQ(::bind(silent, reinterpret_cast<const sockaddr*>(&at), sizeof at), 0);
  ASSERT_EQ(::listen(silent, 16), 0);
  ASSERT_EQ(::getsockname(silent, reinterpret_cast<sockaddr*>(&at), &size), 0);
  const auto place = "://127.0.0.1:" + std::to_string(ntohs(at.sin_port)) + "/";
  EXPECT_EQ(http_get("http" + place, 50ms).error().code, ec::timeout);
  EXPECT_EQ(http_get("https" + place, 50ms).error().code, ec::timeout);
  EXPECT_EQ(ws_client::connect("ws" + place, 50ms).error().code, ec::timeout);
  EXPECT_EQ(ws_client::connect("wss" + place, 50ms).error().code, ec::timeout);
  ::close(silent);
}

TEST(client, nobody_there_and_no_url_are_told_apart) {
  reactor r("r");
  std::uint16_t free_port = 0;
  {
    serving s;
    free_port = s.port();
  }
  EXPECT_EQ(http_get("http://127.0.0.1:" + std::to_string(free_port), 10s).error().code, ec::io);
  EXPECT_EQ(http_get("gopher://x", 10s).error().code, ec::bad_argument);
  EXPECT_EQ(ws_client::connect("http://127.0.0.1:" + std::to_string(free_port), 10s).error().code, ec::io);
}

TEST(client, headers_go_out_and_come_back) {
  serving s({[](request r, responder answer) {
               response a;
               a.status = 404;
               a.body = r.headers["authorization"];
               a.headers.emplace_back("X-Thing", "y");
               answer(a);
             },
             echo});
  client_options o;
  o.headers = {{"Authorization", "Bearer t"}};
  const auto a = http_get(url("http", s, "/"), 10s, o);
  ASSERT_TRUE(a) << a.error().message;
  EXPECT_EQ(a->status, 404u);
  EXPECT_EQ(a->body, "Bearer t");
  EXPECT_EQ(a->headers.at("x-thing"), "y");
}

TEST(client, a_wait_that_ends_without_a_message_costs_none) {
  web_socket* socket = nullptr;
  std::atomic<bool> opened{false};
  serving s({describe, [&](web_socket& w) {
               socket = &w;
               opened = true;
               return echo(w);
             }});
  auto c = ws_client::connect(url("http", s, "/connection/websocket"), 10s);
  ASSERT_TRUE(c) << c.error().message;
  EXPECT_EQ(c->receive(1ms).error().code, ec::timeout);
  ASSERT_TRUE(eventually([&] { return opened.load(); }));
  s.on_reactor([&] { socket->push(make_text_frame("pushed")); });
  ASSERT_TRUE(c->send("asked"));
  EXPECT_EQ(c->receive(10s).value_or("nothing"), "pushed");
  EXPECT_EQ(c->receive(10s).value_or("nothing"), "asked");
  EXPECT_EQ(c->receive(1ms).error().code, ec::timeout);
  s->close(2000);
  EXPECT_EQ(c->receive(10s).error().code, ec::stopped);
  EXPECT_EQ(c->close_code(), 3001);
  EXPECT_EQ(c->send("x").error().code, ec::stopped);
}

TEST(client, a_refused_upgrade_names_the_status) {
  serving s;
  client_options o;
  o.headers = {{"Origin", "http://evil.example"}};
  const auto c = ws_client::connect(url("ws", s, "/connection/websocket"), 10s, o);
  ASSERT_FALSE(c);
  EXPECT_EQ(c.error().code, ec::io);
  EXPECT_NE(c.error().message.find("403"), std::string::npos) << c.error().message;
}
