#include "runtime/table/channel_replies.hpp"

#include "proto/client_reply.hpp"

#include <algorithm>
#include <charconv>
#include <limits>
#include <optional>
#include <tuple>
#include <utility>

namespace weir::table {
namespace {

constexpr std::uint32_t rest_rows = 1000, most_rest_rows = 10'000;
constexpr std::size_t rest_bytes = 4 << 20;

std::uint32_t rest_limit(std::uint32_t asked) { return asked == 0 ? rest_rows : std::min(asked, most_rest_rows); }

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

void append_member(std::string& out, std::string_view name, std::uint64_t n) {
  out += ",\"";
  out += name;
  out += "\":";
  out += std::to_string(n);
}

subscribe_reply live(std::string body, arrival at, bool more) {
  subscribe_reply out;
  out.body = std::move(body);
  out.live = true;
  out.at = at;
  out.more = more;
  return out;
}

} // namespace

subscribe_reply refusal(int code, std::string message, bool temporary) {
  subscribe_reply out;
  out.code = code;
  out.message = std::move(message);
  out.temporary = temporary;
  return out;
}

std::uint32_t channel_replies::rows_in_page(std::uint32_t asked) const {
  return asked == 0 ? options_.page_rows : std::min(asked, options_.page_rows);
}

std::string channel_replies::body_head(bool map, const lane_spec& lane) const {
  std::string out = map ? "{\"type\":1,\"epoch\":\"" : "{\"epoch\":\"";
  out += epoch_;
  out += "\",\"recoverable\":true,\"positioned\":true";
  if (lane.delta)
    out += ",\"delta\":true";
  return out;
}

channel_replies::late_changes channel_replies::rows_after(arrival from, bool by_view, version seen, std::uint32_t most,
                                                          std::size_t bytes, const publication_style& style) const {
  late_changes out{{}, from, false};
  std::vector<shown> found;
  std::size_t size = 0;
  walk_changes(view_, chosen_, from, by_view, [&](const shown& r) {
    if (r.at > seen) {
      const auto needed = r.key.size() + (r.value ? r.value->size() : 0) + 64;
      if (!found.empty() && (found.size() >= most || size + needed > bytes)) {
        out.more = true;
        return false;
      }
      size += needed;
      found.push_back(r);
    }
    out.to = r.place;
    return true;
  });
  if (!out.more)
    out.to = view_.head();
  if (found.empty())
    return out;
  // The SDK takes the offset of each publication for its position. In order of version, and whole, they are true at
  // every step; else none is.
  if (!out.more)
    std::stable_sort(found.begin(), found.end(), [](const shown& a, const shown& b) { return a.at < b.at; });
  out.text.reserve(size + 32);
  out.text = ",\"publications\":[";
  const auto watermark = chain_.watermark();
  for (std::size_t i = 0; i < found.size(); ++i) {
    const auto& r = found[i];
    version offset;
    if (!out.more) {
      const bool last_of_version = i + 1 == found.size() || found[i + 1].at != r.at;
      offset = std::max(seen, std::min(watermark, last_of_version ? r.at : version{r.at.value - 1}));
    }
    if (i > 0)
      out.text += ',';
    append_row_publication(out.text, {r.key, r.value, r.at, r.time_ms}, offset, style);
  }
  out.text += ']';
  return out;
}

std::optional<arrival> channel_replies::next_entry(arrival a) const {
  if (entries_)
    return entries_->after(a);
  return a < ring_.head() ? std::optional(arrival{a.value + 1}) : std::nullopt;
}

channel_replies::late_changes channel_replies::entries_after(arrival from, version seen, std::uint32_t most,
                                                             std::size_t bytes, const publication_style& style) const {
  late_changes out{{}, from, false};
  std::vector<const log_ring::entry*> found;
  std::size_t size = 0;
  for (auto next = next_entry(from); next; next = next_entry(*next)) {
    const auto a = *next;
    const auto& e = ring_.at(a);
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
    out.to = ring_.head();
  if (found.empty())
    return out;
  if (!out.more)
    std::stable_sort(found.begin(), found.end(), [](const auto* a, const auto* b) {
      return std::tie(a->at, a->partition) < std::tie(b->at, b->partition);
    });
  out.text.reserve(size + 32);
  out.text = ",\"publications\":[";
  const auto watermark = chain_.watermark();
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
    append_log_publication(out.text, {e.partition, e.offset, e.value.get(), e.time_ms}, offset, style);
  }
  out.text += ']';
  return out;
}

subscribe_reply channel_replies::subscribe_stream(const subscribe_request& request, const lane_spec& lane,
                                                  std::int64_t now_ms) const {
  auto body = body_head(false, lane);
  if (!request.recover) {
    append_member(body, "offset", chain_.watermark().value);
    return live(body += '}', ring_.head(), false);
  }
  std::optional<arrival> from;
  if ((request.epoch.empty() || request.epoch == epoch_) && request.offset <= chain_.watermark())
    from = ring_.cursor_for(request.offset);
  if (!from) {
    if (request.reject_unrecovered)
      return refusal(client_error::unrecoverable, "unrecoverable position");
    append_member(body, "offset", chain_.watermark().value);
    body += ",\"was_recovering\":true,\"recovered\":false}";
    return live(std::move(body), ring_.head(), false);
  }
  const auto late =
      entries_after(*from, request.offset, rows_in_page(0), options_.page_bytes, {lane.tags, false, now_ms});
  append_member(body, "offset", request.offset.value);
  body += ",\"was_recovering\":true,\"recovered\":true";
  body += late.text;
  return live(body += '}', late.to, late.more);
}

subscribe_reply channel_replies::subscribe_map(const subscribe_request& request, const lane_spec& lane,
                                               std::int64_t now_ms) const {
  const bool from_position =
      request.phase == map_phase::stream || (request.phase == map_phase::live && request.has_position);
  return from_position ? catch_up_map(request, lane, now_ms) : page_of_state(request, lane, now_ms);
}

subscribe_reply channel_replies::catch_up_map(const subscribe_request& request, const lane_spec& lane,
                                              std::int64_t now_ms) const {
  std::optional<arrival> from;
  bool by_view = true;
  if (request.epoch == epoch_ && request.offset <= chain_.watermark()) {
    if (chosen_)
      from = chosen_->cursor_for(request.offset);
    by_view = !from;
    // By the view, each row that changed and is not chosen counts as removed: its key would be told.
    if (!from && !lane.rows.partial)
      from = view_.cursor_for(request.offset);
  }
  if (!from)
    return refusal(client_error::unrecoverable, "unrecoverable position");
  const auto late = rows_after(*from, by_view, request.offset, rows_in_page(request.limit), options_.page_bytes,
                               {lane.tags, lane.delta, now_ms});
  // The rest of a page goes on in the selection's own list, which has to know all that is behind the page.
  if (late.more && (chosen_ ? by_view || !chosen_->holds(late.to) : !view_.holds(late.to)))
    return refusal(client_error::unrecoverable, "unrecoverable position");
  auto body = body_head(true, lane);
  append_member(body, "offset", (late.more ? request.offset : chain_.watermark()).value);
  if (request.recover)
    body += ",\"was_recovering\":true,\"recovered\":true";
  body += late.text;
  return live(body += '}', late.to, late.more);
}

subscribe_reply channel_replies::page_of_state(const subscribe_request& request, const lane_spec& lane,
                                               std::int64_t now_ms) const {
  page_cursor at{options_.instance, view_.head(), arrival{}, chain_.watermark()};
  if (!request.cursor.empty()) {
    const auto given = parse_cursor(request.cursor);
    const bool known = given && (chosen_ ? chosen_->holds(given->upto) : view_.holds(given->upto));
    if (!known || given->instance != options_.instance || given->place > given->upto ||
        (!request.epoch.empty() && request.epoch != epoch_))
      return refusal(client_error::unrecoverable, "unrecoverable position");
    at = *given;
  } else if (!chosen_ && view_.bytes() > table_.max_view_bytes) {
    return refusal(client_error::limit_exceeded, "table '" + table_.name +
                                                     "' is larger than its max_view_bytes: raise that, subscribe to a "
                                                     "key or with 'where', or read it in pages over REST");
  }
  // Rows that changed after the first page was made are behind at.upto: each key is either here or in the last reply's
  // publications.
  const auto most = rows_in_page(request.limit);
  std::string state;
  std::size_t rows = 0;
  bool full = false;
  const publication_style style{lane.tags, lane.delta, now_ms};
  walk_rows(view_, chosen_, at.place, [&](const shown& r) {
    if (r.place > at.upto)
      return false;
    const auto size = r.key.size() + r.value->size() + 64;
    if (rows > 0 && (rows >= most || state.size() + size > options_.page_bytes)) {
      full = true;
      return false;
    }
    state += rows++ == 0 ? ",\"state\":[" : ",";
    append_row_publication(state, {r.key, r.value, r.at, r.time_ms}, r.at, style);
    at.place = r.place;
    return true;
  });
  if (rows > 0)
    state += ']';
  if (full) {
    std::string body = "{\"type\":1,\"phase\":2,\"epoch\":\"" + epoch_ + '"';
    append_member(body, "offset", at.seen.value);
    body += ",\"cursor\":\"" + to_text(at) + '"';
    if (lane.delta)
      body += ",\"delta\":true";
    body += state;
    subscribe_reply out;
    out.body = std::move(body += '}');
    return out;
  }
  const auto late =
      rows_after(at.upto, false, {}, std::numeric_limits<std::uint32_t>::max(), options_.late_bytes, style);
  auto body = body_head(true, lane);
  append_member(body, "offset", (late.more ? at.seen : chain_.watermark()).value);
  body += state;
  body += late.text;
  return live(body += '}', late.to, late.more);
}

history_reply channel_replies::history(const history_request& request) const {
  history_reply out;
  const auto finish = [&](std::string text) {
    out.body = "{" + std::move(text);
    if (out.body.size() > 1)
      out.body += ',';
    out.body += "\"epoch\":\"" + epoch_ + '"';
    append_member(out.body, "offset", chain_.watermark().value);
    out.body += '}';
    return out;
  };
  if (request.limit == 0)
    return finish({});
  std::vector<const log_ring::entry*> found;
  const auto first = ring_.head().value - ring_.size();
  if (request.since) {
    const auto from = (request.epoch.empty() || request.epoch == epoch_) && request.offset <= chain_.watermark()
                          ? ring_.cursor_for(request.offset)
                          : std::nullopt;
    if (!from && !request.reverse) {
      out.code = client_error::unrecoverable;
      out.message = "unrecoverable position";
      return out;
    }
  }
  for (auto next = next_entry(arrival{first}); next; next = next_entry(*next)) {
    const auto& e = ring_.at(*next);
    if (e.at > chain_.watermark()) // whole versions only: more of the same may come
      continue;
    if (request.since && (request.reverse ? e.at >= request.offset : e.at <= request.offset))
      continue;
    found.push_back(&e);
  }
  std::stable_sort(found.begin(), found.end(), [](const auto* a, const auto* b) {
    return std::tie(a->at, a->partition) < std::tie(b->at, b->partition);
  });
  if (request.reverse)
    std::reverse(found.begin(), found.end());
  const auto most = request.limit < 0
                        ? std::size_t{options_.page_rows}
                        : std::min<std::size_t>(static_cast<std::size_t>(request.limit), options_.page_rows);
  std::string text;
  for (std::size_t i = 0; i < found.size(); ++i) {
    const auto& e = *found[i];
    // Entries of one version are not parted: a client goes on behind the last one's offset.
    const bool parts = i > 0 && found[i - 1]->at == e.at;
    if (!parts && (i >= most || text.size() + e.value->size() > options_.page_bytes) && i > 0)
      break;
    text += i == 0 ? "\"publications\":[" : ",";
    append_log_publication(text, {e.partition, e.offset, e.value.get(), e.time_ms}, e.at);
  }
  if (!text.empty())
    text += ']';
  return finish(std::move(text));
}

std::string channel_replies::rest_head(version offset) const {
  std::string out = "{\"table\":";
  append_json_string(out, table_.name);
  out += ",\"epoch\":\"" + epoch_ + '"';
  append_member(out, "offset", offset.value);
  return out;
}

// The watermark alone would not do: rows above it are shown too. Arrivals are counted anew in each life.
std::string channel_replies::rest_tag() const {
  page_cursor now{options_.instance, view_.head(), ring_.head(), chain_.watermark()};
  return epoch_ + '.' + to_text(now);
}

rest_reply channel_replies::entries_page(std::uint32_t limit) const {
  auto body = rest_head(chain_.watermark());
  body += ",\"entries\":[";
  std::vector<const log_ring::entry*> entries;
  if (entries_) {
    for (auto next = next_entry(arrival{ring_.head().value - ring_.size()}); next; next = next_entry(*next))
      entries.push_back(&ring_.at(*next));
    std::stable_sort(entries.begin(), entries.end(), [](const auto* a, const auto* b) {
      return std::tie(a->at, a->partition) < std::tie(b->at, b->partition);
    });
    if (const auto most = rest_limit(limit); entries.size() > most)
      entries.erase(entries.begin(), entries.end() - most);
  } else {
    entries = ring_.newest(rest_limit(limit));
  }
  std::size_t bytes = 0, first = entries.size();
  while (first > 0 && (first == entries.size() || bytes + entries[first - 1]->value->size() < rest_bytes))
    bytes += entries[--first]->value->size() + 64;
  for (std::size_t i = first; i < entries.size(); ++i) {
    const auto& e = *entries[i];
    body += i > first ? ",{\"time\":" : "{\"time\":";
    body += std::to_string(e.time_ms);
    body += ",\"partition\":" + std::to_string(e.partition.value) + ",\"offset\":" + std::to_string(e.offset.value) +
            ",\"value\":";
    body += *e.value;
    body += '}';
  }
  rest_reply out;
  out.body = std::move(body += "]}");
  out.tag = rest_tag();
  return out;
}

rest_reply channel_replies::rows_page(std::uint32_t limit, std::string_view cursor) const {
  page_cursor at{options_.instance, view_.head(), arrival{}, chain_.watermark()};
  if (!cursor.empty()) {
    const auto given = parse_cursor(cursor);
    if (!given || given->instance != options_.instance)
      return {
          400, {}, "bad_argument", "the cursor is not, or no longer, one of this table: start again without it", {}};
    at = *given;
  }
  limit = rest_limit(limit);
  auto body = rest_head(at.seen);
  body += ",\"rows\":{";
  std::size_t rows = 0;
  bool full = false;
  walk_rows(view_, chosen_, at.place, [&](const shown& r) {
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
  out.tag = rest_tag();
  return out;
}

} // namespace weir::table
