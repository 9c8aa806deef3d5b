// Time zones, for cron expressions.
#pragma once

#include "runtime/core/error.hpp"

#include <cstdint>
#include <memory>
#include <string>

namespace weir::batch {

// A time zone's offsets. Thread-safe.
class zone {
public:
  virtual ~zone() = default;
  // What to add to UTC, in seconds since 1970, for local time: within a day either way. It must change at most once
  // in any two days.
  virtual std::int64_t offset(std::int64_t utc_s) const = 0;
};

const zone& utc();

// "UTC", or a name of the IANA time zone database as this machine has it ("Europe/Berlin"). Error: ec::bad_argument,
// there is none of that name, or no database (Debian: the package tzdata).
result<std::shared_ptr<const zone>> load_zone(const std::string& name);

} // namespace weir::batch
