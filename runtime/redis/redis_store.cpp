#include "runtime/redis/redis_store.hpp"

#include "runtime/core/reactor.hpp"
#include "runtime/redis/connection.hpp"
#include "runtime/redis/layout.hpp"
#include "runtime/redis/scripts.hpp"
#include "runtime/redis/tx_command.hpp"

#include <algorithm>
#include <charconv>
#include <fmt/format.h>
#include <random>

namespace weir::redis {
namespace {

constexpr std::size_t keys_per_read = 1000;
constexpr std::uint64_t log_heads_look_at_bytes = 32u << 20;

tl::unexpected<error> nonsense(std::string_view what) {
  return fail(ec::redis_protocol, fmt::format("Redis: {} makes no sense", what));
}

// Several commands as one run of bytes.
class batch {
public:
  template <class... Args>
  void add(const Args&... args) {
    command_writer w(128 + (... + size_of(args)));
    (w.arg(view_of(args)), ...);
    append(w.finish());
  }
  void append(command_writer::bytes one) {
    if (count_++ == 0)
      all_ = std::move(one);
    else
      all_.data.append(one.view());
  }
  std::size_t count() const { return count_; }
  command_writer::bytes take() { return std::move(all_); }

private:
  static std::size_t size_of(std::string_view text) { return text.size() + 16; }
  static std::size_t size_of(std::uint64_t) { return 32; }
  static std::string_view view_of(std::string_view text) { return text; }
  static std::uint64_t view_of(std::uint64_t number) { return number; }
  command_writer::bytes all_;
  std::size_t count_ = 0;
};

template <class... Args>
command_writer::bytes one(const Args&... args) {
  batch b;
  b.add(args...);
  return b.take();
}

// Turns the replies into the caller's value; the first error reply among them is the error of the whole.
template <class T, class Parse>
connection::done answer(callback<T> done, Parse parse) {
  return [done = std::move(done), parse = std::move(parse)](result<replies> got) {
    if (!got)
      return done(tl::unexpected(std::move(got.error())));
    for (const auto& r : *got)
      if (reply_view view(r.get()); view.is_error())
        return done(tl::unexpected(classify(view.text())));
    done(parse(std::move(*got)));
  };
}

partition_state parse_head(reply_view pairs, std::string run_id) {
  partition_state state;
  state.fresh = pairs.size() == 0;
  for (std::size_t i = 0; i + 1 < pairs.size(); i += 2)
    layout::take_field(state, pairs[i].text(), pairs[i + 1].text());
  state.run_id = std::move(run_id);
  return state;
}

version version_of_id(std::string_view id) {
  std::uint64_t out = 0;
  std::from_chars(id.data(), id.data() + id.size(), out); // up to the '-'
  return version{out};
}

std::string_view field_of(reply_view pairs, std::string_view name) {
  for (std::size_t i = 0; i + 1 < pairs.size(); i += 2)
    if (pairs[i].text() == name)
      return pairs[i + 1].text();
  return {};
}

std::string stream_id(version v) { return fmt::format("{}-0", v.value); }

void read_head_on(const std::shared_ptr<connection>& on, const partition_key& partition, callback<partition_state> done,
                  std::optional<std::uint64_t> life) {
  on->send(one(std::string_view("HGETALL"), layout::head_key(partition)), 1,
           answer(std::move(done),
                  [on = std::weak_ptr(on)](const replies& got) -> result<partition_state> {
                    auto c = on.lock();
                    return parse_head(got[0].get(), c ? c->present().run_id : std::string{});
                  }),
           life);
}

class link final : public writer_link {
public:
  link(std::shared_ptr<connection> c, std::size_t change_log_bytes)
      : connection_(std::move(c)), change_log_bytes_(change_log_bytes) {}

