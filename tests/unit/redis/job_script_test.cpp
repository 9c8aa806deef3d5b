// The rules of the job repository's scripts, each against a real redis-server.
#include "runtime/core/reactor.hpp"
#include "tests/unit/redis/job_fixture.hpp"

#include <algorithm>
#include <atomic>
#include <fmt/format.h>

namespace weir::redis::test {
namespace {

constexpr std::uint64_t ahead = 4'000'000'000'000'000; // a token far beyond the clock

// -- the lease

class lease_script : public job_scripts {
protected:
  std::string key() { return layout::lease_key(topology); }
};

TEST_F(lease_script, it_is_given_to_who_asks_where_nobody_holds_it) {
  auto got = take("a", 5'000);
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_TRUE(got->held);
  EXPECT_EQ(got->owner, "a");
  EXPECT_EQ(got->left_ms, 5'000);
  EXPECT_GT(got->token.value, 1'600'000'000'000'000u) << "the clock is in it";
}

TEST_F(lease_script, another_one_learns_who_holds_it_and_for_how_long) {
  auto holder = take("a");
  auto other = take("b");
  ASSERT_TRUE(holder && other);
  EXPECT_FALSE(other->held);
  EXPECT_EQ(other->owner, "a");
  EXPECT_EQ(other->token, holder->token);
  EXPECT_GT(other->left_ms, 30'000);
  EXPECT_LE(other->left_ms, 60'000);
}

TEST_F(lease_script, its_owner_extends_it_and_keeps_the_token) {
  auto first = take("a", 1'000);
  auto second = take("a", 50'000);
  ASSERT_TRUE(first && second);
  EXPECT_TRUE(second->held);
  EXPECT_EQ(second->token, first->token);
  EXPECT_GT(take("b")->left_ms, 30'000);
}

TEST_F(lease_script, only_its_owner_gives_it_back) {
  auto first = take("a");
  ASSERT_TRUE(drop("b"));
  EXPECT_FALSE(take("b")->held);
  auto dropped = drop("a");
  ASSERT_TRUE(dropped);
  EXPECT_FALSE(dropped->held);
  auto next = take("b");
  EXPECT_TRUE(next->held);
  EXPECT_GT(next->token, first->token);
}

TEST_F(lease_script, giving_back_what_nobody_ever_held_does_nothing) {
  auto dropped = drop("a");
  ASSERT_TRUE(dropped) << dropped.error().message;
  EXPECT_FALSE(dropped->held);
  EXPECT_EQ(redis({"EXISTS", key()}), "0");
}

TEST_F(lease_script, one_that_ran_out_is_given_to_another_with_a_greater_token) {
  auto first = take("a", 20);
  ASSERT_TRUE(first->held);
  result<lease> next = lease{};
  ASSERT_TRUE(eventually([&] { return (next = take("b")) && next->held; }));
  EXPECT_GT(next->token, first->token);
}

TEST_F(lease_script, an_owner_whose_lease_ran_out_gets_a_greater_token_too) {
  auto first = take("a");
  redis({"HSET", key(), "until", "1"});
  // Somebody else may have had it in between, and changed jobs.
  EXPECT_GT(take("a")->token, first->token);
}

TEST_F(lease_script, its_token_never_goes_back) {
  redis({"HSET", key(), "token", std::to_string(ahead), "owner", "gone", "until", "0"});
  auto expired = take("a");
  EXPECT_EQ(expired->token.value, ahead + 1) << "though the clock is behind it";
  ASSERT_TRUE(drop("a"));
  EXPECT_EQ(take("b")->token.value, ahead + 2) << "after a release";
  EXPECT_EQ(take("b")->token.value, ahead + 2);
  redis({"DEL", key()});
  auto lost = take("c");
  EXPECT_TRUE(lost->held);
  EXPECT_LT(lost->token.value, ahead) << "the clock's, which is all that is known now";
  EXPECT_EQ(take("c", 60'000, ahead + 2)->token.value, ahead + 3) << "a job has seen that one";
}

TEST_F(lease_script, the_token_rises_above_the_one_a_job_has_seen_for_whoever_gets_the_lease) {
  EXPECT_EQ(take("a", 60'000, ahead)->token.value, ahead + 1);
  EXPECT_EQ(take("a", 60'000, ahead)->token.value, ahead + 1) << "it is above that already";
  auto other = take("b", 60'000, ahead + 100);
  EXPECT_FALSE(other->held);
  EXPECT_EQ(other->token.value, ahead + 1) << "nor does another one's question raise the holder's";
}

TEST_F(lease_script, a_clock_that_went_back_does_not_hold_it_for_ever) {
  auto first = take("a", 1'000);
  const auto until = std::stoll(redis({"HGET", key(), "until"}));
  redis({"HSET", key(), "until", std::to_string(until + 8'000)});
  EXPECT_FALSE(take("b", 1'000)->held) << "up to ten times the time it is held for";
  redis({"HSET", key(), "until", std::to_string(until + 86'400'000)});
  auto next = take("b", 1'000);
  EXPECT_TRUE(next->held);
  EXPECT_GT(next->token, first->token);
}

TEST_F(lease_script, tokens_keep_every_digit_and_end_at_two_to_the_53) {
  EXPECT_EQ(take("a", 60'000, 9'007'199'254'740'990)->token.value, 9'007'199'254'740'991u);
  auto before = dump();
  auto beyond = take("a", 60'000, 9'007'199'254'740'991);
  ASSERT_FALSE(beyond) << beyond->token.value;
  EXPECT_EQ(beyond.error().code, ec::redis_script);
  EXPECT_EQ(dump(), before);
}

TEST_F(lease_script, a_key_of_another_type_or_a_damaged_one_is_an_error) {
  redis({"SET", key(), "mine"});
  for (auto answer : {take("a"), drop("a")}) {
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code, ec::redis_script);
    EXPECT_NE(answer.error().message.find("WRONGTYPE"), std::string::npos) << answer.error().message;
  }
  EXPECT_EQ(redis({"GET", key()}), "mine");
  redis({"DEL", key()});
  redis({"HSET", key(), "owner", "a", "token", "what?", "until", "1"});
  auto damaged = take("b");
  ASSERT_FALSE(damaged);
  EXPECT_EQ(damaged.error().code, ec::redis_script);
  EXPECT_EQ(redis({"HGET", key(), "owner"}), "a");
}

// A lease is soon over, and a large job's checkpoints take long to come.
TEST_F(lease_script, its_answer_does_not_stand_behind_checkpoints_where_jobs_have_a_reactor) {
  auto marks = begins(job, 7, "100.1", 100);
  marks.checkpoint = {{0, std::string(64'000'000, 'x')}};
  ASSERT_TRUE(adopt(7));
  changes(std::move(marks));
  for (const bool jobs_have_one : {true, false}) {
    reactor one("one"), other("other"), of_jobs("jobs");
    for (auto* r : {&one, &other, &of_jobs})
      r->start();
    auto made = make_redis_store(shared_server().config(), {&one, &other}, {}, jobs_have_one ? &of_jobs : nullptr);
    ASSERT_TRUE(made) << made.error().message;
    auto& there = (*made)->jobs();
    const auto leased = [&] {
      return answer_of<lease>([&](auto done) { there.take_lease(topology, "a", 60'000, {}, done); });
    };
    ASSERT_TRUE(leased()); // it is connected
    ASSERT_TRUE(answer_of<job_state>([&](auto done) { there.read_job(job, done); }));
    std::atomic<bool> lease_came = false;
    const auto adopted = answer_of<bool>([&](auto done) {
      there.adopt_job(job, {7}, [&lease_came, done](result<job_answer> r) {
        done(r ? result<bool>(lease_came.load()) : tl::unexpected(r.error()));
      });
      there.take_lease(topology, "a", 60'000, {}, [&lease_came](const result<lease>&) { lease_came = true; });
    });
    ASSERT_TRUE(adopted) << adopted.error().message;
    EXPECT_EQ(*adopted, jobs_have_one);
    EXPECT_TRUE(eventually([&] { return lease_came.load(); }));
    (*made)->close();
    for (auto* r : {&one, &other, &of_jobs})
      r->stop();
  }
}

// -- adoption

class adopt_script : public job_scripts {};

TEST_F(adopt_script, a_job_nobody_knows_is_adopted) {
  auto got = adopt(7);
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_EQ(got->verdict, job_verdict::done);
  EXPECT_EQ(got->stored.fire_ms, -1);
  EXPECT_EQ(got->stored.id, "");
  EXPECT_EQ(state().token, fence_token{7});
}

TEST_F(adopt_script, it_gives_the_newest_execution_with_its_checkpoints) {
  changes(begins(job, 7, "100.1", 100));
  auto marks = goes_on(job, 7, "100.1", "STARTING", "STARTED");
  marks.checkpoint = {{3, std::string("12\n\0 \xff", 6)}};
  changes(marks);
  auto got = adopt(8);
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_EQ(got->verdict, job_verdict::done);
  EXPECT_EQ(got->stored.token, fence_token{8});
  EXPECT_EQ(got->stored.id, "100.1");
  EXPECT_EQ(got->stored.fire_ms, 100);
  EXPECT_EQ(got->stored.status, "STARTED");
  EXPECT_EQ(got->stored.run, "run of 100.1");
  EXPECT_EQ(got->stored.checkpoints, (std::map<std::uint32_t, std::string>{{3, marks.checkpoint->second}}));
}

TEST_F(adopt_script, a_scheduler_that_was_taken_over_adopts_nothing_and_lowers_no_token) {
  ASSERT_EQ(adopt(8)->verdict, job_verdict::done);
  EXPECT_EQ(adopt(8)->verdict, job_verdict::done) << "the same one again";
  auto late = adopt(7);
  ASSERT_TRUE(late);
  EXPECT_EQ(late->verdict, job_verdict::fenced);
  EXPECT_EQ(late->stored.token, fence_token{8}) << "so that the loser asks for a greater one";
  EXPECT_EQ(state().token, fence_token{8});
}

TEST_F(adopt_script, tokens_are_compared_as_numbers_and_keep_every_digit) {
  ASSERT_EQ(adopt(9)->verdict, job_verdict::done);
  EXPECT_EQ(adopt(10)->verdict, job_verdict::done) << "10 is above 9, though not as text";
  EXPECT_EQ(adopt(9'007'199'254'740'991)->verdict, job_verdict::done);
  EXPECT_EQ(adopt(9'007'199'254'740'990)->verdict, job_verdict::fenced);
  EXPECT_EQ(state().token.value, 9'007'199'254'740'991u);
}

TEST_F(adopt_script, keys_of_another_type_are_an_error_and_nothing_is_written) {
  changes(begins(job, 7, "100.1", 100));
  redis({"SET", layout::checkpoints_key(job), "mine"});
  auto before = dump();
  auto got = adopt(9);
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().code, ec::redis_script);
  EXPECT_EQ(dump(), before) << "nor is the token raised";
  redis({"DEL", layout::job_key(job)});
  redis({"RPUSH", layout::job_key(job), "mine"});
  before = dump();
  EXPECT_EQ(adopt(9).error().code, ec::redis_script);
  auto read = answer_of<job_state>([&](auto done) { jobs().read_job(job, done); });
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, ec::redis_script);
  EXPECT_EQ(dump(), before);
}

// -- executions

class change_script : public job_scripts {
protected:
  void at(const std::string& id, std::int64_t fire_ms, const std::string& status) {
    redis({"HSET", layout::job_key(job), "token", "7", "id", id, "fire", std::to_string(fire_ms), "status", status,
           "run", "before", "chunks", "2"});
    redis({"HSET", layout::checkpoints_key(job), "0", "mark"});
  }
  std::string marks() { return redis({"HGETALL", layout::checkpoints_key(job)}); }
};

constexpr const char* open_statuses[] = {"STARTING", "STARTED", "STOPPING"};
constexpr const char* ended_statuses[] = {"COMPLETED", "FAILED", "STOPPED", "ABANDONED"};

TEST_F(change_script, the_first_execution_begins) {
  changes(begins(job, 7, "100.1", 100));
  auto now = state();
  EXPECT_EQ(now.token, fence_token{7});
  EXPECT_EQ(now.id, "100.1");
  EXPECT_EQ(now.fire_ms, 100);
  EXPECT_EQ(now.status, "STARTING");
  EXPECT_EQ(now.run, "run of 100.1");
  EXPECT_EQ(now.chunks, 0u);
  EXPECT_TRUE(history().empty());
}

TEST_F(change_script, the_next_one_begins_without_the_marks_of_the_one_before) {
  for (const char* status : ended_statuses) {
    at("100.1", 100, status);
    changes(begins(job, 8, "200.1", 200));
    EXPECT_EQ(state().chunks, 0u) << status;
    EXPECT_EQ(state().fire_ms, 200) << status;
    EXPECT_EQ(marks(), "") << status;
  }
}

TEST_F(change_script, none_begins_beside_one_that_is_open) {
  for (const char* status : open_statuses) {
    at("100.1", 100, status);
    auto before = dump();
    auto refused = change(begins(job, 7, "200.1", 200));
    ASSERT_TRUE(refused);
    EXPECT_EQ(refused->verdict, job_verdict::busy) << status;
    EXPECT_EQ(refused->stored.id, "100.1");
    EXPECT_EQ(refused->stored.status, status);
    EXPECT_EQ(refused->stored.chunks, 2u);
    EXPECT_EQ(dump(), before) << status;
  }
}

TEST_F(change_script, one_that_has_begun_does_not_begin_twice) {
  for (const char* status : {"STARTING", "STARTED", "COMPLETED", "FAILED"}) {
    at("100.1", 100, status);
    auto before = dump();
    EXPECT_EQ(verdict_of(begins(job, 9, "100.1", 100)), job_verdict::already) << status;
    EXPECT_EQ(dump(), before) << status;
  }
}

TEST_F(change_script, none_begins_for_a_time_that_is_not_later) {
  for (const char* status : ended_statuses) {
    at("100.1", 100, status);
    auto before = dump();
    EXPECT_EQ(verdict_of(begins(job, 7, "100.2", 100)), job_verdict::old) << status;
    EXPECT_EQ(verdict_of(begins(job, 7, "90.1", 90)), job_verdict::old) << status;
    EXPECT_EQ(dump(), before) << status;
    EXPECT_EQ(verdict_of(begins(job, 7, "101.1", 101)), job_verdict::done) << status;
  }
}

TEST_F(change_script, only_one_that_failed_or_was_stopped_begins_again_from_its_marks) {
  for (const char* status : ended_statuses) {
    at("100.1", 100, status);
    auto again = begins(job, 8, "100.2", 100);
    again.again = true;
    const bool may = std::string_view(status) == "FAILED" || std::string_view(status) == "STOPPED";
    auto before = dump();
    EXPECT_EQ(verdict_of(again), may ? job_verdict::done : job_verdict::mismatch) << status;
    if (!may) {
      EXPECT_EQ(dump(), before) << status;
      continue;
    }
    EXPECT_EQ(state().id, "100.2");
    EXPECT_EQ(state().fire_ms, 100);
    EXPECT_EQ(state().chunks, 2u) << "what it wrote is there";
    EXPECT_EQ(marks(), "0 mark");
  }
}

TEST_F(change_script, one_begins_again_only_for_the_newest_fire_time) {
  at("100.1", 100, "FAILED");
  auto before = dump();
  for (const std::int64_t other : {99, 101}) {
    auto again = begins(job, 7, "100.2", other);
    again.again = true;
    EXPECT_EQ(verdict_of(again), job_verdict::mismatch) << other;
  }
  EXPECT_EQ(dump(), before);
}

TEST_F(change_script, one_begins_again_neither_over_an_open_one_nor_over_nothing) {
  auto again = begins(job, 7, "100.2", 100);
  again.again = true;
  EXPECT_EQ(verdict_of(again), job_verdict::mismatch);
  at("100.1", 100, "STARTED");
  EXPECT_EQ(verdict_of(again), job_verdict::busy);
}

TEST_F(change_script, a_scheduler_that_was_taken_over_changes_nothing) {
  at("100.1", 100, "STARTED");
  auto before = dump();
  auto finish = ends(job, 6, "100.1", "COMPLETED", 150);
  for (const auto& late : {begins(job, 6, "200.1", 200), goes_on(job, 6, "100.1", "STARTED", "STOPPING"), finish}) {
    auto refused = change(late);
    ASSERT_TRUE(refused);
    EXPECT_EQ(refused->verdict, job_verdict::fenced);
    EXPECT_EQ(refused->stored.token, fence_token{7});
  }
  EXPECT_EQ(dump(), before);
  EXPECT_EQ(verdict_of(begins(job, 6, "100.1", 100)), job_verdict::fenced) << "before all else";
}

TEST_F(change_script, a_change_raises_the_token) {
  at("100.1", 100, "STARTED");
  changes(goes_on(job, 9, "100.1", "STARTED", "STOPPING"));
  EXPECT_EQ(state().token, fence_token{9});
  EXPECT_EQ(verdict_of(goes_on(job, 8, "100.1", "STOPPING", "STARTED")), job_verdict::fenced);
}

TEST_F(change_script, another_execution_or_status_than_the_expected_is_a_mismatch) {
  at("100.1", 100, "STARTED");
  auto before = dump();
  auto refused = change(goes_on(job, 8, "100.2", "STARTED", "STOPPING"));
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->verdict, job_verdict::mismatch);
  EXPECT_EQ(refused->stored.id, "100.1");
  EXPECT_EQ(verdict_of(goes_on(job, 8, "100.1", "STARTING", "STOPPING")), job_verdict::mismatch);
  EXPECT_EQ(verdict_of(goes_on(job, 8, "100.1", "START", "STOPPING")), job_verdict::mismatch)
      << "a part of a status is none";
  EXPECT_EQ(dump(), before) << "nor is the token raised";
  auto either = goes_on(job, 8, "100.1", "STARTING", "STOPPING");
  either.expect.push_back("STARTED");
  changes(either);
}

TEST_F(change_script, nothing_goes_on_where_nothing_began) {
  EXPECT_EQ(verdict_of(goes_on(job, 7, "100.1", "STARTED", "STOPPING")), job_verdict::mismatch);
  EXPECT_EQ(redis({"EXISTS", layout::job_key(job)}), "0");
}

TEST_F(change_script, a_checkpoint_is_kept_by_share_and_dropped_by_an_empty_one) {
  at("100.1", 100, "STARTED");
  auto c = goes_on(job, 7, "100.1", "STARTED", "STARTED");
  c.checkpoint = {{4'294'967'295, "high"}};
  changes(c);
  EXPECT_EQ(adopt(7)->stored.checkpoints, (std::map<std::uint32_t, std::string>{{0, "mark"}, {4'294'967'295, "high"}}));
  c.checkpoint = {{0, ""}};
  changes(c);
  EXPECT_EQ(adopt(7)->stored.checkpoints, (std::map<std::uint32_t, std::string>{{4'294'967'295, "high"}}));
}

TEST_F(change_script, marks_go_with_the_end_unless_they_are_to_stay) {
  for (const bool stay : {false, true}) {
    at("100.1", 100, "STARTED");
    auto c = ends(job, 7, "100.1", stay ? "FAILED" : "COMPLETED", 150);
    c.keep_checkpoints = stay;
    changes(c);
    EXPECT_EQ(marks(), stay ? "0 mark" : "");
  }
}

// Each is refused by an error before the first write, whichever of the four keys it is.
TEST_F(change_script, a_key_of_another_type_is_an_error_and_nothing_is_written) {
  for (const auto& wrong :
       {layout::job_key(job), layout::checkpoints_key(job), layout::history_key(job), layout::history_order_key(job)}) {
    at("100.1", 100, "STARTED");
    redis({"DEL", wrong});
    redis({"SET", wrong, "mine"});
    auto before = dump();
    auto next = begins(job, 7, "200.1", 200);
    auto mark = goes_on(job, 7, "100.1", "STARTED", "STARTED");
    mark.checkpoint = {{1, "m"}};
    for (const auto& c : {next, mark, ends(job, 7, "100.1", "COMPLETED", 150)}) {
      auto got = change(c);
      ASSERT_FALSE(got) << wrong;
      EXPECT_EQ(got.error().code, ec::redis_script);
      EXPECT_NE(got.error().message.find("WRONGTYPE"), std::string::npos) << got.error().message;
    }
    EXPECT_EQ(dump(), before) << wrong;
    redis({"DEL", wrong});
  }
}

TEST_F(change_script, a_damaged_job_is_an_error_and_nothing_is_written) {
  for (const char* field : {"token", "fire"}) {
    at("100.1", 100, "COMPLETED");
    redis({"HSET", layout::job_key(job), field, "what?"});
    auto before = dump();
    auto got = change(begins(job, 7, "200.1", 200));
    ASSERT_FALSE(got) << field;
    EXPECT_EQ(got.error().code, ec::redis_script);
    EXPECT_EQ(dump(), before) << field;
  }
}

TEST_F(change_script, a_full_redis_does_all_of_a_change_or_nothing) {
  at("100.1", 100, "STARTED");
  auto mark = goes_on(job, 7, "100.1", "STARTED", "STARTED");
  mark.checkpoint = {{1, "m"}};
  auto before = dump();
  redis({"CONFIG", "SET", "maxmemory", "1"});
  auto got = change(mark);
  redis({"CONFIG", "SET", "maxmemory", "0"});
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().code, ec::redis_cannot_write);
  EXPECT_EQ(dump(), before);
  changes(mark);
}

// -- the history

class history_script : public job_scripts {
protected:
  // An execution from its begin to its end.
  void runs(int n, std::int64_t ended_ms, std::uint32_t keep_count = 100, std::int64_t keep_since_ms = 0) {
    const auto id = fmt::format("{}.1", n);
    changes(begins(job, 7, id, n));
    auto c = ends(job, 7, id, "COMPLETED", ended_ms);
    c.keep_count = keep_count;
    c.keep_since_ms = keep_since_ms;
    c.run = id;
    changes(c);
  }
  using texts = std::vector<std::string>;
};

TEST_F(history_script, executions_that_ended_come_newest_first_and_at_most_as_many_as_asked_for) {
  EXPECT_EQ(history(), texts{});
  runs(1, 50);
  runs(2, 40);
  runs(3, 60);
  EXPECT_EQ(history(), (texts{"3.1", "1.1", "2.1"})) << "by when they ended";
  EXPECT_EQ(history(2), (texts{"3.1", "1.1"}));
  EXPECT_EQ(history(0), texts{});
}

TEST_F(history_script, executions_that_ended_in_one_millisecond_are_all_there) {
  runs(1, 50);
  runs(2, 50);
  EXPECT_EQ(history(), (texts{"2.1", "1.1"}));
}

TEST_F(history_script, it_keeps_as_many_as_it_is_told_to) {
  for (int n = 1; n <= 5; ++n)
    runs(n, n * 10, 3);
  EXPECT_EQ(history(), (texts{"5.1", "4.1", "3.1"}));
  EXPECT_EQ(redis({"HLEN", layout::history_key(job)}), "3");
  EXPECT_EQ(redis({"ZCARD", layout::history_order_key(job)}), "3");
  runs(6, 60, 1);
  EXPECT_EQ(history(), texts{"6.1"}) << "a lower bound holds at once";
}

TEST_F(history_script, none_stays_that_ended_before_the_given_time) {
  for (int n = 1; n <= 5; ++n)
    runs(n, n * 10);
  runs(6, 60, 100, 30);
  EXPECT_EQ(history(), (texts{"6.1", "5.1", "4.1", "3.1"})) << "the one that ended then stays";
  EXPECT_EQ(redis({"HLEN", layout::history_key(job)}), "4");
}

TEST_F(history_script, both_bounds_hold_at_once) {
  for (int n = 1; n <= 5; ++n)
    runs(n, n * 10);
  runs(6, 60, 2, 40);
  EXPECT_EQ(history(), (texts{"6.1", "5.1"}));
  runs(7, 5, 100, 60);
  EXPECT_EQ(history(), texts{"6.1"}) << "a clock that went back: this very one is too old already";
}

TEST_F(history_script, one_that_ended_again_is_there_once) {
  runs(1, 50);
  auto corrected = goes_on(job, 7, "1.1", "COMPLETED", "COMPLETED");
  corrected.ends = true;
  corrected.ended_ms = 70;
  corrected.run = "corrected";
  changes(corrected);
  EXPECT_EQ(history(), texts{"corrected"});
}

TEST_F(history_script, keys_of_another_type_are_an_error) {
  for (const auto& wrong : {layout::history_key(job), layout::history_order_key(job)}) {
    runs(1 + static_cast<int>(state().fire_ms), 50);
    redis({"DEL", wrong});
    redis({"SET", wrong, "mine"});
    auto got = answer_of<std::vector<std::string>>([&](auto done) { jobs().job_history(job, 9, done); });
    ASSERT_FALSE(got) << wrong;
    EXPECT_EQ(got.error().code, ec::redis_script);
    redis({"DEL", wrong});
  }
}

} // namespace
} // namespace weir::redis::test
