// permessage-deflate: agreed on only where both sides want it, and what is shared is compressed once for all.
#include "runtime/http/frame_forms.hpp"
#include "runtime/http/wire.hpp"
#include "tests/unit/http/fixture.hpp"

#include <random>
#include <zlib.h>

using namespace weir;
using namespace weir::http;
using namespace weir::http::test;

namespace {

constexpr std::string_view offer = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";

std::string inflated(std::string in) {
  in += std::string("\0\0\xFF\xFF", 4);
  z_stream stream{};
  inflateInit2(&stream, -15);
  stream.next_in = reinterpret_cast<Bytef*>(in.data());
  stream.avail_in = static_cast<uInt>(in.size());
  std::string out(1 << 20, '\0');
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  const int status = inflate(&stream, Z_SYNC_FLUSH);
  EXPECT_TRUE(status == Z_OK || status == Z_STREAM_END || status == Z_BUF_ERROR) << status;
  out.resize(out.size() - stream.avail_out);
  inflateEnd(&stream);
  return out;
}

std::string deflated(std::string_view in) {
  const auto frame = deflate_messages(make_text_frame(in)->bytes);
  return frame.substr(frame_header_of(frame).header_bytes);
}

std::string json_rows(int count) {
  std::string text;
  for (int i = 0; i < count; ++i)
    text += (i ? "\n" : "") + std::string(R"({"push":{"channel":"machines","pub":{"key":"m)") + std::to_string(i) +
            R"(","data":{"cpu":0.5,"temp":21.5}}}})";
  return text;
}

server_limits compressing(std::size_t message_bytes = 64 << 10) {
  server_limits l;
  l.message_bytes = message_bytes;
  l.compression = true;
  return l;
}

// Sends itself what it is told, as a push.
std::unique_ptr<web_socket_handler> pushing_back(web_socket& w) {
  auto session = std::make_unique<scripted_session>(w);
  session->message = [](scripted_session& self, std::string_view text) {
    EXPECT_TRUE(self.socket.push(make_text_frame(text)));
  };
  return session;
}

} // namespace

TEST(deflate, is_agreed_on_only_where_the_node_has_it_and_the_client_offers_it) {
  serving off({describe, echo}), on({describe, echo}, compressing());
  EXPECT_FALSE(raw_client(off.port()).upgrade(offer).header("sec-websocket-extensions"));
  EXPECT_FALSE(raw_client(on.port()).upgrade().header("sec-websocket-extensions"));
  const auto agreed = raw_client(on.port()).upgrade(offer).header("sec-websocket-extensions");
  ASSERT_TRUE(agreed);
  EXPECT_NE(agreed->find("server_no_context_takeover"), std::string::npos);
  EXPECT_NE(agreed->find("client_max_window_bits=10"), std::string::npos);
}

TEST(deflate, long_messages_come_compressed_and_short_ones_plain) {
  serving s({describe, pushing_back}, compressing());
  raw_client c(s.port());
  ASSERT_EQ(c.upgrade(std::string(offer) + "Origin: http://localhost\r\n").status, 101u);
  const auto text = json_rows(50);
  for (int i = 0; i < 3; ++i) { // nothing is carried over from one to the next
    c.send_text(text);
    const auto f = c.read_frame();
    ASSERT_TRUE(f);
    EXPECT_TRUE(f->compressed);
    EXPECT_LT(f->payload.size(), text.size() / 4);
    EXPECT_EQ(inflated(f->payload), text);
  }
  c.send_text("short");
  const auto plain = c.read_frame();
  ASSERT_TRUE(plain);
  EXPECT_FALSE(plain->compressed);
  EXPECT_EQ(plain->payload, "short");
}