  void submit(transaction_ptr tx, callback<tx_result> done) override {
    auto life = connection_->present();
    auto command = encode(*tx, change_log_bytes_);
    if (!command)
      return connection_->post([done = std::move(done), e = std::move(command.error())] { done(tl::unexpected(e)); });
    connection_->send(
        std::move(*command), 1,
        [done = std::move(done), tx = std::move(tx)](result<replies> got) {
          if (!got)
            return done(tl::unexpected(std::move(got.error())));
          done(decode_answer(*tx, got->front().get()));
        },
        life.number);
  }

  void read_head(partition_key partition, callback<partition_state> done) override {
    read_head_on(connection_, partition, std::move(done), connection_->present().number);
  }

  void on_state(std::function<void(link_state)> changed) override { connection_->on_state(std::move(changed)); }

  connection& inner() { return *connection_; }

private:
  std::shared_ptr<connection> connection_;
  std::size_t change_log_bytes_;
};

std::string_view info_field(std::string_view info, std::string_view name) {
  for (std::size_t at = 0; (at = info.find(name, at)) != std::string_view::npos; at += name.size()) {
    const bool starts_line = at == 0 || info[at - 1] == '\n';
    const auto behind = at + name.size();
    if (starts_line && behind < info.size() && info[behind] == ':')
      return info.substr(behind + 1, info.find_first_of("\r\n", behind) - behind - 1);
  }
  return {};
}

result<std::vector<std::string>> judge(std::string_view info, reply_view config) {
  std::vector<std::string> warnings;
  const auto unsuitable = [](std::string what) { return fail(ec::redis_unsuitable, std::move(what)); };
  const auto text_version = info_field(info, "redis_version");
  int major = 0, minor = 0;
  if (const auto dot = text_version.find('.'); dot != std::string_view::npos) {
    std::from_chars(text_version.data(), text_version.data() + dot, major);
    std::from_chars(text_version.data() + dot + 1, text_version.data() + text_version.size(), minor);
  }
  if (major < 6 || (major == 6 && minor < 2))
    return unsuitable(fmt::format("Redis {} is too old: 6.2 or newer is needed", text_version));
  if (info_field(info, "loading") == "1")
    return fail(ec::redis_busy, "Redis is loading its data");
  if (const auto role = info_field(info, "role"); !role.empty() && role != "master")
    return unsuitable(fmt::format("this Redis is a {} and takes no writes: give the address of the master", role));
  if (info_field(info, "cluster_enabled") == "1")
    return unsuitable(
        "this Redis is a node of a Redis Cluster, which is not supported: give a single server or master");
  const auto policy = info_field(info, "maxmemory_policy");
  if (!policy.empty() && policy != "noeviction") {
    const auto limit = info_field(info, "maxmemory");
    if (!limit.empty() && limit != "0")
      return unsuitable(fmt::format(
          "Redis has maxmemory-policy {} and would drop rows when it is full: set it to noeviction", policy));
    warnings.push_back(
        fmt::format("Redis has maxmemory-policy {}: set it to noeviction before a maxmemory is set", policy));
  }
  if (info_field(info, "aof_enabled") == "0")
    warnings.emplace_back(
        "Redis has appendonly no: a crash of Redis loses all since its last snapshot (weir reads it again from Kafka, "
        "as far as Kafka still has it): set appendonly yes");
  if (config.is_error())
    warnings.emplace_back(
        "CONFIG GET is not allowed to this user: how often Redis writes to disk could not be checked");
  else if (config[1].text() == "no")
    warnings.emplace_back(
        "Redis has appendfsync no: a power failure may lose many seconds of writes: set it to everysec");
  return warnings;
}

lease parse_lease(reply_view r) {
  return {r[0].integer() == 1, fence_token{static_cast<std::uint64_t>(r[1].integer())}, std::string(r[2].text()),
          r[3].integer()};
}

template <class Number>
Number number_of(std::string_view text, Number otherwise) {
  Number out{};
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc{} && rest == text.data() + text.size() ? out : otherwise;
}

job_state parse_job(reply_view pairs) {
  job_state out;
  out.token = fence_token{number_of<std::uint64_t>(field_of(pairs, "token"), 0)};
  out.fire_ms = number_of<std::int64_t>(field_of(pairs, "fire"), -1);
  out.id = field_of(pairs, "id");
  out.status = field_of(pairs, "status");
  out.run = field_of(pairs, "run");
  out.chunks = number_of<std::uint64_t>(field_of(pairs, "chunks"), 0);
  return out;
}

std::optional<job_verdict> parse_verdict(std::string_view word) {
  constexpr std::string_view words[] = {"done", "already", "fenced", "busy", "old", "mismatch"};
  const auto at = std::find(std::begin(words), std::end(words), word);
  return at == std::end(words) ? std::nullopt : std::optional(static_cast<job_verdict>(at - std::begin(words)));
}

void read_bucket(connection& on, const partition_key& partition, const table_ref& table, std::uint32_t bucket,
                 callback<std::vector<stored_row>> done) {
  on.send(one(std::string_view("HGETALL"), layout::bucket_key(partition, table, bucket)), 1,
          answer(std::move(done), [](const replies& got) -> result<std::vector<stored_row>> {
            reply_view pairs(got[0].get());
            std::vector<stored_row> rows;
            rows.reserve(pairs.size() / 2);
            for (std::size_t i = 0; i + 1 < pairs.size(); i += 2) {
              auto row = layout::parse_row(std::string(pairs[i].text()), pairs[i + 1].text());
              if (!row)
                return nonsense("a stored row");
              rows.push_back(std::move(*row));
            }
            return rows;
          }));
}

class redis_store final : public store, public job_store {
public:
  redis_store(std::vector<std::shared_ptr<link>> links, std::shared_ptr<connection> reader,
              std::shared_ptr<connection> scanner, std::shared_ptr<connection> leaser)
      : links_(std::move(links)), reader_(std::move(reader)), scanner_(std::move(scanner)), leaser_(std::move(leaser)) {
  }

