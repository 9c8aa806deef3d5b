#include "runtime/table/lanes.hpp"

#include "proto/client_reply.hpp"

#include <algorithm>
#include <deque>
#include <utility>

namespace weir::table {

// All of its fields belong to the lane_set.
struct lane {
  lane_id id;
  std::string text;
  lane_spec spec;
  kept_selection* selection = nullptr; // null: all rows
  std::uint32_t short_id = 0;
  std::string push_head;
  arrival sent_to;          // where the last frame ended: sessions that took it stand there
  std::int64_t due_ms = 0;  // not before
  bool waiting = false;     // has something to send when it is due; else it is quiet
  std::size_t quiet_at = 0; // while it is quiet: where in its list
  std::vector<fan_out> unsent;
  // With deltas: what its sessions have of each key that was sent; keys that were not are sent whole.
  std::unordered_map<std::string, shared_bytes> shown;
  std::map<std::uint64_t, catch_up_reply> cache; // by where they start; all were made at cache_head
  arrival cache_head;
  std::size_t cached_bytes = 0;
  // How many changes the selection had seen at the ends of the last frames.
  std::deque<std::pair<arrival, std::uint64_t>> marks;

  const row_selection* rows() const { return selection ? selection->rows.get() : nullptr; }
  const entry_selection* entries() const { return selection ? selection->entries.get() : nullptr; }

  std::optional<std::uint64_t> changes_at(arrival at) const {
    const auto found =
        std::lower_bound(marks.begin(), marks.end(), at, [](const auto& m, arrival a) { return m.first < a; });
    return found != marks.end() && found->first == at ? std::optional(found->second) : std::nullopt;
  }
};

void quiet_lanes::add(lane& l) {
  l.quiet_at = lanes_.size();
  lanes_.push_back(&l);
}

void quiet_lanes::remove(lane& l) {
  lanes_[l.quiet_at] = lanes_.back();
  lanes_[l.quiet_at]->quiet_at = l.quiet_at;
  lanes_.pop_back();
}

namespace {

constexpr std::size_t most_marks = 1024;

std::string text_of(const lane_spec& spec) {
  return std::to_string(spec.interval_ms) + (spec.short_id ? "i" : "") + (spec.tags ? "t" : "") +
         (spec.delta ? "d" : "") + (spec.events ? "e" : "") + '\n' + spec.rows.text();
}

template <class Map>
void erase_one(Map& from, std::string_view key, const kept_selection* selection) {
  for (auto [at, end] = from.equal_range(key); at != end; ++at)
    if (at->second == selection) {
      from.erase(at);
      return;
    }
}

// One frame's text: pushes joined by new lines, or events. Bounded in bytes.
struct writer {
  const lane& of;
  const channel_options& options;
  publication_style style;
  std::string text;
  std::size_t last = 0; // where the last publication starts
  std::uint32_t count = 0;
  std::int64_t newest_ms = 0;

  // False: it has no room any more.
  template <class Append>
  bool add(std::size_t size, std::int64_t time_ms, Append&& append) {
    if (count > 0 && text.size() + size + of.push_head.size() > options.frame_bytes)
      return false;
    if (count++ > 0)
      text += of.spec.events ? "" : "\n";
    last = text.size();
    text += of.push_head;
    append(text, style);
    text += of.spec.events ? "\n\n" : "}}";
    newest_ms = std::max(newest_ms, time_ms);
    return true;
  }

