// The event time of a log's record.
#pragma once

#include "runtime/table/record_reader.hpp"

#include <cstdint>
#include <optional>

namespace weir::table {

// Milliseconds since 1970 from a number or from RFC 3339 text ("2024-05-01T12:00:00.5+02:00"; 't', 'z' and a blank for
// 'T' too). The unit of a number is told by its size, since every clock of this age falls into one of four ranges:
// below 1e11 seconds (with fractions), below 1e14 milliseconds, below 1e17 microseconds, else nanoseconds. Anything
// else: nothing, and Kafka's timestamp stands in.
std::optional<std::int64_t> event_time(const field& value);

} // namespace weir::table
