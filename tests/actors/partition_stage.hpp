// What the tests of the partition actor share: small batches, and what a log's records come to.
#pragma once

#include "tests/actors/stage.hpp"

#include "runtime/table/merge.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace weir::stage {

using actors::partition_limits;

inline partition_limits small_batches(std::size_t records) {
  partition_limits l;
  l.batch_records = l.drain_records = records;
  return l;
}

inline std::string value(std::uint64_t s, int v = 1) { return fmt::format(R"({{"s":{},"v":{}}})", s, v); }

// What the visible part of one partition's aggregate says.
inline json shown(const table_config& t, const std::string& stored) {
  return json::parse(
      *table::visible_row(t, table::part{partition_id{0}, {}, std::make_shared<const std::string>(stored)}));
}

inline std::vector<std::int64_t> offsets(const std::vector<log_entry>& entries) {
  std::vector<std::int64_t> out;
  for (const auto& e : entries)
    out.push_back(e.at.value);
  return out;
}

inline std::vector<std::int64_t> up_to(std::int64_t n) {
  std::vector<std::int64_t> out;
  for (std::int64_t i = 0; i < n; ++i)
    out.push_back(i);
  return out;
}

// Every row as the log's last record says.
inline std::map<std::string, std::string> folded(world& w, std::int32_t p = 0) {
  std::map<std::string, std::string> out;
  for (const auto& r : w.log->records(partition_id{p})) {
    if (r.value)
      out[*r.key] = *r.value;
    else
      out.erase(*r.key);
  }
  return out;
}

struct three_kinds : world {
  three_kinds() : world({.tables = {latest("now"), aggregate("sums"), log_table("events")}}) {}
};

inline void expect_three_kinds(world& w, std::int64_t records, int per_record = 1) {
  EXPECT_EQ(w.rows("now"), folded(w));
  EXPECT_EQ(offsets(w.entries("events")), up_to(records));
  std::map<std::string, std::int64_t> count;
  for (const auto& r : w.log->records(partition_id{0}))
    ++count[*r.key];
  const auto sums = w.rows("sums");
  EXPECT_EQ(sums.size(), count.size());
  for (const auto& [key, stored] : sums) {
    EXPECT_EQ(shown(w.table("sums"), stored)["n"], count[key]) << key;
    EXPECT_EQ(shown(w.table("sums"), stored)["total"], count[key] * per_record) << key;
  }
  for (const auto* t : {"now", "sums", "events"})
    EXPECT_EQ(w.position(t), offset{records}) << t;
}

} // namespace weir::stage
