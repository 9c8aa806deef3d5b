// The dead letters of one batch: what is to be in the dead letter topic before the batch's position may move. Pure.
#pragma once

#include "runtime/kafka/producer.hpp"

#include <cstdint>
#include <string_view>
#include <vector>

namespace weir::kafka {

struct record;

class letter_box {
public:
  // A copy of the record for `topic`, with headers that say why and where it came from.
  void add(const std::string& topic, std::string_view source_topic, std::int32_t partition, const record& r,
           std::string_view reason);

  bool empty() const { return letters_.empty(); }
  bool delivered() const { return open_ == 0; } // all of them
  std::size_t bytes() const { return bytes_; }  // approximate memory, for the batch's bound

  // Hands each letter that is neither under way nor delivered to `send`, with its index; it is under way then.
  template <class Send>
  void send_out(Send&& send) {
    for (std::size_t i = 0; i < letters_.size(); ++i)
      if (letters_[i].at == place::here) {
        letters_[i].at = place::under_way;
        send(letters_[i].content, i);
      }
  }
  // The answer to letter i of this life; false: not of this life, or answered before.
  bool answered(std::uint64_t life, std::size_t i, bool arrived);

  // Starts the next batch's, in a life of its own: answers to letters of an earlier one are ignored.
  void clear();
  std::uint64_t life() const { return life_; }

private:
  enum class place : std::uint8_t { here, under_way, arrived };
  struct letter {
    message content;
    place at = place::here;
  };

  std::vector<letter> letters_;
  std::size_t open_ = 0; // not arrived
  std::size_t bytes_ = 0;
  std::uint64_t life_ = 0;
};

} // namespace weir::kafka
