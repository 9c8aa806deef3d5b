// Connections: loss, deadlines, bounds, signing in, TLS.
#include "runtime/core/reactor.hpp"
#include "tests/support/free_port.hpp"
#include "tests/unit/redis/fixture.hpp"

#include <arpa/inet.h>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <fmt/format.h>
#include <fstream>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

namespace weir::redis::test {
namespace {

using namespace std::chrono_literals;
using support::free_port;

// Counts the answers to a number of submits, each by its place.
struct answers {
  std::mutex mutex;
  std::vector<int> times;
  std::vector<std::size_t> order;
  std::map<ec, std::size_t> errors;
  std::size_t applied = 0;

  callback<tx_result> slot() {
    std::lock_guard lock(mutex);
    times.push_back(0);
    return [this, i = times.size() - 1](result<tx_result> r) {
      std::lock_guard inner(mutex);
      ++times[i];
      order.push_back(i);
      if (!r)
        ++errors[r.error().code];
      else if (r->status == tx_status::applied)
        ++applied;
    };
  }
  bool complete() {
    std::lock_guard lock(mutex);
    return order.size() >= times.size();
  }
  void expect_each_once_in_order() {
    std::lock_guard lock(mutex);
    for (int n : times)
      EXPECT_EQ(n, 1);
    EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
  }
};

transaction_ptr shared(transaction tx) { return std::make_shared<const transaction>(std::move(tx)); }

store_options quick() {
  store_options o;
  o.deadline = 400ms;
  o.connect_deadline = 400ms;
  o.first_retry = 2ms;
  o.most_retry = 20ms;
  return o;
}

TEST(connection, a_server_killed_in_the_middle_leaves_no_call_unanswered) {
  server redis;
  client c(redis.config(), quick());
  c.await_up();
  auto states = std::make_shared<std::vector<link_state>>();
  auto lock = std::make_shared<std::mutex>();
  c->writer(0).on_state([=](link_state s) {
    std::lock_guard guard(*lock);
    states->push_back(s);
  });
  const auto p = fresh_partition();
  owner me(p, *c.claim(p));
  answers got;
  std::atomic<std::size_t> submitted{0};
  std::thread submitter([&] {
    for (int i = 0; i < 4000; ++i, ++submitted)
      c->writer(0).submit(shared(me.next({put_rows("m", {{"k", std::to_string(i)}})})), got.slot());
  });
  ASSERT_TRUE(eventually([&] {
    std::lock_guard guard(got.mutex);
    return got.applied > 100;
  }));
  redis.process().kill();
  submitter.join();
  ASSERT_TRUE(eventually([&] { return got.complete(); }));
  got.expect_each_once_in_order();
  EXPECT_GT(got.errors[ec::redis_unreachable], 0u);
  EXPECT_EQ(got.errors.size(), 1u);

  ASSERT_TRUE(redis.process().restart());
  ASSERT_TRUE(eventually([&] {
    std::lock_guard guard(*lock);
    return states->size() >= 3;
  }));
  EXPECT_EQ(*states, (std::vector<link_state>{link_state::up, link_state::down, link_state::up}));
  result<partition_state> head;
  ASSERT_TRUE(eventually([&] { return (head = c.claim(p)).has_value(); })) << "the reader comes back as well";
  EXPECT_TRUE(head->fresh) << "nothing was on disk";
  EXPECT_TRUE(c.submit(owner(p, *head).next({put_rows("m", {{"k", "1"}})})));
}

TEST(connection, the_head_tells_what_was_applied_when_the_answers_are_lost) {
  server redis({"appendonly yes", "appendfsync always"});
  client c(redis.config(), quick());
  c.await_up();
  const auto p = fresh_partition();
  owner me(p, *c.claim(p));
  auto first = me.next({put_rows("m", {{"k", "1"}})});
  ASSERT_TRUE(c.submit(first));
  redis.process().kill();
  ASSERT_TRUE(redis.process().restart());
  c.await_up();
  auto head = answer_of<partition_state>([&](auto done) { c->writer(0).read_head(p, done); });
  ASSERT_TRUE(head);
  EXPECT_EQ(head->batch, first.id);
  auto again = c.submit(first);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->status, tx_status::already);
  auto next = c.submit(me.next({put_rows("m", {{"k", "2"}})}));
  ASSERT_TRUE(next);
  EXPECT_EQ(next->status, tx_status::applied);
  result<partition_state> claimed;
  ASSERT_TRUE(eventually([&] { return (claimed = c.claim(p, "b")).has_value(); }));
  EXPECT_TRUE(claimed->server_changed) << "what a transaction follows does not prove that nothing was lost behind it";
}

TEST(connection, a_stuck_server_is_given_up_at_the_deadline) {
  server redis;
  client c(redis.config(), quick());
  c.await_up();
  const auto p = fresh_partition();
  owner me(p, *c.claim(p));
  ::kill(redis.process().pid(), SIGSTOP);
  answers got;
  const auto begun = std::chrono::steady_clock::now();
  for (int i = 0; i < 10; ++i)
    c->writer(0).submit(shared(me.next()), got.slot());
  auto read = c.head(p);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, ec::redis_unreachable);
  ASSERT_TRUE(eventually([&] { return got.complete(); }));
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 2s);
  got.expect_each_once_in_order();
  EXPECT_EQ(got.errors[ec::redis_unreachable], 10u);
  ::kill(redis.process().pid(), SIGCONT);
  c.await_up();
  EXPECT_TRUE(eventually([&] { return c.head(p).has_value(); }));
}

