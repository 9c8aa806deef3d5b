#include "actors/input_watch.hpp"

#include <algorithm>
#include <memory>
#include <mutex>
#include <optional>

namespace weir::actors {
namespace {

// Adds up what the partitions answer, which may come on several threads.
template <class T>
class gathering {
public:
  gathering(std::size_t open, redis::callback<T> done) : open_(open), done_(std::move(done)) {}

  template <class Answer, class Add>
  void arrived(const result<Answer>& answer, const Add& add) {
    {
      std::lock_guard lock(mutex_);
      if (answer)
        add(sum_, *answer);
      else
        problem_ = answer.error();
      if (--open_ > 0)
        return;
    }
    if (problem_)
      return done_(tl::unexpected(*problem_));
    done_(sum_);
  }

private:
  std::mutex mutex_; // guards what follows, until the last answer
  T sum_{};
  std::optional<error> problem_;
  std::size_t open_;
  const redis::callback<T> done_;
};

} // namespace

void read_input_state(redis::store& store, const std::vector<partition_key>& partitions, const table_ref& table,
                      redis::callback<input_state> done) {
  if (partitions.empty())
    return done(input_state{});
  auto all = std::make_shared<gathering<input_state>>(partitions.size(), std::move(done));
  for (const auto& p : partitions)
    store.read_head(p, [all, table](result<redis::partition_state> head) {
      all->arrived(head, [&](input_state& sum, const redis::partition_state& one) {
        const auto at = one.tables.find(table.text());
        if (at == one.tables.end())
          return;
        sum.changed = std::max(sum.changed, at->second.changed);
        sum.positions += static_cast<std::uint64_t>(std::max<std::int64_t>(at->second.next.value, 0));
      });
    });
}

void read_input_total(redis::store& store, const std::vector<partition_key>& partitions, const table_config& table,
                      const table_ref& ref, redis::callback<std::uint64_t> done) {
  if (partitions.empty())
    return done(std::uint64_t{0});
  auto all = std::make_shared<gathering<std::uint64_t>>(partitions.size(), std::move(done));
  for (const auto& p : partitions) {
    if (table.kind == table_kind::log)
      store.read_head(p, [all, ref](result<redis::partition_state> head) {
        all->arrived(head, [&](std::uint64_t& sum, const redis::partition_state& one) {
          if (const auto at = one.tables.find(ref.text()); at != one.tables.end())
            sum += at->second.records;
        });
      });
    else
      store.count_rows(p, ref, redis::table_buckets(table.expected_rows), [all](result<std::uint64_t> rows) {
        all->arrived(rows, [](std::uint64_t& sum, std::uint64_t n) { sum += n; });
      });
  }
}

} // namespace weir::actors
