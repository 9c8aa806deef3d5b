// A table as its publisher sees it: takes committed changes in, gives shared frames out, answers subscribers and REST.
//
// Not thread-safe: owned by the table's publisher. The publisher's round:
//   take the inbox; apply() (lost() first, if the inbox had a gap); if wanted() names partitions, read them from Redis
//   (once at a time) and load() them: changes that come in meanwhile wait inside; flush() and send what it gives to the
//   live sessions.
// subscribe() and catch_up() may be called at any time. Messages to one session have to arrive in the order in which
// they were made here: a frame made before a subscribe reply goes before it.
#pragma once

#include "proto/change_set.hpp"
#include "proto/topology.hpp"
#include "runtime/table/publication.hpp"
#include "runtime/table/ring.hpp"
#include "runtime/table/view.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace weir::table {

struct channel_options {
  std::function<http::frame_ptr(std::string_view)> make_frame; // http::make_text_frame
  std::uint64_t instance = 0;          // names this life of the channel in paging cursors; 0: chosen at random
  std::size_t frame_bytes = 128 << 10; // of pushes; one publication may be longer
  std::size_t page_bytes = 256 << 10;  // of subscribe replies
  std::size_t late_bytes =
      1 << 20;                    // what changed while state was paged, in the last reply; beyond, it follows as pushes
  std::uint32_t page_rows = 1000; // the most in one subscribe reply, whatever the client asks for
  std::size_t waiting_bytes =
      16 << 20;                      // change sets kept while a partition is being loaded; beyond, it is loaded again
  std::size_t cache_bytes = 4 << 20; // frames made for sessions that catch up, by lane
  // Selections by a condition at a time that look at every change; and of those that ask a field to equal something, as
  // many for each value: they look at the changes of rows that have it.
  std::size_t conditions = 256;
  std::size_t keys = 100'000;                  // keys and values of fields that selections are found by
  std::int64_t idle_selection_ms = 30'000;     // a selection that nobody uses is kept this long
  std::function<std::uint32_t()> new_short_id; // unique in the node; none: from 1
  view_limits view;
  ring_limits ring;
};

// A partition as read from Redis: first the head (epoch, last, changed), then rows and change log, or entries, then the
// head again: its stream epoch has to be the same, or all is read again; its `changed` is `settled`. Rows may include
// changes up to there, so the load is not shown before the change sets up to there came too: nobody sees a row newer
// than its version, and then go back.
struct partition_load {
  partition_key source;
  stream_epoch epoch;
  version last;    // partition_state::last
  version changed; // table_state::changed
  version settled; // table_state::changed as read after the rows; keyed tables
  version floor; // keyed: change_log::floor (without a change log: `last`). log: entries at or below it may be missing
                 // from `batches`
  std::vector<row_change> rows;       // latest, aggregate: all rows of the partition
  std::vector<logged_change> changes; // latest, aggregate: the change log, oldest first; may be empty if floor = last
  std::vector<loaded_batch> batches;  // log: the newest
};

// How far a partition is known.
struct known_version {
  stream_epoch epoch;
  version known;
};

struct flushed {
  bool reset = false; // the epoch changed: every subscriber has to subscribe anew, and no lane is left
  std::vector<lane_frames> lanes;
  std::vector<lane_id> ended; // fell behind what is kept: their subscribers, and nobody else, have to subscribe anew
};

struct rest_reply {
  unsigned status = 200;
  std::string body;          // JSON, for status 200
  std::string code, message; // else: for {"error":{...}}
  // Pages: another one wherever the body may be another one, of this life of the channel. Empty: none.
  std::string tag;
};

class channel {
public:
  channel(table_config table, std::uint32_t generation, const std::vector<partition_key>& partitions,
          channel_options options);
  ~channel();
  channel(const channel&) = delete;
  channel& operator=(const channel&) = delete;

  // Change sets of other tables are ignored. now_ms: milliseconds since 1970, here and below.
  void apply(const std::vector<change_set_ptr>& changes, std::int64_t now_ms);
  // Changes were dropped on the way here: every partition has to be loaded again. A load begun before this does not
  // count: do not load() it.
  void lost();
  // Partitions to be loaded now. Stays until load() brings them.
  std::vector<partition_key> wanted() const;
  // May be called with some of them. A load that is older than what is known changes nothing. One that waits for its
  // change sets for more than 2 s (by tick()) is wanted again.
  void load(std::vector<partition_load> loads, std::int64_t now_ms);
  // What change sets of that partition have to follow on; nothing where a load is needed first.
  std::optional<known_version> known(const partition_key& partition) const;
  // All of that partition has to be loaded.
  void want(const partition_key& partition);
  // Every partition was loaded once; before that, subscribe() and REST answer a temporary error.
  bool ready() const;

  // Something waits for flush().
  bool dirty(std::int64_t now_ms) const;
  flushed flush(std::int64_t now_ms);
  // When flush() has to be called although nothing came in: a lane's pace held something back.
  std::optional<std::int64_t> next_due_ms() const;

  // A live reply names the lane whose frames the session gets from then on.
  subscribe_reply subscribe(const subscribe_request& request, std::int64_t now_ms);
  // Nobody gets the lane's frames any more.
  void close(lane_id lane);
  std::size_t lanes() const;
  catch_up_reply catch_up(lane_id lane, arrival from, std::int64_t now_ms);
  history_reply history(const history_request& request, const selection_spec& rows, std::int64_t now_ms);
  // Once a second or so: ages tombstones and log entries.
  void tick(std::int64_t now_ms);

  // keyed: {"table","epoch","offset","rows":{...},"cursor"?}; log: the newest `limit` as
  // {"table","epoch","offset","entries":[...]}, newest last. A cursor goes on where the page before ended. Rows that
  // change while one pages come (again) on a later page. limit 0: up to 1,000. `rows`: only these; 503 where too many
  // selections are in use (see channel_options).
  rest_reply rest_page(std::uint32_t limit, std::string_view cursor, const selection_spec& rows = {},
                       std::int64_t now_ms = 0);
  // The row's value as JSON; 404 if there is none, or none for which `where` holds; 400 on a log.
  rest_reply rest_row(std::string_view key, const condition& where = {}) const;

  const table_config& table() const;
  const std::string& epoch() const; // empty until ready
  version watermark() const;
  std::size_t count() const; // rows; log: entries in memory
  std::size_t bytes() const;
  arrival head() const;

private:
  struct impl;
  std::unique_ptr<impl> impl_;
};

} // namespace weir::table
