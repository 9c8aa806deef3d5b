#include "actors/change_reader.hpp"

#include <algorithm>
#include <limits>
#include <set>

namespace weir::actors {
namespace {

constexpr std::size_t rows_at_once = 500;
// How often it is begun again where rows changed while they were read. After that they are shown with the version
// before, and come again in the next round: only who goes to another node in between can see one go back.
constexpr int most_tries = 5;

// One call after the other, so nothing here is touched by two threads at a time.
class reading : public std::enable_shared_from_this<reading> {
public:
  reading(redis::store& store, table_config table, table_ref ref, partition_key partition, table::known_version since,
          batch_id newest, redis::callback<changes_read> done)
      : store_(store), table_(std::move(table)), ref_(std::move(ref)), partition_(std::move(partition)),
        since_(std::move(since)), newest_(newest), done_(std::move(done)) {}

  void begin() {
    rows_.clear();
    keys_.clear();
    store_.read_head(partition_, [self = shared_from_this()](result<redis::partition_state> head) {
      self->on_head(std::move(head));
    });
  }

private:
  version changed(const redis::partition_state& head) const {
    const auto at = head.tables.find(ref_.text());
    return at == head.tables.end() ? version{} : at->second.changed;
  }

  void whole() { done_(changes_read{true, {}, newest_}); }
  void nothing() { done_(changes_read{false, {}, newest_}); }

  std::shared_ptr<change_set> set(version first, version last) const {
    auto out = std::make_shared<change_set>();
    out->table = ref_.name;
    out->source = partition_;
    out->epoch = since_.epoch;
    out->previous = since_.known;
    out->first = first;
    out->last = last;
    return out;
  }

  void on_head(result<redis::partition_state> head) {
    if (!head)
      return done_(tl::unexpected(head.error()));
    if (head->stream != since_.epoch)
      return whole();
    if (head->batch < newest_)
      return nothing();
    newest_ = head->batch;
    last_ = head->last;
    // Lower than known: Redis went back, and the owner has not noticed yet. It begins a new stream before it writes
    // again; until then what is stored is older than what is shown.
    if (last_ <= since_.known)
      return nothing();
    if (changed(*head) <= since_.known)
      return done_(changes_read{false, {set(last_, last_)}, newest_});
    if (table_.kind == table_kind::log)
      return ask_oldest();
    store_.load_changes(partition_, ref_, since_.known, [self = shared_from_this()](result<redis::change_log> log) {
      self->on_changes(std::move(log));
    });
  }

  // -- keyed tables

  void on_changes(result<redis::change_log> log) {
    if (!log)
      return done_(tl::unexpected(log.error()));
    if (log->floor > since_.known)
      return whole();
    std::set<std::string> keys;
    for (auto& entry : log->entries)
      keys.insert(entry.keys.begin(), entry.keys.end());
    if (keys.size() > most_keys_read)
      return whole();
    keys_.assign(keys.begin(), keys.end());
    ask_rows();
  }

  void ask_rows() {
    if (rows_.size() == keys_.size())
      return check_again();
    const auto from = keys_.begin() + static_cast<std::ptrdiff_t>(rows_.size());
    const auto n = std::min(rows_at_once, keys_.size() - rows_.size());
    store_.load_rows(partition_, ref_, redis::table_buckets(table_.expected_rows),
                     {from, from + static_cast<std::ptrdiff_t>(n)}, [self = shared_from_this(), n](auto rows) {
                       if (!rows)
                         return self->done_(tl::unexpected(rows.error()));
                       if (rows->size() != n)
                         return self->done_(fail(ec::internal, "Redis gave another number of rows than was asked for"));
                       for (auto& row : *rows)
                         self->keep(std::move(row));
                       self->ask_rows();
                     });
  }

  void keep(std::optional<redis::stored_row> row) {
    row_change out{keys_[rows_.size()], nullptr, {0, partition_.partition, {}}};
    if (row) {
      out.value = std::make_shared<const std::string>(std::move(row->value));
      out.at.time_ms = row->time_ms;
      out.at.at = row->at;
    }
    rows_.push_back(std::move(out));
  }

  void check_again() {
    store_.read_head(partition_, [self = shared_from_this()](result<redis::partition_state> head) {
      if (!head)
        return self->done_(tl::unexpected(head.error()));
      if (head->stream != self->since_.epoch)
        return self->whole();
      if (head->batch < self->newest_) // Redis went back while the rows were read
        return self->nothing();
      if (self->changed(*head) > self->last_ && --self->tries_ > 0)
        return self->begin();
      auto out = self->set(self->last_, self->last_);
      out->rows = std::move(self->rows_);
      self->done_(changes_read{false, {std::move(out)}, self->newest_});
    });
  }

  // -- logs

  // Where the log begins behind what is known, entries in between may have been dropped.
  void ask_oldest() {
    store_.load_log(partition_, ref_, version{}, version{std::numeric_limits<std::int64_t>::max()}, 1, false,
                    [self = shared_from_this()](result<std::vector<redis::stored_batch>> oldest) {
                      if (!oldest)
                        return self->done_(tl::unexpected(oldest.error()));
                      if (oldest->empty() || oldest->front().first > self->since_.known)
                        return self->whole();
                      self->ask_entries();
                    });
  }

  void ask_entries() {
    store_.load_log(partition_, ref_, version{since_.known.value + 1}, last_, most_batches_read, false,
                    [self = shared_from_this()](result<std::vector<redis::stored_batch>> batches) {
                      if (!batches)
                        return self->done_(tl::unexpected(batches.error()));
                      self->on_entries(std::move(*batches));
                    });
  }

  void on_entries(std::vector<redis::stored_batch> batches) {
    if (batches.size() >= most_batches_read)
      return whole();
    changes_read out;
    for (auto& batch : batches) {
      const auto n = std::max<std::size_t>(1, batch.entries.size());
      auto made = set(batch.first, version{batch.first.value + n - 1});
      made->entries = std::move(batch.entries);
      since_.known = made->last;
      out.changes.push_back(std::move(made));
    }
    if (since_.known < last_)
      out.changes.push_back(set(last_, last_));
    out.batch = newest_;
    done_(std::move(out));
  }

  redis::store& store_;
  const table_config table_;
  const table_ref ref_;
  const partition_key partition_;
  table::known_version since_;
  batch_id newest_;
  redis::callback<changes_read> done_;
  version last_; // of the head that was read first
  std::vector<std::string> keys_;
  std::vector<row_change> rows_; // of keys_, as far as they came
  int tries_ = most_tries;
};

} // namespace

void read_changes(redis::store& store, const table_config& table, const table_ref& ref, const partition_key& partition,
                  const table::known_version& since, const batch_id& newest, redis::callback<changes_read> done) {
  std::make_shared<reading>(store, table, ref, partition, since, newest, std::move(done))->begin();
}

} // namespace weir::actors
