#include "actors/job_writer.hpp"

#include "runtime/core/backoff.hpp"
#include "runtime/core/log.hpp"
#include "runtime/metrics/registry.hpp"
#include "runtime/redis/chain.hpp"

#include <algorithm>
#include <caf/event_based_actor.hpp>
#include <caf/send.hpp>
#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>
#include <fmt/format.h>

namespace weir::actors {
namespace {

using namespace std::chrono_literals;

constexpr auto tick = 100ms;

struct job_writer_state {
  static inline const char* name = "job-writer";

  job_writer_actor::stateful_pointer<job_writer_state> self;
  job_writer_config config;
  std::string label;
  std::unique_ptr<redis::chain> chain;
  feed_ptr feed_;
  std::shared_ptr<feed_progress> progress = std::make_shared<feed_progress>();
  offset last_fire = redis::no_position; // milliseconds; the position of a job's table
  bool claimed = false, claiming = false;
  int claim_in = 0; // ticks until the next claim; 0: none is due
  backoff retry{100ms, 5s};
  bool leading = false;
  std::optional<write_rows> work;
  std::uint64_t next_chunk = 0; // of the work, to be stamped
  batch_id final_id;            // the transaction that moves the position
  // Of a table that is replaced: the keys it has, once they are read.
  std::optional<std::vector<std::string>> present;
  std::vector<std::string> reading;
  std::uint32_t bucket = 0;
  std::uint64_t asked = 0; // questions for buckets
  std::uint64_t token = 0; // of this node's scheduler

  explicit job_writer_state(job_writer_actor::stateful_pointer<job_writer_state> s) : self(s) {}

  partition_key key() const { return {config.node->topo.name, config.table.from, partition_id{0}}; }
  job_writer_actor me() { return self; }

  void claim() {
    if (claiming || !leading)
      return;
    claiming = true;
    claimed = false;
    // Not after another scheduler: a claim would take the table away from the one that writes now.
    config.node->store->jobs().read_job(
        key(), [me = me()](result<redis::job_state> state) { caf::anon_send(me, job_read{0, std::move(state)}); });
  }

  void claim_now() {
    config.node->store->claim(
        {key(), config.node->incarnation, -1, config.node->hint()},
        [me = me()](result<redis::partition_state> answer) { caf::anon_send(me, claim_answered{std::move(answer)}); });
  }

  void claim_later(const std::string& why) {
    claimed = false;
    log::warn(label, "not writing now, claiming again", {{"reason", why}});
    config.node->board->waiting(label, why);
    claim_in = static_cast<int>(retry.next() / tick) + 1;
  }

  void on_lead(const lead& m) {
    leading = m.here;
    token = m.token;
    caf::anon_send(config.publisher, m.here ? partitions_here{{key()}} : partitions_here{});
    if (m.here)
      return claim();
    // Whoever schedules now writes, and claims for that. This node has nothing to wait for.
    claimed = false;
    claim_in = 0;
    work.reset();
    config.node->board->ready(label);
  }

  void on_claimed(const claim_answered& m) {
    claiming = false;
    if (!leading)
      return;
    if (!m.head)
      return claim_later(m.head.error().message);
    const auto& head = *m.head;
    config.node->saw(head.last);
    const auto verdict = chain->claimed(head);
    if (verdict.rolled_back || head.server_changed)
      chain->renew_epoch(redis::epoch_after(head, config.node->incarnation));
    const auto at = head.tables.find(config.ref.text());
    last_fire = at == head.tables.end() ? redis::no_position : at->second.next;
    feed_ = std::make_shared<feed>(key(),
                                   std::vector<feed_table>{{config.ref, config.inbox, config.publisher,
                                                            at == head.tables.end() ? version{} : at->second.changed}},
                                   progress);
    caf::anon_send(config.writer, attach_client{key(), write_client_actor{me()}, {}});
    claimed = true;
    config.node->board->ready(label);
    send({}); // the new owner's heartbeat
    ask_job();
  }

  void send(redis::transaction tx) {
    chain->stamp(tx, config.node->hint());
    caf::anon_send(config.writer,
                   submit{std::make_shared<const redis::transaction>(std::move(tx)), feed_, write_client_actor{me()}});
  }

