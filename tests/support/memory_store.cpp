#include "tests/support/memory_store.hpp"

#include <algorithm>
#include <chrono>
#include <fmt/format.h>

namespace weir::support {

using namespace redis;

namespace {

constexpr std::uint64_t version_bound = 9007199254740992ull; // 2^53, as in the scripts
constexpr std::uint64_t claim_holds_us = 120'000'000;

struct change {
  std::uint64_t previous = 0;
  std::vector<std::string> keys;
};

struct table_data {
  std::map<std::uint32_t, std::map<std::string, stored_row>> buckets;
  std::map<std::string, std::int64_t> expiry;
  std::map<std::uint64_t, stored_batch> log;
  std::map<std::uint64_t, change> changes;
  std::size_t half_bytes = 0;  // of the change log's present half
  std::uint64_t half_from = 0; // its first version
};

struct partition_data {
  bool exists = false;
  partition_state head;
  std::int32_t generation = -1;
  std::string run_id; // stored by claims
  std::vector<version> previous;
  std::vector<std::vector<std::uint32_t>> kept;
  std::map<std::string, table_data> tables;
};

std::string one_line(const shared_bytes& value) {
  std::string out = value ? *value : std::string{};
  std::replace(out.begin(), out.end(), '\n', ' ');
  return out;
}

bool power_of_two(std::uint32_t n) { return n != 0 && (n & (n - 1)) == 0; }

struct job_data {
  job_state now;
  std::map<std::string, std::pair<std::int64_t, std::string>> history; // by id: when it ended, run
};

struct lease_data {
  std::string owner;
  std::uint64_t token = 0;
  std::int64_t until_ms = 0;
};

bool is_open(const job_state& job) {
  return job.status == "STARTING" || job.status == "STARTED" || job.status == "STOPPING";
}

job_state without_checkpoints(job_state job) {
  job.checkpoints.clear();
  return job;
}

} // namespace

struct memory_store::snapshot {
  std::map<partition_key, job_data> jobs;
  std::map<std::string, lease_data> leases;
  std::map<partition_key, partition_data> partitions;
  std::map<std::string, std::map<std::string, std::string>> metas;
};

struct memory_store::impl {
  using thunk = std::function<void()>;

  struct operation {
    std::function<thunk()> run; // under the lock; gives what to call with the answer
    std::function<thunk(error)> fail;
    bool submit = false;
  };

  struct planned {
    fault what;
    std::size_t skip, count;
    ec code;
  };

  struct link final : writer_link {
    impl* owner = nullptr;
    bool up = true, holding = false;
    std::deque<operation> held;  // sent, not executed yet
    std::vector<operation> lost; // their answers never come; they fail when the link goes down
    std::deque<planned> faults;
    std::function<void(link_state)> changed;

    void submit(transaction_ptr tx, callback<tx_result> done) override {
      owner->enter(*this, {[this, tx, done] {
                             auto answer = owner->apply(*tx);
                             return [done, answer = std::move(answer)] { done(answer); };
                           },
                           [done](error e) { return [done, e = std::move(e)] { done(tl::unexpected(e)); }; }, true});
    }

    void read_head(partition_key partition, callback<partition_state> done) override {
      owner->enter(*this, {[this, partition, done] {
                             auto head = owner->head_of(partition);
                             return [done, head = std::move(head)] { done(head); };
                           },
                           [done](error e) { return [done, e = std::move(e)] { done(tl::unexpected(e)); }; }, false});
    }

    void on_state(std::function<void(link_state)> listener) override {
      std::vector<thunk> calls;
      {
        std::lock_guard lock(owner->mutex);
        changed = listener;
        calls.push_back([listener, s = up ? link_state::up : link_state::down] {
          if (listener)
            listener(s);
        });
      }
      owner->call(std::move(calls));
    }
  };

  options opt;
  mutable std::mutex mutex; // guards all below
  std::map<partition_key, partition_data> partitions;
  std::map<std::string, std::map<std::string, std::string>> metas;
  std::map<partition_key, job_data> jobs;
  std::map<std::string, lease_data> leases;
  std::vector<std::unique_ptr<link>> links;
  std::deque<planned> read_faults;
  std::mt19937_64 random;
  std::string run_id;
  bool closed = false;
  counts counters;

