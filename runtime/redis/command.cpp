#include "runtime/redis/command.hpp"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <fmt/format.h>
#include <hiredis/hiredis.h>

namespace weir::redis {

command_writer::command_writer(std::size_t reserve) {
  out_.reserve(reserve + head);
  out_.resize(head);
}

void command_writer::begin(std::size_t size) {
  char text[24];
  text[0] = '$';
  auto* end = std::to_chars(text + 1, text + 22, size).ptr;
  *end++ = '\r';
  *end++ = '\n';
  out_.append(text, end);
  ++count_;
}

command_writer& command_writer::arg(std::string_view text) {
  begin(text.size());
  out_.append(text);
  end();
  return *this;
}

command_writer& command_writer::arg(std::int64_t number) {
  char text[24];
  auto* end = std::to_chars(text, text + sizeof text, number).ptr;
  return arg(std::string_view(text, end));
}

command_writer& command_writer::arg(std::uint64_t number) {
  char text[24];
  auto* end = std::to_chars(text, text + sizeof text, number).ptr;
  return arg(std::string_view(text, end));
}

command_writer::bytes command_writer::finish() {
  char text[head];
  text[0] = '*';
  auto* end = std::to_chars(text + 1, text + head - 2, count_).ptr;
  *end++ = '\r';
  *end++ = '\n';
  const auto size = static_cast<std::size_t>(end - text);
  std::memcpy(out_.data() + (head - size), text, size);
  return {std::move(out_), head - size};
}

void reply_deleter::operator()(redisReply* r) const noexcept { freeReplyObject(r); }

bool reply_view::is_array() const { return r_ && r_->type == REDIS_REPLY_ARRAY; }
bool reply_view::is_nil() const { return !r_ || r_->type == REDIS_REPLY_NIL; }
bool reply_view::is_error() const { return r_ && r_->type == REDIS_REPLY_ERROR; }
std::size_t reply_view::size() const { return is_array() ? r_->elements : 0; }
reply_view reply_view::operator[](std::size_t i) const {
  return i < size() ? reply_view(r_->element[i]) : reply_view(nullptr);
}

std::string_view reply_view::text() const {
  if (!r_ || (r_->type != REDIS_REPLY_STRING && r_->type != REDIS_REPLY_STATUS && r_->type != REDIS_REPLY_ERROR))
    return {};
  return {r_->str, static_cast<std::size_t>(r_->len)};
}

std::int64_t reply_view::integer() const {
  if (r_ && r_->type == REDIS_REPLY_INTEGER)
    return r_->integer;
  const auto digits = text();
  std::int64_t out = 0;
  auto [at, error] = std::from_chars(digits.data(), digits.data() + digits.size(), out);
  return error == std::errc{} ? out : 0;
}

error classify(std::string_view error_reply) {
  const auto word = error_reply.substr(0, error_reply.find(' '));
  // Redis names the offending argument in some errors of AUTH's kind; what it says of passwords is fixed text.
  const auto text = error_reply.substr(0, 300);
  const auto is = [&](auto... names) { return ((word == names) || ...); };
  ec code = ec::redis_script;
  if (is("LOADING", "BUSY", "TRYAGAIN", "MASTERDOWN", "CLUSTERDOWN"))
    code = ec::redis_busy;
  else if (is("READONLY", "OOM", "MISCONF", "NOREPLICAS"))
    code = ec::redis_cannot_write;
  else if (is("NOAUTH", "WRONGPASS", "NOPERM", "DENIED"))
    code = ec::redis_refused;
  else if (is("MOVED", "ASK", "CROSSSLOT"))
    code = ec::redis_unsuitable;
  // Inside a script the error of a command is wrapped: "ERR ... script: <sha>, on @user_script:1: -OOM command not
  // allowed" before Redis 7, and "OOM ... script: <sha>" from 7 on.
  else if (const auto at = error_reply.find(": -"); at != std::string_view::npos && word == "ERR")
    code = classify(error_reply.substr(at + 3)).code;
  return {code, fmt::format("Redis: {}", text)};
}

} // namespace weir::redis
