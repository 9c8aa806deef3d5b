// Derives fields of, filters, groups and reduces rows of a table or entries of a log for a job. Pure; one thread at a
// time.
//
// One reducer for each input partition, merged in ascending partition number: that fixes the order in which doubles are
// added, and with it their bits, if each partition's rows come in one order. What does not add up doubles is the same
// in any order (of `top`: while it is exact). A row's group key follows the rules for row keys; the key of several
// fields is the JSON array of these as strings (["north","7"]), without blanks, at most table::max_key_bytes long.
#pragma once

#include "proto/ids.hpp"
#include "proto/topology.hpp"
#include "runtime/core/error.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace weir::batch {

struct reduce_counts {
  std::uint64_t read = 0;     // rows given
  std::uint64_t filtered = 0; // `where` did not match, or left out by a processor
  std::uint64_t skipped = 0;  // no group key in it, not a JSON object, or refused by a processor
};

class reducer {
public:
  // Uses derive, where, group_by, fields, last and window of the job (what a rate is taken over; else the span of the
  // event times of all rows that count). More groups than `most_groups` (merged ones too) is an error, and so is more
  // than `most_bytes` for what grows within them: percentiles, distinct and top.
  explicit reducer(const job_config& job, std::size_t most_groups = 1'000'000, std::size_t most_bytes = 256u << 20);
  ~reducer();
  reducer(reducer&&) noexcept;
  reducer& operator=(reducer&&) noexcept;

  // `row`: a visible row (table/merge.hpp) or a log entry, as JSON text. at.time_ms: its event time. Error:
  // ec::overloaded, too many groups or too large ones; nothing more is to be added.
  result<void> add(std::string_view row, const stamp& at = {});
  // Counts a row that is not added: as filtered, or as skipped, with the reason.
  void leave_out();
  void skip(std::string reason);
  // Adds what `later` saw. Same job.
  result<void> merge(const reducer& later);

  // Everything, for a checkpoint, and back: restore() of what save() gave is this reducer, bit for bit. Costs as much
  // as there are groups. restore() wants a reducer of the same job; error: ec::internal, a damaged text, and nothing
  // changed.
  std::string save() const;
  result<void> restore(std::string_view saved);

  const reduce_counts& counts() const;
  // Why the last row was skipped; empty: it was not.
  std::string_view skipped_because() const;
  std::size_t groups() const;
  // Group key -> row as JSON, ascending by key. Without group_by: one row "all", also if nothing was read.
  std::vector<std::pair<std::string, std::string>> rows() const;

private:
  struct impl;
  std::unique_ptr<impl> impl_;
};

} // namespace weir::batch