  void call(std::vector<thunk> calls) {
    for (auto& c : calls) {
      if (opt.run)
        opt.run(std::move(c));
      else
        c();
    }
  }

  std::string random_text() { return fmt::format("{:016x}", random()); }

  static error unreachable() { return {ec::redis_unreachable, "memory store: the link is down"}; }
  static error stopped() { return {ec::stopped, "memory store: closed"}; }

  static std::optional<planned> next_fault(std::deque<planned>& faults) {
    if (faults.empty())
      return std::nullopt;
    if (faults.front().skip > 0) {
      --faults.front().skip;
      return std::nullopt;
    }
    auto now = faults.front();
    if (--faults.front().count == 0)
      faults.pop_front();
    return now;
  }

  void enter(link& l, operation o) {
    std::vector<thunk> calls;
    {
      std::lock_guard lock(mutex);
      if (closed)
        calls.push_back(o.fail(stopped()));
      else if (!l.up)
        calls.push_back(o.fail(unreachable()));
      else if (l.holding)
        l.held.push_back(std::move(o));
      else
        execute(l, std::move(o), calls);
    }
    call(std::move(calls));
  }

  void execute(link& l, operation o, std::vector<thunk>& calls) {
    auto f = o.submit ? next_fault(l.faults) : std::nullopt;
    if (!f) {
      // Answers keep the order: what comes behind a lost answer never gets its own.
      if (l.lost.empty())
        calls.push_back(o.run());
      else
        l.lost.push_back(std::move(o)), l.lost.back().run();
      return;
    }
    if (f->what == fault::answer_error) {
      calls.push_back(o.fail({f->code, "memory store: injected error"}));
      return;
    }
    if (f->what == fault::drop_reply)
      o.run();
    l.lost.push_back(std::move(o));
    if (f->count == 1) // the last of this fault
      down(l, calls);
  }

  void down(link& l, std::vector<thunk>& calls, bool closing = false) {
    if (!l.up && !closing)
      return;
    if (l.up && l.changed)
      calls.push_back([listener = l.changed] { listener(link_state::down); });
    l.up = false;
    const auto why = closing ? stopped() : unreachable();
    for (auto& o : l.lost)
      calls.push_back(o.fail(why));
    for (auto& o : l.held)
      calls.push_back(o.fail(why));
    l.lost.clear();
    l.held.clear();
  }

  // One of the store's own calls.
  template <class T, class Make>
  void read(callback<T> done, Make make) {
    std::vector<thunk> calls;
    {
      std::lock_guard lock(mutex);
      if (closed) {
        calls.push_back([done] { done(tl::unexpected(stopped())); });
      } else if (auto f = next_fault(read_faults); f && f->what == fault::answer_error) {
        calls.push_back([done, code = f->code] { done(fail(code, "memory store: injected error")); });
      } else if (f) {
        if (f->what == fault::drop_reply)
          static_cast<void>(make());
        calls.push_back([done] { done(tl::unexpected(unreachable())); });
      } else {
        result<T> value = make();
        calls.push_back([done, value = std::move(value)] { done(value); });
      }
    }
    call(std::move(calls));
  }

  result<partition_state> head_of(const partition_key& key) const {
    auto at = partitions.find(key);
    partition_state out;
    if (at != partitions.end() && at->second.exists)
      out = at->second.head;
    else
      out.fresh = true;
    out.run_id = run_id;
    return out;
  }

  const table_data* find_table(const partition_key& key, const table_ref& table) const {
    auto p = partitions.find(key);
    if (p == partitions.end())
      return nullptr;
    auto t = p->second.tables.find(table.text());
    return t == p->second.tables.end() ? nullptr : &t->second;
  }

