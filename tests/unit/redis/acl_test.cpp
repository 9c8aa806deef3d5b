// weir's Redis user: the rights that the documentation and the deployments give it are all that is needed, and a user
// that lacks one learns it before anything is written.
#include "runtime/redis/scripts.hpp"
#include "tests/unit/redis/job_fixture.hpp"

#include <algorithm>
#include <cctype>
#include <fmt/format.h>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>

namespace weir::redis::test {
namespace {

struct rights {
  std::string topology; // whose keys
  std::string rules;    // as in ACL SETUSER
};

// The first ones in a file of the repository: ~{<topology>* and what may be run on it.
rights rights_in(const std::string& file) {
  std::ifstream in(std::string(WEIR_SOURCE_DIR) + "/" + file);
  std::stringstream text;
  text << in.rdbuf();
  const std::string all = text.str();
  std::smatch found;
  if (!std::regex_search(all, found, std::regex(R"(~\{(\w+)\*( \+[@a-z|]+)+)"))) {
    ADD_FAILURE() << file << " gives no rights";
    return {};
  }
  return {found[1], found[0]};
}

// Of all scripts, in capitals.
std::set<std::string> commands_in_scripts() {
  std::set<std::string> out;
  const std::regex call(R"((redis\.call|each)\('([A-Z]+)')");
  for (const auto& s : all_scripts()) {
    const std::string text(s.text);
    for (std::sregex_iterator at(text.begin(), text.end(), call), end; at != end; ++at)
      out.insert((*at)[2]);
  }
  return out;
}

class acl : public ::testing::Test {
protected:
  acl() : redis({"user weir on >s3cret"}) {}

  redis_config config() {
    auto c = redis.config();
    c.username = "weir";
    c.password = "s3cret";
    return c;
  }
  void allow(const std::string& rules) {
    std::vector<std::string> command{"ACL", "SETUSER", "weir"};
    std::istringstream words(rules);
    for (std::string word; words >> word;)
      command.push_back(word);
    ASSERT_EQ(redis.command(command), "OK") << rules;
  }
  template <class T>
  void works(const char* what, const std::function<void(callback<T>)>& call) {
    auto r = answer_of<T>(call);
    EXPECT_TRUE(r) << what << ": " << r.error().message;
  }
  void write_tables(client& c, const partition_key& p);
  void read_tables(client& c, const partition_key& p);
  void run_a_job(client& c, const std::string& topology);

