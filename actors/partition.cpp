#include "actors/partition.hpp"

#include "runtime/core/backoff.hpp"
#include "runtime/core/log.hpp"
#include "runtime/kafka/letter_box.hpp"
#include "runtime/metrics/registry.hpp"
#include "runtime/redis/chain.hpp"
#include "runtime/redis/log_keeper.hpp"
#include "runtime/redis/start_position.hpp"
#include "runtime/table/fold.hpp"

#include <algorithm>
#include <caf/event_based_actor.hpp>
#include <caf/send.hpp>
#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>
#include <deque>
#include <fmt/format.h>
#include <limits>
#include <random>

namespace weir::actors {
namespace {

using namespace std::chrono_literals;

constexpr auto ask_deadline = 5s;           // questions to the brokers
constexpr std::uint32_t expire_rows = 1000; // in one transaction
constexpr std::uint32_t trim_heads = 256;   // looked at in one go
constexpr int retire_patience = 3;          // maintenance ticks

enum class phase {
  claiming, // Redis or Kafka was asked where to start
  starting, // the start is known or being stored; waits for the queue
  running,  // reads
  blocked,  // cannot go on without a person
  waiting,  // failed; claims again after a backoff
};

// What a transaction in flight means to the fold and the board.
struct in_flight {
  batch_id id;
  std::uint64_t batch = 0; // the fold's number; 0: not a batch of records
  std::size_t records = 0;
  std::vector<redis::position_move> positions;
  bool first = false; // the one that stores where reading starts
  std::chrono::steady_clock::time_point sent;
};

// Maintenance of one table in this partition.
struct upkeep {
  redis::log_keeper log; // of a log
  bool asked = false;    // a question or its consequence is under way
};

std::string one_word(std::string_view reason) {
  std::string word(reason);
  std::replace(word.begin(), word.end(), ' ', '_');
  return word;
}

struct partition_actor_state {
  static inline const char* name = "partition";

  partition_actor::stateful_pointer<partition_actor_state> self;
  partition_config config;
  std::string label, waiting_key;
  phase now = phase::claiming;
  bool retiring = false;
  int retire_ticks = 0;
  std::unique_ptr<redis::chain> chain;
  std::unique_ptr<table::partition_fold> fold;
  std::vector<table::fold_table> tables;
  std::vector<offset> positions; // acknowledged, by table
  std::vector<offset> began;     // by table: where this actor let it begin; no_position where it found it begun
  bool lost = false;             // Redis lost what it had acknowledged; until the start is stored again
  std::vector<upkeep> care;
  std::deque<std::pair<std::size_t, redis::transaction>> upkeep_waiting; // by table, at most one each
  redis::partition_state head;
  feed_ptr feed_;
  queue_ptr queue;
  std::deque<in_flight> flying;
  bool closing = false;      // the open batch waits for states or dead letters
  std::uint64_t load = 0;    // numbers questions for states; those of earlier lives are ignored
  kafka::letter_box letters; // of the open batch
  bool letters_retry = false;
  bool wake_pending = false; // a records_ready to self is in the mailbox
  backoff retry{100ms, 5s};
  backoff letter_backoff{100ms, 5s};
  std::int64_t unnamed_letters = 0; // counted where no topic takes them

  metrics::counter read_total, applied_total, duplicates_total, batches_total;
  metrics::histogram batch_records, apply_seconds;
  metrics::gauge lag_gauge, position_gauge, in_flight_gauge;
  std::map<std::string_view, metrics::counter> dead_total;

  explicit partition_actor_state(partition_actor::stateful_pointer<partition_actor_state> s) : self(s) {}

  partition_actor me() { return self; }
  const std::string& source() const { return config.source.name; }
  partition_key key() const { return {config.node->topo.name, config.source.name, config.partition}; }

  // -- the board

  template <class Change>
  void board(Change&& change) {
    config.node->board->source(source(), [&](source_status& s) { change(s, s.partitions[config.partition.value]); });
  }

