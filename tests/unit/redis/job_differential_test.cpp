// The job repository in memory and the scripts in Redis are one thing to the scheduler; and this comparison sees it
// where one rule of a script is broken.
#include "runtime/redis/scripts.hpp"
#include "tests/unit/redis/job_comparison.hpp"

#include <cstdlib>
#include <fmt/format.h>
#include <iostream>

namespace weir::redis::test {
namespace {

constexpr std::size_t sequences = 500, steps = 40;

std::uint64_t chosen_seed() {
  const char* given = std::getenv("WEIR_SEED");
  const std::uint64_t seed = given ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  std::cout << "seed " << seed << " (WEIR_SEED repeats it)\n";
  return seed;
}

TEST(job_differential, the_repository_in_memory_answers_and_stores_as_redis_does) {
  const auto seed = chosen_seed();
  server redis;
  client c(redis.config());
  c.await_up();
  job_comparison compare(seed, redis, c);
  for (std::size_t i = 0; i < sequences; ++i) {
    const auto difference = compare.run(steps);
    ASSERT_FALSE(difference) << "seed " << seed << ", sequence " << i << ":\n" << *difference;
  }
  // The sequences reached every answer.
  for (const char* answer : {"held",
                             "not held",
                             "adopt done",
                             "adopt fenced",
                             "begin done",
                             "begin already",
                             "begin fenced",
                             "begin busy",
                             "begin old",
                             "begin again done",
                             "begin again already",
                             "begin again fenced",
                             "begin again busy",
                             "begin again mismatch",
                             "change done",
                             "change fenced",
                             "change mismatch",
                             "chunk applied",
                             "chunk already",
                             "chunk outdated",
                             "history of 0",
                             "history of 2"})
    EXPECT_GE(compare.answers[answer], 10u) << answer;
}

// -- negative controls

struct broken_rule {
  const char* rule;
  const char* script;
  const char* text; // in the script, once
  const char* instead;
};

constexpr broken_rule broken_rules[] = {
    {"a held lease is not given to another", "lease", "if left > 0 and h[1] ~= ARGV[1]", "if false"},
    {"a clock that went back does not hold it for ever", "lease", "if left > 10 * tonumber(ARGV[2])", "if false"},
    {"only its owner gives it back", "lease", "if h[1] == ARGV[1] then redis", "if true then redis"},
    {"a lease that ran out gets a new token", "lease", "if left <= 0 or token <= low", "if token <= low"},
    {"a token rises above the one a job has seen", "lease", "if left <= 0 or token <= low", "if left <= 0"},
    {"a token never goes back", "lease", "math.max(token + 1, us, low + 1)", "math.max(us, low + 1)"},
    {"a token ends at two to the 53", "lease", "if token >= 9007199254740992", "if false"},
    {"a scheduler that was taken over adopts nothing", "adopt_job", "> tonumber(ARGV[1])", "> 9e15"},
    {"the one that adopted may adopt again", "adopt_job", "> tonumber(ARGV[1])", ">= tonumber(ARGV[1])"},
    {"an adoption raises the token", "adopt_job", "redis.call('HSET', J, 'token', ARGV[1])", ""},
    {"an adoption gives the checkpoints", "adopt_job", "redis.call('HGETALL', K)}", "{}}"},
    {"a scheduler that was taken over changes nothing", "change_job", "> tonumber(A[1])", "> 9e15"},
    {"one that has begun does not begin twice", "change_job", "if j[2] == A[2] then", "if false then"},
    {"none begins beside one that is open", "change_job", "if open then", "if false then"},
    {"STARTING is open", "change_job", "j[3] == 'STARTING' or ", ""},
    {"STOPPING is open", "change_job", " or j[3] == 'STOPPING'", ""},
    {"only FAILED begins again", "change_job", "j[3] ~= 'FAILED' and ", ""},
    {"only STOPPED begins again", "change_job", " and j[3] ~= 'STOPPED'", ""},
    {"one begins again only where it ended badly", "change_job", " or (j[3] ~= 'FAILED' and j[3] ~= 'STOPPED')", ""},
    {"one begins again only for the newest fire time", "change_job", "newest ~= tonumber(A[4]) or ", ""},
    {"a fire time is later than the newest", "change_job", "newest >= tonumber(A[4])", "newest > tonumber(A[4])"},
    {"the next one begins without marks", "change_job", "  else\n    redis.call('UNLINK', K)", "  else\n"},
    {"the next one begins with no chunks", "change_job", "redis.call('HSET', J, 'chunks', '0')", ""},
    {"the fire time is stored", "change_job", "'id', A[2], 'fire', A[4])", "'id', A[2])"},
    {"another execution is a mismatch", "change_job", "if j[2] ~= A[2] or not", "if not"},
    {"another status is a mismatch", "change_job",
     "j[2] ~= A[2] or not string.find(A[3], ',' .. (j[3] or '') .. ',', 1, true)", "j[2] ~= A[2]"},
    {"a change raises the token", "change_job", "'token', A[1], 'status'", "'status'"},
    {"an empty checkpoint drops it", "change_job", "if A[9] == '' then redis.call('HDEL', K, A[8]) else", "do"},
    {"marks go with the end", "change_job", "if A[11] ~= '1' then", "if false then"},
    {"marks stay where they are to", "change_job", "if A[11] ~= '1' then", "if true then"},
    {"the history is bounded by count", "change_job", "-(tonumber(A[12]) + 1)", "-(tonumber(A[12]) + 2)"},
    {"the history is bounded by age", "change_job", "'(' .. A[13]", "'(-1'"},
    {"one that ended at the bound stays", "change_job", "'(' .. A[13]", "A[13]"},
    {"what the order forgets the history forgets", "change_job", "    redis.call('HDEL', H, id)\n", ""},
    {"a history has at most as many as asked for", "job_history", "tonumber(ARGV[1]) - 1)", "tonumber(ARGV[1]))"},
    {"a history of none has none", "job_history", "if ARGV[1] == '0'", "if false"},
    {"a history has the newest first", "job_history", "ZREVRANGE", "ZRANGE"},
    {"a scheduler that was taken over writes no chunk", "apply", "tonumber(j[1] or '0') > tonumber(A[12]) or ", ""},
    {"another execution writes no chunk", "apply", "j[2] ~= A[13] or ", ""},
    {"one that is not started writes no chunk", "apply", " or (j[3] ~= 'STARTED' and j[3] ~= 'STOPPING')", ""},
    {"one that is stopping writes chunks", "apply", " and j[3] ~= 'STOPPING'", ""},
    {"a chunk is the next one", "apply", "(j[4] or '0') ~= A[14]", "false"},
    {"chunks are counted", "apply", "num(tonumber(A[14]) + 1)", "A[14]"},
};

// Puts a broken text in a script's place while it lives.
class broken_script {
public:
  explicit broken_script(const broken_rule& rule) : name_(rule.script) {
    intact_ = replace_script_text(name_, {});
    text_ = intact_;
    const auto at = text_.find(rule.text);
    EXPECT_NE(at, std::string::npos) << "the script has no " << rule.text;
    if (at == std::string::npos)
      return;
    EXPECT_EQ(text_.find(rule.text, at + 1), std::string::npos) << "the script has more than one " << rule.text;
    text_.replace(at, std::string_view(rule.text).size(), rule.instead);
    replace_script_text(name_, text_);
  }
  ~broken_script() { replace_script_text(name_, intact_); }
  broken_script(const broken_script&) = delete;
  broken_script& operator=(const broken_script&) = delete;

private:
  std::string name_, text_;
  std::string_view intact_;
};

TEST(job_differential, a_broken_rule_of_any_script_is_seen) {
  const auto seed = chosen_seed();
  server redis;
  for (const auto& rule : broken_rules) {
    broken_script broken(rule);
    if (HasFailure())
      return;
    client c(redis.config());
    c.await_up();
    job_comparison compare(seed, redis, c);
    // A few sequences show most of them; what is broken here may be as rare as one in a hundred.
    constexpr std::size_t most = 4 * sequences;
    std::size_t i = 0;
    while (i < most && !compare.run(steps))
      ++i;
    EXPECT_LT(i, most) << "seed " << seed << ": nobody missed the rule that " << rule.rule;
    RecordProperty(rule.rule, static_cast<int>(i));
  }
}

} // namespace
} // namespace weir::redis::test
