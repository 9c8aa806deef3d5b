#include "runtime/table/channel.hpp"

#include "proto/client_reply.hpp"
#include "runtime/table/channel_replies.hpp"
#include "runtime/table/inbox.hpp"
#include "runtime/table/lanes.hpp"
#include "runtime/table/view_chain.hpp"

#include <algorithm>
#include <optional>
#include <random>
#include <utility>

namespace weir::table {
struct channel::impl {
  impl(table_config t, std::uint32_t g, const std::vector<partition_key>& sources, channel_options o)
      : table(std::move(t)), generation(g), options(std::move(o)), keyed(table.kind != table_kind::log),
        view(table, options.view), ring(ring_limits_of(table, options.ring)) {
    if (options.instance == 0)
      options.instance = std::random_device{}() | (std::uint64_t{std::random_device{}()} << 32) | 1;
    for (const auto& p : sources)
      state_of(p);
    settle_epoch();
  }

  static ring_limits ring_limits_of(const table_config& table, ring_limits limits) {
    limits.entries =
        static_cast<std::size_t>(std::min<std::uint64_t>(limits.entries, std::max<std::uint64_t>(1, table.keep_count)));
    limits.bytes = static_cast<std::size_t>(std::min<std::uint64_t>(limits.bytes, table.max_view_bytes));
    if (table.keep_age)
      limits.age_ms = table.keep_age->count();
    return limits;
  }

  // What is kept of a partition while it is being loaded.
  struct loading {
    bool wanted = true;
    std::optional<partition_load> held; // read, but change sets that it may include are not here yet
    std::int64_t held_ms = 0;
    std::vector<change_set_ptr> waiting; // in the order of arrival

    bool open() const { return !wanted && !held; }
  };
  static constexpr std::int64_t most_held_ms = 2000;

  const table_config table;
  const std::uint32_t generation;
  channel_options options;
  const bool keyed;
  view_chain chain;
  std::vector<loading> partitions; // as in the chain
  std::size_t waiting_bytes = 0;
  keyed_view view; // keyed tables
  log_ring ring;   // logs
  std::string epoch;
  lane_set lanes{table, options, chain, view, ring, epoch};
  bool reset = false;

  std::uint32_t state_of(const partition_key& source) {
    const auto index = chain.index_of(source);
    if (index >= partitions.size())
      partitions.resize(index + 1);
    return index;
  }

  arrival head() const { return keyed ? view.head() : ring.head(); }

  // --- changes coming in

  void take(std::uint32_t index, const change_set_ptr& changes, std::int64_t now_ms) {
    auto& p = partitions[index];
    if (p.open()) {
      switch (chain.check(index, *changes)) {
      case chain_verdict::accepted:
        if (keyed)
          view.apply(*changes, now_ms);
        else
          ring.apply(changes->source.partition, *changes, chain.watermark());
        chain.accept(index, *changes);
        return;
      case chain_verdict::old: return;
      case chain_verdict::gap:
      case chain_verdict::new_epoch: p.wanted = true; break;
      }
    }
    const auto size = bytes_of(*changes);
    if (waiting_bytes + size > options.waiting_bytes) {
      // What is dropped shows as a gap again once the load is there.
      for (const auto& w : p.waiting)
        waiting_bytes -= bytes_of(*w);
      p.waiting.clear();
      if (waiting_bytes + size > options.waiting_bytes)
        return;
    }
    waiting_bytes += size;
    p.waiting.push_back(changes);
    if (p.held && settled(p, *p.held)) {
      std::vector<partition_load> loads;
      loads.push_back(std::move(*p.held));
      p.held.reset();
      bring_in(std::move(loads), now_ms);
    }
  }

  // Whether everything that the rows may include is known, or waits to be applied right behind them.
  static bool settled(const loading& p, const partition_load& load) {
    return load.settled <= load.last || std::any_of(p.waiting.begin(), p.waiting.end(),
                                                    [&](const change_set_ptr& c) { return c->last >= load.settled; });
  }

  void load(std::vector<partition_load> loads, std::int64_t now_ms) {
    std::vector<partition_load> whole;
    for (auto& from : loads) {
      const auto index = state_of(from.source);
      auto& p = partitions[index];
      if (p.open() && from.last <= chain.known(index))
        continue;
      if (chain.loaded(index) && from.epoch < chain.epoch(index))
        continue; // read before the epoch that is known by now
      p.wanted = false;
      p.held.reset();
      if (settled(p, from)) {
        whole.push_back(std::move(from));
      } else {
        p.held = std::move(from);
        p.held_ms = now_ms;
      }
    }
    bring_in(std::move(whole), now_ms);
  }