TEST(deflate, a_message_for_each_object_is_compressed_for_itself) {
  serving s({describe, pushing_back}, compressing());
  raw_client c(s.port());
  c.upgrade(offer); // no browser
  const std::string row = R"({"row":")" + std::string(300, 'x') + R"("})";
  c.send_text(row + "\n{}\n" + row);
  for (const auto& wanted : {row, std::string("{}"), row}) {
    const auto f = c.read_frame();
    ASSERT_TRUE(f);
    EXPECT_EQ(f->compressed, wanted != "{}");
    EXPECT_EQ(f->compressed ? inflated(f->payload) : f->payload, wanted);
  }
}

TEST(deflate, what_does_not_become_shorter_stays_as_it_is) {
  std::mt19937 random(1);
  std::string noise(500, '\0');
  for (auto& c : noise)
    c = static_cast<char>(random());
  EXPECT_EQ(deflate_messages(make_text_frame(noise)->bytes), "");
}

TEST(deflate, a_frame_is_compressed_once_for_all_sessions_and_the_others_get_it_plain) {
  constexpr int sessions = 20;
  std::mutex m;
  std::vector<web_socket*> open;
  serving s({describe,
             [&](web_socket& w) {
               std::lock_guard lock(m);
               open.push_back(&w);
               return std::make_unique<scripted_session>(w);
             }},
            compressing());
  std::vector<raw_client> clients;
  for (int i = 0; i < sessions; ++i) {
    clients.emplace_back(s.port());
    ASSERT_EQ(clients.back().upgrade(i % 2 ? offer : std::string_view{}).status, 101u);
  }
  ASSERT_TRUE(eventually([&] {
    std::lock_guard lock(m);
    return open.size() == sessions;
  }));
  const auto text = std::string(5000, 'x');
  s.on_reactor([&] {
    const auto f = make_text_frame(text);
    for (auto* w : open)
      EXPECT_TRUE(w->push(f));
    EXPECT_EQ(f.use_count(), 1 + sessions / 2);
    EXPECT_EQ(f->forms->deflated(*f).use_count(), 1 + sessions / 2);
  });
  for (int i = 0; i < sessions; ++i) {
    const auto f = clients[static_cast<std::size_t>(i)].read_frame();
    ASSERT_TRUE(f);
    EXPECT_EQ(f->compressed, i % 2 == 1);
    EXPECT_EQ(f->compressed ? inflated(f->payload) : f->payload, text);
  }
}

TEST(deflate, clients_may_compress_too_and_a_bomb_is_as_long_as_it_inflates_to) {
  serving s({describe, echo}, compressing(10'000));
  raw_client c(s.port());
  c.upgrade(offer);
  const std::string text(900, 'y');
  for (int i = 0; i < 3; ++i) {
    c.send(raw_client::frame(1, deflated(text), true, true, 4));
    const auto f = c.read_frame();
    ASSERT_TRUE(f);
    EXPECT_EQ(f->compressed ? inflated(f->payload) : f->payload, text);
  }
  const auto bomb = deflated(std::string(10'001, 'z'));
  ASSERT_LT(bomb.size(), 200u);
  c.send(raw_client::frame(1, bomb, true, true, 4));
  const auto closed = c.read_frame();
  ASSERT_TRUE(closed);
  EXPECT_EQ(closed->close_code(), 1009);
  EXPECT_TRUE(s.lives());
}

TEST(deflate, a_client_that_wants_a_smaller_window_of_us_is_sent_plain_messages) {
  serving s({describe, pushing_back}, compressing());
  raw_client c(s.port());
  ASSERT_EQ(c.upgrade("Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=10\r\n").status, 101u);
  const auto text = std::string(3000, 'x');
  c.send_text(text);
  EXPECT_EQ(c.read_text(), text);
}

TEST(deflate, large_replies_are_compressed) {
  serving s({describe, echo}, compressing());
  raw_client c(s.port());
  c.upgrade(offer);
  const auto text = std::string(5000, 'r');
  c.send_text(text);
  const auto f = c.read_frame();
  ASSERT_TRUE(f);
  EXPECT_TRUE(f->compressed);
  EXPECT_EQ(inflated(f->payload), text);
}
