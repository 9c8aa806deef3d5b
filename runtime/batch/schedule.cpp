#include "runtime/batch/schedule.hpp"

#include "runtime/core/hash.hpp"

#include <algorithm>

namespace weir::batch {

namespace {

std::int64_t multiple_up_to(std::int64_t now, std::int64_t every) {
  const auto rest = now % every;
  return now - (rest < 0 ? rest + every : rest);
}

std::int64_t length_of(duration every) { return std::max<std::int64_t>(1, every.count()); }

} // namespace

result<timing> timing::of(const job_config& job) {
  if (job.every)
    return timing(*job.every);
  if (job.cron.empty())
    return timing();
  auto expression = cron::parse(job.cron);
  if (!expression)
    return tl::unexpected(expression.error());
  auto in = load_zone(job.zone);
  if (!in)
    return tl::unexpected(in.error());
  return timing(*expression, std::move(*in));
}

std::optional<std::int64_t> timing::next(std::int64_t after_ms) const {
  if (const auto* every = std::get_if<duration>(&when_))
    return multiple_up_to(after_ms, length_of(*every)) + length_of(*every);
  if (const auto* times = std::get_if<cron_times>(&when_))
    return times->expression.next(after_ms, *times->in);
  return std::nullopt;
}

std::vector<std::int64_t> timing::between(std::int64_t after_ms, std::int64_t upto_ms) const {
  std::vector<std::int64_t> out;
  if (!*this || upto_ms <= after_ms)
    return out;
  // From a minute back and then ever longer, so that years of a job that fires each second cost no more than a minute.
  for (std::int64_t span = 60'000;; span *= 8) {
    const auto from = upto_ms - after_ms > span ? upto_ms - span : after_ms;
    out.clear();
    for (auto at = next(from); at && *at <= upto_ms; at = next(*at))
      out.push_back(*at);
    if (from == after_ms || out.size() >= most_missed)
      break;
  }
  if (out.size() > most_missed)
    out.erase(out.begin(), out.end() - static_cast<std::ptrdiff_t>(most_missed));
  return out;
}

schedule::schedule(timing when, std::int64_t now_ms, std::optional<std::int64_t> last_fire_ms,
                   const schedule_options& options)
    : when_(std::move(when)), options_(options) {
  // The first run waits for the next fire time: a start in the middle is none.
  last_ = std::max(now_ms, last_fire_ms.value_or(now_ms));
  if (last_fire_ms && options.missed != missed_policy::skip)
    last_ = *last_fire_ms;
}

std::int64_t schedule::delay(std::int64_t fire_ms) const {
  if (options_.jitter.count() <= 0)
    return 0;
  const auto range = static_cast<std::uint64_t>(options_.jitter.count()) + 1;
  return static_cast<std::int64_t>(spread(options_.seed ^ spread(static_cast<std::uint64_t>(fire_ms))) % range);
}

// Those that passed and whose delay is over, oldest first.
std::vector<std::int64_t> schedule::due(std::int64_t now_ms) const {
  auto passed = when_.between(last_, now_ms);
  while (!passed.empty() && now_ms < passed.back() + delay(passed.back()))
    passed.pop_back();
  return passed;
}

std::optional<std::int64_t> schedule::wake_at() const {
  if (running_)
    return {};
  const auto next = when_.next(last_);
  return next ? std::optional(*next + delay(*next)) : std::nullopt;
}

std::optional<std::int64_t> schedule::poll(std::int64_t now_ms) {
  const auto wake = wake_at();
  if (!wake || now_ms < *wake)
    return {};
  const auto passed = due(now_ms);
  if (passed.empty())
    return {};
  const bool all = options_.missed == missed_policy::all;
  last_ = all ? passed.front() : passed.back();
  skipped_ += all ? 0 : passed.size() - 1;
  running_ = true;
  return last_;
}

std::optional<std::int64_t> schedule::demand(std::int64_t fire_ms) {
  if (running_)
    return {};
  last_ = std::max(fire_ms, last_ + 1);
  running_ = true;
  return last_;
}

void schedule::taken(std::int64_t fire_ms) {
  last_ = std::max(last_, fire_ms);
  running_ = true;
}

void schedule::finished(std::int64_t now_ms) {
  running_ = false;
  if (options_.missed == missed_policy::all || options_.overlap == overlap_policy::queue)
    return;
  const auto passed = due(now_ms);
  if (passed.empty())
    return;
  skipped_ += passed.size();
  last_ = passed.back();
}

} // namespace weir::batch
