// What the tests of views share: a table, change sets by the handful, and a channel whose frames are plain text.
#pragma once

#include "runtime/table/channel.hpp"
#include "runtime/table/view.hpp"

#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

namespace weir::view_test {

using json = nlohmann::json;

inline partition_key partition(int i) { return {"test", "readings", partition_id{i}}; }

inline shared_bytes bytes(std::string text) { return std::make_shared<const std::string>(std::move(text)); }

inline table_config table_of(table_kind kind) {
  table_config t;
  t.name = "machines";
  t.kind = kind;
  t.fingerprint = "f1";
  return t;
}

// Value "" removes the row.
inline change_set rows(int p, std::uint64_t previous, std::uint64_t at,
                       std::vector<std::pair<std::string, std::string>> changes) {
  change_set c;
  c.table = "machines";
  c.source = partition(p);
  c.epoch = stream_epoch{"1"};
  c.previous = version{previous};
  c.first = c.last = version{at};
  for (auto& [key, value] : changes)
    c.rows.push_back(
        {key, value.empty() ? nullptr : bytes(value), {static_cast<std::int64_t>(at), partition_id{p}, offset{0}}});
  return c;
}

inline change_set entries(int p, std::uint64_t previous, std::uint64_t first, std::int64_t kafka_offset,
                          std::size_t n) {
  change_set c = rows(p, previous, first, {});
  for (std::size_t i = 0; i < n; ++i) {
    const auto at = kafka_offset + static_cast<std::int64_t>(i);
    c.entries.push_back({1000 + at, offset{at}, bytes("{\"o\":" + std::to_string(at) + "}")});
  }
  c.last = version{first + n - 1};
  return c;
}

inline change_set heartbeat(int p, std::uint64_t changed, std::uint64_t upto) { return rows(p, changed, upto, {}); }

inline http::frame_ptr plain_frame(std::string_view payload) {
  auto f = std::make_shared<http::frame>();
  f->bytes = payload;
  return f;
}

inline table::channel_options options() {
  table::channel_options o;
  o.make_frame = plain_frame;
  o.instance = 7;
  return o;
}

inline table::partition_load stored(int p, std::uint64_t last, std::uint64_t changed,
                                    std::vector<std::pair<std::string, std::string>> values = {}) {
  table::partition_load l;
  l.source = partition(p);
  l.epoch = stream_epoch{"1"};
  l.last = l.floor = version{last};
  l.changed = l.settled = version{changed};
  l.rows = rows(p, 0, last, std::move(values)).rows;
  return l;
}

inline void apply(table::channel& c, change_set changes, std::int64_t now_ms = 0) {
  c.apply({std::make_shared<const change_set>(std::move(changes))}, now_ms);
}

inline std::vector<json> lines(const table::fan_out& f) {
  std::vector<json> out;
  if (!f.frame)
    return out;
  const std::string text(f.frame->payload());
  for (std::size_t at = 0; at < text.size();) {
    const auto end = std::min(text.find('\n', at), text.size());
    out.push_back(json::parse(text.substr(at, end - at)));
    at = end + 1;
  }
  return out;
}

// Opens the lane of all rows, as a plain subscriber does, without anybody in it.
inline table::lane_id everything(table::channel& c) {
  table::subscribe_request r;
  r.map = c.table().kind != table_kind::log;
  r.phase = r.map ? table::map_phase::state : table::map_phase::live;
  return c.subscribe(r, 0).lane;
}

// What the lanes' frames are, all in one list.
struct flushed_frames {
  bool reset = false;
  std::vector<table::fan_out> frames;
};

inline flushed_frames flush(table::channel& c, std::int64_t now_ms = 0) {
  auto out = c.flush(now_ms);
  flushed_frames all{out.reset, {}};
  for (auto& lane : out.lanes)
    for (auto& f : lane.frames)
      all.frames.push_back(std::move(f));
  return all;
}

inline std::vector<json> publications(table::channel& c) {
  std::vector<json> out;
  for (const auto& f : flush(c).frames)
    for (auto& line : lines(f))
      out.push_back(line["push"]["pub"]);
  return out;
}

} // namespace weir::view_test
