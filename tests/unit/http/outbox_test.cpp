#include "runtime/http/outbox.hpp"
#include "runtime/http/wire.hpp"

#include <gtest/gtest.h>
#include <random>

using namespace weir::http;

namespace {

std::string take(outbox& o, std::size_t most) {
  iovec parts[8];
  const auto n = o.gather(parts);
  std::string out;
  for (std::size_t i = 0; i < n; ++i)
    out.append(static_cast<const char*>(parts[i].iov_base), parts[i].iov_len);
  out.resize(std::min(out.size(), most));
  o.written(out.size());
  return out;
}

} // namespace

TEST(outbox, bytes_leave_in_order_however_they_are_cut) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  outbox o;
  std::string in, out;
  for (int i = 0; i < 5000; ++i) {
    if (random() % 2) {
      const auto text = std::to_string(i);
      if (random() % 2) {
        o.add(text);
        in += text;
      } else if (const auto f = make_text_frame(text); o.push(f, random() % 4 == 0)) {
        in += f->bytes;
      }
    } else {
      out += take(o, random() % 30);
      if (o.empty())
        o.reopen();
    }
    ASSERT_EQ(o.bytes(), in.size() - out.size());
  }
  while (!o.empty())
    out += take(o, 7);
  EXPECT_EQ(out, in);
  EXPECT_EQ(o.bytes(), 0u);
  EXPECT_EQ(o.reply_bytes(), 0u);
}

TEST(outbox, while_a_flush_waits_for_the_socket_one_push_may_wait_behind_it) {
  outbox o;
  const auto f = make_text_frame("x");
  EXPECT_TRUE(o.push(f, false));
  EXPECT_TRUE(o.push(f, true));
  EXPECT_FALSE(o.wants_writable());
  EXPECT_FALSE(o.push(f, true));
  EXPECT_TRUE(o.wants_writable());
  // Not even when the socket took a part in between: on_writable must not be put off for ever.
  take(o, 4);
  EXPECT_FALSE(o.push(f, false));
  take(o, 100);
  EXPECT_TRUE(o.empty());
  EXPECT_TRUE(o.reopen());
  EXPECT_FALSE(o.reopen());
  EXPECT_TRUE(o.push(f, true));
}

TEST(outbox, the_pushes_of_a_round_are_bounded_in_frames_and_bytes) {
  outbox many;
  const auto small = make_text_frame("x");
  for (std::size_t i = 0; i < outbox::round_frames; ++i)
    ASSERT_TRUE(many.push(small, false));
  EXPECT_FALSE(many.push(small, false));
  outbox large;
  const auto half = make_text_frame(std::string(outbox::round_bytes / 2, 'x'));
  EXPECT_TRUE(large.push(half, false));
  EXPECT_TRUE(large.push(half, false));
  EXPECT_FALSE(large.push(half, false));
  // A frame larger than the bound goes when nothing waits: it could never go otherwise.
  outbox huge;
  EXPECT_TRUE(huge.push(make_text_frame(std::string(outbox::round_bytes * 2, 'x')), false));
}

TEST(outbox, replies_are_always_taken_and_counted) {
  outbox o;
  const auto f = make_text_frame("x");
  while (o.push(f, true)) {
  }
  o.add(std::string(100'000, 'r'));
  EXPECT_EQ(o.reply_bytes(), 100'000u);
  while (!o.empty())
    take(o, 4096);
  EXPECT_EQ(o.reply_bytes(), 0u);
}

TEST(outbox, frames_are_shared_not_copied) {
  const auto f = make_text_frame(std::string(1000, 'x'));
  std::vector<outbox> all(50);
  for (auto& o : all)
    ASSERT_TRUE(o.push(f, false));
  EXPECT_EQ(f.use_count(), 51);
  for (auto& o : all) {
    iovec part[1];
    ASSERT_EQ(o.gather(part), 1u);
    EXPECT_EQ(part[0].iov_base, f->bytes.data());
    o.written(f->bytes.size());
  }
  EXPECT_EQ(f.use_count(), 1);
}

TEST(wire, frame_headers_have_the_shortest_length) {
  EXPECT_EQ(make_text_frame("hi")->bytes, "\x81\x02hi");
  EXPECT_EQ(make_text_frame(std::string(125, 'x'))->header, 2u);
  EXPECT_EQ(make_text_frame(std::string(126, 'x'))->header, 4u);
  EXPECT_EQ(make_text_frame(std::string(65535, 'x'))->header, 4u);
  EXPECT_EQ(make_text_frame(std::string(65536, 'x'))->header, 10u);
  EXPECT_EQ(make_text_frame("hi")->payload(), "hi");
}

TEST(wire, a_close_reason_is_cut_between_characters) {
  EXPECT_EQ(close_frame(3001, "shutdown"), "\x88\x0A\x0B\xB9shutdown");
  std::string long_reason;
  for (int i = 0; i < 50; ++i)
    long_reason += "\xE2\x82\xAC"; // 3 bytes each; 123 holds 41 of them
  EXPECT_EQ(close_frame(4000, long_reason).size(), 2u + 2 + 123);
  EXPECT_EQ(close_frame(4000, "x" + long_reason).size(), 2u + 2 + 1 + 120);
}

TEST(wire, errors_are_json_whatever_is_in_them) {
  EXPECT_EQ(error_response(404, "no_such_thing", "no \"x\"", "/a\n").body,
            "{\"error\":{\"code\":\"no_such_thing\",\"message\":\"no \\\"x\\\"\",\"at\":\"/a\\n\"}}");
  EXPECT_EQ(error_response(404, "c", "m").body, "{\"error\":{\"code\":\"c\",\"message\":\"m\"}}");
  EXPECT_EQ(error_response(400, "c", "\xFF").body, "{\"error\":{\"code\":\"c\",\"message\":\"\xEF\xBF\xBD\"}}");
}