  ~redis_store() override { close(); }

  std::size_t writers() const override { return links_.size(); }
  writer_link& writer(std::size_t i) override { return *links_.at(i); }

  void claim(claim_request request, callback<partition_state> done) override {
    std::uint64_t random = 0;
    {
      std::lock_guard lock(mutex_);
      random = random_();
    }
    auto make = [request, random](const std::string& run_id) {
      return one(std::string_view("EVALSHA"), claim_script().sha, std::uint64_t{1}, layout::head_key(request.partition),
                 request.owner, std::to_string(request.generation), request.hint.value, fmt::format("{:016x}", random),
                 run_id);
    };
    reader_->send_late(
        std::move(make),
        answer(std::move(done), [on = std::weak_ptr(reader_), request](const replies& got) -> result<partition_state> {
          reply_view r(got[0].get());
          if (r[0].text() == "fenced")
            return fail(ec::fenced,
                        fmt::format("{} belongs to {} by a later generation of the group ({}, this claim has {})",
                                    request.partition.prefix(), r[1].text(), r[2].text(), request.generation));
          if (r[0].text() != "ok" || !r[2].is_array())
            return nonsense("the claim script's answer");
          auto c = on.lock();
          auto state = parse_head(r[2], c ? c->present().run_id : std::string{});
          state.fresh = r[1].text() == "1";
          state.server_changed = r[3].text() == "1";
          return state;
        }));
  }

  void read_head(partition_key partition, callback<partition_state> done) override {
    read_head_on(reader_, partition, std::move(done), std::nullopt);
  }