  server redis;
};

void acl::write_tables(client& c, const partition_key& p) {
  auto head = c.claim(p);
  ASSERT_TRUE(head) << head.error().message;
  owner me(p, *head);
  auto row = put_rows("m", {{"k", "1"}, {"gone", "1"}});
  row.ttl_ms = 1;
  auto log = append("l", {"1"});
  auto expiry = remove_rows("m", {"gone"});
  expiry.expire_up_to_ms = 1'000'000;
  auto trim = append("l", {"2"});
  trim.trim_below = version{1};
  for (auto& tables : {std::vector{row, log}, std::vector{expiry, trim}, std::vector{remove_rows("m", {"k"})}}) {
    auto r = c.submit(me.next(tables));
    ASSERT_TRUE(r) << r.error().message;
    EXPECT_EQ(r->status, tx_status::applied);
  }
}

void acl::read_tables(client& c, const partition_key& p) {
  const table_ref m{"m", 1}, l{"l", 1};
  works<partition_state>("read_head", [&](auto done) { c->read_head(p, done); });
  works<partition_state>("a link's read_head", [&](auto done) { c->writer(0).read_head(p, done); });
  works<std::vector<std::optional<stored_row>>>("load_rows", [&](auto done) { c->load_rows(p, m, 4, {"k"}, done); });
  works<std::vector<stored_row>>("load_bucket", [&](auto done) { c->load_bucket(p, m, 0, done); });
  works<std::uint64_t>("count_rows", [&](auto done) { c->count_rows(p, m, 4, done); });
  for (const bool reverse : {false, true})
    works<std::vector<stored_batch>>(
        "load_log", [&](auto done) { c->load_log(p, l, version{1}, version{1ull << 52}, 9, reverse, done); });
  works<packed_log>("scan_log", [&](auto done) { c->scan_log(p, l, version{1}, version{1ull << 52}, 9, done); });
  works<std::vector<batch_head>>("log_heads", [&](auto done) { c->log_heads(p, l, 9, done); });
  works<change_log>("load_changes", [&](auto done) { c->load_changes(p, m, {}, done); });
  works<std::vector<stored_row>>("expired", [&](auto done) { c->expired(p, m, 9999, 9, done); });
  works<std::string>("meta_once", [&](auto done) { c->meta_once(p.topology, "f", "1", done); });
  works<bool>("meta_swap", [&](auto done) { c->meta_swap(p.topology, "f", "1", "2", done); });
  works<std::map<std::string, std::string>>("load_meta", [&](auto done) { c->load_meta(p.topology, done); });
  works<std::vector<std::string>>("examine", [&](auto done) { c->examine(done); });
}

void acl::run_a_job(client& c, const std::string& topology) {
  const partition_key job{topology, "job:nightly", partition_id{0}};
  auto& jobs = c->jobs();
  works<lease>("take_lease", [&](auto done) { jobs.take_lease(topology, "a", 60'000, {}, done); });
  works<job_answer>("adopt_job", [&](auto done) { jobs.adopt_job(job, {7}, done); });
  auto started = goes_on(job, 7, "1.1", "STARTING", "STARTED");
  started.checkpoint = {{0, "mark"}};
  auto unmarked = goes_on(job, 7, "1.1", "STARTED", "STARTED");
  unmarked.checkpoint = {{0, ""}};
  auto done_then = ends(job, 7, "1.1", "COMPLETED", 10);
  done_then.keep_since_ms = 11; // so that one is dropped
  auto head = c.claim(job);
  ASSERT_TRUE(head) << head.error().message;
  auto chunk = owner(job, *head).next({put_rows("sums", {{"k", "1"}})});
  chunk.guard = chunk_guard{7, "1.1", 0};
  for (const auto& step : {begins(job, 7, "1.1", 1), started, unmarked})
    works<job_answer>("change_job", [&](auto done) { jobs.change_job(step, done); });
  auto written = c.submit(chunk);
  ASSERT_TRUE(written) << written.error().message;
  EXPECT_EQ(written->status, tx_status::applied);
  works<job_answer>("change_job", [&](auto done) { jobs.change_job(done_then, done); });
  works<std::vector<std::string>>("job_history", [&](auto done) { jobs.job_history(job, 9, done); });
  works<job_state>("read_job", [&](auto done) { jobs.read_job(job, done); });
  works<lease>("drop_lease", [&](auto done) { jobs.drop_lease(topology, "a", done); });
}

TEST_F(acl, the_rights_that_are_documented_and_deployed_are_enough_for_all_that_weir_does) {
  for (const char* file : {"docs/redis-layout.md", "docker-compose.yml", "deploy/kubernetes/overlays/dev/redis.yaml"}) {
    SCOPED_TRACE(file);
    const auto given = rights_in(file);
    allow("reset on >s3cret " + given.rules);
    redis.command({"FLUSHALL"});
    redis.command({"ACL", "LOG", "RESET"});
    redis.command({"CONFIG", "RESETSTAT"});
    client c(config());
    c.await_up();
    const partition_key p{given.topology, "readings", partition_id{3}};
    write_tables(c, p);
    read_tables(c, p);
    run_a_job(c, given.topology);
    const auto refused = redis.command({"ACL", "LOG"});
    if (given.rules.find("config|get") != std::string::npos) {
      EXPECT_EQ(refused, "");
    }
    // All of every script was reached, so nothing can be refused that this did not show.
    const auto stats = redis.command({"INFO", "commandstats"});
    for (auto name : commands_in_scripts()) {
      std::transform(name.begin(), name.end(), name.begin(), [](unsigned char ch) { return std::tolower(ch); });
      EXPECT_NE(stats.find("cmdstat_" + name + ":"), std::string::npos) << name << " was not run";
    }
  }
}

TEST_F(acl, those_rights_end_at_the_topologys_keys) {
  const auto given = rights_in("docs/redis-layout.md");
  allow("reset on >s3cret " + given.rules);
  client c(config());
  auto other = c.claim({"other", "readings", partition_id{0}});
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code, ec::redis_refused) << other.error().message;
  auto lent = answer_of<lease>([&](auto done) { c->jobs().take_lease("other", "a", 1000, {}, done); });
  ASSERT_FALSE(lent);
  EXPECT_EQ(lent.error().code, ec::redis_refused) << lent.error().message;
}

TEST_F(acl, a_user_that_lacks_any_command_of_the_scripts_learns_it_at_the_claim) {
  const auto all = commands_in_scripts();
  ASSERT_GE(all.size(), 18u);
  for (const auto& name : all) {
    allow("reset on >s3cret ~* +@all -" + name);
    client c(config());
    auto r = c.claim(fresh_partition());
    ASSERT_FALSE(r) << name;
    EXPECT_EQ(r.error().code, ec::redis_refused) << r.error().message;
    EXPECT_NE(r.error().message.find(name), std::string::npos) << r.error().message;
  }
}

} // namespace
} // namespace weir::redis::test
