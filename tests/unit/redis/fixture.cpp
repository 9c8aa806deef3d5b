#include "tests/unit/redis/fixture.hpp"

#include "runtime/core/reactor.hpp"

#include <atomic>
#include <hiredis/hiredis.h>

namespace weir::redis::test {

server::server(std::vector<std::string> config_lines) {
  auto started = embedded::redis_server::start({.config_lines = std::move(config_lines)});
  if (!started)
    throw std::runtime_error(started.error().message);
  process_ = std::move(*started);
}

server::~server() = default;

redis_config server::config() const {
  redis_config c;
  c.url = process_->url();
  c.connections = 1;
  return c;
}

namespace {

std::string text_of(const redisReply* r) {
  if (!r || r->type == REDIS_REPLY_NIL)
    return "(nil)";
  if (r->type == REDIS_REPLY_INTEGER)
    return std::to_string(r->integer);
  if (r->type != REDIS_REPLY_ARRAY)
    return {r->str, static_cast<std::size_t>(r->len)};
  std::string out;
  for (std::size_t i = 0; i < static_cast<std::size_t>(r->elements); ++i)
    out += (i ? " " : "") + text_of(r->element[i]);
  return out;
}

} // namespace

std::string server::command(const std::vector<std::string>& arguments) {
  std::unique_ptr<redisContext, decltype(&redisFree)> c(redisConnectUnix(process_->socket_path().c_str()), &redisFree);
  if (!c || c->err)
    return "(no connection)";
  std::vector<const char*> texts;
  std::vector<std::size_t> sizes;
  for (const auto& a : arguments) {
    texts.push_back(a.data());
    sizes.push_back(a.size());
  }
  std::unique_ptr<redisReply, void (*)(void*)> r(
      static_cast<redisReply*>(redisCommandArgv(c.get(), static_cast<int>(texts.size()), texts.data(), sizes.data())),
      &freeReplyObject);
  return text_of(r.get());
}

client::client(const redis_config& config, store_options options) : reactor_(std::make_unique<weir::reactor>("test")) {
  reactor_->start();
  auto made = make_redis_store(config, {reactor_.get()}, options);
  if (!made)
    throw std::runtime_error(made.error().message);
  store_ = std::move(*made);
}

client::~client() {
  store_->close();
  store_.reset();
  reactor_->stop();
}

void client::await_up() {
  auto up = std::make_shared<std::atomic<bool>>(false);
  store_->writer(0).on_state([up](link_state s) { *up = s == link_state::up; });
  ASSERT_TRUE(eventually([&] { return up->load(); }));
}

result<tx_result> client::submit(transaction tx, std::size_t writer) {
  auto shared = std::make_shared<const transaction>(std::move(tx));
  return answer_of<tx_result>([&](auto done) { store_->writer(writer).submit(shared, done); });
}

result<partition_state> client::claim(const partition_key& p, std::string owner, std::int32_t generation,
                                      version hint) {
  return answer_of<partition_state>([&](auto done) { store_->claim({p, owner, generation, hint}, done); });
}

result<partition_state> client::head(const partition_key& p) {
  return answer_of<partition_state>([&](auto done) { store_->read_head(p, done); });
}

server& shared_server() {
  static server s;
  return s;
}

partition_key fresh_partition() {
  static int n = 0;
  return {"t" + std::to_string(++n), "s", partition_id{3}};
}

table_write put_rows(const std::string& table, std::vector<std::pair<std::string, std::string>> rows,
                     std::uint32_t buckets) {
  table_write w;
  w.table = {table, 1};
  w.buckets = buckets;
  w.changes = std::make_shared<change_set>();
  std::int64_t n = 0;
  for (auto& [key, value] : rows)
    w.changes->rows.push_back(
        {key, std::make_shared<const std::string>(value), {1000 + n, partition_id{3}, offset{n}}}),
        ++n;
  return w;
}

table_write remove_rows(const std::string& table, std::vector<std::string> keys, std::uint32_t buckets) {
  auto w = put_rows(table, {}, buckets);
  for (auto& key : keys)
    w.changes->rows.push_back({key, nullptr, {}});
  return w;
}

table_write append(const std::string& table, std::vector<std::string> values, std::int64_t time_ms) {
  auto w = put_rows(table, {}, 1);
  std::int64_t n = 0;
  for (auto& value : values)
    w.changes->entries.push_back({time_ms + n, offset{n}, std::make_shared<const std::string>(value)}), ++n;
  return w;
}

transaction owner::next(std::vector<table_write> tables, std::vector<position_move> moves) {
  transaction tx;
  tx.partition = partition_;
  tx.follows = tail_;
  tx.id = {epoch_, ++n_};
  tx.tables = std::move(tables);
  tx.positions = std::move(moves);
  tail_ = tx.id;
  return tx;
}

} // namespace weir::redis::test