TEST(connection, forgotten_scripts_count_as_a_lost_link) {
  server redis;
  client c(redis.config(), quick());
  c.await_up();
  const auto p = fresh_partition();
  owner me(p, *c.claim(p));
  auto tx = me.next({put_rows("m", {{"k", "1"}})});
  redis.command({"SCRIPT", "FLUSH"});
  auto lost = c.submit(tx);
  ASSERT_FALSE(lost);
  EXPECT_EQ(lost.error().code, ec::redis_unreachable);
  c.await_up();
  auto again = c.submit(tx);
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again->status, tx_status::applied);
}

TEST(connection, redis_that_comes_later_is_found) {
  server redis;
  redis.process().kill();
  client c(redis.config(), quick());
  const auto p = fresh_partition();
  auto away = c.head(p);
  ASSERT_FALSE(away);
  EXPECT_EQ(away.error().code, ec::redis_unreachable);
  EXPECT_NE(away.error().message.find("redis.sock"), std::string::npos) << away.error().message;
  EXPECT_FALSE(c.submit(transaction{}));
  ASSERT_TRUE(redis.process().restart());
  c.await_up();
  EXPECT_TRUE(eventually([&] { return c.claim(p).has_value(); }));
}

TEST(connection, a_call_made_before_the_first_connection_waits_for_it) {
  server redis;
  client c(redis.config());
  EXPECT_TRUE(c.claim(fresh_partition())) << "at once after the store was made";
}

TEST(connection, bytes_in_flight_are_bounded_and_the_rest_waits_in_order) {
  server redis;
  auto options = quick();
  options.deadline = 10s;
  options.in_flight_bytes = 3000;
  client c(redis.config(), options);
  c.await_up();
  const auto p = fresh_partition();
  owner me(p, *c.claim(p));
  answers got;
  for (int i = 0; i < 500; ++i)
    c->writer(0).submit(shared(me.next({put_rows("m", {{"k", std::string(500, 'x')}})})), got.slot());
  ASSERT_TRUE(eventually([&] { return got.complete(); }));
  got.expect_each_once_in_order();
  EXPECT_EQ(got.applied, 500u);
}

TEST(connection, what_waits_is_bounded_too) {
  server redis;
  auto options = quick();
  options.in_flight_bytes = 2000;
  options.waiting_bytes = 10'000;
  client c(redis.config(), options);
  c.await_up();
  const auto p = fresh_partition();
  owner me(p, *c.claim(p));
  ::kill(redis.process().pid(), SIGSTOP);
  answers got;
  for (int i = 0; i < 100; ++i)
    c->writer(0).submit(shared(me.next({put_rows("m", {{"k", std::string(500, 'x')}})})), got.slot());
  ASSERT_TRUE(eventually([&] { return got.complete(); }));
  EXPECT_GT(got.errors[ec::overloaded], 50u);
  EXPECT_GT(got.errors[ec::redis_unreachable], 5u);
  ::kill(redis.process().pid(), SIGCONT);
}

TEST(connection, a_closed_store_answers_stopped) {
  server redis;
  client c(redis.config(), quick());
  c.await_up();
  const auto p = fresh_partition();
  owner me(p, *c.claim(p));
  ::kill(redis.process().pid(), SIGSTOP);
  answers got;
  for (int i = 0; i < 5; ++i)
    c->writer(0).submit(shared(me.next()), got.slot());
  c->close();
  ASSERT_TRUE(eventually([&] { return got.complete(); }));
  EXPECT_EQ(got.errors[ec::stopped], 5u);
  EXPECT_EQ(c.head(p).error().code, ec::stopped);
  c.loop().stop();
  EXPECT_EQ(c.head(p).error().code, ec::stopped) << "nor is a call lost when the reactor has ended";
  ::kill(redis.process().pid(), SIGCONT);
}

