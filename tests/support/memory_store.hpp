// The store's port in memory, with the same rules as the scripts in Redis (tests/unit/redis compares the two), and
// switches for its faults.
//
// Callbacks run at once in the caller's thread, or by the executor (an actor test posts them as messages). Thread-safe;
// no callback is called under the lock.
#pragma once

#include "runtime/redis/store.hpp"

#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <random>

namespace weir::support {

// What happens to one call.
enum class fault {
  drop_request, // never reaches Redis; the link goes down
  drop_reply,   // Redis does it, the answer is lost; the link goes down
  answer_error, // Redis refuses it with `code`; nothing applied; the link stays up
};

class memory_store final : public redis::store, public redis::job_store {
public:
  using clock = std::function<std::uint64_t()>; // Redis' TIME in microseconds
  using executor = std::function<void(std::function<void()>)>;

  struct options {
    std::size_t writers = 1;
    clock now;              // default: the system's
    executor run;           // default: at once
    std::uint64_t seed = 1; // of the random part of stream epochs
    std::size_t change_log_bytes = 4u << 20;
  };

  memory_store();
  explicit memory_store(options o);
  ~memory_store() override;

  std::size_t writers() const override;
  redis::writer_link& writer(std::size_t i) override;
  void claim(redis::claim_request request, redis::callback<redis::partition_state> done) override;
  void read_head(partition_key partition, redis::callback<redis::partition_state> done) override;
  void load_rows(partition_key partition, table_ref table, std::uint32_t buckets, std::vector<std::string> keys,
                 redis::callback<std::vector<std::optional<redis::stored_row>>> done) override;
  void load_bucket(partition_key partition, table_ref table, std::uint32_t bucket,
                   redis::callback<std::vector<redis::stored_row>> done) override;
  void count_rows(partition_key partition, table_ref table, std::uint32_t buckets,
                  redis::callback<std::uint64_t> done) override;
  void load_log(partition_key partition, table_ref table, version from, version to, std::uint32_t most, bool reverse,
                redis::callback<std::vector<redis::stored_batch>> done) override;
  void scan_bucket(partition_key partition, table_ref table, std::uint32_t bucket,
                   redis::callback<std::vector<redis::stored_row>> done) override;
  void scan_log(partition_key partition, table_ref table, version from, version to, std::uint32_t most,
                redis::callback<redis::packed_log> done) override;
  void log_heads(partition_key partition, table_ref table, std::uint32_t most,
                 redis::callback<std::vector<redis::batch_head>> done) override;
  void load_changes(partition_key partition, table_ref table, version after,
                    redis::callback<redis::change_log> done) override;
  void expired(partition_key partition, table_ref table, std::int64_t now_ms, std::uint32_t most,
               redis::callback<std::vector<redis::stored_row>> done) override;
  void load_meta(std::string topology, redis::callback<std::map<std::string, std::string>> done) override;
  void meta_once(std::string topology, std::string field, std::string value,
                 redis::callback<std::string> done) override;
  void meta_swap(std::string topology, std::string field, std::string expect, std::string value,
                 redis::callback<bool> done) override;
  void examine(redis::callback<std::vector<std::string>> done) override;
  redis::job_store& jobs() override { return *this; }
  void take_lease(std::string topology, std::string owner, std::int64_t hold_ms, redis::fence_token low,
                  redis::callback<redis::lease> done) override;
  void drop_lease(std::string topology, std::string owner, redis::callback<redis::lease> done) override;
  void adopt_job(partition_key job, redis::fence_token token, redis::callback<redis::job_answer> done) override;
  void change_job(redis::job_change change, redis::callback<redis::job_answer> done) override;
  void job_history(partition_key job, std::uint32_t most, redis::callback<std::vector<std::string>> done) override;
  void read_job(partition_key job, redis::callback<redis::job_state> done) override;
  void close() override;

  // Faults. The next `count` submits of writer i after `skip` more meet `f`. The link stays down until link_up(i).
  void inject(std::size_t writer, fault f, std::size_t skip = 0, std::size_t count = 1,
              ec code = ec::redis_cannot_write);
  // The same for the store's own calls (claims, reads); these have no link state.
  void inject_read(fault f, std::size_t skip = 0, std::size_t count = 1, ec code = ec::redis_busy);
  // Forgets the faults that were planned and did not happen yet.
  void clear_faults();
  void link_down(std::size_t writer);
  void link_up(std::size_t writer);
  // All later submits of the writer are kept unanswered, in order, until release(); for pipelines and lost replies.
  void hold(std::size_t writer);
  void release(std::size_t writer);
  std::size_t held(std::size_t writer) const;

  // Lost writes: takes a picture of everything stored; goes back to it (a failover gives a new run id as well).
  struct snapshot;
  std::shared_ptr<const snapshot> take_snapshot() const;
  void roll_back(const std::shared_ptr<const snapshot>& to);
  void new_run_id();
  void flush_all();

  // Counts of answers, so that a test can show that its faults hit the guards.
  struct counts {
    std::size_t applied = 0, already = 0, mismatch = 0, fenced = 0, outdated = 0, claims = 0, refused_claims = 0;
    std::size_t fenced_jobs = 0; // changes and adoptions by a scheduler that was taken over
  };
  counts counted() const;

private:
  struct impl;
  std::unique_ptr<impl> impl_;
};

} // namespace weir::support
