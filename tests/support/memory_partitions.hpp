// What Redis holds of partitions, in memory, with the rules of the scripts claim, apply, changes and log_heads. Data
// alone: no callbacks, no faults, no lock. memory_store adds those.
#pragma once

#include "runtime/redis/store.hpp"

#include <functional>
#include <map>
#include <string>
#include <vector>

namespace weir::support {

class memory_partitions {
public:
  // What a server knows beside its data: TIME in microseconds, the run id, 16 random digits for a stream epoch.
  struct server {
    std::uint64_t now_us = 0;
    std::string run_id;
    std::function<std::string()> random_text;
  };

  result<redis::partition_state> claim(const redis::claim_request& request, const server& at);
  // `takes_chunk` says whether the transaction's guard, if it has one, holds.
  result<redis::tx_result> apply(const redis::transaction& tx, const server& at, std::size_t change_log_bytes,
                                 const std::function<bool()>& takes_chunk);

  redis::partition_state head(const partition_key& key) const; // without a run id
  std::vector<std::optional<redis::stored_row>> rows(const partition_key& key, const table_ref& table,
                                                     std::uint32_t buckets, const std::vector<std::string>& keys) const;
  std::vector<redis::stored_row> bucket(const partition_key& key, const table_ref& table, std::uint32_t bucket) const;
  std::uint64_t count(const partition_key& key, const table_ref& table, std::uint32_t buckets) const;
  std::vector<redis::stored_batch> log(const partition_key& key, const table_ref& table, version from, version to,
                                       std::uint32_t most, bool reverse) const;
  std::vector<redis::batch_head> log_heads(const partition_key& key, const table_ref& table, std::uint32_t most) const;
  redis::change_log changes(const partition_key& key, const table_ref& table, version after) const;
  std::vector<redis::stored_row> expired(const partition_key& key, const table_ref& table, std::int64_t now_ms,
                                         std::uint32_t most) const;

private:
  struct change {
    std::uint64_t previous = 0;
    std::vector<std::string> keys;
  };
  struct table_data {
    std::map<std::uint32_t, std::map<std::string, redis::stored_row>> buckets;
    std::map<std::string, std::int64_t> expiry;
    std::map<std::uint64_t, redis::stored_batch> log;
    std::map<std::uint64_t, change> changes;
    std::size_t half_bytes = 0;  // of the change log's present half
    std::uint64_t half_from = 0; // its first version
  };
  struct partition_data {
    bool exists = false;
    redis::partition_state head;
    std::int32_t generation = -1;
    std::string run_id; // stored by claims
    std::vector<version> previous;
    std::vector<std::vector<std::uint32_t>> kept;
    std::map<std::string, table_data> tables;
  };

  const table_data* find(const partition_key& key, const table_ref& table) const;
  static void write_log(table_data& data, redis::table_state& state, const redis::table_write& w, std::uint64_t first);
  // Gives the indexes of rows that did not expire after all.
  static std::vector<std::uint32_t> write_rows(table_data& data, version previous, const redis::table_write& w,
                                               std::uint64_t last, std::size_t change_log_bytes);

  std::map<partition_key, partition_data> partitions_;
};

} // namespace weir::support