  void show(std::string_view state, const std::string& message) {
    board([&](source_status&, partition_status& p) {
      p.state = state;
      p.message = message;
    });
    config.node->board->waiting(waiting_key, state == "running" ? std::string{}
                                             : message.empty()  ? std::string{state}
                                                                : message);
  }

  void block(const std::string& reason) {
    log::error(label, "blocked", {{"reason", reason}});
    now = phase::blocked;
    queue.reset();
    show("blocked", reason);
    caf::anon_send(config.owner, start_resolved{config.partition, config.life, fail(ec::identity, reason)});
  }

  // -- claiming

  void claim() {
    now = phase::claiming;
    show("claiming", "claims the partition in Redis");
    // Each life of this actor is an owner of its own: what an earlier one was acknowledged this one cannot know, so
    // after a failover of Redis it is as strange to the stored state as another node.
    config.node->store->claim(
        {key(), fmt::format("{}/{}", config.node->incarnation, self->id()), config.generation, config.node->hint()},
        [me = me()](result<redis::partition_state> answer) { caf::anon_send(me, claim_answered{std::move(answer)}); });
  }

  void later(const std::string& why) {
    queue.reset();
    upkeep_waiting.clear();
    closing = false;
    letters.clear();
    ++load;
    now = phase::waiting;
    show("waiting", why);
    if (!retiring)
      self->delayed_send(self, retry.next(), caf::flush_atom::value);
  }

  void on_claimed(const claim_answered& m) {
    if (now != phase::claiming || retiring)
      return;
    if (!m.head) {
      log::warn(label, "cannot claim yet", {{"reason", m.head.error().message}});
      return later(m.head.error().message);
    }
    head = *m.head;
    config.node->saw(head.last);
    const auto verdict = chain->claimed(head);
    flying.clear();
    // A claim that failed later on has made the head: what counts is that no transaction was ever applied.
    lost = lost || (verdict.rolled_back && head.batch == batch_id{});
    if (verdict.rolled_back || head.server_changed) {
      config.node->metrics->get(metrics::names::rollbacks).add();
      log::warn(label, "Redis may have lost acknowledged writes: reading them again, clients start a new epoch",
                {{"batch", to_string(head.batch)}});
      chain->renew_epoch(new_epoch());
    }
    config.consumer->range(config.partition, ask_deadline, [me = me()](result<kafka::partition_range> r) {
      caf::anon_send(me, range_answered{std::move(r)});
    });
  }

  stream_epoch new_epoch() const {
    std::random_device random;
    return redis::epoch_after(head, fmt::format("{:08x}", random()));
  }

  kafka::partition_range range;

  void on_range(const range_answered& m) {
    if (now != phase::claiming || retiring)
      return;
    if (!m.range) {
      log::warn(label, "Kafka does not tell the partition's range", {{"reason", m.range.error().message}});
      return later(m.range.error().message);
    }
    range = *m.range;
    if (!head.mark || head.mark->at < range.low || head.mark->at >= range.high || config.node->topo.kafka.embedded())
      return settle_start();
    // Is it still the log whose records are in Redis?
    config.consumer->fingerprint(config.partition, head.mark->at, ask_deadline,
                                 [me = me()](result<std::optional<kafka::consumer::record_print>> p) {
                                   caf::anon_send(me, print_answered{std::move(p)});
                                 });
  }

  void on_print(const print_answered& m) {
    if (now != phase::claiming || retiring)
      return;
    if (!m.print)
      return later(m.print.error().message);
    const auto& print = *m.print;
    if (print && (print->checksum != head.mark->checksum || print->time_ms != head.mark->time_ms))
      return block(fmt::format("the record at offset {} of {}[{}] is not the one that was applied: another log stands "
                               "behind the same offsets. "
                               "Delete the state of this source in Redis to accept the new log",
                               head.mark->at.value, config.source.topic, config.partition.value));
    settle_start();
  }

