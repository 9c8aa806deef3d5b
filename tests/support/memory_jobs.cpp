#include "tests/support/memory_jobs.hpp"

#include <algorithm>
#include <tuple>

namespace weir::support {

using namespace redis;

namespace {

constexpr std::uint64_t token_bound = 9007199254740992ull; // 2^53, as in the script

bool is_open(const job_state& job) {
  return job.status == "STARTING" || job.status == "STARTED" || job.status == "STOPPING";
}

job_state without_checkpoints(job_state job) {
  job.checkpoints.clear();
  return job;
}

// Whether an execution may begin over the newest one; done if it may.
job_verdict may_begin(const job_state& newest, const job_change& c) {
  if (newest.id == c.id)
    return job_verdict::already;
  if (is_open(newest))
    return job_verdict::busy;
  if (c.again) {
    const bool restartable = newest.status == "FAILED" || newest.status == "STOPPED";
    return restartable && newest.fire_ms == c.fire_ms ? job_verdict::done : job_verdict::mismatch;
  }
  return newest.fire_ms < c.fire_ms ? job_verdict::done : job_verdict::old;
}

} // namespace

result<lease> memory_jobs::take_lease(const std::string& topology, const std::string& owner, std::int64_t hold_ms,
                                      fence_token low, std::uint64_t now_us) {
  auto& l = leases_[topology];
  const auto now = static_cast<std::int64_t>(now_us / 1000);
  const bool runs = l.until_ms > now && l.until_ms - now <= 10 * hold_ms;
  if (runs && l.owner != owner)
    return lease{false, fence_token{l.token}, l.owner, l.until_ms - now};
  auto token = l.token;
  if (!runs || token <= low.value)
    token = std::max({token + 1, now_us, low.value + 1});
  if (token >= token_bound)
    return fail(ec::redis_script, "a token beyond 2^53 was asked for");
  l.token = token;
  l.owner = owner;
  l.until_ms = now + hold_ms;
  return lease{true, fence_token{token}, owner, hold_ms};
}

lease memory_jobs::drop_lease(const std::string& topology, const std::string& owner) {
  auto& l = leases_[topology];
  if (l.owner == owner)
    l.until_ms = 0;
  return {false, fence_token{l.token}, l.owner, 0};
}

job_answer memory_jobs::adopt(const partition_key& job, fence_token token) {
  auto& j = jobs_[job].now;
  if (j.token > token)
    return {job_verdict::fenced, without_checkpoints(j)};
  j.token = token;
  return {job_verdict::done, j};
}

job_answer memory_jobs::change(const job_change& c) {
  auto& data = jobs_[c.job];
  auto& j = data.now;
  const auto refuse = [&](job_verdict why) { return job_answer{why, without_checkpoints(j)}; };
  if (j.token > c.token)
    return refuse(job_verdict::fenced);
  if (c.expect.empty()) {
    if (const auto verdict = may_begin(j, c); verdict != job_verdict::done)
      return refuse(verdict);
    if (!c.again) {
      j.checkpoints.clear();
      j.chunks = 0;
    }
    j.id = c.id;
    j.fire_ms = c.fire_ms;
  } else if (j.id != c.id || std::find(c.expect.begin(), c.expect.end(), j.status) == c.expect.end()) {
    return refuse(job_verdict::mismatch);
  }
  j.token = c.token;
  j.status = c.status;
  j.run = c.run;
  if (c.checkpoint && c.checkpoint->second.empty())
    j.checkpoints.erase(c.checkpoint->first);
  else if (c.checkpoint)
    j.checkpoints[c.checkpoint->first] = c.checkpoint->second;
  if (!c.ends)
    return {};
  if (!c.keep_checkpoints)
    j.checkpoints.clear();
  data.history[c.id] = {c.ended_ms, c.run};
  std::vector<std::pair<std::int64_t, std::string>> order;
  for (const auto& [id, ended] : data.history)
    order.emplace_back(ended.first, id);
  std::sort(order.begin(), order.end());
  for (std::size_t i = 0; i < order.size(); ++i)
    if (order.size() - i > c.keep_count || order[i].first < c.keep_since_ms)
      data.history.erase(order[i].second);
  return {};
}

std::vector<std::string> memory_jobs::history(const partition_key& job, std::uint32_t most) const {
  std::vector<std::string> out;
  const auto at = jobs_.find(job);
  if (at == jobs_.end())
    return out;
  std::vector<std::tuple<std::int64_t, std::string, std::string>> order; // when it ended, id, run
  for (const auto& [id, ended] : at->second.history)
    order.emplace_back(ended.first, id, ended.second);
  std::sort(order.rbegin(), order.rend());
  for (auto& [ended, id, run] : order)
    if (out.size() < most)
      out.push_back(std::move(run));
  return out;
}

job_state memory_jobs::read(const partition_key& job) const {
  const auto at = jobs_.find(job);
  return at == jobs_.end() ? job_state{} : without_checkpoints(at->second.now);
}

bool memory_jobs::takes(const partition_key& job, const chunk_guard& chunk) const {
  const auto j = read(job);
  return j.token.value <= chunk.token && j.id == chunk.execution && (j.status == "STARTED" || j.status == "STOPPING") &&
         j.chunks == chunk.chunk;
}

void memory_jobs::wrote(const partition_key& job, const chunk_guard& chunk) { jobs_[job].now.chunks = chunk.chunk + 1; }

} // namespace weir::support
