#include "actors/redis_writer.hpp"

#include "runtime/core/backoff.hpp"
#include "runtime/core/log.hpp"
#include "runtime/metrics/registry.hpp"

#include <caf/event_based_actor.hpp>
#include <caf/send.hpp>
#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>
#include <deque>
#include <fmt/format.h>
#include <map>
#include <set>
#include <unordered_map>

namespace weir::actors {
namespace {

struct pending {
  std::uint64_t ticket = 0;
  submit what;
  bool sent = false;
  bool open = false; // the link went down before the answer: it may have been applied or not
};

// As many as its longest log has records, at least one.
std::uint64_t reserved_versions(const redis::transaction& tx) {
  std::uint64_t n = 1;
  for (const auto& t : tx.tables)
    if (t.changes)
      n = std::max<std::uint64_t>(n, t.changes->entries.size());
  return n;
}

// On the status board.
std::string link_label(std::size_t link) { return fmt::format("redis/{}", link); }

struct redis_writer_state {
  static inline const char* name = "redis-writer";

  redis_writer_actor::stateful_pointer<redis_writer_state> self;
  redis_writer_config config;
  std::string label;
  bool up = false;
  std::uint64_t life = 0; // counts the link's ups
  std::uint64_t next_ticket = 1;
  std::size_t in_flight_bytes = 0;
  std::deque<pending> queue; // in submission order: first those sent, then those that wait for room or for the link
  std::set<partition_key> unsettled; // partitions whose head is being read after a reconnect: nothing of theirs is sent
  std::map<partition_key, write_client_actor> clients;
  backoff retry{std::chrono::milliseconds{50}, std::chrono::milliseconds{2000}};
  bool retry_armed = false;
  metrics::gauge up_gauge;
  metrics::counter reconnects;

  explicit redis_writer_state(redis_writer_actor::stateful_pointer<redis_writer_state> s) : self(s) {}

  redis::writer_link& link() { return config.node->store->writer(config.link); }

  void pump() {
    if (!up)
      return;
    for (auto& p : queue) {
      if (p.sent || p.open || unsettled.contains(p.what.tx->partition))
        continue;
      if (in_flight_bytes > 0 && in_flight_bytes + p.what.tx->bytes > config.most_in_flight_bytes)
        break;
      p.sent = true;
      in_flight_bytes += p.what.tx->bytes;
      redis_writer_actor me = self;
      link().submit(p.what.tx, [me, ticket = p.ticket](result<redis::tx_result> answer) {
        caf::anon_send(me, link_answered{ticket, std::move(answer)});
      });
    }
  }

  std::deque<pending>::iterator find(std::uint64_t ticket) {
    return std::find_if(queue.begin(), queue.end(), [&](const pending& p) { return p.ticket == ticket; });
  }

  void settle(const submit& what, result<redis::tx_result> answer) {
    if (answer) {
      auto status = answer->status;
      if (status == redis::tx_status::applied || status == redis::tx_status::already) {
        config.node->saw(answer->last);
        what.to->publish(*what.tx, *answer);
      }
    }
    caf::anon_send(what.from, write_ack{what.tx->id, std::move(answer)});
  }

  void on_answer(const link_answered& m) {
    auto at = find(m.ticket);
    if (at == queue.end())
      return;
    at->sent = false;
    in_flight_bytes -= std::min(in_flight_bytes, at->what.tx->bytes);
    if (!m.answer && (m.answer.error().code == ec::redis_unreachable || m.answer.error().code == ec::timeout)) {
      at->open = true;
      // The link may be up again before this answer was handled.
      if (up)
        read_head(at->what.tx->partition);
      return;
    }
    if (!m.answer && (m.answer.error().code == ec::redis_busy || m.answer.error().code == ec::redis_cannot_write)) {
      // Refused as a whole, nothing was applied. What followed it in the pipeline was refused too, or answers mismatch
      // harmlessly.
      log::warn(label, "Redis does not take writes now, trying again", {{"reason", m.answer.error().message}});
      unsettled.insert(at->what.tx->partition);
      at->open = true;
      arm_retry();
      return;
    }
    if (m.answer && m.answer->status == redis::tx_status::mismatch && unsettled.contains(at->what.tx->partition)) {
      // It was behind one that Redis refused for the moment; both are sent again in order.
      at->open = true;
      return;
    }
    auto what = std::move(at->what);
    queue.erase(at);
    settle(what, m.answer);
    pump();
  }

  void arm_retry() {
    if (!retry_armed) {
      retry_armed = true;
      self->delayed_send(self, retry.next(), caf::flush_atom::value);
    }
  }

  void read_head(const partition_key& partition) {
    unsettled.insert(partition);
    redis_writer_actor me = self;
    link().read_head(partition, [me, partition, asked = life](result<redis::partition_state> head) {
      caf::anon_send(me, head_read{partition, asked, std::move(head)});
    });
  }