  // Where each table goes on, and what has to be stored before the first read.
  void settle_start() {
    std::vector<offset> stored;
    for (const auto& t : tables) {
      const auto at = head.tables.find(t.ref.text());
      stored.push_back(at == head.tables.end() ? redis::no_position : at->second.next);
    }
    const auto witness = lost                                                       ? redis::witness::owner
                         : head.batch == batch_id{} && config.node->commit_to_kafka ? redis::witness::committed
                                                                                    : redis::witness::none;
    const auto decided =
        redis::decide_start(stored, range, config.source.start, witness, config.node->topo.kafka.embedded(), began);
    if (!decided.problem.empty())
      return block(fmt::format("{}[{}]: {}", config.source.topic, config.partition.value, decided.problem));
    for (const auto& warning : decided.warnings)
      log::warn(label, warning);
    positions = decided.positions;
    began.resize(tables.size(), redis::no_position);
    for (std::size_t i = 0; i < tables.size(); ++i) {
      if (stored[i] == redis::no_position)
        began[i] = positions[i];
      const auto at = head.tables.find(tables[i].ref.text());
      care[i].log.starts_with(at == head.tables.end() ? 0 : at->second.records);
      care[i].asked = false;
    }
    fold = std::make_unique<table::partition_fold>(
        key(), tables, positions, table::fold_options{config.source.max_record_bytes, config.limits.cached_states});
    std::vector<feed_table> to;
    for (std::size_t i = 0; i < tables.size(); ++i) {
      const auto at = head.tables.find(tables[i].ref.text());
      to.push_back({tables[i].ref, config.tables[i].inbox, config.tables[i].publisher,
                    at == head.tables.end() ? version{} : at->second.changed});
    }
    feed_ = std::make_shared<feed>(key(), std::move(to), config.progress);
    caf::anon_send(config.writer, attach_client{key(), me(), {}});
    now = phase::starting;
    show("starting", "waits for its queue");
    redis::transaction tx;
    for (std::size_t i = 0; i < tables.size(); ++i)
      if (stored[i] != positions[i])
        tx.positions.push_back({tables[i].ref, stored[i], positions[i]});
    // The first transaction stores the start before the first read, and is the new owner's heartbeat.
    flying.push_back({{}, 0, 0, {}, true, std::chrono::steady_clock::now()});
    send(std::move(tx));
  }

  // -- transactions

  // The newest of `flying` gets the transaction's id.
  void send(redis::transaction tx) {
    chain->stamp(tx, config.node->hint());
    flying.back().id = tx.id;
    in_flight_gauge.set(static_cast<double>(chain->in_flight()));
    caf::anon_send(config.writer,
                   submit{std::make_shared<const redis::transaction>(std::move(tx)), feed_, write_client_actor{me()}});
  }

  void heartbeat() {
    if (!chain->open() || chain->in_flight() > 0 || !feed_ || retiring)
      return;
    flying.push_back({{}, 0, 0, {}, false, std::chrono::steady_clock::now()});
    send({});
  }

