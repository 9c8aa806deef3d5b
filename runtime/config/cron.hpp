// The form of a cron expression. Internal to runtime/config; nothing here computes fire times.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace weir::config {

// What is wrong with "minute hour day-of-month month day-of-week"; none if nothing is.
std::optional<std::string> cron_fault(std::string_view text);

} // namespace weir::config