TEST(sign_in, an_acl_user_a_password_and_a_database) {
  // The rights that docs/redis-layout.md asks for.
  server redis({"user weir on >s3cret ~{t* +@read +@write +@scripting +@connection +info +time", "user default off"});
  auto config = redis.config();
  config.url += "?db=5";
  config.username = "weir";
  config.password = "s3cret";
  client c(config);
  c.await_up();
  auto p = fresh_partition();
  auto head = c.claim(p);
  ASSERT_TRUE(head) << head.error().message;
  auto row = put_rows("m", {{"k", "1"}});
  row.ttl_ms = 1;
  auto written = c.submit(owner(p, *head).next({row, append("l", {"1"})}));
  ASSERT_TRUE(written) << written.error().message;
  EXPECT_TRUE(answer_of<change_log>([&](auto done) { c->load_changes(p, {"m", 1}, {}, done); }));
  EXPECT_TRUE(answer_of<std::vector<stored_row>>([&](auto done) { c->expired(p, {"m", 1}, 9999, 9, done); }));
  EXPECT_TRUE((answer_of<std::map<std::string, std::string>>([&](auto done) { c->load_meta(p.topology, done); })));
  config.url = redis.process().url();
  client elsewhere(config);
  EXPECT_TRUE(elsewhere.head(p)->fresh) << "another database";
}

TEST(sign_in, a_wrong_password_is_refused_and_never_repeated) {
  server redis({"requirepass right-s3cret"});
  auto config = redis.config();
  for (auto [user, password] : {std::pair{"", "wrong-s3cret"}, std::pair{"weir", "wrong-s3cret"}, std::pair{"", ""}}) {
    config.username = user;
    config.password = password;
    client c(config, quick());
    auto r = c.head(fresh_partition());
    ASSERT_FALSE(r);
    EXPECT_EQ(r.error().code, ec::redis_refused) << r.error().message;
    EXPECT_EQ(r.error().message.find("s3cret"), std::string::npos) << r.error().message;
    auto link = c.submit(transaction{});
    EXPECT_EQ(link.error().code, ec::redis_unreachable) << "a link is down, whatever the reason";
  }
}

TEST(sign_in, a_database_that_does_not_exist_is_refused) {
  auto config = shared_server().config();
  config.url += "?db=4711";
  client c(config, quick());
  auto r = c.head(fresh_partition());
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error().code, ec::redis_refused);
  EXPECT_NE(r.error().message.find("4711"), std::string::npos);
}

TEST(sign_in, a_user_that_lacks_a_command_of_the_scripts_learns_it_at_the_claim) {
  server redis({"user weir on >x ~* +@all -xadd"});
  auto config = redis.config();
  config.username = "weir";
  config.password = "x";
  client c(config, quick());
  auto r = c.claim(fresh_partition());
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error().code, ec::redis_refused);
  EXPECT_NE(r.error().message.find("XADD"), std::string::npos) << r.error().message;
}

TEST(examine, warns_of_a_server_without_a_log_and_takes_one_with) {
  client without(shared_server().config());
  auto w = answer_of<std::vector<std::string>>([&](auto done) { without->examine(done); });
  ASSERT_TRUE(w) << w.error().message;
  ASSERT_EQ(w->size(), 1u);
  EXPECT_NE(w->front().find("appendonly"), std::string::npos);
  server redis({"appendonly yes"});
  client with(redis.config());
  w = answer_of<std::vector<std::string>>([&](auto done) { with->examine(done); });
  ASSERT_TRUE(w);
  EXPECT_TRUE(w->empty());
}

TEST(examine, refuses_eviction_and_replicas) {
  server evicting({"maxmemory 100mb", "maxmemory-policy allkeys-lru"});
  client c(evicting.config());
  auto r = answer_of<std::vector<std::string>>([&](auto done) { c->examine(done); });
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error().code, ec::redis_unsuitable);
  EXPECT_NE(r.error().message.find("noeviction"), std::string::npos);
  server replica({"replicaof 127.0.0.1 1"});
  client d(replica.config(), quick());
  r = answer_of<std::vector<std::string>>([&](auto done) { d->examine(done); });
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error().code, ec::redis_unsuitable) << r.error().message;
  auto claim = d.claim(fresh_partition());
  ASSERT_FALSE(claim);
  EXPECT_TRUE(claim.error().code == ec::redis_cannot_write || claim.error().code == ec::redis_busy)
      << claim.error().message;
}