  // Puts into the last publication that everything up to `offset` is known to who has read this far, and how much was
  // left out.
  http::frame_ptr finish(version offset, std::uint64_t conflated, const std::string& epoch) {
    if (count == 0)
      return nullptr;
    // The publication ends with `}}}` as a push, with `}` and two new lines as an event; its tags, where there are any,
    // with one more brace before.
    const std::size_t tail = 3;
    if (style.tags && conflated > 0) {
      const auto at = text.size() - tail - 1;
      const bool first = text[at - 1] == '{';
      text.insert(at, (first ? "\"conflated\":\"" : ",\"conflated\":\"") + std::to_string(conflated) + '"');
    }
    if (offset.value > 0) {
      if (of.spec.events)
        text.insert(last, "id: " + epoch + ':' + std::to_string(offset.value) + '\n');
      else
        text.insert(text.size() - tail, ",\"offset\":" + std::to_string(offset.value));
    }
    if (!of.spec.events)
      return options.make_frame(text);
    auto f = std::make_shared<http::frame>();
    f->bytes = std::move(text);
    return f;
  }
};

} // namespace

lane_set::lane_set(const table_config& table_of, const channel_options& with, const view_chain& known,
                   const keyed_view& rows, const log_ring& entries, const std::string& at)
    : table_(table_of), options_(with), chain_(known), view_(rows), ring_(entries), epoch_(at),
      keyed_(table_of.kind != table_kind::log) {}

lane_set::~lane_set() = default;

arrival lane_set::head() const { return keyed_ ? view_.head() : ring_.head(); }

arrival lane_set::head_of(const lane& l) const { return l.rows() ? l.rows()->head() : head(); }

bool lane_set::holds(const lane& l, arrival from) const {
  if (!keyed_)
    return ring_.holds(from);
  return l.rows() ? l.rows()->holds(from) : view_.holds(from);
}

// --- selections

lane_set::selected lane_set::select(const selection_spec& spec, std::int64_t now_ms) {
  if (spec.all())
    return {};
  feed(now_ms);
  auto text = spec.text();
  const auto known = selections_.find(text);
  if (known != selections_.end()) {
    known->second.used_ms = now_ms;
    return {true, &known->second};
  }
  const bool few_keys = keyed_ && row_selection::keys_of(spec);
  auto needed = few_keys ? std::nullopt : needed_by(spec.where);
  const bool room = by_key_.size() + by_value_.size() < options_.keys;
  if (needed && (!room || !by_value_.has_room_for(*needed, options_.conditions)))
    needed.reset();
  if (few_keys ? !room : !needed && evaluated_.size() >= options_.conditions)
    return {false, nullptr};
  kept_selection made;
  made.needed = std::move(needed);
  made.hash = spec.hash();
  made.used_ms = now_ms;
  if (keyed_)
    made.rows = std::make_unique<row_selection>(spec, view_, options_.view, reader_);
  else
    made.entries = std::make_unique<entry_selection>(spec, ring_, reader_);
  auto& kept = selections_.emplace(std::move(text), std::move(made)).first->second;
  if (few_keys) {
    for (const auto& key : *kept.rows->keys())
      by_key_.emplace(key, &kept);
  } else if (kept.needed) {
    by_value_.add(*kept.needed, &kept);
    if (kept.rows)
      kept.rows->walk({}, [&](const row_selection::entry& e) {
        holders_.emplace(e.key, &kept); // a new one has no removals
        return true;
      });
  } else {
    evaluated_.push_back(&kept);
  }
  return {true, &kept};
}

// It goes: nothing leads to it any more.
void lane_set::forget(kept_selection& kept) {
  if (kept.needed) {
    by_value_.remove(*kept.needed, &kept);
    if (kept.rows)
      kept.rows->walk({}, [&](const row_selection::entry& e) {
        if (e.value)
          erase_one(holders_, e.key, &kept);
        return true;
      });
  } else if (kept.rows && kept.rows->keys()) {
    for (const auto& key : *kept.rows->keys())
      erase_one(by_key_, key, &kept);
  } else {
    std::erase(evaluated_, &kept);
  }
}

void lane_set::feed(std::int64_t now_ms) {
  if (fed_ == head())
    return;
  if (!selections_.empty())
    keyed_ ? feed_rows(now_ms) : feed_entries();
  fed_ = head();
  wake(quiet_, now_ms);
}

void lane_set::feed_rows(std::int64_t now_ms) {
  view_.walk(fed_, [&](const keyed_view::row& r) {
    bool read = false, readable = true;
    const auto can_read = [&] {
      if (r.value && !std::exchange(read, true))
        readable = reader_.read(*r.value).empty();
      return readable;
    };
    const auto hand = [&](kept_selection& to) {
      if (!to.rows->needs_fields() || can_read())
        feed_row(to, r, now_ms);
    };
    for (auto [at, end] = by_key_.equal_range(r.key); at != end; ++at)
      hand(*at->second);
    for (auto* s : evaluated_)
      hand(*s);
    if (by_value_.size() == 0 || !can_read())
      return true;
    concerned_.clear();
    for (auto [at, end] = holders_.equal_range(r.key); at != end; ++at)
      concerned_.push_back(at->second);
    if (r.value)
      by_value_.visit(reader_, [&](kept_selection& s) { concerned_.push_back(&s); });
    std::sort(concerned_.begin(), concerned_.end());
    concerned_.erase(std::unique(concerned_.begin(), concerned_.end()), concerned_.end());
    for (auto* s : concerned_) {
      const bool had = s->rows->find(r.key) != nullptr;
      feed_row(*s, r, now_ms);
      const bool has = s->rows->find(r.key) != nullptr;
      if (has && !had)
        holders_.emplace(r.key, s);
      if (had && !has)
        erase_one(holders_, r.key, s);
    }
    return true;
  });
}

void lane_set::feed_row(kept_selection& to, const keyed_view::row& r, std::int64_t now_ms) {
  const auto before = to.rows->head();
  to.rows->feed(r, reader_, now_ms);
  if (to.rows->head() != before)
    wake(to.quiet, now_ms);
}

void lane_set::feed_entries() {
  const auto first = ring_.first();
  for (auto at = std::max(arrival{fed_.value + 1}, first); at <= ring_.head(); ++at.value) {
    if (!reader_.read(*ring_.at(at).value).empty())
      continue;
    for (auto* s : evaluated_)
      s->entries->feed(at, first, reader_);
    by_value_.visit(reader_, [&](kept_selection& s) { s.entries->feed(at, first, reader_); });
  }
}

// --- lanes

lane_id lane_set::open(const lane_spec& spec, kept_selection* selection, std::int64_t now_ms) {
  auto text = text_of(spec);
  if (const auto known = lanes_.find(text); known != lanes_.end())
    return known->second->id;
  auto made = std::make_unique<lane>();
  made->id = lane_id{next_id_++};
  made->text = text;
  made->spec = spec;
  made->selection = selection;
  made->sent_to = head();
  made->due_ms = now_ms;
  if (selection)
    ++selection->lanes;
  if (spec.short_id)
    made->short_id = options_.new_short_id ? options_.new_short_id() : made->id.value;
  if (spec.events) {
    made->push_head = "data: ";
  } else if (spec.short_id) {
    made->push_head = "{\"push\":{\"id\":" + std::to_string(made->short_id) + ",\"pub\":";
  } else {
    made->push_head = "{\"push\":{\"channel\":";
    append_json_string(made->push_head, spec.rows.one_key ? table_.name + '/' + spec.rows.key : table_.name);
    made->push_head += ",\"pub\":";
  }
  mark(*made);
  const auto id = made->id;
  by_id_[id.value] = made.get();
  quiet_of(*made).add(*made);
  lanes_.emplace(std::move(text), std::move(made));
  return id;
}

void lane_set::close(lane_id id) {
  const auto found = by_id_.find(id.value);
  if (found == by_id_.end())
    return;
  auto& l = *found->second;
  if (l.selection)
    --l.selection->lanes;
  if (l.waiting)
    due_.erase({l.due_ms, l.id.value});
  else
    quiet_of(l).remove(l);
  const auto text = l.text;
  by_id_.erase(found);
  lanes_.erase(text);
}

std::uint32_t lane_set::short_id(lane_id id) const {
  const auto found = by_id_.find(id.value);
  return found == by_id_.end() ? 0 : found->second->short_id;
}

const kept_selection* lane_set::selection_of(lane_id id) const {
  const auto found = by_id_.find(id.value);
  return found == by_id_.end() ? nullptr : found->second->selection;
}

void lane_set::mark(lane& l) {
  if (!l.rows())
    return;
  if (!l.marks.empty() && l.marks.back().first == l.sent_to)
    return;
  l.marks.emplace_back(l.sent_to, l.rows()->changes());
  if (l.marks.size() > most_marks)
    l.marks.pop_front();
}

// One frame of what came after `from`; it may end before the newest.
fan_out lane_set::frame_after(lane& l, arrival from, std::int64_t now_ms, bool live) {
  writer out{l, options_, {l.spec.tags, l.spec.delta, now_ms}, {}, 0, 0, 0};
  fan_out made;
  made.from = from;
  made.to = head();
  version complete = chain_.watermark();
  if (keyed_) {
    arrival last = from;
    walk_changes(view_, l.rows(), from, false, [&](const shown& s) {
      const auto size = s.key.size() + (s.value ? s.value->size() : 0) + 64;
      const auto written = out.add(size, s.time_ms, [&](std::string& text, const publication_style& style) {
        const std::string* before = nullptr;
        if (l.spec.delta && live)
          if (const auto known = l.shown.find(std::string(s.key)); known != l.shown.end())
            before = known->second.get();
        append_row_publication(text, {s.key, s.value, s.at, s.time_ms, before}, {}, style);
      });
      if (!written) {
        made.to = last;
        return false;
      }
      if (l.spec.delta && live) {
        if (s.value)
          l.shown[std::string(s.key)] = l.rows() ? l.rows()->find(s.key)->value : view_.find(s.key)->value;
        else
          l.shown.erase(std::string(s.key));
      }
      last = s.place;
      return true;
    });
    if (made.to != head())
      complete = {}; // rows come as they are now: only who has read to the newest has seen all up to the watermark
    if (made.to == head()) {
      std::optional<std::uint64_t> changes;
      if (!l.rows())
        changes = made.to.value - from.value;
      else if (const auto then = l.changes_at(from))
        changes = l.rows()->changes() - *then;
      if (changes && *changes > out.count)
        made.conflated = *changes - out.count;
    } else if (!l.rows() && made.to.value - from.value > out.count) {
      made.conflated = made.to.value - from.value - out.count;
    }
  } else {
    arrival a = from;
    for (;;) {
      std::optional<arrival> next;
      if (!l.entries())
        next = a < ring_.head() ? std::optional(arrival{a.value + 1}) : std::nullopt;
      else
        next = l.entries()->after(a);
      if (!next)
        break;
      const auto& e = ring_.at(*next);
      if (!out.add(e.value->size() + 96, e.time_ms, [&](std::string& text, const publication_style& style) {
            append_log_publication(text, {e.partition, e.offset, e.value.get(), e.time_ms}, {}, style);
          })) {
        made.to = a;
        break;
      }
      a = *next;
    }
    if (made.to != head())
      complete = ring_.at(arrival{made.to.value + 1}).complete;
  }
  made.publications = out.count;
  made.newest_ms = out.newest_ms;
  made.frame = out.finish(complete, made.conflated, epoch_);
  return made;
}

// --- whose turn it is

quiet_lanes& lane_set::quiet_of(lane& l) { return l.rows() ? l.selection->quiet : quiet_; }

// Their rows have changed.
void lane_set::wake(quiet_lanes& quiet, std::int64_t now_ms) {
  for (auto* l : quiet.take_all()) {
    l->waiting = true;
    // A clock that was set back must not hold a lane longer than its pace.
    l->due_ms = std::min(l->due_ms, now_ms + l->spec.interval_ms);
    due_.emplace(l->due_ms, l->id.value);
  }
}

// False: more came than is kept.
bool lane_set::advance(lane& l, std::int64_t now_ms) {
  bool sent = false;
  while (l.sent_to < head_of(l)) {
    if (!holds(l, l.sent_to))
      return false;
    auto part = frame_after(l, l.sent_to, now_ms, true);
    if (part.to == l.sent_to)
      break;
    if (!part.frame && keyed_) // nothing of what changed is for this lane: its sessions stay where they are
      break;
    l.sent_to = part.to;
    if (l.unsent.empty())
      unsent_.push_back(l.id.value);
    l.unsent.push_back(std::move(part));
    sent = true;
  }
  if (sent) {
    mark(l);
    l.due_ms = now_ms + l.spec.interval_ms;
  }
  return true;
}

bool lane_set::dirty(std::int64_t now_ms) const {
  return !ended_.empty() || !unsent_.empty() || (!due_.empty() && due_.begin()->first <= now_ms);
}

std::optional<std::int64_t> lane_set::next_due_ms() const {
  return due_.empty() ? std::nullopt : std::optional(due_.begin()->first);
}

void lane_set::make(std::int64_t now_ms) {
  feed(now_ms);
  while (!due_.empty() && due_.begin()->first <= now_ms) {
    auto& l = *by_id_.at(due_.begin()->second);
    due_.erase(due_.begin());
    l.waiting = false;
    quiet_of(l).add(l);
    if (!advance(l, now_ms)) {
      ended_.push_back(l.id);
      close(l.id);
    }
  }
}

std::vector<lane_frames> lane_set::take() {
  std::vector<lane_frames> out;
  for (const auto id : std::exchange(unsent_, {}))
    if (const auto found = by_id_.find(id); found != by_id_.end())
      out.push_back({found->second->id, std::exchange(found->second->unsent, {})});
  return out;
}

arrival lane_set::cursor_of(lane_id id) const {
  const auto found = by_id_.find(id.value);
  // A lane with a pace may be behind what its new session has: it takes the next frame all the same.
  return found == by_id_.end() || found->second->sent_to < head_of(*found->second) ? head() : found->second->sent_to;
}

catch_up_reply lane_set::catch_up(lane_id id, arrival from, std::int64_t now_ms) {
  const auto gone = [&] {
    catch_up_reply out;
    out.part.from = out.part.to = from;
    out.gone = true;
    return out;
  };
  const auto found = by_id_.find(id.value);
  if (found == by_id_.end())
    return gone();
  auto& l = *found->second;
  if (!holds(l, from))
    return gone();
  const auto newest = head();
  if (from >= head_of(l)) {
    catch_up_reply out;
    out.part.from = from;
    // At the lane's own place, so that its next frame fits.
    out.part.to = std::max(from, l.sent_to);
    return out;
  }
  if (l.cache_head != newest) {
    l.cache.clear();
    l.cached_bytes = 0;
    l.cache_head = newest;
  }
  if (const auto hit = l.cache.find(from.value); hit != l.cache.end())
    return hit->second;
  catch_up_reply out;
  out.part = frame_after(l, from, now_ms, false);
  out.more = out.part.to < newest;
  if (!out.more && l.sent_to >= head_of(l))
    out.part.to = std::max(l.sent_to, head_of(l));
  const auto size = out.part.frame ? out.part.frame->bytes.size() : 0;
  if (l.cached_bytes + size <= options_.cache_bytes) {
    l.cached_bytes += size;
    l.cache.emplace(from.value, out);
  }
  return out;
}

void lane_set::tick(std::int64_t now_ms) {
  feed(now_ms);
  for (auto at = selections_.begin(); at != selections_.end();) {
    auto& kept = at->second;
    if (kept.lanes > 0)
      kept.used_ms = now_ms;
    if (kept.rows)
      kept.rows->tick(now_ms);
    if (now_ms - kept.used_ms <= options_.idle_selection_ms) {
      ++at;
      continue;
    }
    forget(kept);
    at = selections_.erase(at);
  }
}

void lane_set::clear() {
  due_.clear();
  unsent_.clear();
  ended_.clear();
  quiet_ = {};
  by_id_.clear();
  lanes_.clear();
  by_key_.clear();
  by_value_.clear();
  holders_.clear();
  evaluated_.clear();
  selections_.clear();
  fed_ = head();
}

} // namespace weir::table
