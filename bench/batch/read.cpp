// What Redis gives away at most: the ranges that a job reads, read with hiredis and thrown away.
//
//   bench_batch_read SOCKET hash KEY...        each key by HGETALL
//   bench_batch_read SOCKET stream KEY...      each key by XRANGE in pages of 64 entries
//
// Eight questions are in flight at a time. Prints "fields=N bytes=N seconds=S cpu=S": fields of the hashes or records
// of the log entries, bytes of the values.
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <hiredis/hiredis.h>
#include <memory>
#include <string>
#include <string_view>
#include <sys/resource.h>
#include <vector>

namespace {

struct freer {
  void operator()(redisContext* link) const { redisFree(link); }
  void operator()(redisReply* reply) const { freeReplyObject(reply); }
};

[[noreturn]] void die(const char* what, const char* why) {
  std::fprintf(stderr, "bench_batch_read: %s: %s\n", what, why);
  std::exit(1);
}

struct totals {
  std::uint64_t fields = 0, bytes = 0;
};

constexpr std::size_t in_flight = 8;
constexpr std::size_t page = 64;

class puller {
public:
  explicit puller(redisContext* link) : link_(link) {}

  std::unique_ptr<redisReply, freer> next() {
    void* reply = nullptr;
    if (redisGetReply(link_, &reply) != REDIS_OK)
      die("read", link_->errstr);
    std::unique_ptr<redisReply, freer> answer(static_cast<redisReply*>(reply));
    if (answer->type == REDIS_REPLY_ERROR)
      die("Redis", answer->str);
    return answer;
  }

private:
  redisContext* link_;
};

totals hashes(redisContext* link, const std::vector<std::string>& keys) {
  totals sum;
  puller from(link);
  std::size_t asked = 0;
  for (std::size_t done = 0; done < keys.size(); ++done) {
    for (; asked < keys.size() && asked < done + in_flight; ++asked)
      redisAppendCommand(link, "HGETALL %b", keys[asked].data(), keys[asked].size());
    const auto reply = from.next();
    sum.fields += reply->elements / 2;
    for (std::size_t i = 1; i < reply->elements; i += 2)
      sum.bytes += reply->element[i]->len;
  }
  return sum;
}

// One page of each key is in flight; the keys take turns.
totals streams(redisContext* link, const std::vector<std::string>& keys) {
  totals sum;
  puller from(link);
  std::deque<std::pair<std::string, std::string>> open; // key, first id of its next page
  for (const auto& key : keys)
    open.emplace_back(key, "-");
  const auto ask = [&](const std::pair<std::string, std::string>& what) {
    redisAppendCommand(link, "XRANGE %b %b + COUNT %d", what.first.data(), what.first.size(), what.second.data(),
                       what.second.size(), static_cast<int>(page));
  };
  std::deque<std::pair<std::string, std::string>> waiting;
  while (!open.empty() || !waiting.empty()) {
    while (!open.empty() && waiting.size() < in_flight) {
      ask(open.front());
      waiting.push_back(std::move(open.front()));
      open.pop_front();
    }
    const auto reply = from.next();
    auto what = std::move(waiting.front());
    waiting.pop_front();
    for (std::size_t i = 0; i < reply->elements; ++i) {
      const auto* fields = reply->element[i]->element[1];
      for (std::size_t f = 0; f + 1 < fields->elements; f += 2) {
        const std::string_view name(fields->element[f]->str, fields->element[f]->len);
        const auto* value = fields->element[f + 1];
        if (name == "d")
          sum.bytes += value->len;
        if (name == "n") {
          std::uint64_t n = 0;
          std::from_chars(value->str, value->str + value->len, n);
          sum.fields += n;
        }
      }
    }
    if (reply->elements == page) {
      const auto* id = reply->element[page - 1]->element[0];
      what.second = "(" + std::string(id->str, id->len);
      open.push_back(std::move(what));
    }
  }
  return sum;
}

} // namespace

int main(int argc, char** argv) {
  if (argc < 4) {
    std::fprintf(stderr, "usage: bench_batch_read SOCKET hash|stream KEY...\n");
    return 64;
  }
  const std::unique_ptr<redisContext, freer> link(redisConnectUnix(argv[1]));
  if (!link || link->err)
    die(argv[1], link ? link->errstr : "no memory");
  const std::vector<std::string> keys(argv + 3, argv + argc);
  const auto began = std::chrono::steady_clock::now();
  const auto sum = std::strcmp(argv[2], "hash") == 0 ? hashes(link.get(), keys) : streams(link.get(), keys);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
  rusage own{};
  getrusage(RUSAGE_SELF, &own);
  const double cpu = static_cast<double>(own.ru_utime.tv_sec + own.ru_stime.tv_sec) +
                     1e-6 * static_cast<double>(own.ru_utime.tv_usec + own.ru_stime.tv_usec);
  std::printf("fields=%llu bytes=%llu seconds=%.4f cpu=%.4f\n", static_cast<unsigned long long>(sum.fields),
              static_cast<unsigned long long>(sum.bytes), took.count(), cpu);
}
