// What sessions read, and the judgement of it.
#include "load.hpp"
#include "wire.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <sys/socket.h>
#include <utility>

namespace fanout {

void load::readable(std::size_t who) {
  auto& s = sessions_[who];
  if (s.fd < 0)
    return;
  if (s.at == phase::upgrading && s.rest.empty() && !sent_[who]) {
    sent_[who] = true;
    connected(who);
    return;
  }
  std::memcpy(buffer_.data(), s.rest.data(), s.rest.size());
  if (s.rest.size() + 65536 > buffer_.size())
    die("a message of more than a megabyte came");
  const auto n = receive(s.fd, buffer_.data() + s.rest.size(), buffer_.size() - s.rest.size());
  if (n < 0 && (errno == EAGAIN || errno == EINTR))
    return;
  if (n <= 0) {
    lost(who);
    return;
  }
  ++sum_.reads;
  sum_.bytes += static_cast<std::uint64_t>(n);
  std::string_view bytes(buffer_.data(), s.rest.size() + static_cast<std::size_t>(n));
  now_us_ = wall_us();
  if (arrived_us_ == 0)
    arrived_us_ = now_us_;
  if (s.at == phase::upgrading && !upgraded(who, bytes))
    return;
  while (s.fd >= 0 && take_frame(who, bytes)) {
  }
  if (s.fd < 0)
    return;
  if (bytes.empty() && s.rest.capacity() > 4096)
    std::string().swap(s.rest);
  else
    s.rest.assign(bytes);
}

// Sets arrived_us_: when the last of these bytes came to the socket, 0 where the kernel does not say it.
ssize_t load::receive(int fd, char* to, std::size_t room) {
  arrived_us_ = 0;
  if (!settings_.arrivals)
    return ::recv(fd, to, room, 0);
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(timespec))];
  iovec bytes{to, room};
  msghdr m{};
  m.msg_iov = &bytes;
  m.msg_iovlen = 1;
  m.msg_control = control;
  m.msg_controllen = sizeof control;
  const auto n = ::recvmsg(fd, &m, 0);
  if (n > 0)
    for (auto* c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c))
      if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_TIMESTAMPNS) {
        timespec at{};
        std::memcpy(&at, CMSG_DATA(c), sizeof at);
        arrived_us_ = at.tv_sec * 1'000'000 + at.tv_nsec / 1000;
      }
  return n;
}

bool load::upgraded(std::size_t who, std::string_view& bytes) {
  auto& s = sessions_[who];
  const auto end = bytes.find("\r\n\r\n");
  if (end == std::string_view::npos) {
    s.rest.assign(bytes);
    return false;
  }
  if (!bytes.starts_with("HTTP/1.1 101")) {
    ++refused_;
    lost(who);
    return false;
  }
  bytes.remove_prefix(end + 4);
  if (settings_.raw) {
    now_live(s);
    return true;
  }
  s.at = phase::subscribing;
  say(who, greeting(s));
  return s.fd >= 0;
}

void load::now_live(session& s) {
  --opening_;
  ++live_;
  s.at = phase::live;
  s.attempts = 0;
  if (s.went && !std::exchange(s.live_again, true))
    live_again_.add(std::chrono::duration_cast<std::chrono::microseconds>(steady::now() - braced_at_).count());
}

