// Commands as bytes on the wire, and replies as read from it.
#pragma once

#include "runtime/core/error.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

struct redisReply;

namespace weir::redis {

// Builds one command in one string. The number of arguments is not needed beforehand: room for the head is left and
// filled by finish().
class command_writer {
public:
  explicit command_writer(std::size_t reserve = 256);

  command_writer& arg(std::string_view text);
  command_writer& arg(std::int64_t number);
  command_writer& arg(std::uint64_t number);
  // An argument written in pieces: `size` is of all of them together, then raw() until it is full, then end().
  void begin(std::size_t size);
  void raw(std::string_view piece) { out_.append(piece); }
  void end() { out_.append("\r\n"); }

  struct bytes {
    std::string data;
    std::size_t from = 0; // the command starts here
    std::string_view view() const { return std::string_view(data).substr(from); }
  };
  bytes finish();

private:
  static constexpr std::size_t head = 16;
  std::string out_;
  std::uint64_t count_ = 0;
};

struct reply_deleter {
  void operator()(redisReply* r) const noexcept;
};
using reply_ptr = std::unique_ptr<redisReply, reply_deleter>;

// Looks at a reply without taking it.
class reply_view {
public:
  reply_view(const redisReply* r) : r_(r) {}
  bool is_array() const;
  bool is_nil() const;
  bool is_error() const;
  std::size_t size() const;
  reply_view operator[](std::size_t i) const;
  std::string_view text() const; // of a string, status or error; empty otherwise
  std::int64_t integer() const;  // of an integer, or of a string that is one; 0 otherwise

private:
  const redisReply* r_;
};

// The code of an error reply ("-OOM command not allowed ..."), and its text without anything that was sent.
error classify(std::string_view error_reply);

} // namespace weir::redis
