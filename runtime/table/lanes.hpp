// The lanes of one table: who sees which rows, written how, at which pace, and the frames made for each. A frame is
// made once for a lane and shared by all of its sessions. Not thread-safe: owned by the table's channel.
#pragma once

#include "runtime/table/channel.hpp"
#include "runtime/table/record_reader.hpp"
#include "runtime/table/selection.hpp"
#include "runtime/table/value_index.hpp"
#include "runtime/table/view_chain.hpp"

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace weir::table {

struct lane; // in lanes.cpp

// Lanes that have sent all that happened in their rows: nobody looks at them until these change. Adding and removing
// cost the same however many they are.
class quiet_lanes {
public:
  void add(lane& l);
  void remove(lane& l);
  std::vector<lane*> take_all() { return std::exchange(lanes_, {}); }

private:
  std::vector<lane*> lanes_;
};

// A selection as the table keeps it: while a lane uses it, and some time after.
struct kept_selection {
  std::unique_ptr<row_selection> rows;      // keyed tables
  std::unique_ptr<entry_selection> entries; // logs
  std::string hash;
  std::optional<needed_value> needed; // if it is found by it
  std::int64_t used_ms = 0;
  std::size_t lanes = 0;
  quiet_lanes quiet; // keyed tables
};

class lane_set {
public:
  lane_set(const table_config& table_of, const channel_options& with, const view_chain& known, const keyed_view& rows,
           const log_ring& entries, const std::string& at);
  ~lane_set();

  // The selection, made if there is none yet; null: all rows. Not possible where there are too many (ok false).
  struct selected {
    bool ok = true;
    kept_selection* selection = nullptr;
  };
  selected select(const selection_spec& spec, std::int64_t now_ms);

  // The lane, made if there is none yet.
  lane_id open(const lane_spec& spec, kept_selection* selection, std::int64_t now_ms);
  // Nobody is in it any more.
  void close(lane_id id);
  std::size_t size() const { return lanes_.size(); }
  // 0 where it has none.
  std::uint32_t short_id(lane_id id) const;
  const kept_selection* selection_of(lane_id id) const;

  // Evaluates what changed in the view for each selection, once. After each change of the view or ring.
  void feed(std::int64_t now_ms);
  // Whether a lane that is due has something to send, or one has ended. What feed() was not told of does not count.
  bool dirty(std::int64_t now_ms) const;
  // When the next lane is due that has something to send and has to wait for it.
  std::optional<std::int64_t> next_due_ms() const;
  // Makes frames for all lanes that are due and have something to send, and looks at no other. A lane that fell behind
  // what is kept ends: it is left out of size(), and its sessions have to begin anew.
  void make(std::int64_t now_ms);
  // Frames made since the last call, by lane in the order of their making.
  std::vector<lane_frames> take();
  // Lanes that have ended since the last call; those that were closed are not among them.
  std::vector<lane_id> take_ended() { return std::exchange(ended_, {}); }
  // What changed in the lane's rows since.
  catch_up_reply catch_up(lane_id id, arrival from, std::int64_t now_ms);
  // Where a session stands that has just been given all: from there it takes the lane's frames.
  arrival cursor_of(lane_id id) const;

  void tick(std::int64_t now_ms);
  // All begin anew: no lane and no selection is left.
  void clear();

private:
  struct text_hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const noexcept { return std::hash<std::string_view>{}(text); }
  };

  arrival head() const;
  arrival head_of(const lane& l) const;
  bool holds(const lane& l, arrival from) const;
  fan_out frame_after(lane& l, arrival from, std::int64_t now_ms, bool live);
  bool advance(lane& l, std::int64_t now_ms);
  void feed_rows(std::int64_t now_ms);
  void feed_entries();
  void feed_row(kept_selection& to, const keyed_view::row& r, std::int64_t now_ms);
  void forget(kept_selection& kept);
  quiet_lanes& quiet_of(lane& l);
  void wake(quiet_lanes& quiet, std::int64_t now_ms);
  void mark(lane& l);

  const table_config& table_;
  const channel_options& options_;
  const view_chain& chain_;
  const keyed_view& view_;
  const log_ring& ring_;
  const std::string& epoch_;
  const bool keyed_;
  record_reader reader_;
  arrival fed_;
  std::map<std::string, kept_selection> selections_; // by selection_spec::text
  std::unordered_multimap<std::string, kept_selection*, text_hash, std::equal_to<>> by_key_;
  value_index by_value_;
  // Which of those that are found by a value have a row: it may have another value by now.
  std::unordered_multimap<std::string, kept_selection*, text_hash, std::equal_to<>> holders_;
  std::vector<kept_selection*> evaluated_;             // all others: each looks at every change
  std::vector<kept_selection*> concerned_;             // scratch
  std::map<std::string, std::unique_ptr<lane>> lanes_; // by what makes a lane
  std::unordered_map<std::uint32_t, lane*> by_id_;
  std::uint32_t next_id_ = 1;
  // A lane is quiet, or it has something to send and is in due_.
  quiet_lanes quiet_;                                    // of no selection; all of a log
  std::set<std::pair<std::int64_t, std::uint32_t>> due_; // when, and which
  std::vector<std::uint32_t> unsent_;                    // lanes that have frames; some may be closed
  std::vector<lane_id> ended_;
};

} // namespace weir::table
