#include "tests/support/memory_store.hpp"

#include "tests/support/memory_jobs.hpp"
#include "tests/support/memory_partitions.hpp"

#include <algorithm>
#include <chrono>
#include <deque>
#include <fmt/format.h>

namespace weir::support {

using namespace redis;

struct memory_store::snapshot {
  memory_partitions partitions;
  memory_jobs jobs;
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
  memory_partitions partitions;
  memory_jobs jobs;
  std::map<std::string, std::map<std::string, std::string>> metas;
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
    auto out = partitions.head(key);
    out.run_id = run_id;
    return out;
  }

  memory_partitions::server present() {
    return {opt.now(), run_id, [this] { return random_text(); }};
  }

  result<partition_state> claim(const claim_request& request) {
    auto answer = partitions.claim(request, present());
    if (answer)
      ++counters.claims;
    else if (answer.error().code == ec::fenced)
      ++counters.refused_claims;
    return answer;
  }

  result<tx_result> apply(const transaction& tx) {
    auto answer =
        partitions.apply(tx, present(), opt.change_log_bytes, [&] { return jobs.takes(tx.partition, *tx.guard); });
    if (!answer)
      return answer;
    if (answer->status == tx_status::applied && tx.guard)
      jobs.wrote(tx.partition, *tx.guard);
    count(answer->status);
    return answer;
  }

  void count(tx_status status) {
    switch (status) {
    case tx_status::applied: ++counters.applied; break;
    case tx_status::already: ++counters.already; break;
    case tx_status::mismatch: ++counters.mismatch; break;
    case tx_status::fenced: ++counters.fenced; break;
    case tx_status::outdated: ++counters.outdated; break;
    }
  }

  job_answer counted(job_answer answer) {
    counters.fenced_jobs += answer.verdict == job_verdict::fenced;
    return answer;
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
  impl_->read<std::vector<std::optional<stored_row>>>(
      std::move(done), [&] { return impl_->partitions.rows(partition, table, buckets, keys); });
}

void memory_store::load_bucket(partition_key partition, table_ref table, std::uint32_t bucket,
                               callback<std::vector<stored_row>> done) {
  impl_->read<std::vector<stored_row>>(std::move(done),
                                       [&] { return impl_->partitions.bucket(partition, table, bucket); });
}

void memory_store::count_rows(partition_key partition, table_ref table, std::uint32_t buckets,
                              callback<std::uint64_t> done) {
  impl_->read<std::uint64_t>(std::move(done), [&] { return impl_->partitions.count(partition, table, buckets); });
}

void memory_store::load_log(partition_key partition, table_ref table, version from, version to, std::uint32_t most,
                            bool reverse, callback<std::vector<stored_batch>> done) {
  impl_->read<std::vector<stored_batch>>(
      std::move(done), [&] { return impl_->partitions.log(partition, table, from, to, most, reverse); });
}

void memory_store::scan_bucket(partition_key partition, table_ref table, std::uint32_t bucket,
                               callback<std::vector<stored_row>> done) {
  load_bucket(std::move(partition), std::move(table), bucket, std::move(done));
}

void memory_store::scan_log(partition_key partition, table_ref table, version from, version to, std::uint32_t most,
                            callback<packed_log> done) {
  impl_->read<packed_log>(std::move(done), [&] {
    const auto batches = impl_->partitions.log(partition, table, from, to, most, false);
    auto texts = std::make_shared<std::deque<std::string>>();
    packed_log out{{}, texts};
    for (const auto& b : batches) {
      auto& text = texts->emplace_back();
      for (const auto& e : b.entries)
        text += fmt::format("{}{} {} {}", text.empty() ? "" : "\n", e.time_ms, e.at.value, *e.value);
      out.batches.push_back({b.first, b.entries.size(), text});
    }
    return out;
  });
}

void memory_store::log_heads(partition_key partition, table_ref table, std::uint32_t most,
                             callback<std::vector<batch_head>> done) {
  impl_->read<std::vector<batch_head>>(std::move(done),
                                       [&] { return impl_->partitions.log_heads(partition, table, most); });
}

void memory_store::load_changes(partition_key partition, table_ref table, version after, callback<change_log> done) {
  impl_->read<change_log>(std::move(done), [&] { return impl_->partitions.changes(partition, table, after); });
}

void memory_store::expired(partition_key partition, table_ref table, std::int64_t now_ms, std::uint32_t most,
                           callback<std::vector<stored_row>> done) {
  impl_->read<std::vector<stored_row>>(std::move(done),
                                       [&] { return impl_->partitions.expired(partition, table, now_ms, most); });
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
  impl_->read<lease>(std::move(done),
                     [&] { return impl_->jobs.take_lease(topology, owner, hold_ms, low, impl_->opt.now()); });
}

void memory_store::drop_lease(std::string topology, std::string owner, callback<lease> done) {
  impl_->read<lease>(std::move(done), [&] { return impl_->jobs.drop_lease(topology, owner); });
}

void memory_store::adopt_job(partition_key job, fence_token token, callback<job_answer> done) {
  impl_->read<job_answer>(std::move(done), [&] { return impl_->counted(impl_->jobs.adopt(job, token)); });
}

void memory_store::change_job(job_change c, callback<job_answer> done) {
  impl_->read<job_answer>(std::move(done), [&] { return impl_->counted(impl_->jobs.change(c)); });
}

void memory_store::job_history(partition_key job, std::uint32_t most, callback<std::vector<std::string>> done) {
  impl_->read<std::vector<std::string>>(std::move(done), [&] { return impl_->jobs.history(job, most); });
}

void memory_store::read_job(partition_key job, callback<job_state> done) {
  impl_->read<job_state>(std::move(done), [&] { return impl_->jobs.read(job); });
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
  return std::make_shared<const snapshot>(snapshot{impl_->partitions, impl_->jobs, impl_->metas});
}

void memory_store::roll_back(const std::shared_ptr<const snapshot>& to) {
  std::lock_guard lock(impl_->mutex);
  impl_->partitions = to->partitions;
  impl_->jobs = to->jobs;
  impl_->metas = to->metas;
}

void memory_store::new_run_id() {
  std::lock_guard lock(impl_->mutex);
  impl_->run_id = impl_->random_text();
}

void memory_store::flush_all() {
  std::lock_guard lock(impl_->mutex);
  impl_->partitions = {};
  impl_->jobs = {};
  impl_->metas.clear();
}

memory_store::counts memory_store::counted() const {
  std::lock_guard lock(impl_->mutex);
  return impl_->counters;
}

} // namespace weir::support