  void on_ack(const write_ack& m) {
    const auto verdict = m.answer ? chain->acknowledged(m.id, *m.answer) : chain->failed(m.id);
    in_flight_gauge.set(static_cast<double>(chain->in_flight()));
    switch (verdict) {
    case redis::chain::verdict::unknown: return;
    case redis::chain::verdict::broken: {
      const auto reason = !m.answer ? m.answer.error().message
                          : m.answer->status == redis::tx_status::fenced
                              ? std::string{"another owner claimed the partition"}
                              : std::string{"the stored chain is not the expected one"};
      count_answer(!m.answer ? "error" : m.answer->status == redis::tx_status::fenced ? "fenced" : "mismatch");
      log::warn(label, "transaction refused, claiming again", {{"reason", reason}});
      flying.clear();
      return retiring ? self->quit() : later(reason);
    }
    case redis::chain::verdict::done: break;
    }
    config.node->batches.saw(key(), m.answer->epoch, m.id);
    count_answer(m.answer->status == redis::tx_status::already ? "already" : "applied");
    retry.reset();
    const auto done = std::move(flying.front());
    flying.pop_front();
    apply_seconds.observe(std::chrono::duration<double>(std::chrono::steady_clock::now() - done.sent).count());
    for (const auto& moved : done.positions)
      for (std::size_t i = 0; i < tables.size(); ++i)
        if (tables[i].ref == moved.table)
          positions[i] = moved.next;
    if (done.batch > 0) {
      fold->committed(done.batch);
      applied_total.add(static_cast<double>(done.records));
    }
    publish_position();
    if (retiring) {
      finish_close();
      if (flying.empty() && !closing)
        self->quit();
      return;
    }
    if (done.first)
      lost = false;
    if (done.first)
      caf::anon_send(config.owner, start_resolved{config.partition, config.life, fold->lowest_position()});
    else {
      send_upkeep();
      if (closing)
        finish_close(); // the pipeline was full when the last dead letter or state came
      else
        drain();
    }
  }

  void count_answer(const char* what) { config.node->metrics->get(metrics::names::transactions, what).add(); }

  void publish_position() {
    if (positions.empty())
      return;
    const auto lowest = std::min_element(positions.begin(), positions.end())->value;
    config.position->store(lowest);
    position_gauge.set(static_cast<double>(lowest));
  }

  // -- records

  void on_queue(const queue_assigned& m) {
    if (retiring || now != phase::starting)
      return;
    queue = m.queue;
    now = phase::running;
    show("running", {});
    queue->on_ready([me = me()] { caf::anon_send(me, records_ready{}); });
    drain();
  }

  bool full() const {
    return fold->records() >= config.limits.batch_records ||
           fold->bytes() + letters.bytes() >= config.limits.batch_bytes;
  }

  void drain() {
    if (now != phase::running || retiring || closing)
      return;
    bool more = false;
    if (!full()) {
      std::size_t seen = 0, below = 0;
      const auto got = queue->drain(config.limits.drain_records, [&](const kafka::record& r) {
        ++seen;
        if (r.at < fold->lowest_position()) {
          ++below; // librdkafka handed it over again; Redis has it
          return true;
        }
        const auto v = fold->add(r.at, r.time_ms, r.key, r.value);
        if (!v.dead_letter.empty())
          bury(r, v.dead_letter);
        return !full();
      });
      read_total.add(static_cast<double>(seen));
      if (below > 0)
        duplicates_total.add(static_cast<double>(below));
      if (!got)
        return on_queue_error(got.error());
      more = *got >= config.limits.drain_records;
    }
    if (more && !full()) {
      // There is more at hand: a larger batch writes a hot key once instead of several times.
      if (!wake_pending) {
        wake_pending = true;
        self->send(self, records_ready{});
      }
      return;
    }
    // Natural batching: with nothing in flight what is there goes at once; behind one in flight it gathers until it is
    // full.
    if (fold->records() > 0 && !chain->full() && (chain->in_flight() == 0 || full()))
      begin_close();
  }

  void on_queue_error(const error& why) {
    if (why.code == ec::kafka_out_of_range && config.node->topo.kafka.embedded()) {
      log::warn(label, "the embedded broker no longer holds the position; claiming again", {{"reason", why.message}});
      return later(why.message);
    }
    if (why.code == ec::kafka_out_of_range)
      return block(fmt::format("the position is not in the log any more ({}): records were deleted before weir read "
                               "them. To accept the loss, "
                               "delete the state of this source in Redis",
                               why.message));
    log::warn(label, "Kafka cannot read the partition", {{"reason", why.message}});
    later(why.message);
  }

  // -- dead letters

