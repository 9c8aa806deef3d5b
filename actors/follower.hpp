// Which partitions of a table are another node's, and when to read what that one changed. Pure: the caller brings the
// time of a clock that never goes back, in milliseconds, and does the reading (actors/change_reader).
//
// A partition counts as this node's own from the first change set that its owner here put into the inbox; all others
// are followed: read in rounds, one at a time, every `follow_every_ms` or as soon as somebody asks for the table. Who
// asks is answered after a round that began after the question, and so sees everything that was committed before it,
// whoever committed it. A round that somebody waits for reads this node's own partitions too: another node may have
// shown already what Redis has applied and is only about to acknowledge here.
#pragma once

#include "proto/ids.hpp"

#include <cstdint>
#include <set>
#include <vector>

namespace weir::actors {

inline constexpr std::int64_t follow_every_ms = 250;
inline constexpr std::int64_t follow_pause_ms = 5; // for each followed partition, at least: some 200 reads a second

class follower {
public:
  void set_partitions(const std::vector<partition_key>& all);
  // Those that this node is to own now.
  void set_own(std::set<partition_key> own);
  // Its owner here has spoken.
  void heard(const partition_key& source);

  const std::set<partition_key>& followed() const { return followed_; }

  // For a question that comes now: it may be answered once served(ticket).
  std::uint64_t ticket();
  bool served(std::uint64_t ticket) const { return followed_.empty() || ticket <= finished_; }

  // Whether somebody waits for the round that begins now.
  bool asked() const { return asked_ > finished_; }

  // Whether to begin a round. `ready`: the whole table is in memory; a round before that serves no ticket.
  bool due(std::int64_t now_ms, bool ready) const;
  // So many partitions are being read.
  void begin(std::int64_t now_ms, std::size_t partitions, bool ready);
  // One of them was read, or could not be. True: it was the round's last one.
  bool arrived();
  // Nothing of the round under way will arrive.
  void abandon() { open_ = 0; }

private:
  void update();

  std::vector<partition_key> all_;
  std::set<partition_key> own_, heard_, followed_;
  std::uint64_t finished_ = 0, asked_ = 0;
  std::size_t open_ = 0;
  bool serves_ = false; // the round under way
  std::int64_t next_ms_ = 0;
};

} // namespace weir::actors
