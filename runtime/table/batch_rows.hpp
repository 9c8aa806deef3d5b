// The rows that an open batch changes in one table: each key once, the last change wins, in order of first appearance.
// Keys and values lie in one arena that is reused, so overwriting a row allocates nothing.
#pragma once

#include "proto/change_set.hpp"

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace weir::table {

class batch_rows {
public:
  void put(std::string_view key, std::string_view value, std::int64_t time_ms, offset at);
  void remove(std::string_view key, std::int64_t time_ms, offset at);

  bool empty() const { return slots_.empty(); }
  // Of the arena: what the open batch holds, overwritten values that did not fit in place included.
  std::size_t bytes() const { return arena_.size(); }

  // Moves the rows into `out` and starts the next batch. Gives the bytes of their keys and values.
  std::size_t take(partition_id partition, std::vector<row_change>& out);
  void clear();

private:
  struct slot {
    std::uint64_t hash;
    std::size_t key_at, value_at;
    std::uint32_t key_size, value_size, value_room;
    bool removed;
    std::int64_t time_ms;
    offset at;
  };
  // Of an older generation: free. So that clearing a large table for a small batch costs nothing.
  struct cell {
    std::uint32_t generation = 0;
    std::uint32_t slot = 0;
  };

  slot& find_or_add(std::string_view key);
  void grow();
  std::size_t append(std::string_view bytes, std::size_t room);

  std::vector<slot> slots_;
  std::vector<cell> cells_; // a power of two, at most half full
  std::uint32_t generation_ = 1;
  std::vector<char> arena_;
};

} // namespace weir::table