  void bury(const kafka::record& r, std::string_view reason) {
    auto [counter, fresh] = dead_total.try_emplace(reason);
    if (fresh)
      counter->second = config.node->metrics->get(metrics::names::records_dead, source(), one_word(reason));
    counter->second.add();
    board([](source_status& s, partition_status&) { ++s.dead_letters; });
    if (config.source.dead_letter.empty()) {
      if (unnamed_letters++ % 1000 == 0)
        log::warn(label, "record cannot be read and the source names no dead letter topic",
                  {{"offset", r.at.value}, {"reason", reason}, {"so_far", unnamed_letters}});
      return;
    }
    letters.add(config.source.dead_letter, config.source.topic, config.partition.value, r, reason);
  }

  void send_letters() {
    letters.send_out([this](const kafka::message& letter, std::size_t i) {
      config.node->producer->send(letter, [me = me(), life = letters.life(), i](result<void> done) {
        caf::anon_send(me, dead_letter_delivered{life, i, std::move(done)});
      });
    });
  }

  void on_letter(const dead_letter_delivered& m) {
    if (!letters.answered(m.life, m.index, m.done.has_value()))
      return;
    if (m.done)
      return finish_close();
    // The partition waits: a record that could not be put aside must not be lost.
    show("running",
         fmt::format("waits for the dead letter topic '{}': {}", config.source.dead_letter, m.done.error().message));
    config.node->board->waiting(waiting_key,
                                fmt::format("cannot write to the dead letter topic '{}'", config.source.dead_letter));
    if (!letters_retry) {
      log::warn(label, "cannot write to the dead letter topic, the partition waits",
                {{"topic", config.source.dead_letter}, {"reason", m.done.error().message}});
      letters_retry = true;
      self->delayed_send(self, letter_backoff.next(), caf::flush_atom::value);
    }
  }

  // -- closing a batch

  void begin_close() {
    closing = true;
    ask_states();
    send_letters();
    finish_close();
  }

  void ask_states() {
    for (auto& missing : fold->missing_states()) {
      auto keys = missing.keys;
      config.node->store->load_rows(
          key(), tables[missing.table].ref, tables[missing.table].buckets, std::move(missing.keys),
          [me = me(), n = load, t = missing.table, keys = std::move(keys)](auto rows) mutable {
            caf::anon_send(me, states_loaded{n, t, std::move(keys), std::move(rows)});
          });
    }
  }

  void on_states(const states_loaded& m) {
    if (m.load != load || !closing)
      return;
    if (!m.rows) {
      log::warn(label, "cannot load aggregate states", {{"reason", m.rows.error().message}});
      return later(m.rows.error().message);
    }
    for (std::size_t i = 0; i < m.keys.size(); ++i) {
      const auto& row = (*m.rows)[i];
      const auto done =
          fold->supply_state(m.table, m.keys[i], row ? std::optional<std::string_view>(row->value) : std::nullopt);
      if (!done)
        return block(
            fmt::format("table '{}', key '{}': {}", tables[m.table].ref.name, m.keys[i], done.error().message));
    }
    finish_close();
  }

  void finish_close() {
    if (!closing || fold->awaited_states() > 0 || chain->full() || !letters.delivered())
      return;
    closing = false;
    if (!letters.empty()) {
      letters.clear();
      letter_backoff.reset();
      show("running", {});
    }
    auto batch = fold->close();
    batches_total.add();
    batch_records.observe(static_cast<double>(batch.records));
    for (std::size_t i = 0; i < batch.tables.size(); ++i) {
      batch.tables[i].changes->newest_record_ms = batch.newest_record_ms;
      care[batch.table_indexes[i]].log.appended(batch.tables[i].changes->entries.size());
    }
    redis::transaction tx;
    tx.positions = batch.positions;
    tx.tables = std::move(batch.tables);
    tx.mark = batch.mark;
    tx.bytes = batch.bytes;
    flying.push_back(
        {{}, batch.number, batch.records, std::move(batch.positions), false, std::chrono::steady_clock::now()});
    board([&](source_status& s, partition_status&) { s.records += batch.records; });
    send(std::move(tx));
    drain();
  }

