#include "tests/unit/redis/job_comparison.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace weir::redis::test {
namespace {

constexpr std::uint64_t base = 4'000'000'000'000'000; // the least token: far beyond both clocks
constexpr std::int64_t hour_ms = 3'600'000;
// Never a multiple of an hour, nor ten times of one: whether a lease has run out does not depend on how long a test
// took.
constexpr std::int64_t holds_ms[] = {hour_ms + 1'020'000, 3 * hour_ms + 1'020'000};
const std::vector<std::string> statuses{"STARTING", "STARTED", "STOPPING", "COMPLETED",
                                        "FAILED",   "STOPPED", "ABANDONED"};

// The whole of a job as text. KEYS: job, checkpoints, history, its order, lease.
constexpr const char* dump_script = R"lua(
local out = {}
local function line(...) out[#out + 1] = table.concat({...}, ' ') end
local function field(key, name, otherwise) return redis.call('HGET', key, name) or otherwise end
line('job', field(KEYS[1], 'token', '0'), field(KEYS[1], 'fire', '-1'), field(KEYS[1], 'id', ''),
     field(KEYS[1], 'status', ''), field(KEYS[1], 'run', ''), field(KEYS[1], 'chunks', '0'))
local marks = redis.call('HKEYS', KEYS[2])
table.sort(marks, function(a, b) return tonumber(a) < tonumber(b) end)
for _, share in ipairs(marks) do line('mark', share, redis.call('HGET', KEYS[2], share)) end
for _, id in ipairs(redis.call('ZREVRANGE', KEYS[4], 0, -1)) do line('ended', field(KEYS[3], id, '(none)')) end
line('history', redis.call('HLEN', KEYS[3]))
line('lease', field(KEYS[5], 'token', '0'), field(KEYS[5], 'owner', ''))
return table.concat(out, '\n')
)lua";

std::string text_of(const job_answer& a) {
  std::string out =
      fmt::format("verdict {}, token {}, fire {}, id {}, status {}, run {}, chunks {}", static_cast<int>(a.verdict),
                  a.stored.token.value, a.stored.fire_ms, a.stored.id, a.stored.status, a.stored.run, a.stored.chunks);
  for (const auto& [share, mark] : a.stored.checkpoints)
    out += fmt::format(", mark {} {}", share, mark);
  return out;
}

template <class T>
std::string code_of(const result<T>& r) {
  return r ? "an answer" : fmt::format("error {} ({})", static_cast<int>(r.error().code), r.error().message);
}

const char* name_of(job_verdict v) {
  switch (v) {
  case job_verdict::done: return "done";
  case job_verdict::already: return "already";
  case job_verdict::fenced: return "fenced";
  case job_verdict::busy: return "busy";
  case job_verdict::old: return "old";
  case job_verdict::mismatch: return "mismatch";
  }
  return "?";
}

const char* name_of(tx_status s) {
  switch (s) {
  case tx_status::applied: return "applied";
  case tx_status::already: return "already";
  case tx_status::mismatch: return "mismatch";
  case tx_status::fenced: return "fenced";
  case tx_status::outdated: return "outdated";
  }
  return "?";
}

} // namespace

job_comparison::job_comparison(std::uint64_t seed, server& real_server, client& real)
    : random_(seed), redis_(real_server), client_(real) {}

std::optional<std::string> job_comparison::run(std::size_t steps) {
  start();
  for (std::size_t i = 0; i < steps && !difference_; ++i) {
    step();
    if (!difference_)
      compare_stored();
  }
  if (!difference_)
    return std::nullopt;
  std::string out;
  for (const auto& line : log_)
    out += line + "\n";
  return out + *difference_;
}

void job_comparison::start() {
  topology_ = fresh_partition().topology;
  job_ = {topology_, "job:nightly", partition_id{0}};
  clock_us_ = 1'000'000'000'000'000;
  memory_ = std::make_unique<support::memory_store>(
      support::memory_store::options{.writers = 1, .now = [this] { return clock_us_; }, .run = {}});
  writers_.reset();
  newest_token_ = 0;
  log_.clear();
  difference_.reset();
}

void job_comparison::step() {
  const auto what = below(100);
  if (newest_token_ == 0 || what < 8)
    take();
  else if (what < 11)
    drop();
  else if (what < 16)
    move_clock();
  else if (what < 22)
    adopt();
  else if (what < 74)
    change();
  else if (what < 90)
    chunk();
  else if (what < 99)
    history();
  else
    lose();
}

void job_comparison::differ(std::string what, std::string real, std::string memory) {
  if (!difference_)
    difference_ = fmt::format("{}\nRedis:  {}\nmemory: {}", what, real, memory);
}

template <class T, class Call>
std::pair<result<T>, result<T>> job_comparison::both(Call call) {
  auto real = answer_of<T>([&](auto done) { call(client_.store(), done); });
  auto memory = answer_of<T>([&](auto done) { call(static_cast<store&>(*memory_), done); });
  if (real.has_value() != memory.has_value() || (!real && real.error().code != memory.error().code))
    differ("answer", code_of(real), code_of(memory));
  return {std::move(real), std::move(memory)};
}

