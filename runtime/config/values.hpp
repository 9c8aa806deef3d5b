// The small forms of the topology file: those of core/forms.hpp, rates, names; and "did you mean".
#pragma once

#include "runtime/core/forms.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace weir {

// "20/s", "30/m", "0.5/s", "10/h": the least time between two events, rounded up to a millisecond. From 1,000 a second
// down to one a day.
std::optional<duration> parse_rate(std::string_view text);
// Rows a second: "100000/s" (a whole number from 1); 0 for "none".
std::optional<std::uint64_t> parse_throttle(std::string_view text);

bool is_table_name(std::string_view text); // [a-z][a-z0-9_.-]*, at most 128 characters
bool is_name(std::string_view text);       // [A-Za-z0-9_.-]+, at most 128: topologies, sources, jobs
bool is_topic(std::string_view text);      // Kafka's own rule for topic names

// The candidate that `word` most likely stands for, by edit distance; none if nothing is near.
std::optional<std::string_view> nearest(std::string_view word, std::span<const std::string_view> candidates);

} // namespace weir