  // -- maintenance

  void on_tick() {
    self->delayed_send(self, config.limits.maintenance, caf::tick_atom::value);
    if (retiring && ++retire_ticks >= retire_patience) {
      log::warn(label, "ends without the last answers");
      return self->quit();
    }
    if (now != phase::running || retiring)
      return;
    const auto end = queue->high_watermark();
    board([&](source_status&, partition_status& p) {
      p.position = config.position->load();
      p.end = end;
      lag_gauge.set(static_cast<double>(std::max<std::int64_t>(p.lag(), 0)));
    });
    for (std::size_t i = 0; i < tables.size(); ++i) {
      if (care[i].asked)
        continue;
      if (tables[i].config.ttl)
        ask_expired(i);
      else if (tables[i].config.kind == table_kind::log && care[i].log.wants_look(config.node->wall_ms()))
        ask_heads(i);
    }
  }

  void ask_expired(std::size_t i) {
    care[i].asked = true;
    const auto up_to = config.node->wall_ms();
    config.node->store->expired(key(), tables[i].ref, up_to, expire_rows, [me = me(), i, up_to](auto rows) {
      caf::anon_send(me, expired_listed{i, up_to, std::move(rows)});
    });
  }

  void on_expired(const expired_listed& m) {
    care[m.table].asked = false;
    if (!m.rows || m.rows->empty() || now != phase::running || retiring || !chain->open())
      return;
    const auto& t = tables[m.table];
    redis::table_write write;
    write.table = t.ref;
    write.buckets = t.buckets;
    write.ttl_ms = t.config.ttl->count();
    write.expire_up_to_ms = m.up_to_ms;
    write.changes = std::make_shared<change_set>();
    write.changes->table = t.ref.name;
    write.changes->source = key();
    redis::transaction tx;
    for (const auto& row : *m.rows) {
      write.changes->rows.push_back({row.key, nullptr, {row.time_ms, config.partition, row.at}});
      tx.bytes += row.key.size();
    }
    tx.tables.push_back(std::move(write));
    maintain(m.table, std::move(tx));
  }

  // Upkeep goes before the next batch, so that a partition that is always busy still forgets what it should.
  void maintain(std::size_t table, redis::transaction tx) {
    care[table].asked = true; // until it is sent
    upkeep_waiting.emplace_back(table, std::move(tx));
    send_upkeep();
  }

  void send_upkeep() {
    while (!upkeep_waiting.empty() && chain->open() && !chain->full()) {
      auto [table, tx] = std::move(upkeep_waiting.front());
      upkeep_waiting.pop_front();
      care[table].asked = false;
      flying.push_back({{}, 0, 0, {}, false, std::chrono::steady_clock::now()});
      send(std::move(tx));
    }
  }

  void ask_heads(std::size_t i) {
    care[i].asked = true;
    config.node->store->log_heads(key(), tables[i].ref, trim_heads, [me = me(), i](auto heads) {
      caf::anon_send(me, heads_listed{i, std::move(heads)});
    });
  }

  void on_heads(const heads_listed& m) {
    care[m.table].asked = false;
    if (!m.heads || now != phase::running || retiring || !chain->open())
      return;
    const auto gone = care[m.table].log.decide(*m.heads, config.node->wall_ms());
    if (!gone)
      return;
    redis::table_write write;
    write.table = tables[m.table].ref;
    write.trim_below = gone->below;
    write.trimmed = gone->records;
    redis::transaction tx;
    tx.tables.push_back(std::move(write));
    maintain(m.table, std::move(tx));
  }

  void on_retry() {
    if (retiring)
      return;
    if (now == phase::waiting)
      return claim();
    if (letters_retry) {
      letters_retry = false;
      send_letters();
    }
  }

