#include "runtime/table/channel.hpp"

#include "proto/client_reply.hpp"
#include "runtime/table/channel_replies.hpp"
#include "runtime/table/inbox.hpp"
#include "runtime/table/view_chain.hpp"

#include <algorithm>
#include <map>
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
    push_head = "{\"push\":{\"channel\":";
    append_json_string(push_head, table.name);
    push_head += ",\"pub\":";
    settle_epoch();
  }

  static ring_limits ring_limits_of(const table_config& table, ring_limits limits) {
    limits.entries =
        static_cast<std::size_t>(std::min<std::uint64_t>(limits.entries, std::max<std::uint64_t>(1, table.keep_count)));
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
  std::string push_head;
  arrival flushed_to;
  std::vector<fan_out> unsent; // made before a subscribe or catch-up was answered
  bool reset = false;
  std::map<std::uint64_t, catch_up_reply> cache; // by where they start; all end in or before cache_head
  arrival cache_head;
  std::size_t cached_bytes = 0;

  std::uint32_t state_of(const partition_key& source) {
    const auto index = chain.index_of(source);
    if (index >= partitions.size())
      partitions.resize(index + 1);
    return index;
  }

  arrival head() const { return keyed ? view.head() : ring.head(); }
  bool holds(arrival from) const { return keyed ? view.holds(from) : ring.holds(from); }

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
    if (!was_ready) { // nobody can be live yet
      reset = false;
      flushed_to = head();
    }
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

  // --- frames

  // Lines of pushes, bounded in bytes.
  struct frame_writer {
    const impl& of;
    std::string text;
    std::size_t pushes = 0;

    template <class Append>
    bool add(std::size_t size, Append&& append) {
      if (!text.empty() && text.size() + size + of.push_head.size() > of.options.frame_bytes)
        return false;
      if (!text.empty())
        text += '\n';
      text += of.push_head;
      append(text);
      text += "}}";
      ++pushes;
      return true;
    }

    // Writes the offset into the last publication: everything up to it is known to who has read this far.
    http::frame_ptr finish(version offset) {
      if (text.empty())
        return nullptr;
      if (offset.value > 0)
        text.insert(text.size() - 3, ",\"offset\":" + std::to_string(offset.value));
      return of.options.make_frame(text);
    }
  };

  // One frame of what came after `from`; it may end before the newest.
  fan_out frame_after(arrival from) const {
    frame_writer out{*this, {}, 0};
    arrival to = head();
    if (keyed) {
      arrival last = from;
      view.walk(from, [&](const keyed_view::row& r) {
        const auto size = r.key.size() + (r.value ? r.value->size() : 0) + 64;
        if (!out.add(size,
                     [&](std::string& text) { append_row_publication(text, {r.key, r.value.get(), r.at}, {}); })) {
          to = last;
          return false;
        }
        last = r.place;
        return true;
      });
      // Rows come as they are now, so only who has read to the newest has seen everything up to the watermark.
      return {out.finish(to == head() ? chain.watermark() : version{}), from, to};
    }
    for (auto a = from; a < head();) {
      ++a.value;
      const auto& e = ring.at(a);
      if (!out.add(e.value->size() + 96, [&](std::string& text) {
            append_log_publication(text, {e.partition, e.offset, e.value.get()}, {});
          })) {
        to = arrival{a.value - 1};
        break;
      }
    }
    return {out.finish(to == head() ? chain.watermark() : ring.at(arrival{to.value + 1}).complete), from, to};
  }

  void make_frames() {
    while (flushed_to < head()) {
      if (!holds(flushed_to)) { // more came in one round than the ring holds
        reset = true;
        flushed_to = head();
        return;
      }
      unsent.push_back(frame_after(flushed_to));
      flushed_to = unsent.back().to;
    }
  }

  catch_up_reply catch_up(arrival from) {
    make_frames();
    if (reset || !holds(from))
      return {{nullptr, from, from}, false, true};
    if (from == head())
      return {{nullptr, from, from}, false, false};
    if (cache_head != head()) {
      cache.clear();
      cached_bytes = 0;
      cache_head = head();
    }
    if (const auto hit = cache.find(from.value); hit != cache.end())
      return hit->second;
    catch_up_reply out;
    out.part = frame_after(from);
    out.more = out.part.to < head();
    const auto size = out.part.frame ? out.part.frame->bytes.size() : 0;
    if (cached_bytes + size <= options.cache_bytes) {
      cached_bytes += size;
      cache.emplace(from.value, out);
    }
    return out;
  }

  channel_replies replies() const { return {table, options, chain, view, ring, epoch}; }
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

void channel::load(std::vector<partition_load> loads, std::int64_t now_ms) { impl_->load(std::move(loads), now_ms); }

bool channel::ready() const { return impl_->chain.all_loaded(); }

bool channel::dirty() const { return impl_->reset || !impl_->unsent.empty() || impl_->flushed_to < impl_->head(); }

flushed channel::flush() {
  flushed out;
  impl_->make_frames();
  if (std::exchange(impl_->reset, false)) {
    impl_->unsent.clear();
    out.reset = true;
    return out;
  }
  out.frames = std::exchange(impl_->unsent, {});
  return out;
}

void channel::skip() {
  impl_->unsent.clear();
  impl_->flushed_to = impl_->head();
  impl_->reset = false;
}

subscribe_reply channel::subscribe(const subscribe_request& request) {
  if (!ready())
    return refusal(client_error::internal, "the table is still being loaded", true);
  if (request.map != impl_->keyed)
    return refusal(client_error::bad_request,
                   impl_->keyed ? "table '" + impl_->table.name + "' has keyed rows: use a map subscription"
                                : "table '" + impl_->table.name + "' is a log: use a stream subscription");
  impl_->make_frames();
  return request.map ? impl_->replies().subscribe_map(request) : impl_->replies().subscribe_stream(request);
}

catch_up_reply channel::catch_up(arrival from) { return impl_->catch_up(from); }

void channel::tick(std::int64_t now_ms) {
  impl_->view.drop_tombstones(now_ms, impl_->chain.watermark());
  impl_->ring.trim(now_ms);
  for (auto& p : impl_->partitions)
    if (p.held && now_ms - p.held_ms > impl::most_held_ms) {
      p.held.reset();
      p.wanted = true;
    }
}

rest_reply channel::rest_page(std::uint32_t limit, std::string_view cursor) const {
  if (!ready())
    return {503, {}, "not_ready", "the table is still being loaded"};
  return impl_->keyed ? impl_->replies().rows_page(limit, cursor) : impl_->replies().entries_page(limit);
}

rest_reply channel::rest_row(std::string_view key) const {
  if (!ready())
    return {503, {}, "not_ready", "the table is still being loaded"};
  if (!impl_->keyed)
    return {400, {}, "bad_argument", "table '" + impl_->table.name + "' is a log: it has no keys"};
  const auto* row = impl_->view.find(key);
  if (!row)
    return {404, {}, "no_such_thing", "table '" + impl_->table.name + "' has no such row"};
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