  void bring_in(std::vector<partition_load> loads, std::int64_t now_ms) {
    std::vector<rows_load> rows;
    std::vector<log_load> logs;
    std::vector<std::uint32_t> loaded;
    const bool was_ready = !epoch.empty();
    const auto watermark = chain.watermark();
    for (auto& from : loads) {
      const auto index = state_of(from.source);
      const bool first = !chain.loaded(index);
      version after = first ? version{} : chain.known(index);
      if (chain.load(index, from.epoch, from.last, from.changed)) {
        reset = true;
        after = {};
        if (!keyed)
          ring.forget(from.source.partition);
      }
      loaded.push_back(index);
      if (keyed)
        rows.push_back(
            {from.source.partition, after, first, std::move(from.rows), from.floor, std::move(from.changes)});
      else
        logs.push_back({from.source.partition, after, from.last, from.floor, std::move(from.batches)});
    }
    if (keyed)
      view.load(rows, now_ms);
    else if (ring.load(logs, watermark))
      reset = true;
    settle_epoch();
    if (!was_ready) // nobody can be live yet
      reset = false;
    for (const auto index : loaded) {
      auto waiting = std::exchange(partitions[index].waiting, {});
      for (const auto& w : waiting)
        waiting_bytes -= bytes_of(*w);
      for (const auto& w : waiting)
        take(index, w, now_ms);
    }
  }

  void settle_epoch() {
    if (!chain.all_loaded())
      return;
    auto now = chain.epoch_text(table.fingerprint, generation);
    if (now == epoch)
      return;
    reset |= !epoch.empty();
    epoch = std::move(now);
  }

