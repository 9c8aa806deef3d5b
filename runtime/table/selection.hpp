// The rows of a table that some subscribers see: one key, or those that a condition chooses. Kept as a list of its own
// in the view's order of arrival, so that each change is evaluated once however many sessions share the selection, and
// catching up costs what changed in it, not what changed in the table. Not thread-safe: owned by the table's channel.
// Bounds: an entry for each chosen row (values are shared with the view), and removals by view_limits.
#pragma once

#include "proto/condition.hpp"
#include "runtime/table/ring.hpp"
#include "runtime/table/view.hpp"
#include "runtime/table/where.hpp"

#include <algorithm>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace weir::table {

struct selection_spec {
  bool one_key = false;
  std::string key;        // where one_key
  condition where;        // has to hold as well
  std::string where_text; // canonical_text(where)
  bool partial = false;   // who asks may see no other rows: nobody tells them either that others changed or went

  bool all() const { return !one_key && where.empty(); }
  // The same rows always have the same text; empty: all.
  std::string text() const;
  // Names the selection in epochs; empty: all.
  std::string hash() const;
};

class row_selection {
public:
  // Chooses among all rows of the view. `reader` is scratch.
  row_selection(const selection_spec& spec, const keyed_view& view, view_limits limits, record_reader& reader);
  row_selection(const row_selection&) = delete;
  row_selection& operator=(const row_selection&) = delete;

  // The only keys that such a selection can hold, in order; nothing: any.
  static std::optional<std::vector<std::string>> keys_of(const selection_spec& spec);
  const std::optional<std::vector<std::string>>& keys() const { return keys_; }
  bool may_hold(std::string_view key) const {
    return !keys_ || std::binary_search(keys_->begin(), keys_->end(), key, std::less<>{});
  }
  bool needs_fields() const { return filter_.needs_fields(); }

  // A row of the view has changed. In order of arrival; `reader` has read its value, where it has one and
  // needs_fields().
  void feed(const keyed_view::row& r, const record_reader& reader, std::int64_t now_ms);
  // Ages removals.
  void tick(std::int64_t now_ms);

  struct entry {
    std::string_view key;
    shared_bytes value; // null: it went, or does not match any more
    version at;
    arrival place;
    std::int64_t time_ms = 0;
    std::size_t slot = 0;
    std::int64_t removed_ms = 0;
  };

  const entry* find(std::string_view key) const;
  // What changed after `from`, in order of arrival, until visit(const entry&) answers false.
  template <class Visit>
  void walk(arrival from, Visit&& visit) const {
    for (std::size_t i = first_after(from); i < places_.size(); ++i)
      if (places_[i].who && !visit(*places_[i].who))
        return;
  }
  // Of the last change in it; what was made behind it has not changed since.
  arrival head() const { return head_; }
  // Whether every removal after `from` is still known.
  bool holds(arrival from) const { return from >= dropped_; }
  // As keyed_view::cursor_for, in this list; the view's is none in it, as an overtaken place may be there no more.
  // Nothing: the selection was made, or has forgotten removals, since.
  std::optional<arrival> cursor_for(version seen) const;
  // Changes so far: what a client was not shown of them was conflated.
  std::uint64_t changes() const { return changes_; }
  std::size_t rows() const { return entries_.size() - removed_; }
  std::size_t bytes() const;

private:
  struct place {
    entry* who; // null: overtaken
    arrival at;
    version running_max; // of all versions that arrived up to here
  };
  struct grave {
    entry* who;
    arrival at;
  };
  struct text_hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const noexcept { return std::hash<std::string_view>{}(text); }
  };

  bool chooses(std::string_view key, const shared_bytes& value, const record_reader& reader) const;
  void add(const keyed_view::row& r, bool in, std::int64_t now_ms);
  void put(entry& e, arrival at);
  std::size_t first_after(arrival from) const;
  void compact();

  const view_limits limits_;
  const where filter_;
  const bool one_key_;
  const std::string key_;
  std::optional<std::vector<std::string>> keys_;
  std::unordered_map<std::string, entry, text_hash, std::equal_to<>> entries_;
  std::vector<place> places_;
  std::deque<grave> graves_; // one whose entry moved on is void
  std::size_t holes_ = 0, removed_ = 0;
  std::uint64_t changes_ = 0;
  arrival head_, dropped_;
  version running_max_, floor_;
};

// A row, or that it went, as a subscriber is shown it.
struct shown {
  std::string_view key;
  const std::string* value; // null: removed
  version at;
  arrival place;
  std::int64_t time_ms;
};

// What changed after `from` in the rows of a selection (null: all rows), in order of arrival, until visit(const shown&)
// answers false. by_view: `from` is a place of the view's list, from before the selection was made or beyond what it
// remembers: each row that changed since and that it does not choose counts as removed.
template <class Visit>
void walk_changes(const keyed_view& view, const row_selection* chosen, arrival from, bool by_view, Visit&& visit) {
  if (chosen && !by_view) {
    chosen->walk(from, [&](const row_selection::entry& e) {
      return visit(shown{e.key, e.value.get(), e.at, e.place, e.time_ms});
    });
    return;
  }
  view.walk(from, [&](const keyed_view::row& r) {
    if (!chosen)
      return visit(shown{r.key, r.value.get(), r.at, r.place, r.time_ms});
    const auto* e = chosen->find(r.key);
    return (!e && !chosen->may_hold(r.key)) ||
           visit(shown{r.key, e ? e->value.get() : nullptr, r.at, r.place, r.time_ms});
  });
}

// All rows of a selection, in order of arrival, after a place.
template <class Visit>
void walk_rows(const keyed_view& view, const row_selection* chosen, arrival from, Visit&& visit) {
  const auto present = [&](const shown& s) { return !s.value || visit(s); };
  if (chosen)
    chosen->walk(from, [&](const row_selection::entry& e) {
      return present(shown{e.key, e.value.get(), e.at, e.place, e.time_ms});
    });
  else
    walk_changes(view, nullptr, from, true, present);
}

// The entries of a log that some subscribers see, by their arrival. Not thread-safe. Bounded by the ring.
class entry_selection {
public:
  // Chooses among all entries of the ring. `reader` is scratch.
  entry_selection(const selection_spec& spec, const log_ring& ring, record_reader& reader);

  // The entry at `at` has come, behind all others; `reader` has read it. `first`: of those that the ring still has.
  void feed(arrival at, arrival first, const record_reader& reader);
  // The first chosen entry after `from`; nothing: none.
  std::optional<arrival> after(arrival from) const;

private:
  const where filter_;
  std::deque<arrival> chosen_; // some at its front may have left the ring
};

} // namespace weir::table