  void load_rows(partition_key partition, table_ref table, std::uint32_t buckets, std::vector<std::string> keys,
                 callback<std::vector<std::optional<stored_row>>> done) override {
    std::map<std::uint32_t, std::vector<std::size_t>> by_bucket;
    for (std::size_t i = 0; i < keys.size(); ++i)
      by_bucket[bucket_of(keys[i], buckets)].push_back(i);
    batch b;
    std::vector<std::vector<std::size_t>> asked; // by command: which keys
    for (const auto& [bucket, which] : by_bucket)
      for (std::size_t from = 0; from < which.size(); from += keys_per_read) {
        const auto to = std::min(from + keys_per_read, which.size());
        command_writer w(64 + (to - from) * 48);
        w.arg("HMGET").arg(layout::bucket_key(partition, table, bucket));
        for (auto i = from; i < to; ++i)
          w.arg(keys[which[i]]);
        b.append(w.finish());
        asked.emplace_back(which.begin() + static_cast<std::ptrdiff_t>(from),
                           which.begin() + static_cast<std::ptrdiff_t>(to));
      }
    if (b.count() == 0)
      return reader_->post([done = std::move(done)] { done(std::vector<std::optional<stored_row>>{}); });
    const auto count = b.count();
    reader_->send(b.take(), count,
                  answer(std::move(done),
                         [keys = std::move(keys), asked = std::move(asked)](
                             const replies& got) -> result<std::vector<std::optional<stored_row>>> {
                           std::vector<std::optional<stored_row>> rows(keys.size());
                           for (std::size_t c = 0; c < asked.size(); ++c) {
                             reply_view values(got[c].get());
                             if (values.size() != asked[c].size())
                               return nonsense("the answer to HMGET");
                             for (std::size_t i = 0; i < asked[c].size(); ++i) {
                               if (values[i].is_nil())
                                 continue;
                               auto row = layout::parse_row(keys[asked[c][i]], values[i].text());
                               if (!row)
                                 return nonsense("a stored row");
                               rows[asked[c][i]] = std::move(row);
                             }
                           }
                           return rows;
                         }));
  }

  void load_bucket(partition_key partition, table_ref table, std::uint32_t bucket,
                   callback<std::vector<stored_row>> done) override {
    read_bucket(*reader_, partition, table, bucket, std::move(done));
  }

  void count_rows(partition_key partition, table_ref table, std::uint32_t buckets,
                  callback<std::uint64_t> done) override {
    batch b;
    for (std::uint32_t i = 0; i < buckets; ++i)
      b.add(std::string_view("HLEN"), layout::bucket_key(partition, table, i));
    reader_->send(b.take(), buckets, answer(std::move(done), [](const replies& got) -> result<std::uint64_t> {
                    std::uint64_t rows = 0;
                    for (const auto& r : got)
                      rows += static_cast<std::uint64_t>(reply_view(r.get()).integer());
                    return rows;
                  }));
  }

  void load_log(partition_key partition, table_ref table, version from, version to, std::uint32_t most, bool reverse,
                callback<std::vector<stored_batch>> done) override {
    const auto low = stream_id(from), high = stream_id(to);
    reader_->send(one(std::string_view(reverse ? "XREVRANGE" : "XRANGE"), layout::log_key(partition, table),
                      reverse ? high : low, reverse ? low : high, std::string_view("COUNT"), std::uint64_t{most}),
                  1, answer(std::move(done), [](const replies& got) -> result<std::vector<stored_batch>> {
                    reply_view entries(got[0].get());
                    std::vector<stored_batch> out;
                    out.reserve(entries.size());
                    for (std::size_t i = 0; i < entries.size(); ++i) {
                      stored_batch one_entry{version_of_id(entries[i][0].text()), {}};
                      if (!layout::parse_lines(field_of(entries[i][1], "d"), one_entry.entries))
                        return nonsense("a packed log entry");
                      out.push_back(std::move(one_entry));
                    }
                    return out;
                  }));
  }

