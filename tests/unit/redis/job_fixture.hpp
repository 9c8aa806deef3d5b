// A job's keys on the shared redis-server, and the calls of the job repository made to wait.
#pragma once

#include "runtime/redis/layout.hpp"
#include "tests/unit/redis/fixture.hpp"

#include <map>

namespace weir::redis::test {

inline job_change begins(const partition_key& job, std::uint64_t token, std::string id, std::int64_t fire_ms) {
  job_change c;
  c.job = job;
  c.token = {token};
  c.id = std::move(id);
  c.fire_ms = fire_ms;
  c.status = "STARTING";
  c.run = "run of " + c.id;
  return c;
}

inline job_change goes_on(const partition_key& job, std::uint64_t token, std::string id, std::string from,
                          std::string to) {
  auto c = begins(job, token, std::move(id), 0);
  c.expect = {std::move(from)};
  c.status = std::move(to);
  return c;
}

inline job_change ends(const partition_key& job, std::uint64_t token, std::string id, std::string status,
                       std::int64_t ended_ms) {
  auto c = goes_on(job, token, std::move(id), "STARTED", std::move(status));
  c.expect = {"STARTING", "STARTED", "STOPPING"};
  c.ends = true;
  c.ended_ms = ended_ms;
  return c;
}

// Each test has a topology, and so a lease and a job, of its own.
class job_scripts : public ::testing::Test {
protected:
  static void SetUpTestSuite() { shared_client() = std::make_unique<client>(shared_server().config()); }
  static void TearDownTestSuite() { shared_client().reset(); }
  void SetUp() override { c().await_up(); }

  client& c() { return *shared_client(); }
  job_store& jobs() { return c()->jobs(); }
  std::string redis(const std::vector<std::string>& arguments) { return shared_server().command(arguments); }

  result<lease> take(const std::string& owner, std::int64_t hold_ms = 60'000, std::uint64_t low = 0) {
    return answer_of<lease>([&](auto done) { jobs().take_lease(topology, owner, hold_ms, {low}, done); });
  }
  result<lease> drop(const std::string& owner) {
    return answer_of<lease>([&](auto done) { jobs().drop_lease(topology, owner, done); });
  }
  result<job_answer> adopt(std::uint64_t token) {
    return answer_of<job_answer>([&](auto done) { jobs().adopt_job(job, {token}, done); });
  }
  result<job_answer> change(job_change what) {
    return answer_of<job_answer>([&](auto done) { jobs().change_job(std::move(what), done); });
  }
  job_verdict verdict_of(job_change what) {
    auto r = change(std::move(what));
    EXPECT_TRUE(r) << r.error().message;
    return r ? r->verdict : job_verdict::done;
  }
  // The change is done, or the test fails.
  void changes(job_change what) {
    const auto id = what.id, status = what.status;
    EXPECT_EQ(verdict_of(std::move(what)), job_verdict::done) << id << " " << status;
  }
  std::vector<std::string> history(std::uint32_t most = 1000) {
    auto r = answer_of<std::vector<std::string>>([&](auto done) { jobs().job_history(job, most, done); });
    EXPECT_TRUE(r) << r.error().message;
    return r ? *r : std::vector<std::string>{};
  }
  job_state state() {
    auto r = answer_of<job_state>([&](auto done) { jobs().read_job(job, done); });
    EXPECT_TRUE(r) << r.error().message;
    return r ? *r : job_state{};
  }
  // All that is stored of the job, as Redis serializes it.
  std::map<std::string, std::string> dump() {
    std::map<std::string, std::string> out;
    for (const auto& key : {layout::job_key(job), layout::checkpoints_key(job), layout::history_key(job),
                            layout::history_order_key(job), layout::lease_key(topology)})
      out[key] = redis({"DUMP", key});
    return out;
  }

  const std::string topology = fresh_partition().topology;
  const partition_key job{topology, "job:nightly", partition_id{0}};

private:
  static std::unique_ptr<client>& shared_client() {
    static std::unique_ptr<client> c;
    return c;
  }
};

} // namespace weir::redis::test
