#include "runtime/table/channel.hpp"

#include "proto/client_reply.hpp"
#include "runtime/table/inbox.hpp"
#include "runtime/table/view_chain.hpp"

#include <algorithm>
#include <charconv>
#include <limits>
#include <map>
#include <optional>
#include <random>
#include <tuple>
#include <utility>

namespace weir::table {
namespace {

subscribe_reply refuse(int code, std::string message, bool temporary = false) {
  subscribe_reply out;
  out.code = code;
  out.message = std::move(message);
  out.temporary = temporary;
  return out;
}

// What a cursor of state or REST pages stands for; opaque to clients.
struct page_cursor {
  std::uint64_t instance = 0;
  arrival upto;  // state pages: the newest change when the first page was made
  arrival place; // what is behind it comes next
  version seen;  // watermark of the first page
};

std::string to_text(const page_cursor& c) {
  const std::uint64_t numbers[] = {c.instance, c.upto.value, c.place.value, c.seen.value};
  std::string out;
  for (const auto n : numbers) {
    char text[20];
    if (!out.empty())
      out += '-';
    out.append(text, std::to_chars(text, text + sizeof text, n, 16).ptr);
  }
  return out;
}

std::optional<page_cursor> parse_cursor(std::string_view text) {
  std::uint64_t numbers[4];
  const char* at = text.data();
  const char* const end = at + text.size();
  for (std::size_t i = 0; i < 4; ++i) {
    if (i > 0 && (at == end || *at++ != '-'))
      return std::nullopt;
    const auto [next, problem] = std::from_chars(at, end, numbers[i], 16);
    if (problem != std::errc{} || next == at)
      return std::nullopt;
    at = next;
  }
  if (at != end)
    return std::nullopt;
  return page_cursor{numbers[0], arrival{numbers[1]}, arrival{numbers[2]}, version{numbers[3]}};
}

} // namespace

struct channel::impl {
  impl(table_config t, std::uint32_t g, const std::vector<partition_key>& sources, channel_options o)
      : table(std::move(t)), generation(g), options(std::move(o)), keyed(table.kind != table_kind::log), view(table, options.view),
        ring(ring_limits_of(table, options.ring)) {
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
    limits.entries = static_cast<std::size_t>(std::min<std::uint64_t>(limits.entries, std::max<std::uint64_t>(1, table.keep_count)));
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
    return load.settled <= load.last ||
           std::any_of(p.waiting.begin(), p.waiting.end(), [&](const change_set_ptr& c) { return c->last >= load.settled; });
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
      version after = chain.loaded(index) ? chain.known(index) : version{};
      if (chain.load(index, from.epoch, from.last, from.changed)) {
        reset = true;
        after = {};
        if (!keyed)
          ring.forget(from.source.partition);
      }
      loaded.push_back(index);
      if (keyed)
        rows.push_back({from.source.partition, after, std::move(from.rows), from.floor, std::move(from.changes)});
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
        if (!out.add(size, [&](std::string& text) { append_row_publication(text, {r.key, r.value.get(), r.at}, {}); })) {
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
      if (!out.add(e.value->size() + 96, [&](std::string& text) { append_log_publication(text, {e.partition, e.offset, e.value.get()}, {}); })) {
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

  // --- subscribe replies

  std::uint32_t rows_in_page(std::uint32_t asked) const { return asked == 0 ? options.page_rows : std::min(asked, options.page_rows); }

  std::string body_head(bool map) const {
    std::string out = map ? "{\"type\":1,\"epoch\":\"" : "{\"epoch\":\"";
    out += epoch;
    out += "\",\"recoverable\":true,\"positioned\":true";
    return out;
  }

  static void append_member(std::string& out, std::string_view name, std::uint64_t n) {
    out += ",\"";
    out += name;
    out += "\":";
    out += std::to_string(n);
  }

  // `publications` of what changed after a cursor, for a client that has seen everything up to `seen`.
  struct late_changes {
    std::string text; // with the leading comma; empty: none
    arrival to;
    bool more = false; // the page was full: `to` is before the newest
  };

  late_changes rows_after(arrival from, version seen, std::uint32_t most, std::size_t bytes) const {
    late_changes out{{}, from, false};
    std::vector<const keyed_view::row*> found;
    std::size_t size = 0;
    view.walk(from, [&](const keyed_view::row& r) {
      if (r.at > seen) {
        const auto needed = r.key.size() + (r.value ? r.value->size() : 0) + 64;
        if (!found.empty() && (found.size() >= most || size + needed > bytes)) {
          out.more = true;
          return false;
        }
        size += needed;
        found.push_back(&r);
      }
      out.to = r.place;
      return true;
    });
    if (!out.more)
      out.to = head();
    if (found.empty())
      return out;
    // The SDK takes the offset of each publication for its position. In order of version, and whole, they are true at every step; else none is.
    if (!out.more)
      std::stable_sort(found.begin(), found.end(), [](const auto* a, const auto* b) { return a->at < b->at; });
    out.text.reserve(size + 32);
    out.text = ",\"publications\":[";
    const auto watermark = chain.watermark();
    for (std::size_t i = 0; i < found.size(); ++i) {
      const auto& r = *found[i];
      version offset;
      if (!out.more) {
        const bool last_of_version = i + 1 == found.size() || found[i + 1]->at != r.at;
        offset = std::max(seen, std::min(watermark, last_of_version ? r.at : version{r.at.value - 1}));
      }
      if (i > 0)
        out.text += ',';
      append_row_publication(out.text, {r.key, r.value.get(), r.at}, offset);
    }
    out.text += ']';
    return out;
  }

  late_changes entries_after(arrival from, version seen, std::uint32_t most, std::size_t bytes) const {
    late_changes out{{}, from, false};
    std::vector<const log_ring::entry*> found;
    std::size_t size = 0;
    for (auto a = from; a < head();) {
      ++a.value;
      const auto& e = ring.at(a);
      if (e.at > seen) {
        const auto needed = e.value->size() + 96;
        if (!found.empty() && (found.size() >= most || size + needed > bytes)) {
          out.more = true;
          break;
        }
        size += needed;
        found.push_back(&e);
      }
      out.to = a;
    }
    if (!out.more)
      out.to = head();
    if (found.empty())
      return out;
    if (!out.more)
      std::stable_sort(found.begin(), found.end(), [](const auto* a, const auto* b) {
        return std::tie(a->at, a->partition) < std::tie(b->at, b->partition);
      });
    out.text.reserve(size + 32);
    out.text = ",\"publications\":[";
    const auto watermark = chain.watermark();
    for (std::size_t i = 0; i < found.size(); ++i) {
      const auto& e = *found[i];
      version offset; // above the watermark only the last one has any: the watermark itself
      if (!out.more) {
        if (i + 1 == found.size())
          offset = watermark;
        else if (e.at <= watermark)
          offset = std::max(seen, found[i + 1]->at != e.at ? e.at : version{e.at.value - 1});
      }
      if (i > 0)
        out.text += ',';
      append_log_publication(out.text, {e.partition, e.offset, e.value.get()}, offset);
    }
    out.text += ']';
    return out;
  }

  subscribe_reply live(std::string body, arrival at, bool more) const {
    subscribe_reply out;
    out.body = std::move(body);
    out.live = true;
    out.at = at;
    out.more = more;
    return out;
  }

  subscribe_reply subscribe_stream(const subscribe_request& request) const {
    auto body = body_head(false);
    if (!request.recover) {
      append_member(body, "offset", chain.watermark().value);
      return live(body += '}', head(), false);
    }
    std::optional<arrival> from;
    if ((request.epoch.empty() || request.epoch == epoch) && request.offset <= chain.watermark())
      from = ring.cursor_for(request.offset);
    if (!from) {
      if (request.reject_unrecovered)
        return refuse(client_error::unrecoverable, "unrecoverable position");
      append_member(body, "offset", chain.watermark().value);
      body += ",\"was_recovering\":true,\"recovered\":false}";
      return live(std::move(body), head(), false);
    }
    const auto late = entries_after(*from, request.offset, rows_in_page(0), options.page_bytes);
    append_member(body, "offset", request.offset.value);
    body += ",\"was_recovering\":true,\"recovered\":true";
    body += late.text;
    return live(body += '}', late.to, late.more);
  }

  subscribe_reply subscribe_map(const subscribe_request& request) const {
    const bool from_position = request.phase == map_phase::stream || (request.phase == map_phase::live && request.has_position);
    return from_position ? catch_up_map(request) : page_of_state(request);
  }

  subscribe_reply catch_up_map(const subscribe_request& request) const {
    std::optional<arrival> from;
    if (request.epoch == epoch && request.offset <= chain.watermark())
      from = view.cursor_for(request.offset);
    if (!from)
      return refuse(client_error::unrecoverable, "unrecoverable position");
    const auto late = rows_after(*from, request.offset, rows_in_page(request.limit), options.page_bytes);
    if (late.more && !view.holds(late.to))
      return refuse(client_error::unrecoverable, "unrecoverable position");
    auto body = body_head(true);
    append_member(body, "offset", (late.more ? request.offset : chain.watermark()).value);
    if (request.recover)
      body += ",\"was_recovering\":true,\"recovered\":true";
    body += late.text;
    return live(body += '}', late.to, late.more);
  }

  subscribe_reply page_of_state(const subscribe_request& request) const {
    page_cursor at{options.instance, head(), arrival{}, chain.watermark()};
    if (!request.cursor.empty()) {
      const auto given = parse_cursor(request.cursor);
      if (!given || given->instance != options.instance || !view.holds(given->upto) || given->place > given->upto ||
          (!request.epoch.empty() && request.epoch != epoch))
        return refuse(client_error::unrecoverable, "unrecoverable position");
      at = *given;
    } else if (view.bytes() > table.max_view_bytes) {
      return refuse(client_error::limit_exceeded,
                    "table '" + table.name + "' is larger than its max_view_bytes: raise that, or read it in pages over REST");
    }
    // Rows that changed after the first page was made are behind at.upto: each key is either here or in the last reply's publications.
    const auto most = rows_in_page(request.limit);
    std::string state;
    std::size_t rows = 0;
    bool full = false;
    view.walk(at.place, [&](const keyed_view::row& r) {
      if (r.place > at.upto)
        return false;
      if (!r.value)
        return true;
      const auto size = r.key.size() + r.value->size() + 64;
      if (rows > 0 && (rows >= most || state.size() + size > options.page_bytes)) {
        full = true;
        return false;
      }
      state += rows++ == 0 ? ",\"state\":[" : ",";
      append_row_publication(state, {r.key, r.value.get(), r.at}, r.at);
      at.place = r.place;
      return true;
    });
    if (rows > 0)
      state += ']';
    if (full) {
      std::string body = "{\"type\":1,\"phase\":2,\"epoch\":\"" + epoch + '"';
      append_member(body, "offset", at.seen.value);
      body += ",\"cursor\":\"" + to_text(at) + '"';
      body += state;
      subscribe_reply out;
      out.body = std::move(body += '}');
      return out;
    }
    const auto late = rows_after(at.upto, {}, std::numeric_limits<std::uint32_t>::max(), options.late_bytes);
    auto body = body_head(true);
    append_member(body, "offset", (late.more ? at.seen : chain.watermark()).value);
    body += state;
    body += late.text;
    return live(body += '}', late.to, late.more);
  }

  // --- REST

  std::string rest_head(version offset) const {
    std::string out = "{\"table\":";
    append_json_string(out, table.name);
    out += ",\"epoch\":\"" + epoch + '"';
    append_member(out, "offset", offset.value);
    return out;
  }

  static constexpr std::uint32_t rest_rows = 1000, most_rest_rows = 10'000;
  static constexpr std::size_t rest_bytes = 4 << 20;

  rest_reply entries_page(std::uint32_t limit) const {
    auto body = rest_head(chain.watermark());
    body += ",\"entries\":[";
    auto entries = ring.newest(limit);
    std::size_t bytes = 0, first = entries.size();
    while (first > 0 && (first == entries.size() || bytes + entries[first - 1]->value->size() < rest_bytes))
      bytes += entries[--first]->value->size() + 64;
    for (std::size_t i = first; i < entries.size(); ++i) {
      const auto& e = *entries[i];
      body += i > first ? ",{\"time\":" : "{\"time\":";
      body += std::to_string(e.time_ms);
      body += ",\"partition\":" + std::to_string(e.partition.value) + ",\"offset\":" + std::to_string(e.offset.value) + ",\"value\":";
      body += *e.value;
      body += '}';
    }
    rest_reply out;
    out.body = std::move(body += "]}");
    return out;
  }

  rest_reply rows_page(std::uint32_t limit, std::string_view cursor) const {
    page_cursor at{options.instance, head(), arrival{}, chain.watermark()};
    if (!cursor.empty()) {
      const auto given = parse_cursor(cursor);
      if (!given || given->instance != options.instance)
        return {400, {}, "bad_argument", "the cursor is not, or no longer, one of this table: start again without it"};
      at = *given;
    }
    auto body = rest_head(at.seen);
    body += ",\"rows\":{";
    std::size_t rows = 0;
    bool full = false;
    view.walk(at.place, [&](const keyed_view::row& r) {
      if (!r.value)
        return true;
      if (rows > 0 && (rows >= limit || body.size() + r.value->size() > rest_bytes)) {
        full = true;
        return false;
      }
      if (rows++ > 0)
        body += ',';
      append_json_string(body, r.key);
      body += ':';
      body += *r.value;
      at.place = r.place;
      return true;
    });
    body += '}';
    if (full)
      body += ",\"cursor\":\"" + to_text(at) + '"';
    rest_reply out;
    out.body = std::move(body += '}');
    return out;
  }
};

channel::channel(table_config table, std::uint32_t generation, const std::vector<partition_key>& partitions, channel_options options)
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
    return refuse(client_error::internal, "the table is still being loaded", true);
  if (request.map != impl_->keyed)
    return refuse(client_error::bad_request, impl_->keyed ? "table '" + impl_->table.name + "' has keyed rows: use a map subscription"
                                                          : "table '" + impl_->table.name + "' is a log: use a stream subscription");
  impl_->make_frames();
  return request.map ? impl_->subscribe_map(request) : impl_->subscribe_stream(request);
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
  limit = limit == 0 ? impl::rest_rows : std::min(limit, impl::most_rest_rows);
  return impl_->keyed ? impl_->rows_page(limit, cursor) : impl_->entries_page(limit);
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
std::size_t channel::bytes() const { return impl_->waiting_bytes + (impl_->keyed ? impl_->view.bytes() : impl_->ring.bytes()); }
arrival channel::head() const { return impl_->head(); }

} // namespace weir::table