  void report(result<std::size_t> written) {
    caf::anon_send(work->report_to, rows_written{work->job, work->run, std::move(written)});
    work.reset();
  }

  // -- a result

  void on_write(const write_rows& m) {
    if (work) {
      caf::anon_send(m.report_to,
                     rows_written{m.job, m.run, fail(ec::overloaded, "the result before it is still being written")});
      return;
    }
    work = m;
    next_chunk = m.chunks;
    final_id = {};
    present.reset();
    if (claimed)
      begin_result();
  }

  // After a claim: what became of the chunks that were under way is in the job's own hash.
  void ask_job() {
    final_id = {};
    present.reset();
    if (!work)
      return;
    config.node->store->jobs().read_job(key(), [me = me(), run = work->run](result<redis::job_state> state) {
      caf::anon_send(me, job_read{run, std::move(state)});
    });
  }

  void on_job(const job_read& m) {
    if (m.run == 0) { // before a claim
      claiming = claiming && leading && m.state && m.state->token.value <= token;
      if (claiming)
        return claim_now();
      if (leading && !m.state)
        claim_later(m.state.error().message);
      else
        leading = false;
      return;
    }
    if (!work || work->run != m.run || !claimed)
      return;
    if (!m.state)
      return claim_later(m.state.error().message);
    if (m.state->token.value > work->token || m.state->id != work->execution)
      return report(fail(ec::fenced, "another scheduler runs this job now"));
    next_chunk = m.state->chunks;
    begin_result();
  }

  void begin_result() {
    const auto chunks = chunk_count();
    if (next_chunk >= chunks)
      return report(work->rows->size()); // the last answer was lost, no more
    if (offset{work->fire_ms} <= last_fire)
      return report(
          fail(ec::mismatch, fmt::format("the table has a result of a later time ({}) already", last_fire.value)));
    if (!work->replace)
      return pump();
    if (work->rows->size() > most_replaced_rows)
      return report(fail(ec::overloaded,
                         fmt::format("a result of {} rows is too large to replace a table at once (at most {}); leave "
                                     "'replace' out, or group by something coarser",
                                     work->rows->size(), most_replaced_rows)));
    reading.clear();
    bucket = 0;
    read_bucket();
  }

  // One transaction where the table is replaced: all of it becomes visible at once.
  std::uint64_t chunk_count() const {
    if (work->replace)
      return 1;
    return std::max<std::uint64_t>(1, (work->rows->size() + work->chunk_rows - 1) / work->chunk_rows);
  }

  void read_bucket() {
    config.node->store->load_bucket(key(), config.ref, bucket, [me = me(), question = ++asked](auto answer) {
      caf::anon_send(me, bucket_read{0, question, std::move(answer)});
    });
  }

  void on_bucket(const bucket_read& m) {
    if (m.asked != asked || !work || !claimed || !work->replace || present)
      return;
    if (!m.rows)
      return claim_later(m.rows.error().message);
    for (const auto& row : *m.rows)
      reading.push_back(row.key);
    if (reading.size() > most_replaced_rows)
      return report(fail(ec::overloaded, fmt::format("the table has more than {} rows, too many to be replaced at once",
                                                     most_replaced_rows)));
    if (++bucket < redis::table_buckets(config.table.expected_rows))
      return read_bucket();
    present = std::move(reading);
    pump();
  }