  result<partition_state> claim(const claim_request& request) {
    if (request.hint.value >= version_bound)
      return fail(ec::redis_script, "a version beyond 2^53 was asked for");
    auto& p = partitions[request.partition];
    const auto us = opt.now();
    const auto active = std::max(p.head.epoch.value, p.head.last.value);
    // Signed: `last` may be ahead of the clock.
    const auto age = static_cast<std::int64_t>(us) - static_cast<std::int64_t>(active);
    if (p.exists && request.generation >= 0 && p.generation > request.generation && p.head.owner != request.owner &&
        age < static_cast<std::int64_t>(claim_holds_us)) {
      ++counters.refused_claims;
      return fail(ec::fenced, fmt::format("{} belongs to a later generation", request.partition.prefix()));
    }
    const bool fresh = !p.exists;
    const bool moved = !fresh && !p.run_id.empty() && p.run_id != run_id;
    const bool changed = moved && p.head.owner != request.owner;
    if (fresh || changed) {
      std::uint64_t old = 0;
      if (!fresh)
        old = std::strtoull(p.head.stream.value.c_str(), nullptr, 10);
      p.head.stream = stream_epoch{fmt::format("{:016}-{}", std::max(us, old + 1), random_text())};
    }
    p.exists = true;
    p.head.epoch = owner_epoch{std::max(p.head.epoch.value + 1, us)};
    p.head.owner = request.owner;
    p.generation = request.generation;
    if (!moved || changed)
      p.run_id = run_id;
    p.head.last = version{std::max({p.head.last.value, us, request.hint.value})};
    ++counters.claims;
    auto out = p.head;
    out.fresh = fresh;
    out.server_changed = changed;
    out.run_id = run_id;
    return out;
  }

  result<tx_result> apply(const transaction& tx) {
    std::uint64_t n = 1;
    for (const auto& w : tx.tables) {
      if (!power_of_two(w.buckets))
        return fail(ec::bad_argument, "the number of buckets is no power of two");
      if (w.changes && !w.changes->rows.empty() && !w.changes->entries.empty())
        return fail(ec::bad_argument, "a write has either rows or log entries");
      if (w.changes)
        n = std::max<std::uint64_t>(n, w.changes->entries.size());
    }
    auto& p = partitions[tx.partition];
    tx_result out;
    const auto refuse = [&](tx_status s) {
      out.status = s;
      out.first = out.last = p.head.last;
      out.epoch = p.head.stream;
      return out;
    };
    if (!p.exists || p.head.epoch != tx.id.epoch) {
      ++counters.fenced;
      return refuse(tx_status::fenced);
    }
    if (p.head.batch == tx.id) {
      ++counters.already;
      refuse(tx_status::already);
      out.previous = p.previous;
      out.kept = p.kept;
      return out;
    }
    if (p.head.batch != tx.follows) {
      ++counters.mismatch;
      return refuse(tx_status::mismatch);
    }
    if (tx.guard) {
      auto& job = jobs[tx.partition].now;
      if (job.token.value > tx.guard->token || job.id != tx.guard->execution ||
          (job.status != "STARTED" && job.status != "STOPPING") || job.chunks != tx.guard->chunk) {
        ++counters.outdated;
        return refuse(tx_status::outdated);
      }
    }
    bool fits = true;
    for (const auto& move : tx.positions) {
      auto at = p.head.tables.find(move.table.text());
      fits = fits && (at == p.head.tables.end() ? no_position : at->second.next) == move.expect;
    }
    if (!fits) {
      ++counters.mismatch;
      return refuse(tx_status::mismatch);
    }
    const auto first = std::max({p.head.last.value + 1, opt.now(), tx.hint.value});
    const auto last = first + n - 1;
    if (last >= version_bound)
      return fail(ec::redis_script, "a version beyond 2^53 was asked for");

    for (const auto& move : tx.positions)
      p.head.tables[move.table.text()].next = move.next;
    out.kept.resize(tx.tables.size());
    for (std::size_t i = 0; i < tx.tables.size(); ++i) {
      auto& state = p.head.tables[tx.tables[i].table.text()];
      out.previous.push_back(state.changed);
      write(p.tables[tx.tables[i].table.text()], state, tx.tables[i], first, last, out.kept[i]);
      state.changed = version{last};
    }
    if (tx.renew_epoch)
      p.head.stream = *tx.renew_epoch;
    if (tx.mark)
      p.head.mark = tx.mark;
    p.previous = out.previous;
    p.kept = out.kept;
    p.head.last = version{last};
    p.head.batch = tx.id;
    if (tx.guard)
      jobs[tx.partition].now.chunks = tx.guard->chunk + 1;
    out.first = version{first};
    out.last = version{last};
    out.epoch = p.head.stream;
    ++counters.applied;
    return out;
  }

