// Names of keys and fields in Redis, and the form of stored values. docs/redis-layout.md is this header for people;
// tests hold them together.
#pragma once

#include "runtime/redis/store.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace weir::redis::layout {

std::string head_key(const partition_key& p); // {t:s:p}
std::string bucket_key(const partition_key& p, const table_ref& t,
                       std::uint32_t bucket);                           // {t:s:p}:t:<table@gen>:<bucket>
std::string expiry_key(const partition_key& p, const table_ref& t);     // {t:s:p}:x:<table@gen>
std::string log_key(const partition_key& p, const table_ref& t);        // {t:s:p}:l:<table@gen>
std::string change_log_key(const partition_key& p, const table_ref& t); // {t:s:p}:c:<table@gen>
std::string meta_key(std::string_view topology);                        // {t}:meta
std::string lease_key(std::string_view topology);                       // {t}:scheduler
std::string job_key(const partition_key& p);                            // {t:job:j:0}:j
std::string checkpoints_key(const partition_key& p);                    // {t:job:j:0}:k
std::string history_key(const partition_key& p);                        // {t:job:j:0}:h
std::string history_order_key(const partition_key& p);                  // {t:job:j:0}:z

// A row is "<time_ms> <offset> <json>".
std::optional<stored_row> parse_row(std::string key, std::string_view stored);
// A packed log entry's field `d`: such lines joined by \n.
bool parse_lines(std::string_view packed, std::vector<log_entry>& out);
// A change log entry's field `k`: "<bytes>:<key>" one behind the other.
void pack_key(std::string& out, std::string_view key);
bool unpack_keys(std::string_view packed, std::vector<std::string>& out);
// "<offset> <time_ms> <crc>"
std::string mark_text(const record_mark& mark);
std::optional<record_mark> parse_mark(std::string_view text);
// Takes one field of the head hash into `state`; unknown ones are left alone.
void take_field(partition_state& state, std::string_view field, std::string_view value);

} // namespace weir::redis::layout
