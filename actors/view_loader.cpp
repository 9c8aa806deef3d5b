#include "actors/view_loader.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <limits>
#include <mutex>

namespace weir::actors {
namespace {

constexpr std::uint32_t log_chunk = 256; // packed entries asked for at a time

class loading : public std::enable_shared_from_this<loading> {
public:
  loading(redis::store& store, table_config table, table_ref ref, partition_key partition, view_load_limits limits,
          redis::callback<loaded_partition> done)
      : store_(store), table_(std::move(table)), ref_(std::move(ref)), partition_(std::move(partition)),
        limits_(limits), done_(std::move(done)) {}

  void begin() {
    {
      std::lock_guard lock(mutex_);
      got_ = {};
      got_.source = partition_;
      next_bucket_ = 0;
      open_buckets_ = 0;
      records_ = 0;
      finished_ = false;
    }
    store_.read_head(partition_, [self = shared_from_this()](result<redis::partition_state> head) {
      self->on_head(std::move(head));
    });
  }

private:
  void fail_with(const error& why) {
    {
      std::lock_guard lock(mutex_);
      if (finished_)
        return;
      finished_ = true;
    }
    done_(tl::unexpected(why));
  }

  void on_head(result<redis::partition_state> head) {
    if (!head)
      return fail_with(head.error());
    batch_ = head->batch;
    got_.epoch = head->stream;
    got_.last = head->last;
    const auto state = head->tables.find(ref_.text());
    got_.changed = state == head->tables.end() ? version{} : state->second.changed;
    got_.floor = got_.last;
    if (table_.kind == table_kind::log)
      return ask_log(version{std::numeric_limits<std::int64_t>::max()});
    store_.load_changes(partition_, ref_, version{}, [self = shared_from_this()](result<redis::change_log> changes) {
      if (!changes)
        return self->fail_with(changes.error());
      self->got_.floor = changes->floor;
      for (auto& entry : changes->entries)
        self->got_.changes.push_back({entry.at, std::move(entry.keys)});
      self->ask_buckets();
    });
  }

  void ask_buckets() {
    const auto buckets = redis::table_buckets(table_.expected_rows);
    for (;;) {
      std::uint32_t bucket;
      {
        std::lock_guard lock(mutex_);
        if (finished_)
          return;
        if (next_bucket_ >= buckets && open_buckets_ == 0)
          break;
        if (next_bucket_ >= buckets || open_buckets_ >= limits_.buckets_at_once)
          return;
        bucket = next_bucket_++;
        ++open_buckets_;
      }
      store_.load_bucket(partition_, ref_, bucket,
                         [self = shared_from_this()](result<std::vector<redis::stored_row>> rows) {
                           if (!rows)
                             return self->fail_with(rows.error());
                           {
                             std::lock_guard lock(self->mutex_);
                             --self->open_buckets_;
                             for (auto& row : *rows)
                               self->got_.rows.push_back({std::move(row.key),
                                                          std::make_shared<const std::string>(std::move(row.value)),
                                                          {row.time_ms, self->partition_.partition, row.at}});
                           }
                           self->ask_buckets();
                         });
    }
    check_again();
  }

  void ask_log(version to) {
    store_.load_log(partition_, ref_, version{}, to, log_chunk, true,
                    [self = shared_from_this()](result<std::vector<redis::stored_batch>> packed) {
                      if (!packed)
                        return self->fail_with(packed.error());
                      const bool last = packed->size() < log_chunk;
                      for (auto& p : *packed) {
                        self->records_ += p.entries.size();
                        self->got_.batches.push_back({p.first, std::move(p.entries)});
                      }
                      auto& got = self->got_.batches;
                      if (!last && self->records_ < self->limits_.log_entries && got.back().first.value > 0)
                        return self->ask_log(version{got.back().first.value - 1});
                      std::reverse(got.begin(), got.end());
                      self->got_.floor = last || got.empty() ? version{} : version{got.front().first.value - 1};
                      self->check_again();
                    });
  }

  void check_again() {
    {
      // Two buckets' answers may both see that nothing is left to ask for.
      std::lock_guard lock(mutex_);
      if (finished_)
        return;
      finished_ = true;
    }
    store_.read_head(partition_, [self = shared_from_this()](result<redis::partition_state> head) {
      if (!head)
        return self->done_(tl::unexpected(head.error()));
      if (head->stream == self->got_.epoch && head->batch >= self->batch_) {
        if (self->table_.kind != table_kind::log)
          if (const auto state = head->tables.find(self->ref_.text()); state != head->tables.end())
            self->got_.settled = state->second.changed;
        return self->done_(loaded_partition{std::move(self->got_), self->batch_});
      }
      if (--self->limits_.tries <= 0)
        return self->done_(
            fail(ec::redis_busy, fmt::format("{} is taken back while it is read", self->partition_.prefix())));
      self->begin();
    });
  }

  redis::store& store_;
  const table_config table_;
  const table_ref ref_;
  const partition_key partition_;
  view_load_limits limits_;
  redis::callback<loaded_partition> done_;
  std::mutex mutex_; // guards what concurrent answers touch: buckets and rows
  table::partition_load got_;
  batch_id batch_;
  std::uint32_t next_bucket_ = 0, open_buckets_ = 0;
  std::size_t records_ = 0;
  bool finished_ = false;
};

} // namespace

void load_partition(redis::store& store, const table_config& table, const table_ref& ref,
                    const partition_key& partition, const view_load_limits& limits,
                    redis::callback<loaded_partition> done) {
  std::make_shared<loading>(store, table, ref, partition, limits, std::move(done))->begin();
}

} // namespace weir::actors