void load::say(std::size_t who, std::string_view payload, unsigned opcode) {
  const auto f = client_frame(opcode, payload);
  if (::send(sessions_[who].fd, f.data(), f.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(f.size()))
    lost(who);
}

// Takes one whole frame off the front. False: there is none.
bool load::take_frame(std::size_t who, std::string_view& bytes) {
  if (bytes.size() < 2)
    return false;
  const auto* b = reinterpret_cast<const unsigned char*>(bytes.data());
  std::size_t head = 2, size = b[1] & 127;
  if (size == 126) {
    if (bytes.size() < 4)
      return false;
    head = 4;
    size = static_cast<std::size_t>(b[2]) << 8 | b[3];
  } else if (size == 127) {
    if (bytes.size() < 10)
      return false;
    head = 10;
    size = 0;
    for (int i = 2; i < 10; ++i)
      size = size << 8 | b[i];
  }
  if (bytes.size() < head + size)
    return false;
  const auto payload = bytes.substr(head, size);
  const unsigned first = b[0];
  bytes.remove_prefix(head + size);
  if (first == 0x81) {
    ++sum_.messages;
    message(who, payload);
  } else if (first == 0x89) {
    say(who, payload, 10);
  } else if (first == 0x88) {
    ++closes_[size >= 2 ? static_cast<unsigned char>(payload[0]) * 256 + static_cast<unsigned char>(payload[1]) : 1005];
    lost(who);
  } else if (first != 0x8a) {
    die("a frame came that is not understood: its first byte is " + std::to_string(first));
  }
  return true;
}

void load::message(std::size_t who, std::string_view payload) {
  auto& s = sessions_[who];
  if (s.at == phase::live && (settings_.raw || payload.starts_with("{\"push\""))) {
    const auto& p = parse(payload);
    pushed(s, p);
    if (!p.rows.empty())
      return;
  }
  if (settings_.raw)
    return;
  while (!payload.empty() && s.fd >= 0) {
    const auto line = payload.substr(0, payload.find('\n'));
    payload.remove_prefix(std::min(payload.size(), line.size() + 1));
    if (line == "{}") {
      say(who, "{}");
    } else if (line.starts_with("{\"id\":2,")) {
      reply(who, line);
    } else if (line.starts_with("{\"push\"")) {
      if (line.find("\"unsubscribe\":{") != std::string_view::npos) {
        if (s.at == phase::live) {
          --live_;
          ++opening_;
        }
        s.at = phase::subscribing;
        s.offset = 0;
        say(who, subscribe(s));
      } else if (s.at == phase::live) {
        pushed(s, parse(line));
      }
    } else if (line.find("\"error\"") != std::string_view::npos) {
      die("refused: " + std::string(line.substr(0, 300)));
    }
  }
}

void load::reply(std::size_t who, std::string_view line) {
  auto& s = sessions_[who];
  if (line.find("\"error\":{") != std::string_view::npos) {
    const bool unrecoverable = line.find("\"code\":112") != std::string_view::npos;
    if (!unrecoverable && line.find("\"code\":100") == std::string_view::npos)
      die("not subscribed: " + std::string(line.substr(0, 300)));
    ++again_;
    if (unrecoverable)
      s.offset = 0;
    say(who, subscribe(s));
    return;
  }
  if (line.find("\"cursor\":\"") != std::string_view::npos)
    die("the table has more than a page: use fewer keys");
  std::size_t at = line.find("\"epoch\":\"");
  if (at != std::string_view::npos)
    epoch_ = line.substr(at + 9, line.find('"', at + 9) - at - 9);
  // The reply's own offset: those of rows are inside of lists.
  if (settings_.map && !s.newest.empty()) {
    rows_.clear();
    rows_in(line, rows_);
    for (const auto& r : rows_)
      newest(s, r);
    s.offset = own_offset(line);
  }
  now_live(s);
  judge(s);
}

std::uint64_t load::own_offset(std::string_view line) {
  // Members of the reply object at depth 2 only.
  int depth = 0;
  bool text = false;
  for (std::size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    if (text) {
      if (c == '\\')
        ++i;
      else if (c == '"')
        text = false;
      continue;
    }
    if (c == '"') {
      if (depth == 2 && line.substr(i).starts_with("\"offset\":")) {
        std::uint64_t v = 0;
        std::from_chars(line.data() + i + 9, line.data() + line.size(), v);
        return v;
      }
      text = true;
    } else if (c == '{' || c == '[') {
      ++depth;
    } else if (c == '}' || c == ']') {
      --depth;
    }
  }
  return 0;
}

const parsed& load::parse(std::string_view payload) {
  // Numbers and times are at the end of a row, so the end tells messages apart.
  std::uint64_t h = payload.size();
  for (std::size_t i = payload.size() > 96 ? payload.size() - 96 : 0; i + 8 <= payload.size(); i += 8) {
    std::uint64_t word;
    std::memcpy(&word, payload.data() + i, 8);
    h = (h ^ word) * 0x9e3779b97f4a7c15u;
    h ^= h >> 29;
  }
  auto& p = seen_[h % seen_.size()];
  if (p.payload == payload)
    return p;
  p.payload = payload;
  p.rows.clear();
  p.hash = 0;
  p.offset = 0;
  rows_in(payload, p.rows);
  for (const auto& r : p.rows)
    p.hash += mix(r.number);
  std::size_t at = payload.rfind("\"offset\":");
  std::int64_t offset = 0;
  if (at != std::string_view::npos && number_after(payload, at, "\"offset\":", offset))
    p.offset = offset;
  return p;
}

void load::pushed(session& s, const parsed& p) {
  const bool had = s.count >= wanted_;
  s.count += p.rows.size();
  s.hash += p.hash;
  sum_.deliveries += p.rows.size();
  if (!had && s.count >= wanted_ && behind_ > 0)
    --behind_;
  for (const auto& r : p.rows) {
    from_made_.add(now_us_ - r.made_us);
    if (settings_.arrivals)
      made_to_arrival_.add(arrived_us_ - r.made_us);
  }
  if (p.offset > 0) {
    s.offset = static_cast<std::uint64_t>(p.offset);
    if (!settings_.raw)
      from_offset_.add(now_us_ - p.offset);
    if (!settings_.raw && settings_.arrivals)
      offset_to_arrival_.add(arrived_us_ - p.offset);
  }
  if (!s.newest.empty()) {
    for (const auto& r : p.rows)
      newest(s, r);
    judge(s);
  }
}

void load::newest(session& s, const row_seen& r) {
  if (r.key >= s.newest.size())
    return;
  auto& value = s.newest[r.key];
  if (r.number < value)
    ++backwards_;
  if (value < storm_from_ && r.number >= storm_from_)
    ++s.fresh;
  value = std::max(value, r.number);
}

void load::judge(session& s) {
  if (storm_from_ == 0 || s.had_all || s.at != phase::live || s.fresh < settings_.keys)
    return;
  s.had_all = true;
  back_.add(std::chrono::duration_cast<std::chrono::microseconds>(steady::now() - storm_began_).count());
}

} // namespace fanout