  void on_retire(const retire& m) {
    retiring = true;
    queue.reset(); // before the partition is unassigned
    // A batch that is being closed may have its dead letters in the topic already: it is finished, or they would be
    // written twice.
    if (m.lost)
      forget();
    else if (flying.empty() && !closing)
      self->quit();
  }

  // Somebody else's from now on, or this node's again with another actor: what this one waited for, the node does not
  // wait for any more.
  void forget() {
    config.node->board->ready(waiting_key);
    self->quit();
  }
};

partition_actor::behavior_type partition(partition_actor::stateful_pointer<partition_actor_state> self,
                                         partition_config config) {
  auto& s = self->state;
  s.config = std::move(config);
  const auto number = std::to_string(s.config.partition.value);
  s.label = partition_label(s.source(), s.config.partition);
  s.waiting_key = s.label;
  s.chain = std::make_unique<redis::chain>(s.key());
  for (const auto& t : s.config.tables)
    s.tables.push_back({t.config, t.ref, redis::table_buckets(t.config.expected_rows)});
  for (const auto& t : s.tables)
    s.care.push_back({redis::log_keeper{t.config, s.config.partitions}});
  auto& m = *s.config.node->metrics;
  namespace names = metrics::names;
  s.read_total = m.get(names::records_read, s.source());
  s.applied_total = m.get(names::records_applied, s.source());
  s.duplicates_total = m.get(names::duplicates_dropped, s.source());
  s.batches_total = m.get(names::batches, s.source());
  s.batch_records = m.get(names::batch_records, s.source());
  s.apply_seconds = m.get(names::apply_seconds);
  s.lag_gauge = m.get(names::lag, s.source(), number);
  s.position_gauge = m.get(names::position, s.source(), number);
  s.in_flight_gauge = m.get(names::batches_in_flight, s.source(), number);
  self->attach_functor([writer = s.config.writer, key = s.key(), me = self->address()] {
    caf::anon_send(writer, attach_client{key, {}, me});
  });
  // Without the source nobody answers for the partition in the group any more; what it still holds would keep the old
  // consumer alive.
  self->monitor(s.config.owner);
  self->set_down_handler([self](const caf::down_msg&) { self->state.forget(); });
  self->delayed_send(self, s.config.limits.maintenance, caf::tick_atom::value);
  s.claim();
  return {
      [self](const write_ack& m2) { self->state.on_ack(m2); },
      [self](const link_restored&) { self->state.heartbeat(); },
      [self](const queue_assigned& m2) { self->state.on_queue(m2); },
      [self](const records_ready&) {
        self->state.wake_pending = false;
        self->state.drain();
      },
      [self](const heartbeat_due&) { self->state.heartbeat(); },
      [self](const retire& m2) { self->state.on_retire(m2); },
      [self](const claim_answered& m2) { self->state.on_claimed(m2); },
      [self](const range_answered& m2) { self->state.on_range(m2); },
      [self](const print_answered& m2) { self->state.on_print(m2); },
      [self](const states_loaded& m2) { self->state.on_states(m2); },
      [self](const dead_letter_delivered& m2) { self->state.on_letter(m2); },
      [self](const expired_listed& m2) { self->state.on_expired(m2); },
      [self](const heads_listed& m2) { self->state.on_heads(m2); },
      [self](caf::tick_atom) { self->state.on_tick(); },
      [self](caf::flush_atom) { self->state.on_retry(); },
  };
}

} // namespace

std::string partition_label(const std::string& source, partition_id partition) {
  return fmt::format("partition/{}/{}", source, partition.value);
}

partition_actor spawn_partition(caf::actor_system& system, partition_config config) {
  config.node->board->waiting(partition_label(config.source.name, config.partition), "is starting");
  return system.spawn(partition, std::move(config));
}

} // namespace weir::actors