  void write(table_data& data, table_state& state, const table_write& w, std::uint64_t first, std::uint64_t last,
             std::vector<std::uint32_t>& kept) {
    const bool has_entries = w.changes && !w.changes->entries.empty();
    if (w.trim_below)
      data.log.erase(data.log.begin(), data.log.lower_bound(w.trim_below->value));
    if (has_entries) {
      stored_batch packed{version{first}, {}};
      for (const auto& e : w.changes->entries)
        packed.entries.push_back({e.time_ms, e.at, std::make_shared<const std::string>(one_line(e.value))});
      data.log.emplace(first, std::move(packed));
    }
    if (has_entries || w.trim_below) {
      const auto have = state.records + (has_entries ? w.changes->entries.size() : 0);
      state.records = have > w.trimmed ? have - w.trimmed : 0;
    }
    if (!w.changes || w.changes->rows.empty())
      return;
    change entry;
    entry.previous = state.changed.value;
    std::size_t bytes = 64;
    const auto changed = [&](const std::string& key) {
      entry.keys.push_back(key);
      bytes += std::to_string(key.size()).size() + 1 + key.size();
    };
    for (std::uint32_t i = 0; i < w.changes->rows.size(); ++i) {
      const auto& row = w.changes->rows[i];
      auto& bucket = data.buckets[bucket_of(row.key, w.buckets)];
      if (row.value) {
        bucket[row.key] = {row.key, *row.value, row.at.time_ms, row.at.at};
        if (w.ttl_ms)
          data.expiry[row.key] = row.at.time_ms + *w.ttl_ms;
        else
          data.expiry.erase(row.key);
        changed(row.key);
      } else if (!w.expire_up_to_ms) {
        bucket.erase(row.key);
        data.expiry.erase(row.key);
        changed(row.key);
      } else if (auto at = data.expiry.find(row.key); at != data.expiry.end() && at->second <= *w.expire_up_to_ms) {
        bucket.erase(row.key);
        data.expiry.erase(at);
        changed(row.key);
      } else {
        kept.push_back(i);
      }
    }
    if (entry.keys.empty())
      return;
    data.changes.emplace(last, std::move(entry));
    data.half_bytes += bytes;
    if (data.half_bytes > opt.change_log_bytes / 2) {
      data.changes.erase(data.changes.begin(), data.changes.lower_bound(data.half_from));
      data.half_bytes = bytes;
      data.half_from = last;
    }
  }
};

memory_store::memory_store() : memory_store(options{}) {}

memory_store::memory_store(options o) : impl_(std::make_unique<impl>()) {
  if (!o.now)
    o.now = [] {
      return static_cast<std::uint64_t>(
          std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::system_clock::now().time_since_epoch())
              .count());
    };
  impl_->random.seed(o.seed);
  impl_->run_id = impl_->random_text();
  impl_->opt = std::move(o);
  for (std::size_t i = 0; i < std::max<std::size_t>(impl_->opt.writers, 1); ++i) {
    impl_->links.push_back(std::make_unique<impl::link>());
    impl_->links.back()->owner = impl_.get();
  }
}

memory_store::~memory_store() = default;

std::size_t memory_store::writers() const { return impl_->links.size(); }
writer_link& memory_store::writer(std::size_t i) { return *impl_->links.at(i); }

void memory_store::claim(claim_request request, callback<partition_state> done) {
  impl_->read<partition_state>(std::move(done), [&] { return impl_->claim(request); });
}

void memory_store::read_head(partition_key partition, callback<partition_state> done) {
  impl_->read<partition_state>(std::move(done), [&] { return impl_->head_of(partition); });
}

void memory_store::load_rows(partition_key partition, table_ref table, std::uint32_t buckets,
                             std::vector<std::string> keys, callback<std::vector<std::optional<stored_row>>> done) {
  impl_->read<std::vector<std::optional<stored_row>>>(std::move(done), [&] {
    std::vector<std::optional<stored_row>> out(keys.size());
    if (const auto* t = impl_->find_table(partition, table))
      for (std::size_t i = 0; i < keys.size(); ++i)
        if (auto b = t->buckets.find(bucket_of(keys[i], buckets)); b != t->buckets.end())
          if (auto r = b->second.find(keys[i]); r != b->second.end())
            out[i] = r->second;
    return out;
  });
}