  void log_heads(partition_key partition, table_ref table, std::uint32_t most,
                 callback<std::vector<batch_head>> done) override {
    reader_->send(one(std::string_view("EVALSHA"), log_heads_script().sha, std::uint64_t{1},
                      layout::log_key(partition, table), std::uint64_t{most}, log_heads_look_at_bytes),
                  1, answer(std::move(done), [](const replies& got) -> result<std::vector<batch_head>> {
                    reply_view flat(got[0].get());
                    std::vector<batch_head> out;
                    for (std::size_t i = 0; i + 3 < flat.size(); i += 4)
                      out.push_back({version_of_id(flat[i].text()), static_cast<std::uint64_t>(flat[i + 1].integer()),
                                     flat[i + 2].integer(), flat[i + 3].integer()});
                    return out;
                  }));
  }

  void scan_bucket(partition_key partition, table_ref table, std::uint32_t bucket,
                   callback<std::vector<stored_row>> done) override {
    read_bucket(*scanner_, partition, table, bucket, std::move(done));
  }

  void scan_log(partition_key partition, table_ref table, version from, version to, std::uint32_t most,
                callback<packed_log> done) override {
    scanner_->send(one(std::string_view("XRANGE"), layout::log_key(partition, table), stream_id(from), stream_id(to),
                       std::string_view("COUNT"), std::uint64_t{most}),
                   1, answer(std::move(done), [](replies got) -> result<packed_log> {
                     const auto held = std::make_shared<const replies>(std::move(got));
                     reply_view entries(held->front().get());
                     packed_log log{{}, held};
                     log.batches.reserve(entries.size());
                     for (std::size_t i = 0; i < entries.size(); ++i)
                       log.batches.push_back({version_of_id(entries[i][0].text()),
                                              number_of<std::uint64_t>(field_of(entries[i][1], "n"), 0),
                                              field_of(entries[i][1], "d")});
                     return log;
                   }));
  }

  void load_changes(partition_key partition, table_ref table, version after, callback<change_log> done) override {
    reader_->send(one(std::string_view("EVALSHA"), changes_script().sha, std::uint64_t{2}, layout::head_key(partition),
                      layout::change_log_key(partition, table), "v:" + table.text(),
                      stream_id(version{after.value + 1})),
                  1, answer(std::move(done), [](const replies& got) -> result<change_log> {
                    reply_view r(got[0].get());
                    change_log log{version{static_cast<std::uint64_t>(r[0].integer())}, {}};
                    for (std::size_t i = 0; i < r[1].size(); ++i) {
                      change_log_entry entry{version_of_id(r[1][i][0].text()), {}};
                      if (!layout::unpack_keys(field_of(r[1][i][1], "k"), entry.keys))
                        return nonsense("a change log entry");
                      log.entries.push_back(std::move(entry));
                    }
                    return log;
                  }));
  }

  void expired(partition_key partition, table_ref table, std::int64_t now_ms, std::uint32_t most,
               callback<std::vector<stored_row>> done) override {
    reader_->send(one(std::string_view("ZRANGEBYSCORE"), layout::expiry_key(partition, table), std::string_view("-inf"),
                      std::to_string(now_ms), std::string_view("WITHSCORES"), std::string_view("LIMIT"),
                      std::uint64_t{0}, std::uint64_t{most}),
                  1, answer(std::move(done), [](const replies& got) -> result<std::vector<stored_row>> {
                    reply_view flat(got[0].get());
                    std::vector<stored_row> out;
                    for (std::size_t i = 0; i + 1 < flat.size(); i += 2) {
                      stored_row row;
                      row.key = flat[i].text();
                      row.time_ms = flat[i + 1].integer();
                      out.push_back(std::move(row));
                    }
                    return out;
                  }));
  }

  void load_meta(std::string topology, callback<std::map<std::string, std::string>> done) override {
    reader_->send(one(std::string_view("HGETALL"), layout::meta_key(topology)), 1,
                  answer(std::move(done), [](const replies& got) -> result<std::map<std::string, std::string>> {
                    reply_view pairs(got[0].get());
                    std::map<std::string, std::string> out;
                    for (std::size_t i = 0; i + 1 < pairs.size(); i += 2)
                      out.emplace(pairs[i].text(), pairs[i + 1].text());
                    return out;
                  }));
  }