  void on_link(redis::link_state state) {
    const bool is_up = state == redis::link_state::up;
    config.node->board->link(config.link, is_up);
    up_gauge.set(is_up ? 1 : 0);
    if (is_up && life > 0)
      reconnects.add();
    if (state == redis::link_state::down) {
      up = false;
      config.node->board->waiting(link_label(config.link), "connection to Redis is down");
      return;
    }
    up = true;
    ++life;
    config.node->board->ready(link_label(config.link));
    std::set<partition_key> asked;
    for (auto& p : queue)
      if (p.open)
        asked.insert(p.what.tx->partition);
    for (const auto& partition : asked)
      read_head(partition);
    if (life > 1)
      for (const auto& [partition, client] : clients)
        if (!asked.contains(partition))
          caf::anon_send(client, link_restored{});
    pump();
  }

  void on_head(const head_read& m) {
    if (m.up != life || !unsettled.contains(m.partition))
      return; // asked of an earlier connection, or settled by an answer before this one
    if (!m.head) {
      log::warn(label, "cannot read a partition's head",
                {{"partition", m.partition.prefix()}, {"reason", m.head.error().message}});
      arm_retry();
      return;
    }
    retry.reset();
    // Answers to what was sent on the lost connection have all come before this one: the link ends its calls in order.
    unsettled.erase(m.partition);
    const auto& head = *m.head;
    std::vector<std::pair<submit, redis::tx_result>> done;
    std::vector<submit> refused;
    batch_id tail = head.batch;
    for (auto at = queue.begin(); at != queue.end();) {
      const auto& tx = *at->what.tx;
      if (tx.partition != m.partition || at->sent) {
        ++at;
        continue;
      }
      const bool applied = at->open && tx.id.epoch == head.batch.epoch && tx.id <= head.batch;
      if (applied) {
        redis::tx_result answer;
        answer.status = redis::tx_status::already;
        answer.epoch = head.stream;
        answer.previous.assign(tx.tables.size(), version{});
        answer.kept.assign(tx.tables.size(), {});
        done.emplace_back(std::move(at->what), std::move(answer));
        at = queue.erase(at);
      } else if (tx.follows == tail) {
        tail = tx.id;
        at->open = false;
        ++at;
      } else {
        refused.push_back(std::move(at->what));
        at = queue.erase(at);
      }
    }
    // Which version each of them got was in the answers that were lost; only the last one's is known. Numbered back
    // from it they stay in order, above all that was published before, and never below the true ones.
    auto next = head.last.value;
    for (auto at = done.rbegin(); at != done.rend(); ++at) {
      auto& [what, answer] = *at;
      answer.last = version{next};
      answer.first = version{next - std::min(next, reserved_versions(*what.tx) - 1)};
      next = answer.first.value - std::min<std::uint64_t>(answer.first.value, 1);
    }
    for (auto& [what, answer] : done)
      settle(what, std::move(answer));
    for (auto& what : refused)
      settle(
          what,
          redis::tx_result{
              .status = redis::tx_status::mismatch, .first = {}, .last = {}, .previous = {}, .kept = {}, .epoch = {}});
    pump();
  }

  void on_retry() {
    retry_armed = false;
    if (!up)
      return; // the link's return does the same
    std::set<partition_key> asked;
    for (auto& p : queue)
      if (p.open)
        asked.insert(p.what.tx->partition);
    for (const auto& partition : asked)
      read_head(partition);
    if (asked.empty())
      retry.reset();
  }
};

redis_writer_actor::behavior_type redis_writer(redis_writer_actor::stateful_pointer<redis_writer_state> self,
                                               redis_writer_config config) {
  auto& state = self->state;
  state.config = std::move(config);
  state.label = fmt::format("redis-writer/{}", state.config.link);
  state.up_gauge = state.config.node->metrics->get(metrics::names::redis_up, std::to_string(state.config.link));
  state.reconnects =
      state.config.node->metrics->get(metrics::names::redis_reconnects, std::to_string(state.config.link));
  redis_writer_actor me = self;
  state.link().on_state([me](redis::link_state s) { caf::anon_send(me, link_changed{s}); });
  return {
      [self](const submit& m) {
        auto& s = self->state;
        s.queue.push_back({s.next_ticket++, m, false, false});
        s.pump();
      },
      [self](const attach_client& m) {
        auto& clients = self->state.clients;
        if (!m.ended)
          clients[m.partition] = m.client;
        else if (const auto at = clients.find(m.partition); at != clients.end() && at->second.address() == m.ended)
          clients.erase(at);
      },
      [self](const link_changed& m) { self->state.on_link(m.state); },
      [self](const link_answered& m) { self->state.on_answer(m); },
      [self](const head_read& m) { self->state.on_head(m); },
      [self](caf::flush_atom) { self->state.on_retry(); },
  };
}

} // namespace

redis_writer_actor spawn_redis_writer(caf::actor_system& system, redis_writer_config config) {
  config.node->board->waiting(link_label(config.link), "connects to Redis");
  return system.spawn(redis_writer, std::move(config));
}

} // namespace weir::actors
