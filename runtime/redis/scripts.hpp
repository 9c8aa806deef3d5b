// The fixed Lua scripts. Their text never depends on data (keys go in KEYS, all else in ARGV), so Redis keeps each of
// them once.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace weir::redis {

struct script {
  std::string_view name;
  std::string_view text;
  std::string sha; // 40 hexadecimal digits, computed here and checked against Redis' answer to SCRIPT LOAD

  script(std::string_view n, std::string_view t);
};

// Loaded on every connection, in this order.
std::span<const script> all_scripts();

// For tests of tests: what runs on connections made from now on in place of a script. Gives the text that was there.
// `text` outlives all use of it; no connection exists meanwhile.
std::string_view replace_script_text(std::string_view name, std::string_view text);

const script& apply_script();
const script& claim_script();
const script& changes_script();
const script& log_heads_script();
const script& meta_once_script();
const script& meta_swap_script();
const script& lease_script();
const script& adopt_job_script();
const script& change_job_script();
const script& job_history_script();

} // namespace weir::redis
