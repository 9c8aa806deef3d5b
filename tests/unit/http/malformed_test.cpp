#include "tests/unit/http/fixture.hpp"

#include <random>

using namespace weir::http;
using namespace weir::http::test;

namespace {

struct bad_input {
  const char* name;
  std::string bytes;
  unsigned status; // 0: closed without an answer is right too
};

std::vector<bad_input> bad_inputs() {
  using namespace std::string_literals;
  const std::string host = "Host: localhost\r\n";
  return {
      {"bad method", "G@T / HTTP/1.1\r\n" + host + "\r\n", 400},
      {"no method", " / HTTP/1.1\r\n" + host + "\r\n", 400},
      {"binary noise", "\x16\x03\x01\x02\x00\x01\x00\x01\xFC\x03\x03 a TLS hello\r\n\r\n"s, 400},
      {"NUL in the target", "GET /a\0b HTTP/1.1\r\n"s + host + "\r\n", 400},
      {"NUL in a header", "GET / HTTP/1.1\r\nHost: local\0host\r\n\r\n"s, 400},
      {"HTTP/0.9", "GET /\r\n\r\n", 400},
      {"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400},
      {"bad version", "GET / HTTP/1.x\r\n" + host + "\r\n", 400},
      {"no host", "GET / HTTP/1.1\r\n\r\n", 400},
      {"two hosts", "GET / HTTP/1.1\r\n" + host + host + "\r\n", 400},
      {"negative length", "POST / HTTP/1.1\r\n" + host + "Content-Length: -1\r\n\r\n", 400},
      {"length is no number", "POST / HTTP/1.1\r\n" + host + "Content-Length: ten\r\n\r\n", 400},
      {"length over 64 bits", "POST / HTTP/1.1\r\n" + host + "Content-Length: 99999999999999999999999\r\n\r\n", 400},
      {"length of 2^63", "POST / HTTP/1.1\r\n" + host + "Content-Length: 9223372036854775808\r\n\r\n", 413},
      {"two lengths", "POST / HTTP/1.1\r\n" + host + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx", 400},
      {"length and chunked",
       "POST / HTTP/1.1\r\n" + host + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
      {"unknown coding", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: gzip\r\n\r\n", 501},
      {"coding before chunked", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
       501},
      {"bad chunk size", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n",
       400},
      {"huge chunk size",
       "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nhello\r\n", 400},
      {"space before the colon", "GET / HTTP/1.1\r\n" + host + "X : y\r\n\r\n", 400},
      {"header without colon", "GET / HTTP/1.1\r\n" + host + "nonsense\r\n\r\n", 400},
      {"bad percent", "GET /%zz HTTP/1.1\r\n" + host + "\r\n", 400},
      {"cut percent", "GET /a% HTTP/1.1\r\n" + host + "\r\n", 400},
      {"bad UTF-8", "GET /%ff%fe HTTP/1.1\r\n" + host + "\r\n", 400},
      {"overlong UTF-8", "GET /%c0%af HTTP/1.1\r\n" + host + "\r\n", 400},
      {"bad percent in the query", "GET /?a=%g0 HTTP/1.1\r\n" + host + "\r\n", 400},
      {"a fragment", "GET /a#b HTTP/1.1\r\n" + host + "\r\n", 400},
      {"a relative target", "GET a/b HTTP/1.1\r\n" + host + "\r\n", 400},
      {"OPTIONS *", "OPTIONS * HTTP/1.1\r\n" + host + "\r\n", 400},
      {"CONNECT", "CONNECT example.org:80 HTTP/1.1\r\n" + host + "\r\n", 405},
      {"TRACE", "TRACE / HTTP/1.1\r\n" + host + "\r\n", 405},
      {"only line ends", std::string(20'000, '\n'), 0},
  };
}

} // namespace

TEST(malformed, every_bad_request_gets_its_error_and_the_node_lives) {
  serving s;
  for (const auto& input : bad_inputs()) {
    SCOPED_TRACE(input.name);
    raw_client c(s.port());
    const auto a = c.ask(input.bytes);
    if (input.status != 0 || a.status != 0) {
      EXPECT_EQ(a.status, input.status == 0 ? 400 : input.status) << a.head;
      EXPECT_EQ(a.body.rfind("{\"error\":{\"code\":\"", 0), 0u) << a.body;
      EXPECT_EQ(a.header("content-type"), "application/json");
    }
    EXPECT_TRUE(c.ends());
  }
  EXPECT_TRUE(s.lives());
  EXPECT_TRUE(eventually([&] { return s->connections() == 0; }));
}

TEST(malformed, a_request_cut_anywhere_leaves_nothing_behind) {
  serving s;
  const std::string whole = "POST /a?b=c HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello";
  for (std::size_t n = 0; n < whole.size(); ++n) {
    raw_client c(s.port());
    c.send(whole.substr(0, n));
    c.finish_sending();
    const auto a = c.read_answer();
    EXPECT_TRUE(a.status == 400 || a.status == 0) << n << ": " << a.head;
  }
  EXPECT_TRUE(s.lives());
  EXPECT_TRUE(eventually([&] { return s->connections() == 0; }));
}

TEST(malformed, noise_and_flipped_bytes_never_bring_the_node_down) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  server_limits limits;
  limits.handshake_ms = 50;
  limits.request_ms = 50;
  serving s({describe, echo}, limits);
  const std::string good =
      "POST /api/v1/x%20y?a=b&c HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello";
  const std::string upgrade = "GET /connection/websocket HTTP/1.1\r\nHost: localhost\r\nUpgrade: "
                              "websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: "
                              "13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n" +
                              raw_client::frame(1, "hello");
  for (int i = 0; i < 300; ++i) {
    std::string bytes = i % 2 ? good : upgrade;
    for (int flips = 1 + static_cast<int>(random() % 4); flips > 0; --flips)
      bytes[random() % bytes.size()] = static_cast<char>(random());
    raw_client c(s.port());
    c.send(bytes);
    if (random() % 3 == 0)
      c.reset();
    else
      c.finish_sending(), c.ends(200ms);
  }
  EXPECT_TRUE(s.lives());
  EXPECT_TRUE(eventually([&] { return s->connections() == 0; }));
}
