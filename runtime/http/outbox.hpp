// What one WebSocket connection still has to write, in order. Pure: the connection does the writing.
//
// Flow control: pushes may be skipped, replies may not. While the socket takes everything at once (`free`), the pushes
// of a round gather up to round_frames or round_bytes. While a flush waits for the socket (`busy`), one push may wait
// behind it. The first one refused closes the door until everything is written (drained), so that on_writable cannot be
// put off for ever by pushes that slip in. Replies are bounded by the reader: it stops above reply_bytes_bound, and one
// message is answered by at most its replies.
#pragma once

#include "runtime/http/web_socket.hpp"

#include <array>
#include <cstddef>
#include <span>
#include <sys/uio.h>
#include <utility>
#include <vector>

namespace weir::http {

class outbox {
public:
  static constexpr std::size_t round_frames = 256;
  static constexpr std::size_t round_bytes = 1 << 20;
  static constexpr std::size_t reply_bytes_bound = 64 << 10;

  // False: no room; wants_writable() is true from now on.
  bool push(const frame_ptr& f, bool busy) {
    if (refused_ || (busy ? waiting_pushes_ > 0 : pushes_ >= round_frames || push_bytes_ >= round_bytes)) {
      refused_ = true;
      return false;
    }
    ++pushes_;
    push_bytes_ += f->bytes.size();
    if (busy)
      ++waiting_pushes_;
    append(f, true);
    return true;
  }

  // As if there was no room.
  void refuse() { refused_ = true; }

  // A reply, or bytes of the protocol itself (handshake, pong, close).
  void add(std::string bytes) {
    if (bytes.empty())
      return;
    reply_bytes_ += bytes.size();
    append(std::make_shared<const frame>(frame{std::move(bytes), 0}), false);
  }

  bool empty() const { return head_ == size(); }
  std::size_t reply_bytes() const { return reply_bytes_; }
  std::size_t bytes() const { return reply_bytes_ + push_bytes_ - written_of_head_; }
  bool wants_writable() const { return refused_; }

  // The next bytes to write, without copying; returns how many entries of `out` were filled.
  std::size_t gather(std::span<iovec> out) const {
    std::size_t n = 0;
    for (std::size_t i = head_; i < size() && n < out.size(); ++i, ++n) {
      const auto& bytes = at(i).bytes->bytes;
      const std::size_t skip = i == head_ ? written_of_head_ : 0;
      out[n] = {const_cast<char*>(bytes.data()) + skip, bytes.size() - skip};
    }
    return n;
  }

  // `n` bytes of what was gathered are written.
  void written(std::size_t n) {
    while (n > 0) {
      auto& first = at(head_);
      const std::size_t size = first.bytes->bytes.size(), left = size - written_of_head_;
      if (n < left) {
        written_of_head_ += n;
        return;
      }
      n -= left;
      written_of_head_ = 0;
      if (first.push) {
        --pushes_;
        push_bytes_ -= size;
      } else {
        reply_bytes_ -= size;
      }
      first.bytes.reset();
      ++head_;
    }
    if (empty()) {
      few_used_ = 0;
      more_.clear();
      if (more_.capacity() > kept)
        more_.shrink_to_fit();
      head_ = 0;
      waiting_pushes_ = 0;
    } else if (head_ >= 64 && head_ * 2 > size()) {
      // A client that always asks a little faster than it reads never lets the outbox run empty.
      more_.erase(more_.begin(), more_.begin() + static_cast<std::ptrdiff_t>(head_ - few_used_));
      few_used_ = 0;
      head_ = 0;
    }
  }

  // All is written: pushes are taken again. True: one was refused, so its owner wants to hear of it.
  bool reopen() { return std::exchange(refused_, false); }

  void clear() { *this = outbox{}; }

private:
  struct chunk {
    frame_ptr bytes;
    bool push = false;
  };
  // Most rounds have one chunk or two, and most sessions are idle: these need no memory of their own.
  static constexpr std::size_t few = 2;
  static constexpr std::size_t kept = 16; // of more_, from one burst to the next

  std::size_t size() const { return few_used_ + more_.size(); }
  chunk& at(std::size_t i) { return i < few_used_ ? few_[i] : more_[i - few_used_]; }
  const chunk& at(std::size_t i) const { return i < few_used_ ? few_[i] : more_[i - few_used_]; }
  void append(frame_ptr bytes, bool push) {
    if (more_.empty() && few_used_ < few)
      few_[few_used_++] = {std::move(bytes), push};
    else
      more_.push_back({std::move(bytes), push});
  }

  std::array<chunk, few> few_;
  std::size_t few_used_ = 0;
  std::vector<chunk> more_; // behind those of few_
  std::size_t head_ = 0;    // chunks before it are written
  std::size_t written_of_head_ = 0;
  std::size_t pushes_ = 0, waiting_pushes_ = 0;
  std::size_t push_bytes_ = 0, reply_bytes_ = 0;
  bool refused_ = false;
};

} // namespace weir::http
