#include "runtime/embedded/redis_server.hpp"

#include "tests/support/eventually.hpp"

#include <array>
#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <filesystem>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

namespace weir::embedded {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

using support::eventually;

bool gone(pid_t pid) { return ::kill(pid, 0) != 0 && errno == ESRCH; }

class base_directory : public ::testing::Test {
protected:
  void SetUp() override {
    char pattern[] = "/tmp/weir-embedded-test-XXXXXX";
    ASSERT_NE(mkdtemp(pattern), nullptr);
    base = pattern;
  }
  void TearDown() override { fs::remove_all(base); }
  std::size_t entries() {
    return static_cast<std::size_t>(std::distance(fs::directory_iterator(base), fs::directory_iterator()));
  }
  redis_server_options options() { return {.base_directory = base}; }
  std::string base;
};

TEST_F(base_directory, a_server_is_ready_when_start_returns_and_gone_with_its_object) {
  const auto begun = std::chrono::steady_clock::now();
  auto s = redis_server::start(options());
  const auto took = std::chrono::steady_clock::now() - begun;
  ASSERT_TRUE(s) << s.error().message;
  std::cout << "ready after " << std::chrono::duration_cast<std::chrono::milliseconds>(took).count() << " ms\n";
  EXPECT_LT(took, 2s); // a bound for busy machines
  EXPECT_TRUE((*s)->running());
  EXPECT_EQ((*s)->url(), "unix://" + (*s)->directory() + "/redis.sock");
  struct stat info {};
  ASSERT_EQ(::stat((*s)->directory().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700u);
  const auto pid = (*s)->pid();
  s->reset();
  EXPECT_TRUE(gone(pid));
  EXPECT_EQ(entries(), 0u);
}

TEST_F(base_directory, two_servers_live_side_by_side) {
  auto a = redis_server::start(options()), b = redis_server::start(options());
  ASSERT_TRUE(a && b);
  EXPECT_NE((*a)->url(), (*b)->url());
  EXPECT_TRUE((*a)->running());
}

TEST_F(base_directory, it_says_what_to_do_when_redis_is_not_installed) {
  auto o = options();
  o.program = "no-such-redis-server";
  auto s = redis_server::start(o);
  ASSERT_FALSE(s);
  EXPECT_EQ(s.error().code, ec::io);
  EXPECT_NE(s.error().message.find("no-such-redis-server is not installed"), std::string::npos) << s.error().message;
  EXPECT_EQ(entries(), 0u);
}

TEST_F(base_directory, a_server_that_ends_at_once_is_reported_with_its_own_words) {
  auto o = options();
  o.config_lines = {"unixsocketperm nonsense"};
  auto s = redis_server::start(o);
  ASSERT_FALSE(s);
  EXPECT_EQ(s.error().code, ec::io);
  EXPECT_NE(s.error().message.find("ended at once"), std::string::npos) << s.error().message;
  EXPECT_EQ(entries(), 0u);
}

TEST_F(base_directory, it_dies_with_a_killed_process_and_the_next_start_cleans_up) {
  std::array<int, 2> channel{};
  ASSERT_EQ(pipe(channel.data()), 0);
  const pid_t node = fork();
  ASSERT_GE(node, 0);
  if (node == 0) {
    auto s = redis_server::start(options());
    const pid_t server = s ? (*s)->pid() : -1;
    [[maybe_unused]] auto told = ::write(channel[1], &server, sizeof server);
    for (;;)
      pause();
  }
  pid_t server = -1;
  ASSERT_EQ(::read(channel[0], &server, sizeof server), static_cast<ssize_t>(sizeof server));
  ::close(channel[0]);
  ::close(channel[1]);
  ASSERT_GT(server, 0);
  EXPECT_FALSE(gone(server));
  ASSERT_EQ(entries(), 1u);
  ::kill(node, SIGKILL);
  waitpid(node, nullptr, 0);
  // The child now belongs to init, which buries it; in a container without one it stays as a zombie.
  EXPECT_TRUE(eventually([&] {
    if (gone(server))
      return true;
    std::array<char, 512> stat{};
    const int fd = ::open(("/proc/" + std::to_string(server) + "/stat").c_str(), O_RDONLY);
    if (fd < 0)
      return true;
    const auto n = ::read(fd, stat.data(), stat.size() - 1);
    ::close(fd);
    return n > 0 && std::string(stat.data()).find(") Z ") != std::string::npos;
  }));
  EXPECT_EQ(entries(), 1u) << "nobody could remove it yet";
  auto next = redis_server::start(options());
  ASSERT_TRUE(next);
  EXPECT_EQ(entries(), 1u) << "only its own";
}

TEST_F(base_directory, directories_of_the_living_and_of_strangers_are_left_alone) {
  fs::create_directory(base + "/weir-redis-" + std::to_string(getpid()) + "-living");
  fs::create_directory(base + "/weir-redis-notes");
  // A dead process here, but somebody holds the lock: a process of another container.
  pid_t dead = fork();
  if (dead == 0)
    _exit(0);
  waitpid(dead, nullptr, 0);
  const auto held = base + "/weir-redis-" + std::to_string(dead) + "-held";
  fs::create_directory(held);
  const int lock = ::open((held + "/lock").c_str(), O_RDWR | O_CREAT, 0600);
  ASSERT_EQ(flock(lock, LOCK_EX | LOCK_NB), 0);
  fs::create_directory(base + "/weir-redis-" + std::to_string(dead) + "-stale");
  auto s = redis_server::start(options());
  ASSERT_TRUE(s);
  EXPECT_TRUE(fs::exists(held));
  EXPECT_TRUE(fs::exists(base + "/weir-redis-notes"));
  EXPECT_TRUE(fs::exists(base + "/weir-redis-" + std::to_string(getpid()) + "-living"));
  EXPECT_FALSE(fs::exists(base + "/weir-redis-" + std::to_string(dead) + "-stale"));
  ::close(lock);
}

TEST_F(base_directory, a_killed_server_comes_back_at_the_same_address) {
  auto s = redis_server::start(options());
  ASSERT_TRUE(s);
  const auto url = (*s)->url();
  (*s)->kill();
  EXPECT_FALSE((*s)->running());
  ASSERT_TRUE((*s)->restart());
  EXPECT_TRUE((*s)->running());
  EXPECT_EQ((*s)->url(), url);
}

} // namespace
} // namespace weir::embedded
