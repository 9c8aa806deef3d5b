// Random sequences of the job repository's calls on a real Redis and on the store in memory, which the actors' tests
// stand on: equal answers, and the same stored after each of them.
//
// The two clocks are taken out of it: leases are held for hours, the clock moves by hours (in Redis: `until` moves the
// other way), and tokens start far beyond both clocks.
#pragma once

#include "tests/support/memory_store.hpp"
#include "tests/unit/redis/job_fixture.hpp"

#include <map>
#include <optional>
#include <random>

namespace weir::redis::test {

class job_comparison {
public:
  job_comparison(std::uint64_t seed, server& real_server, client& real);

  // One sequence over a topology of its own. What differs first, in words; nullopt where nothing does.
  std::optional<std::string> run(std::size_t steps);

  // How often each answer came, so that a test can show that all rules were reached.
  std::map<std::string, std::size_t> answers;

private:
  std::uint64_t below(std::uint64_t n) { return random_() % n; }
  bool chance(int percent) { return below(100) < static_cast<std::uint64_t>(percent); }
  template <class T>
  const T& one_of(const std::vector<T>& from) {
    return from[below(from.size())];
  }
  template <class T, class Call>
  std::pair<result<T>, result<T>> both(Call call);
  void differ(std::string what, std::string real, std::string memory);

  void start();
  void step();
  void take();
  void drop();
  void move_clock();
  void adopt();
  void change();
  job_change begin_change();
  void chunk();
  void claim();
  void history();
  void lose();
  void compare_answers(const std::string& what, const result<job_answer>& real, const result<job_answer>& memory);
  void compare_stored();
  std::string stored_in_redis();
  std::string stored_in_memory();
  std::uint64_t some_token();

  std::mt19937_64 random_;
  server& redis_;
  client& client_;
  std::unique_ptr<support::memory_store> memory_;
  std::uint64_t clock_us_ = 0; // of the store in memory
  std::string topology_;
  partition_key job_;
  std::optional<std::pair<owner, owner>> writers_; // real, memory; none where a chain broke
  std::uint64_t newest_token_ = 0;                 // as the lease gave it
  std::vector<std::string> log_;                   // the steps of this sequence
  std::optional<std::string> difference_;
};

} // namespace weir::redis::test