  channel_replies replies(kept_selection* chosen) const { return {table, options, chain, view, ring, epoch, chosen}; }
};

channel::channel(table_config table, std::uint32_t generation, const std::vector<partition_key>& partitions,
                 channel_options options)
    : impl_(std::make_unique<impl>(std::move(table), generation, partitions, std::move(options))) {}

channel::~channel() = default;

void channel::apply(const std::vector<change_set_ptr>& changes, std::int64_t now_ms) {
  for (const auto& c : changes)
    if (c && c->table == impl_->table.name)
      impl_->take(impl_->state_of(c->source), c, now_ms);
}

void channel::lost() {
  for (auto& p : impl_->partitions) {
    p.wanted = true;
    p.held.reset();
  }
}

std::vector<partition_key> channel::wanted() const {
  std::vector<partition_key> out;
  for (std::size_t i = 0; i < impl_->partitions.size(); ++i)
    if (impl_->partitions[i].wanted)
      out.push_back(impl_->chain.source(static_cast<std::uint32_t>(i)));
  return out;
}

std::optional<known_version> channel::known(const partition_key& partition) const {
  const auto index = impl_->state_of(partition);
  const auto& p = impl_->partitions[index];
  if (p.held)
    return known_version{p.held->epoch, p.held->last};
  if (p.wanted || !impl_->chain.loaded(index))
    return std::nullopt;
  return known_version{impl_->chain.epoch(index), impl_->chain.known(index)};
}

void channel::want(const partition_key& partition) {
  auto& p = impl_->partitions[impl_->state_of(partition)];
  p.wanted = true;
  p.held.reset();
}

void channel::load(std::vector<partition_load> loads, std::int64_t now_ms) { impl_->load(std::move(loads), now_ms); }

bool channel::ready() const { return impl_->chain.all_loaded(); }

bool channel::dirty(std::int64_t now_ms) const {
  if (impl_->reset)
    return true;
  impl_->lanes.feed(now_ms);
  return impl_->lanes.dirty(now_ms);
}

flushed channel::flush(std::int64_t now_ms) {
  flushed out;
  impl_->lanes.make(now_ms);
  if (std::exchange(impl_->reset, false)) {
    impl_->lanes.clear();
    out.reset = true;
    return out;
  }
  out.lanes = impl_->lanes.take();
  out.ended = impl_->lanes.take_ended();
  return out;
}

std::optional<std::int64_t> channel::next_due_ms() const { return impl_->lanes.next_due_ms(); }

subscribe_reply channel::subscribe(const subscribe_request& request, std::int64_t now_ms) {
  if (!ready())
    return refusal(client_error::internal, "the table is still being loaded", true);
  if (impl_->reset) // what is told now would be taken back by the next flush()
    return refusal(client_error::internal, "the table begins anew", true);
  if (request.map != impl_->keyed)
    return refusal(client_error::bad_request,
                   impl_->keyed ? "table '" + impl_->table.name + "' has keyed rows: use a map subscription"
                                : "table '" + impl_->table.name + "' is a log: use a stream subscription");
  impl_->lanes.make(now_ms);
  const auto chosen = impl_->lanes.select(request.lane.rows, now_ms);
  if (!chosen.ok)
    return refusal(client_error::limit_exceeded,
                   "too many different conditions are subscribed to at once: share one, or subscribe to the table",
                   true);
  auto lane = request.lane;
  // A delta is told against what the frame before had, so all of a lane have to have had it.
  lane.delta = lane.delta && lane.interval_ms == 0 && impl_->keyed;
  const auto replies = impl_->replies(chosen.selection);
  auto reply =
      request.map ? replies.subscribe_map(request, lane, now_ms) : replies.subscribe_stream(request, lane, now_ms);
  if (reply.live) {
    reply.lane = impl_->lanes.open(lane, chosen.selection, now_ms);
    reply.interval_ms = lane.interval_ms;
    reply.exact = lane.delta || !impl_->keyed;
    if (!reply.more)
      reply.at = impl_->lanes.cursor_of(reply.lane);
    if (const auto id = impl_->lanes.short_id(reply.lane); id > 0)
      reply.body.insert(reply.body.size() - 1, ",\"id\":" + std::to_string(id));
  }
  return reply;
}

void channel::close(lane_id lane) { impl_->lanes.close(lane); }

std::size_t channel::lanes() const { return impl_->lanes.size(); }

catch_up_reply channel::catch_up(lane_id lane, arrival from, std::int64_t now_ms) {
  impl_->lanes.make(now_ms);
  if (impl_->reset)
    return {{nullptr, from, from}, false, true};
  return impl_->lanes.catch_up(lane, from, now_ms);
}

history_reply channel::history(const history_request& request, const selection_spec& rows, std::int64_t now_ms) {
  history_reply out;
  const auto refuse = [&](int code, std::string message, bool temporary = false) {
    out.code = code;
    out.message = std::move(message);
    out.temporary = temporary;
    return out;
  };
  if (!ready())
    return refuse(client_error::internal, "the table is still being loaded", true);
  if (impl_->keyed)
    return refuse(client_error::bad_request,
                  "table '" + impl_->table.name + "' has keyed rows: only a log has a history");
  const auto chosen = impl_->lanes.select(rows, now_ms);
  if (!chosen.ok)
    return refuse(client_error::limit_exceeded, "too many different conditions are subscribed to at once", true);
  return impl_->replies(chosen.selection).history(request);
}

void channel::tick(std::int64_t now_ms) {
  impl_->lanes.feed(now_ms);
  impl_->view.drop_tombstones(now_ms, impl_->chain.watermark());
  impl_->ring.trim(now_ms);
  impl_->lanes.tick(now_ms);
  for (auto& p : impl_->partitions)
    if (p.held && now_ms - p.held_ms > impl::most_held_ms) {
      p.held.reset();
      p.wanted = true;
    }
}

rest_reply channel::rest_page(std::uint32_t limit, std::string_view cursor, const selection_spec& rows,
                              std::int64_t now_ms) {
  if (!ready())
    return {503, {}, "not_ready", "the table is still being loaded", {}};
  const auto chosen = impl_->lanes.select(rows, now_ms);
  if (!chosen.ok)
    return {503, {}, "overloaded", "too many different conditions are asked for at once", {}};
  const auto replies = impl_->replies(chosen.selection);
  return impl_->keyed ? replies.rows_page(limit, cursor) : replies.entries_page(limit);
}

rest_reply channel::rest_row(std::string_view key, const condition& where) const {
  if (!ready())
    return {503, {}, "not_ready", "the table is still being loaded", {}};
  if (!impl_->keyed)
    return {400, {}, "bad_argument", "table '" + impl_->table.name + "' is a log: it has no keys", {}};
  const auto* row = impl_->view.find(key);
  if (row && !where.empty()) {
    const table::where filter(where);
    record_reader reader;
    const bool readable = !filter.needs_fields() || reader.read(*row->value).empty();
    if (!readable || !filter.matches(row->key, std::as_const(reader)))
      row = nullptr;
  }
  if (!row)
    return {404, {}, "no_such_thing", "table '" + impl_->table.name + "' has no such row", {}};
  rest_reply out;
  out.body = *row->value;
  return out;
}

const table_config& channel::table() const { return impl_->table; }
const std::string& channel::epoch() const { return impl_->epoch; }
version channel::watermark() const { return impl_->chain.watermark(); }
std::size_t channel::count() const { return impl_->keyed ? impl_->view.rows() : impl_->ring.size(); }
std::size_t channel::bytes() const {
  return impl_->waiting_bytes + (impl_->keyed ? impl_->view.bytes() : impl_->ring.bytes());
}
arrival channel::head() const { return impl_->head(); }

} // namespace weir::table