void memory_store::load_bucket(partition_key partition, table_ref table, std::uint32_t bucket,
                               callback<std::vector<stored_row>> done) {
  impl_->read<std::vector<stored_row>>(std::move(done), [&] {
    std::vector<stored_row> out;
    if (const auto* t = impl_->find_table(partition, table))
      if (auto b = t->buckets.find(bucket); b != t->buckets.end())
        for (const auto& [key, row] : b->second)
          out.push_back(row);
    return out;
  });
}

void memory_store::count_rows(partition_key partition, table_ref table, std::uint32_t buckets,
                              callback<std::uint64_t> done) {
  impl_->read<std::uint64_t>(std::move(done), [&] {
    std::uint64_t out = 0;
    if (const auto* t = impl_->find_table(partition, table))
      for (const auto& [b, rows] : t->buckets)
        if (b < buckets)
          out += rows.size();
    return out;
  });
}

void memory_store::load_log(partition_key partition, table_ref table, version from, version to, std::uint32_t most,
                            bool reverse, callback<std::vector<stored_batch>> done) {
  impl_->read<std::vector<stored_batch>>(std::move(done), [&] {
    std::vector<stored_batch> out;
    if (const auto* t = impl_->find_table(partition, table); t && from <= to) {
      for (auto at = t->log.lower_bound(from.value), end = t->log.upper_bound(to.value); at != end; ++at)
        out.push_back(at->second);
      if (reverse)
        std::reverse(out.begin(), out.end());
      out.resize(std::min<std::size_t>(out.size(), most));
    }
    return out;
  });
}

void memory_store::log_heads(partition_key partition, table_ref table, std::uint32_t most,
                             callback<std::vector<batch_head>> done) {
  impl_->read<std::vector<batch_head>>(std::move(done), [&] {
    std::vector<batch_head> out;
    if (const auto* t = impl_->find_table(partition, table))
      for (const auto& [id, packed] : t->log) {
        if (out.size() >= most)
          break;
        auto [oldest, newest] = std::minmax_element(packed.entries.begin(), packed.entries.end(),
                                                    [](auto& a, auto& b) { return a.time_ms < b.time_ms; });
        out.push_back({packed.first, packed.entries.size(), oldest->time_ms, newest->time_ms});
      }
    return out;
  });
}

void memory_store::load_changes(partition_key partition, table_ref table, version after, callback<change_log> done) {
  impl_->read<change_log>(std::move(done), [&] {
    change_log out;
    const auto* t = impl_->find_table(partition, table);
    if (!t || t->changes.empty()) {
      if (auto p = impl_->partitions.find(partition); p != impl_->partitions.end())
        if (auto s = p->second.head.tables.find(table.text()); s != p->second.head.tables.end())
          out.floor = s->second.changed;
      return out;
    }
    out.floor = version{t->changes.begin()->second.previous};
    for (auto at = t->changes.upper_bound(after.value); at != t->changes.end(); ++at)
      out.entries.push_back({version{at->first}, at->second.keys});
    return out;
  });
}

void memory_store::expired(partition_key partition, table_ref table, std::int64_t now_ms, std::uint32_t most,
                           callback<std::vector<stored_row>> done) {
  impl_->read<std::vector<stored_row>>(std::move(done), [&] {
    std::vector<stored_row> out;
    if (const auto* t = impl_->find_table(partition, table))
      for (const auto& [key, when] : t->expiry)
        if (when <= now_ms)
          out.push_back({key, {}, when, {}});
    std::stable_sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.time_ms < b.time_ms; });
    out.resize(std::min<std::size_t>(out.size(), most));
    return out;
  });
}

void memory_store::load_meta(std::string topology, callback<std::map<std::string, std::string>> done) {
  impl_->read<std::map<std::string, std::string>>(std::move(done), [&] { return impl_->metas[topology]; });
}

void memory_store::meta_once(std::string topology, std::string field, std::string value, callback<std::string> done) {
  impl_->read<std::string>(std::move(done), [&] { return impl_->metas[topology].emplace(field, value).first->second; });
}

