// A private redis-server on a unix socket, a reactor and a store over it; calls of the port made to wait.
#pragma once

#include "runtime/embedded/redis_server.hpp"
#include "runtime/redis/redis_store.hpp"
#include "tests/support/eventually.hpp"

#include <chrono>
#include <future>
#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <vector>

namespace weir {
class reactor;
}

namespace weir::redis::test {

inline constexpr std::chrono::seconds patience{10};

// The one answer of a call, or a failure of the test if none comes. Counts answers beyond the first as a failure too.
template <class T, class Call>
result<T> answer_of(Call call) {
  auto promise = std::make_shared<std::promise<result<T>>>();
  auto future = promise->get_future();
  call([promise](result<T> r) { promise->set_value(std::move(r)); });
  if (future.wait_for(patience) != std::future_status::ready) {
    ADD_FAILURE() << "a call was not answered";
    return fail(ec::timeout, "not answered");
  }
  return future.get();
}

using support::eventually;

class server {
public:
  explicit server(std::vector<std::string> config_lines = {});
  ~server();
  embedded::redis_server& process() { return *process_; }
  redis_config config() const;
  // A command by a connection of the test's own; lists are joined by blanks.
  std::string command(const std::vector<std::string>& arguments);

private:
  std::unique_ptr<embedded::redis_server> process_;
};

class client {
public:
  explicit client(const redis_config& config, store_options options = {});
  ~client();
  redis::store& store() { return *store_; }
  redis::store* operator->() { return store_.get(); }
  weir::reactor& loop() { return *reactor_; }
  // Waits until writer 0 is up.
  void await_up();

  result<tx_result> submit(transaction tx, std::size_t writer = 0);
  result<partition_state> claim(const partition_key& p, std::string owner = "a", std::int32_t generation = -1,
                                version hint = {});
  result<partition_state> head(const partition_key& p);

private:
  std::unique_ptr<weir::reactor> reactor_;
  std::unique_ptr<redis::store> store_;
};

// One server for all tests of a suite; each test has a topology of its own.
server& shared_server();
partition_key fresh_partition();

table_write put_rows(const std::string& table, std::vector<std::pair<std::string, std::string>> rows,
                     std::uint32_t buckets = 4);
table_write remove_rows(const std::string& table, std::vector<std::string> keys, std::uint32_t buckets = 4);
table_write append(const std::string& table, std::vector<std::string> values, std::int64_t time_ms = 1000);

// The owner of a partition, as far as a test needs one: fills the chain.
class owner {
public:
  owner(partition_key p, const partition_state& head)
      : partition_(std::move(p)), epoch_(head.epoch), tail_(head.batch) {}
  transaction next(std::vector<table_write> tables = {}, std::vector<position_move> moves = {});

private:
  partition_key partition_;
  owner_epoch epoch_;
  batch_id tail_;
  std::uint64_t n_ = 0;
};

} // namespace weir::redis::test