// -- the lease

void job_comparison::take() {
  const auto owner = one_of<std::string>({"a", "b", "c"});
  const auto hold = holds_ms[below(std::size(holds_ms))];
  std::uint64_t low = chance(50) ? 0 : newest_token_ + below(4) - std::min<std::uint64_t>(2, newest_token_);
  if (newest_token_ == 0) // nothing is known, so that the clock would tell
    low = base + below(1000);
  else if (chance(4))
    low = (1ull << 53) - 1;
  log_.push_back(fmt::format("take {} hold {} low {}", owner, hold, low));
  auto [real, memory] =
      both<lease>([&](store& s, auto done) { s.jobs().take_lease(topology_, owner, hold, fence_token{low}, done); });
  if (!real || !memory)
    return;
  ++answers[real->held ? "held" : "not held"];
  if (real->held)
    newest_token_ = real->token.value;
  const auto text = [](const lease& l) { return fmt::format("{} {} {}", l.held, l.token.value, l.owner); };
  if (text(*real) != text(*memory))
    differ("lease", text(*real), text(*memory));
  // Redis' clock goes on while the test runs.
  if (real->left_ms > memory->left_ms || real->left_ms < memory->left_ms - hour_ms / 4)
    differ("time left", std::to_string(real->left_ms), std::to_string(memory->left_ms));
}

void job_comparison::drop() {
  const auto owner = one_of<std::string>({"a", "b", "c"});
  log_.push_back("drop " + owner);
  auto [real, memory] = both<lease>([&](store& s, auto done) { s.jobs().drop_lease(topology_, owner, done); });
  if (!real || !memory)
    return;
  const auto text = [](const lease& l) {
    return fmt::format("{} {} {} {}", l.held, l.token.value, l.owner, l.left_ms);
  };
  if (text(*real) != text(*memory))
    differ("lease", text(*real), text(*memory));
}

void job_comparison::move_clock() {
  auto hours = static_cast<std::int64_t>(below(chance(50) ? 3 : 40)) + 1;
  if (chance(50))
    hours = -hours;
  log_.push_back(fmt::format("clock moves by {} h", hours));
  clock_us_ += static_cast<std::uint64_t>(hours * hour_ms * 1000);
  const auto key = layout::lease_key(topology_);
  const auto until = redis_.command({"HGET", key, "until"});
  if (until != "(nil)" && until != "0")
    redis_.command({"HSET", key, "until", std::to_string(std::stoll(until) - hours * hour_ms)});
}

// Redis loses all.
void job_comparison::lose() {
  log_.push_back("all is lost");
  redis_.command({"FLUSHALL"});
  memory_->flush_all();
  writers_.reset();
  newest_token_ = 0;
}

// -- a job

std::uint64_t job_comparison::some_token() {
  if (chance(90))
    return newest_token_;
  return newest_token_ - 2 + below(4);
}

void job_comparison::adopt() {
  const auto token = some_token();
  log_.push_back(fmt::format("adopt {}", token));
  auto [real, memory] =
      both<job_answer>([&](store& s, auto done) { s.jobs().adopt_job(job_, fence_token{token}, done); });
  compare_answers("adopt ", real, memory);
}

job_change job_comparison::begin_change() {
  const auto now = *answer_of<job_state>([&](auto done) { memory_->read_job(job_, done); });
  auto fire = now.fire_ms + static_cast<std::int64_t>(below(4)) - 1;
  const bool again = chance(35);
  if (again && chance(80))
    fire = now.fire_ms;
  auto c = begins(job_, some_token(), fmt::format("{}.{}", fire, below(4)), fire);
  c.again = again;
  return c;
}

void job_comparison::change() {
  const auto now = *answer_of<job_state>([&](auto done) { memory_->read_job(job_, done); });
  const bool open = now.status == "STARTING" || now.status == "STARTED" || now.status == "STOPPING";
  job_change c;
  if (chance(open ? 25 : 75)) {
    c = begin_change();
  } else {
    const auto id = chance(95) && !now.id.empty() ? now.id : "7.7";
    c = goes_on(job_, some_token(), id, chance(85) ? now.status : one_of(statuses), one_of(statuses));
    if (chance(50))
      c.expect.push_back(one_of(statuses));
    if (chance(60))
      c.status = one_of<std::string>({"STARTED", "STOPPING", "FAILED", "STOPPED"});
    if (chance(40))
      c.checkpoint = {{static_cast<std::uint32_t>(below(3)), chance(25) ? "" : fmt::format("mark{}", below(100))}};
    c.ends = chance(45);
    c.keep_checkpoints = chance(50);
    c.keep_count = chance(60) ? 100 : static_cast<std::uint32_t>(below(5));
    c.ended_ms = static_cast<std::int64_t>(below(20));
    c.keep_since_ms = chance(60) ? 0 : static_cast<std::int64_t>(below(20));
  }
  c.run = fmt::format("{}-{}-ended-{}", c.id, below(1000), c.ended_ms);
  std::string expect;
  for (const auto& status : c.expect)
    expect += status + " ";
  log_.push_back(fmt::format("change token {} id {} fire {} again {} from [ {}] to {} run {} mark {} ends {} (marks "
                             "stay {}, keep {} since {})",
                             c.token.value, c.id, c.fire_ms, c.again, expect, c.status, c.run,
                             c.checkpoint ? fmt::format("{} '{}'", c.checkpoint->first, c.checkpoint->second) : "-",
                             c.ends, c.keep_checkpoints, c.keep_count, c.keep_since_ms));
  auto [real, memory] = both<job_answer>([&](store& s, auto done) { s.jobs().change_job(c, done); });
  compare_answers(c.expect.empty() ? (c.again ? "begin again " : "begin ") : "change ", real, memory);
}

