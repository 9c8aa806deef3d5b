// When a cron expression fires. Pure: no clock and no file; the caller brings the time and the time zone.
//
// Five fields "minute hour day-of-month month day-of-week", or six with the second in front (it is 0 else); or @yearly,
// @annually, @monthly, @weekly, @daily, @midnight, @hourly. A field is a list, by commas, of *, N, N-M, each with an
// optional /STEP; N/STEP runs up to the field's end. Months and weekdays may be named (jan, sun; any case); Sunday is 0
// and 7. As in Vixie's cron: if neither day field begins with *, a day matches when either does, else both have to.
//
// Local times that a zone leaves out fire once, at the moment of the shift; those that it repeats fire at the first.
#pragma once

#include "runtime/batch/zone.hpp"
#include "runtime/core/error.hpp"

#include <bitset>
#include <cstdint>
#include <optional>
#include <string_view>

namespace weir::batch {

class cron {
public:
  // Error: ec::bad_argument, saying which field is wrong, or that no day ever matches.
  static result<cron> parse(std::string_view text);

  // The first fire time after `after_ms` (milliseconds since 1970, any sign, years -9999 to 9999); a whole second.
  std::int64_t next(std::int64_t after_ms, const zone& in = utc()) const;

private:
  bool day_matches(std::int64_t day) const;
  std::optional<std::int64_t> next_local(std::int64_t after_s) const;

  std::bitset<60> seconds_, minutes_;
  std::bitset<24> hours_;
  std::bitset<32> days_;
  std::bitset<13> months_;
  std::bitset<7> weekdays_;
  bool any_day_ = false, any_weekday_ = false; // the field begins with *
};

} // namespace weir::batch
