// Deltas in Fossil's format (fossil-scm.org, "Fossil Delta Format"), as centrifuge SDKs apply them with
// `delta: "fossil"`. Pure; any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace weir::table {

// What makes `target` out of `source`; nothing where it would not be shorter than `most` bytes. Both are UTF-8, and so
// is the delta: what it carries of the target is cut between characters only.
std::optional<std::string> fossil_delta(std::string_view source, std::string_view target, std::size_t most);

// The reverse; nothing where the delta is malformed or does not belong to the source. For tests and tools.
std::optional<std::string> apply_fossil_delta(std::string_view source, std::string_view delta);

} // namespace weir::table
