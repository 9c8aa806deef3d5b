// A chunk of a job's result is written only while its execution is the job's, by the scheduler that runs it, and once:
// the guard in the apply script, against a real redis-server.
#include "tests/unit/redis/job_fixture.hpp"

namespace weir::redis::test {
namespace {

class guard : public job_scripts {
protected:
  void SetUp() override {
    job_scripts::SetUp();
    auto head = c().claim(job);
    ASSERT_TRUE(head) << head.error().message;
    me = owner(job, *head);
    store({{"token", "7"}, {"id", "100.1"}, {"status", "STARTED"}, {"chunks", "2"}});
  }

  void store(const std::map<std::string, std::string>& fields) {
    for (const auto& [field, value] : fields)
      redis({"HSET", layout::job_key(job), field, value});
  }
  transaction chunk(std::uint64_t token, const std::string& execution, std::uint64_t number) {
    auto tx = me.next({put_rows("sums", {{"k", "1"}})});
    tx.guard = chunk_guard{token, execution, number};
    return tx;
  }
  tx_status status_of(const transaction& tx) {
    auto r = c().submit(tx);
    EXPECT_TRUE(r) << r.error().message;
    return r ? r->status : tx_status::mismatch;
  }
  // Refused, nothing of it is written, and it does not break the chain: the same is taken once the job fits.
  void refused(std::uint64_t token, const std::string& execution, std::uint64_t number, const std::string& why) {
    const auto tx = chunk(token, execution, number);
    const auto before = stored();
    EXPECT_EQ(status_of(tx), tx_status::outdated) << why;
    EXPECT_EQ(stored(), before) << why;
    me = owner(job, *c().claim(job)); // a new chain, as the writer makes one
  }
  std::map<std::string, std::string> stored() {
    auto out = dump();
    for (const auto& key : {layout::head_key(job), layout::bucket_key(job, {"sums", 1}, bucket_of("k", 4))})
      out[key] = redis({"DUMP", key});
    return out;
  }

  owner me{job, {}};
};

TEST_F(guard, the_next_chunk_of_the_jobs_execution_is_written_and_counted) {
  EXPECT_EQ(status_of(chunk(7, "100.1", 2)), tx_status::applied);
  EXPECT_EQ(state().chunks, 3u);
  EXPECT_EQ(status_of(chunk(7, "100.1", 3)), tx_status::applied);
  EXPECT_EQ(state().chunks, 4u);
  auto rows = answer_of<std::vector<stored_row>>(
      [&](auto done) { c()->load_bucket(job, {"sums", 1}, bucket_of("k", 4), done); });
  ASSERT_EQ(rows->size(), 1u);
}

TEST_F(guard, a_chunk_that_is_not_the_next_is_outdated) {
  refused(7, "100.1", 1, "it is written");
  refused(7, "100.1", 3, "the one before it is missing");
}

TEST_F(guard, another_execution_is_outdated) {
  refused(7, "100.2", 2, "another try");
  refused(7, "", 2, "none");
}

TEST_F(guard, a_scheduler_that_was_taken_over_writes_nothing) {
  refused(6, "100.1", 2, "a lower token");
  store({{"token", "10"}});
  refused(9, "100.1", 2, "compared as numbers");
  EXPECT_EQ(status_of(chunk(10, "100.1", 2)), tx_status::applied);
  EXPECT_EQ(status_of(chunk(11, "100.1", 3)), tx_status::applied) << "a greater one has not adopted the job yet";
}

TEST_F(guard, only_an_execution_that_is_started_or_stopping_writes) {
  for (const char* status : {"STARTING", "COMPLETED", "FAILED", "STOPPED", "ABANDONED", "", "started"}) {
    store({{"status", status}});
    refused(7, "100.1", 2, status);
  }
  store({{"status", "STOPPING"}});
  EXPECT_EQ(status_of(chunk(7, "100.1", 2)), tx_status::applied);
}

TEST_F(guard, a_job_that_redis_lost_takes_nothing) {
  redis({"DEL", layout::job_key(job)});
  refused(7, "100.1", 0, "lost");
  store({{"id", "100.1"}, {"status", "STARTED"}});
  EXPECT_EQ(status_of(chunk(7, "100.1", 0)), tx_status::applied) << "without a token or a count it is the first";
}

TEST_F(guard, a_chunk_sent_twice_is_written_and_counted_once) {
  auto tx = chunk(7, "100.1", 2);
  EXPECT_EQ(status_of(tx), tx_status::applied);
  EXPECT_EQ(status_of(tx), tx_status::already);
  EXPECT_EQ(state().chunks, 3u);
}

TEST_F(guard, the_chain_and_the_owner_come_before_the_job) {
  auto skipped = chunk(7, "100.1", 2);
  auto behind = chunk(6, "100.1", 2);
  EXPECT_EQ(status_of(behind), tx_status::mismatch) << "what it follows is not there";
  ASSERT_TRUE(c().claim(job, "b"));
  EXPECT_EQ(status_of(skipped), tx_status::fenced);
  EXPECT_EQ(state().chunks, 2u);
}

TEST_F(guard, a_chunk_that_is_refused_by_its_position_is_not_counted) {
  auto tx = chunk(7, "100.1", 2);
  tx.positions.push_back({{"sums", 1}, offset{99}, offset{100}});
  EXPECT_EQ(status_of(tx), tx_status::mismatch);
  EXPECT_EQ(state().chunks, 2u);
}

TEST_F(guard, a_transaction_without_a_guard_does_not_look_at_the_job) {
  store({{"status", "FAILED"}});
  EXPECT_EQ(status_of(me.next({put_rows("sums", {{"k", "1"}})})), tx_status::applied);
  EXPECT_EQ(state().chunks, 2u);
}

TEST_F(guard, a_job_of_another_type_is_an_error_and_nothing_is_written) {
  redis({"DEL", layout::job_key(job)});
  redis({"SET", layout::job_key(job), "mine"});
  const auto before = stored();
  auto r = c().submit(chunk(7, "100.1", 2));
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error().code, ec::redis_script);
  EXPECT_NE(r.error().message.find("WRONGTYPE"), std::string::npos) << r.error().message;
  EXPECT_EQ(stored(), before);
}

} // namespace
} // namespace weir::redis::test