TEST(examine, a_user_without_config_is_warned_not_refused) {
  server redis({"appendonly yes", "user weir on >x ~* +@all -config"});
  auto config = redis.config();
  config.username = "weir";
  config.password = "x";
  client c(config);
  auto w = answer_of<std::vector<std::string>>([&](auto done) { c->examine(done); });
  ASSERT_TRUE(w) << w.error().message;
  ASSERT_EQ(w->size(), 1u);
  EXPECT_NE(w->front().find("CONFIG"), std::string::npos);
}

TEST(tcp, works_by_address) {
  const auto port = free_port();
  server redis({fmt::format("port {}", port), "bind 127.0.0.1"});
  redis_config config;
  config.url = fmt::format("redis://127.0.0.1:{}", port);
  client c(config);
  EXPECT_TRUE(c.claim(fresh_partition()));
}

class tls : public ::testing::Test {
protected:
  void SetUp() override {
    char pattern[] = "/tmp/weir-tls-test-XXXXXX";
    ASSERT_NE(mkdtemp(pattern), nullptr);
    directory = pattern;
    make_authority("ca");
    make_authority("stranger");
    run("openssl req -newkey rsa:2048 -nodes -keyout key.pem -out req.pem -subj /CN=ignored");
    std::ofstream(directory + "/names") << "subjectAltName=DNS:localhost\n";
    run("openssl x509 -req -in req.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out cert.pem");
    port = free_port();
    try {
      redis = std::make_unique<server>(
          std::vector<std::string>{fmt::format("tls-port {}", port), "bind 127.0.0.1",
                                   "tls-cert-file " + directory + "/cert.pem", "tls-key-file " + directory + "/key.pem",
                                   "tls-ca-cert-file " + directory + "/ca.pem", "tls-auth-clients no"});
    } catch (const std::exception& e) {
      FAIL() << "the redis-server of scripts/setup has TLS, this one has not: " << e.what();
    }
  }
  void TearDown() override {
    redis.reset();
    run("rm -f *.pem *.key names *.srl");
    ::rmdir(directory.c_str());
  }
  void make_authority(const std::string& name) {
    run(fmt::format("openssl req -x509 -newkey rsa:2048 -nodes -keyout {0}.key -out {0}.pem -days 2 -subj /CN={0}",
                    name));
  }
  void run(const std::string& command) {
    ASSERT_EQ(std::system(fmt::format("cd {} && {} >/dev/null 2>&1", directory, command).c_str()), 0) << command;
  }
  redis_config config(const std::string& host, const std::string& ca) {
    redis_config c;
    c.url = fmt::format("rediss://{}:{}", host, port);
    c.ca_file = directory + "/" + ca;
    return c;
  }

  std::string directory;
  std::uint16_t port = 0;
  std::unique_ptr<server> redis;
};

TEST_F(tls, connects_when_authority_and_name_are_right) {
  client c(config("localhost", "ca.pem"));
  c.await_up();
  const auto p = fresh_partition();
  auto head = c.claim(p);
  ASSERT_TRUE(head) << head.error().message;
  std::vector<std::pair<std::string, std::string>> big;
  for (int i = 0; i < 3000; ++i)
    big.emplace_back(std::to_string(i), std::string(200, 'x')); // many TLS records each way
  ASSERT_TRUE(c.submit(owner(p, *head).next({put_rows("m", big, 1)})));
  auto rows = answer_of<std::vector<stored_row>>([&](auto done) { c->load_bucket(p, {"m", 1}, 0, done); });
  ASSERT_TRUE(rows);
  EXPECT_EQ(rows->size(), 3000u);
}

TEST_F(tls, refuses_another_authority) {
  client c(config("localhost", "stranger.pem"), quick());
  auto r = c.head(fresh_partition());
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error().code, ec::redis_refused) << r.error().message;
}

TEST_F(tls, refuses_another_name) {
  client c(config("127.0.0.1", "ca.pem"), quick());
  auto r = c.head(fresh_partition());
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error().code, ec::redis_refused) << r.error().message;
}

TEST_F(tls, a_missing_ca_file_is_said_at_once) {
  weir::reactor loop("x");
  auto made = make_redis_store(config("localhost", "absent.pem"), {&loop});
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, ec::io);
}

} // namespace
} // namespace weir::redis::test