  redis::transaction transaction_of(std::uint64_t chunk) {
    const auto& rows = *work->rows;
    redis::transaction tx;
    tx.guard = redis::chunk_guard{work->token, work->execution, chunk};
    redis::table_write write;
    write.table = config.ref;
    write.buckets = redis::table_buckets(config.table.expected_rows);
    if (config.table.ttl)
      write.ttl_ms = config.table.ttl->count();
    write.changes = std::make_shared<change_set>();
    write.changes->table = config.ref.name;
    write.changes->source = key();
    write.changes->newest_record_ms = work->fire_ms;
    const stamp at{work->fire_ms, partition_id{0}, offset{work->fire_ms}};
    const auto from = work->replace ? 0 : static_cast<std::size_t>(chunk) * work->chunk_rows;
    const auto to = work->replace ? rows.size() : std::min(rows.size(), from + work->chunk_rows);
    for (auto i = from; i < to; ++i) {
      write.changes->rows.push_back({rows[i].first, std::make_shared<const std::string>(rows[i].second), at});
      tx.bytes += rows[i].first.size() + rows[i].second.size();
    }
    if (work->replace) { // rows are in the order of their keys
      for (const auto& gone : *present) {
        const auto found = std::lower_bound(rows.begin(), rows.end(), gone,
                                            [](const auto& row, const auto& wanted) { return row.first < wanted; });
        if (found == rows.end() || found->first != gone)
          write.changes->rows.push_back({gone, nullptr, at});
      }
    }
    if (!write.changes->rows.empty())
      tx.tables.push_back(std::move(write));
    if (chunk + 1 == chunk_count())
      tx.positions.push_back({config.ref, last_fire, offset{work->fire_ms}});
    return tx;
  }

  void pump() {
    if (!work || !claimed || (work->replace && !present))
      return;
    const auto chunks = chunk_count();
    while (!chain->full() && next_chunk < chunks) {
      send(transaction_of(next_chunk));
      if (++next_chunk == chunks)
        final_id = chain->newest();
    }
  }

  void on_ack(const write_ack& m) {
    const auto verdict = m.answer ? chain->acknowledged(m.id, *m.answer) : chain->failed(m.id);
    if (verdict == redis::chain::verdict::unknown)
      return;
    if (verdict == redis::chain::verdict::broken) {
      // Only chunks of results can be outdated; the chain is also ended under heartbeats.
      if (m.answer &&
          (m.answer->status == redis::tx_status::outdated || (work && m.answer->status == redis::tx_status::fenced)))
        config.node->metrics->get(metrics::names::jobs_fenced, config.table.from.substr(4)).add();
      return claim_later(!m.answer ? m.answer.error().message
                         : m.answer->status == redis::tx_status::outdated
                             ? std::string{"the execution is not the job's any more, or another node schedules"}
                             : std::string{"another owner, or another chain"});
    }
    retry.reset();
    config.node->batches.saw(key(), m.answer->epoch, m.id);
    if (work && m.id == final_id) {
      last_fire = offset{work->fire_ms};
      return report(work->rows->size());
    }
    pump();
  }

  void on_tick() {
    self->delayed_send(self, tick, caf::tick_atom::value);
    if (claim_in > 0 && --claim_in == 0)
      claim();
  }
};

job_writer_actor::behavior_type job_writer(job_writer_actor::stateful_pointer<job_writer_state> self,
                                           job_writer_config config) {
  auto& s = self->state;
  s.config = std::move(config);
  s.label = "job-writer/" + s.config.table.name;
  s.chain = std::make_unique<redis::chain>(s.key());
  caf::anon_send(s.config.publisher, table_partitions{{s.key()}});
  self->attach_functor([writer = s.config.writer, key = s.key(), me = self->address()] {
    caf::anon_send(writer, attach_client{key, {}, me});
  });
  self->delayed_send(self, tick, caf::tick_atom::value);
  return {
      [self](const write_ack& m) { self->state.on_ack(m); },
      [self](const link_restored&) {
        if (self->state.claimed && self->state.chain->in_flight() == 0)
          self->state.send({});
      },
      [self](const write_rows& m) { self->state.on_write(m); },
      [self](const forget_rows& m) {
        if (self->state.work && self->state.work->run == m.run)
          self->state.work.reset();
      },
      [self](const lead& m) { self->state.on_lead(m); },
      [self](const job_read& m) { self->state.on_job(m); },
      [self](const bucket_read& m) { self->state.on_bucket(m); },
      [self](const claim_answered& m) { self->state.on_claimed(m); },
      [self](caf::tick_atom) { self->state.on_tick(); },
      [self](const stop_work&) { self->quit(); },
  };
}

} // namespace

job_writer_actor spawn_job_writer(caf::actor_system& system, job_writer_config config) {
  return system.spawn(job_writer, std::move(config));
}

} // namespace weir::actors