void memory_store::meta_swap(std::string topology, std::string field, std::string expect, std::string value,
                             callback<bool> done) {
  impl_->read<bool>(std::move(done), [&] {
    auto& meta = impl_->metas[topology];
    auto at = meta.find(field);
    if ((at == meta.end() ? std::string{} : at->second) != expect)
      return false;
    meta[field] = value;
    return true;
  });
}

void memory_store::examine(callback<std::vector<std::string>> done) {
  impl_->read<std::vector<std::string>>(std::move(done), [] { return std::vector<std::string>{}; });
}

void memory_store::close() {
  std::vector<impl::thunk> calls;
  {
    std::lock_guard lock(impl_->mutex);
    impl_->closed = true;
    for (auto& l : impl_->links)
      impl_->down(*l, calls, true);
  }
  impl_->call(std::move(calls));
}

void memory_store::take_lease(std::string topology, std::string owner, std::int64_t hold_ms, fence_token low,
                              callback<lease> done) {
  impl_->read<lease>(std::move(done), [&] {
    auto& l = impl_->leases[topology];
    const auto us = impl_->opt.now();
    const auto now = static_cast<std::int64_t>(us / 1000);
    const bool runs = l.until_ms > now && l.until_ms - now <= 10 * hold_ms;
    if (runs && l.owner != owner)
      return lease{false, fence_token{l.token}, l.owner, l.until_ms - now};
    if (!runs || l.token <= low.value)
      l.token = std::max({l.token + 1, us, low.value + 1});
    l.owner = owner;
    l.until_ms = now + hold_ms;
    return lease{true, fence_token{l.token}, owner, hold_ms};
  });
}

void memory_store::drop_lease(std::string topology, std::string owner, callback<lease> done) {
  impl_->read<lease>(std::move(done), [&] {
    auto& l = impl_->leases[topology];
    if (l.owner == owner)
      l.until_ms = 0;
    return lease{false, fence_token{l.token}, l.owner, 0};
  });
}

void memory_store::adopt_job(partition_key job, fence_token token, callback<job_answer> done) {
  impl_->read<job_answer>(std::move(done), [&] {
    auto& j = impl_->jobs[job].now;
    if (j.token > token) {
      ++impl_->counters.fenced_jobs;
      return job_answer{job_verdict::fenced, without_checkpoints(j)};
    }
    j.token = token;
    return job_answer{job_verdict::done, j};
  });
}

void memory_store::change_job(job_change c, callback<job_answer> done) {
  impl_->read<job_answer>(std::move(done), [&] {
    auto& data = impl_->jobs[c.job];
    auto& j = data.now;
    const auto refuse = [&](job_verdict why) { return job_answer{why, without_checkpoints(j)}; };
    if (j.token > c.token) {
      ++impl_->counters.fenced_jobs;
      return refuse(job_verdict::fenced);
    }
    if (c.expect.empty()) {
      if (j.id == c.id)
        return refuse(job_verdict::already);
      if (is_open(j))
        return refuse(job_verdict::busy);
      const bool restartable = j.fire_ms == c.fire_ms && (j.status == "FAILED" || j.status == "STOPPED");
      if (c.again ? !restartable : j.fire_ms >= c.fire_ms)
        return refuse(c.again ? job_verdict::mismatch : job_verdict::old);
      if (!c.again) {
        j.checkpoints.clear();
        j.chunks = 0;
      }
      j.id = c.id;
      j.fire_ms = c.fire_ms;
    } else if (j.id != c.id || std::find(c.expect.begin(), c.expect.end(), j.status) == c.expect.end()) {
      return refuse(job_verdict::mismatch);
    }
    j.token = c.token;
    j.status = c.status;
    j.run = c.run;
    if (c.checkpoint && c.checkpoint->second.empty())
      j.checkpoints.erase(c.checkpoint->first);
    else if (c.checkpoint)
      j.checkpoints[c.checkpoint->first] = c.checkpoint->second;
    if (c.ends) {
      if (!c.keep_checkpoints)
        j.checkpoints.clear();
      data.history[c.id] = {c.ended_ms, c.run};
      std::vector<std::pair<std::int64_t, std::string>> order;
      for (const auto& [id, entry] : data.history)
        order.emplace_back(entry.first, id);
      std::sort(order.begin(), order.end());
      for (std::size_t i = 0; i < order.size(); ++i)
        if (order.size() - i > c.keep_count || order[i].first < c.keep_since_ms)
          data.history.erase(order[i].second);
    }
    return job_answer{};
  });
}