  void meta_once(std::string topology, std::string field, std::string value, callback<std::string> done) override {
    reader_->send(one(std::string_view("EVALSHA"), meta_once_script().sha, std::uint64_t{1}, layout::meta_key(topology),
                      field, value),
                  1, answer(std::move(done), [](const replies& got) -> result<std::string> {
                    return std::string(reply_view(got[0].get()).text());
                  }));
  }

  void meta_swap(std::string topology, std::string field, std::string expect, std::string value,
                 callback<bool> done) override {
    reader_->send(one(std::string_view("EVALSHA"), meta_swap_script().sha, std::uint64_t{1}, layout::meta_key(topology),
                      field, expect, value),
                  1, answer(std::move(done), [](const replies& got) -> result<bool> {
                    return reply_view(got[0].get()).integer() == 1;
                  }));
  }

  void examine(callback<std::vector<std::string>> done) override {
    batch b;
    b.add(std::string_view("INFO"));
    b.add(std::string_view("CONFIG"), std::string_view("GET"), std::string_view("appendfsync"));
    reader_->send(b.take(), 2, [done = std::move(done)](result<replies> got) {
      if (!got)
        return done(tl::unexpected(std::move(got.error())));
      reply_view info((*got)[0].get());
      if (info.is_error()) {
        auto e = classify(info.text());
        if (e.code != ec::redis_refused)
          return done(tl::unexpected(std::move(e)));
        return done(std::vector<std::string>{
            "INFO is not allowed to this user: whether this Redis keeps what it is given could not be checked"});
      }
      done(judge(info.text(), (*got)[1].get()));
    });
  }

  job_store& jobs() override { return *this; }

  void take_lease(std::string topology, std::string owner, std::int64_t hold_ms, fence_token low,
                  callback<lease> done) override {
    lease_command(topology, owner, hold_ms, "take", low, std::move(done));
  }

  void drop_lease(std::string topology, std::string owner, callback<lease> done) override {
    lease_command(topology, owner, 0, "drop", {}, std::move(done));
  }

  void adopt_job(partition_key job, fence_token token, callback<job_answer> done) override {
    reader_->send(one(std::string_view("EVALSHA"), adopt_job_script().sha, std::uint64_t{2}, layout::job_key(job),
                      layout::checkpoints_key(job), token.value),
                  1, answer(std::move(done), [](const replies& got) -> result<job_answer> {
                    reply_view r(got[0].get());
                    const auto verdict = parse_verdict(r[0].text());
                    if (!verdict || !r[2].is_array())
                      return nonsense("the answer to a scheduler");
                    job_answer out{*verdict, parse_job(r[1])};
                    for (std::size_t i = 0; i + 1 < r[2].size(); i += 2)
                      out.stored.checkpoints.emplace(number_of<std::uint32_t>(r[2][i].text(), 0), r[2][i + 1].text());
                    return out;
                  }));
  }

  void change_job(job_change c, callback<job_answer> done) override {
    std::string expect;
    for (const auto& status : c.expect)
      expect += ',' + status;
    if (!expect.empty())
      expect += ',';
    const auto flag = [](bool set) { return std::string_view(set ? "1" : "0"); };
    batch b;
    b.add(std::string_view("EVALSHA"), change_job_script().sha, std::uint64_t{4}, layout::job_key(c.job),
          layout::checkpoints_key(c.job), layout::history_key(c.job), layout::history_order_key(c.job), c.token.value,
          c.id, expect, std::to_string(c.fire_ms), flag(c.again), c.status, c.run,
          c.checkpoint ? std::to_string(c.checkpoint->first) : std::string{},
          c.checkpoint ? c.checkpoint->second : std::string{}, flag(c.ends), flag(c.keep_checkpoints),
          std::uint64_t{c.keep_count}, std::to_string(c.keep_since_ms), std::to_string(c.ended_ms));
    reader_->send(b.take(), 1, answer(std::move(done), [](const replies& got) -> result<job_answer> {
                    reply_view r(got[0].get());
                    const auto verdict = parse_verdict(r[0].text());
                    if (!verdict)
                      return nonsense("the answer to a job's change");
                    return job_answer{*verdict, parse_job(r[1])};
                  }));
  }