void job_comparison::compare_answers(const std::string& what, const result<job_answer>& real,
                                     const result<job_answer>& memory) {
  if (!real || !memory)
    return;
  ++answers[what + name_of(real->verdict)];
  if (text_of(*real) != text_of(*memory))
    differ("answer", text_of(*real), text_of(*memory));
}

void job_comparison::history() {
  const auto most = static_cast<std::uint32_t>(below(5));
  log_.push_back(fmt::format("history {}", most));
  auto [real, memory] =
      both<std::vector<std::string>>([&](store& s, auto done) { s.jobs().job_history(job_, most, done); });
  if (!real || !memory)
    return;
  ++answers[fmt::format("history of {}", real->size())];
  if (*real != *memory)
    differ("history", fmt::format("{}", fmt::join(*real, " ")), fmt::format("{}", fmt::join(*memory, " ")));
}

// -- chunks of its result

void job_comparison::claim() {
  auto [real, memory] = both<partition_state>([&](store& s, auto done) { s.claim({job_, "a", -1, version{}}, done); });
  if (real && memory)
    writers_ = std::pair(owner(job_, *real), owner(job_, *memory));
}

void job_comparison::chunk() {
  if (!writers_)
    claim();
  if (!writers_)
    return;
  const auto now = *answer_of<job_state>([&](auto done) { memory_->read_job(job_, done); });
  const chunk_guard guard{some_token(), chance(85) ? now.id : "7.7",
                          chance(75) ? now.chunks : now.chunks + below(3) - std::min<std::uint64_t>(1, now.chunks)};
  log_.push_back(fmt::format("chunk {} of {} token {}", guard.chunk, guard.execution, guard.token));
  auto real_tx = writers_->first.next({put_rows("sums", {{"k", "1"}})});
  auto memory_tx = writers_->second.next({put_rows("sums", {{"k", "1"}})});
  real_tx.guard = memory_tx.guard = guard;
  for (int times = chance(10) ? 2 : 1; times > 0 && !difference_; --times) {
    auto real = client_.submit(real_tx);
    auto memory = answer_of<tx_result>(
        [&](auto done) { memory_->writer(0).submit(std::make_shared<const transaction>(memory_tx), done); });
    if (!real || !memory)
      return differ("chunk", code_of(real), code_of(memory));
    ++answers[std::string("chunk ") + name_of(real->status)];
    if (real->status != memory->status)
      differ("chunk", name_of(real->status), name_of(memory->status));
    if (real->status == tx_status::outdated)
      writers_.reset(); // a writer claims anew, and so makes a new chain
  }
}

// -- what is stored

void job_comparison::compare_stored() {
  const auto real = stored_in_redis(), memory = stored_in_memory();
  if (real != memory)
    differ("stored", "\n" + real, "\n" + memory);
}

std::string job_comparison::stored_in_redis() {
  return redis_.command({"EVAL", dump_script, "5", layout::job_key(job_), layout::checkpoints_key(job_),
                         layout::history_key(job_), layout::history_order_key(job_), layout::lease_key(topology_)});
}

std::string job_comparison::stored_in_memory() {
  auto state = *answer_of<job_state>([&](auto done) { memory_->read_job(job_, done); });
  std::string out = fmt::format("job {} {} {} {} {} {}", state.token.value, state.fire_ms, state.id, state.status,
                                state.run, state.chunks);
  // Under its own token an adoption changes nothing, and gives the checkpoints.
  auto adopted = *answer_of<job_answer>([&](auto done) { memory_->adopt_job(job_, state.token, done); });
  for (const auto& [share, mark] : adopted.stored.checkpoints)
    out += fmt::format("\nmark {} {}", share, mark);
  auto ended = *answer_of<std::vector<std::string>>([&](auto done) { memory_->job_history(job_, 1000, done); });
  for (const auto& run : ended)
    out += "\nended " + run;
  // Nor does anything change where one gives back what it does not hold.
  auto held = *answer_of<lease>([&](auto done) { memory_->drop_lease(topology_, "nobody", done); });
  return out + fmt::format("\nhistory {}\nlease {} {}", ended.size(), held.token.value, held.owner);
}

} // namespace weir::redis::test
