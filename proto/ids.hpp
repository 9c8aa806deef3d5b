// Strong types for everything that is a number on the wire but must never be mixed up with another one.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace weir {

template <class Tag, class Rep>
struct strong {
  using rep = Rep;
  Rep value{};

  constexpr strong() = default;
  constexpr explicit strong(Rep v) : value(v) {}
  constexpr auto operator<=>(const strong&) const = default;
};

// A Kafka partition of one source, from 0.
using partition_id = strong<struct partition_id_tag, std::int32_t>;
// A Kafka offset. A *position* is the offset after the last applied record; offsets may have gaps, so it is never
// computed otherwise.
using offset = strong<struct offset_tag, std::int64_t>;
// A commit version: microseconds of Redis' TIME, never less than the partition's last version + 1. Fits 53 bits.
using version = strong<struct version_tag, std::uint64_t>;
// Ownership epoch of a partition: raised by every claim, so that an earlier owner's writes are refused.
using owner_epoch = strong<struct owner_epoch_tag, std::uint64_t>;
// Identity of a partition's stream of changes: `<microseconds>-<random>`; ordered by its text. Renewed when Redis lost
// acknowledged writes.
using stream_epoch = strong<struct stream_epoch_tag, std::string>;
// One connected client, unique within the process.
using session_id = strong<struct session_id_tag, std::uint64_t>;
// Place of a change in a view's order of arrival, from 1; valid within one life of that view.
using arrival = strong<struct arrival_tag, std::uint64_t>;

// Names a transaction on a partition's state: the n-th of the owner with that epoch.
struct batch_id {
  owner_epoch epoch;
  std::uint64_t n = 0;
  auto operator<=>(const batch_id&) const = default;
};

// "epoch.n", as kept in Redis. Parsing anything else gives {0, 0}, the id before the first transaction.
std::string to_string(const batch_id& id);
batch_id parse_batch_id(std::string_view text);

// A source partition's state in Redis: everything of it lies behind one hash tag.
struct partition_key {
  std::string topology;
  std::string source; // a source's name, or "job:<name>" for the pseudo-partition that a job writes
  partition_id partition;

  // "{topology:source:partition}"
  std::string prefix() const;
  auto operator<=>(const partition_key&) const = default;
};

// A table under one generation of its definition; a rebuild makes the next generation. Written "name@1" in Redis.
struct table_ref {
  std::string name;
  std::uint32_t generation = 1;

  std::string text() const;
  auto operator<=>(const table_ref&) const = default;
};

// When and where a record was written: orders candidates of the same row that came by different partitions.
struct stamp {
  std::int64_t time_ms = 0; // Kafka's record timestamp, milliseconds since 1970
  partition_id partition;
  offset at;
  auto operator<=>(const stamp&) const = default;
};

} // namespace weir

template <class Tag, class Rep>
struct std::hash<weir::strong<Tag, Rep>> {
  std::size_t operator()(const weir::strong<Tag, Rep>& id) const noexcept { return std::hash<Rep>{}(id.value); }
};