  void job_history(partition_key job, std::uint32_t most, callback<std::vector<std::string>> done) override {
    reader_->send(one(std::string_view("EVALSHA"), job_history_script().sha, std::uint64_t{2}, layout::history_key(job),
                      layout::history_order_key(job), std::uint64_t{most}),
                  1, answer(std::move(done), [](const replies& got) -> result<std::vector<std::string>> {
                    reply_view r(got[0].get());
                    std::vector<std::string> out;
                    for (std::size_t i = 0; i < r.size(); ++i)
                      out.emplace_back(r[i].text());
                    return out;
                  }));
  }

  void read_job(partition_key job, callback<job_state> done) override {
    reader_->send(
        one(std::string_view("HGETALL"), layout::job_key(job)), 1,
        answer(std::move(done), [](const replies& got) -> result<job_state> { return parse_job(got[0].get()); }));
  }

  void close() override {
    for (auto& l : links_)
      l->inner().close();
    reader_->close();
    scanner_->close();
    leaser_->close();
  }

private:
  void lease_command(const std::string& topology, const std::string& owner, std::int64_t hold_ms, std::string_view what,
                     fence_token low, callback<lease> done) {
    leaser_->send(
        one(std::string_view("EVALSHA"), lease_script().sha, std::uint64_t{1}, layout::lease_key(topology), owner,
            std::to_string(hold_ms), what, low.value),
        1, answer(std::move(done), [](const replies& got) -> result<lease> { return parse_lease(got[0].get()); }));
  }

  std::vector<std::shared_ptr<link>> links_;
  std::shared_ptr<connection> reader_, scanner_, leaser_; // one without a reactor for jobs
  std::mutex mutex_;                                      // guards random_
  std::mt19937_64 random_{(std::uint64_t{std::random_device{}()} << 32) ^ std::random_device{}()};
};

} // namespace

result<std::unique_ptr<store>> make_redis_store(const redis_config& config, std::vector<reactor*> reactors,
                                                store_options options, reactor* scanning) {
  auto url = resolve_url(config);
  if (!url)
    return tl::unexpected(url.error());
  if (reactors.empty())
    return fail(ec::bad_argument, "Redis: no reactor");
  auto tls = make_tls(*url, config.ca_file);
  if (!tls)
    return tl::unexpected(tls.error());
  std::size_t made = 0;
  const auto next_reactor = [&]() -> reactor& { return *reactors[made++ % reactors.size()]; };
  const auto make = [&](reactor& on, std::string name, bool wait) {
    auto c = std::make_shared<connection>(
        on, connection::settings{*url, *tls, options, fmt::format("{}-{}", options.client_name, name), wait});
    c->start();
    return c;
  };
  std::vector<std::shared_ptr<link>> links;
  for (std::uint32_t i = 0; i < std::max(config.connections, 1u); ++i)
    links.push_back(
        std::make_shared<link>(make(next_reactor(), fmt::format("writer-{}", i), false), options.change_log_bytes));
  auto reader = make(next_reactor(), "reader", true);
  auto scanner = scanning ? make(*scanning, "scanner", true) : reader;
  // Not on the reader's reactor, where there are two.
  auto leaser = scanning ? make(next_reactor(), "lease", true) : reader;
  return std::make_unique<redis_store>(std::move(links), std::move(reader), std::move(scanner), std::move(leaser));
}

} // namespace weir::redis
