#include "actors/job_writer.hpp"

#include "runtime/core/backoff.hpp"
#include "runtime/core/log.hpp"
#include "runtime/redis/chain.hpp"

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
  std::optional<write_rows> work;
  std::size_t sent_rows = 0; // of the work, in transactions stamped since the last claim
  batch_id final_id;         // the transaction that moves the position

  explicit job_writer_state(job_writer_actor::stateful_pointer<job_writer_state> s) : self(s) {}

  partition_key key() const { return {config.node->topo.name, config.table.from, partition_id{0}}; }
  job_writer_actor me() { return self; }

  void claim() {
    if (claiming)
      return;
    claiming = true;
    claimed = false;
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

  void on_claimed(const claim_answered& m) {
    claiming = false;
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
    send({}); // the new owner's heartbeat
    sent_rows = 0;
    final_id = {};
    pump();
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

  // The rows go in several transactions; only the last one moves the position, so a result cut short is written again.
  void pump() {
    if (!work || !claimed)
      return;
    const offset fire{work->fire_ms};
    if (fire <= last_fire)
      return report(std::size_t{0}); // this fire time, or a later one, is written already
    const auto& rows = *work->rows;
    while (!chain->full() && final_id == batch_id{}) {
      redis::transaction tx;
      redis::table_write write;
      write.table = config.ref;
      write.buckets = redis::table_buckets(config.table.expected_rows);
      if (config.table.ttl)
        write.ttl_ms = config.table.ttl->count();
      write.changes = std::make_shared<change_set>();
      write.changes->table = config.ref.name;
      write.changes->source = key();
      write.changes->newest_record_ms = work->fire_ms;
      const auto end = std::min(rows.size(), sent_rows + config.rows_per_transaction);
      for (auto i = sent_rows; i < end; ++i) {
        write.changes->rows.push_back({rows[i].first,
                                       std::make_shared<const std::string>(rows[i].second),
                                       {work->fire_ms, partition_id{0}, fire}});
        tx.bytes += rows[i].first.size() + rows[i].second.size();
      }
      sent_rows = end;
      if (!write.changes->rows.empty())
        tx.tables.push_back(std::move(write));
      const bool final = end == rows.size();
      if (final)
        tx.positions.push_back({config.ref, last_fire, fire});
      send(std::move(tx));
      if (final) {
        final_id = chain->newest();
        break;
      }
    }
  }

  void on_ack(const write_ack& m) {
    const auto verdict = m.answer ? chain->acknowledged(m.id, *m.answer) : chain->failed(m.id);
    if (verdict == redis::chain::verdict::unknown)
      return;
    if (verdict == redis::chain::verdict::broken) {
      claim_later(m.answer ? std::string{"another owner, or another chain"} : m.answer.error().message);
      return;
    }
    retry.reset();
    config.node->board->ready(label);
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
  s.config.node->board->waiting(s.label, "claims the job's table in Redis");
  caf::anon_send(s.config.publisher, table_partitions{{s.key()}});
  self->attach_functor([writer = s.config.writer, key = s.key(), me = self->address()] {
    caf::anon_send(writer, attach_client{key, {}, me});
  });
  self->delayed_send(self, tick, caf::tick_atom::value);
  s.claim();
  return {
      [self](const write_ack& m) { self->state.on_ack(m); },
      [self](const link_restored&) {
        if (self->state.claimed && self->state.chain->in_flight() == 0)
          self->state.send({});
      },
      [self](const write_rows& m) {
        auto& st = self->state;
        if (st.work) {
          caf::anon_send(
              m.report_to,
              rows_written{m.job, m.run, fail(ec::overloaded, "the result before it is still being written")});
          return;
        }
        st.work = m;
        st.sent_rows = 0;
        st.final_id = {};
        st.pump();
      },
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