void memory_store::job_history(partition_key job, std::uint32_t most, callback<std::vector<std::string>> done) {
  impl_->read<std::vector<std::string>>(std::move(done), [&] {
    std::vector<std::tuple<std::int64_t, std::string, std::string>> order;
    for (const auto& [id, entry] : impl_->jobs[job].history)
      order.emplace_back(entry.first, id, entry.second);
    std::sort(order.rbegin(), order.rend());
    std::vector<std::string> out;
    for (const auto& [ended, id, run] : order)
      if (out.size() < most)
        out.push_back(run);
    return out;
  });
}

void memory_store::read_job(partition_key job, callback<job_state> done) {
  impl_->read<job_state>(std::move(done), [&] { return without_checkpoints(impl_->jobs[job].now); });
}

void memory_store::inject(std::size_t writer, fault f, std::size_t skip, std::size_t count, ec code) {
  std::lock_guard lock(impl_->mutex);
  impl_->links.at(writer)->faults.push_back({f, skip, count, code});
}

void memory_store::inject_read(fault f, std::size_t skip, std::size_t count, ec code) {
  std::lock_guard lock(impl_->mutex);
  impl_->read_faults.push_back({f, skip, count, code});
}

void memory_store::clear_faults() {
  std::lock_guard lock(impl_->mutex);
  for (auto& l : impl_->links)
    l->faults.clear();
  impl_->read_faults.clear();
}

void memory_store::link_down(std::size_t writer) {
  std::vector<impl::thunk> calls;
  {
    std::lock_guard lock(impl_->mutex);
    impl_->down(*impl_->links.at(writer), calls);
  }
  impl_->call(std::move(calls));
}

void memory_store::link_up(std::size_t writer) {
  std::vector<impl::thunk> calls;
  {
    std::lock_guard lock(impl_->mutex);
    auto& l = *impl_->links.at(writer);
    if (!l.up) {
      l.up = true;
      if (l.changed)
        calls.push_back([listener = l.changed] { listener(link_state::up); });
    }
  }
  impl_->call(std::move(calls));
}

void memory_store::hold(std::size_t writer) {
  std::lock_guard lock(impl_->mutex);
  impl_->links.at(writer)->holding = true;
}

void memory_store::release(std::size_t writer) {
  std::vector<impl::thunk> calls;
  {
    std::lock_guard lock(impl_->mutex);
    auto& l = *impl_->links.at(writer);
    l.holding = false;
    while (!l.held.empty()) {
      auto o = std::move(l.held.front());
      l.held.pop_front();
      impl_->execute(l, std::move(o), calls);
    }
  }
  impl_->call(std::move(calls));
}

std::size_t memory_store::held(std::size_t writer) const {
  std::lock_guard lock(impl_->mutex);
  return impl_->links.at(writer)->held.size();
}

std::shared_ptr<const memory_store::snapshot> memory_store::take_snapshot() const {
  std::lock_guard lock(impl_->mutex);
  return std::make_shared<const snapshot>(snapshot{impl_->jobs, impl_->leases, impl_->partitions, impl_->metas});
}

void memory_store::roll_back(const std::shared_ptr<const snapshot>& to) {
  std::lock_guard lock(impl_->mutex);
  impl_->jobs = to->jobs;
  impl_->leases = to->leases;
  impl_->partitions = to->partitions;
  impl_->metas = to->metas;
}

void memory_store::new_run_id() {
  std::lock_guard lock(impl_->mutex);
  impl_->run_id = impl_->random_text();
}

void memory_store::flush_all() {
  std::lock_guard lock(impl_->mutex);
  impl_->jobs.clear();
  impl_->leases.clear();
  impl_->partitions.clear();
  impl_->metas.clear();
}

memory_store::counts memory_store::counted() const {
  std::lock_guard lock(impl_->mutex);
  return impl_->counters;
}

} // namespace weir::support
