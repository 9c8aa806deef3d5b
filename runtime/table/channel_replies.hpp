// What a channel answers to subscribers and to REST, built from its view or ring as they are at the moment. Used inside
// runtime/table.
#pragma once

#include "runtime/table/channel.hpp"
#include "runtime/table/lanes.hpp"
#include "runtime/table/view_chain.hpp"

#include <string>
#include <string_view>

namespace weir::table {

subscribe_reply refusal(int code, std::string message, bool temporary = false);

class channel_replies {
public:
  channel_replies(const table_config& table_of, const channel_options& with, const view_chain& known,
                  const keyed_view& rows, const log_ring& entries, const std::string& at, const kept_selection* among)
      : table_(table_of), options_(with), chain_(known), view_(rows), ring_(entries),
        epoch_(among ? at + '-' + among->hash : at), chosen_(among ? among->rows.get() : nullptr),
        entries_(among ? among->entries.get() : nullptr) {}

  subscribe_reply subscribe_map(const subscribe_request& request, const lane_spec& lane, std::int64_t now_ms) const;
  subscribe_reply subscribe_stream(const subscribe_request& request, const lane_spec& lane, std::int64_t now_ms) const;
  history_reply history(const history_request& request) const;
  rest_reply rows_page(std::uint32_t limit, std::string_view cursor) const;
  rest_reply entries_page(std::uint32_t limit) const;

private:
  // `publications` of what changed after a cursor, for a client that has seen everything up to a version.
  struct late_changes {
    std::string text; // with the leading comma; empty: none
    arrival to;
    bool more = false; // the page was full: `to` is before the newest
  };

  std::uint32_t rows_in_page(std::uint32_t asked) const;
  std::string body_head(bool map, const lane_spec& lane) const;
  std::string rest_head(version offset) const;
  std::string rest_tag() const;
  late_changes rows_after(arrival from, bool by_view, version seen, std::uint32_t most, std::size_t bytes,
                          const publication_style& style) const;
  late_changes entries_after(arrival from, version seen, std::uint32_t most, std::size_t bytes,
                             const publication_style& style) const;
  // The entry of the log that arrived next after `a`, among the chosen ones.
  std::optional<arrival> next_entry(arrival a) const;
  subscribe_reply catch_up_map(const subscribe_request& request, const lane_spec& lane, std::int64_t now_ms) const;
  subscribe_reply page_of_state(const subscribe_request& request, const lane_spec& lane, std::int64_t now_ms) const;

  const table_config& table_;
  const channel_options& options_;
  const view_chain& chain_;
  const keyed_view& view_;
  const log_ring& ring_;
  const std::string epoch_;
  const row_selection* chosen_;    // null: all rows
  const entry_selection* entries_; // null: all entries
};

} // namespace weir::table
