#include "runtime/http/event_client.hpp"

#include "proto/client_reply.hpp"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <utility>

namespace weir::http {
namespace {

// The session's texts are made by us and valid, so finding the ends of values is enough; their own text goes on as it
// is, with all the digits of its numbers.

std::size_t string_end(std::string_view text, std::size_t at) {
  for (++at; at < text.size(); ++at) {
    if (text[at] == '\\')
      ++at;
    else if (text[at] == '"')
      return at + 1;
  }
  return text.size();
}

std::size_t value_end(std::string_view text, std::size_t at) {
  int depth = 0;
  while (at < text.size()) {
    switch (text[at]) {
    case '"':
      at = string_end(text, at);
      if (depth == 0)
        return at;
      continue;
    case '{':
    case '[': ++depth; break;
    case '}':
    case ']':
      if (depth == 0)
        return at;
      if (--depth == 0)
        return at + 1;
      break;
    case ',':
      if (depth == 0)
        return at;
      break;
    default: break;
    }
    ++at;
  }
  return text.size();
}

std::size_t skip_space(std::string_view text, std::size_t at) {
  while (at < text.size() && (text[at] == ' ' || text[at] == '\t' || text[at] == '\r' || text[at] == '\n'))
    ++at;
  return at;
}

// Calls f(name, value) for each member: the name as it stands between its quotes, the value as its text.
template <class F>
void each_member(std::string_view object, F f) {
  std::size_t at = skip_space(object, 0) + 1;
  while (true) {
    at = skip_space(object, at);
    if (at >= object.size() || object[at] != '"')
      return;
    const auto name_ends = string_end(object, at);
    const auto name = object.substr(at + 1, name_ends - at - 2);
    at = skip_space(object, skip_space(object, name_ends) + 1); // behind the colon
    const auto end = value_end(object, at);
    f(name, object.substr(at, end - at));
    at = skip_space(object, end);
    if (at >= object.size() || object[at] != ',')
      return;
    ++at;
  }
}

template <class F>
void each_item(std::string_view array, F f) {
  std::size_t at = skip_space(array, skip_space(array, 0) + 1);
  while (at < array.size() && array[at] != ']') {
    const auto end = value_end(array, at);
    f(array.substr(at, end - at));
    at = skip_space(array, end);
    if (at >= array.size() || array[at] != ',')
      return;
    at = skip_space(array, at + 1);
  }
}

std::string_view member(std::string_view object, std::string_view wanted) {
  std::string_view found;
  each_member(object, [&](std::string_view name, std::string_view value) {
    if (name == wanted)
      found = value;
  });
  return found;
}

std::string_view unquoted(std::string_view text) {
  return text.size() >= 2 && text.front() == '"' ? text.substr(1, text.size() - 2) : text;
}

// A JSON string's content.
std::string spoken(std::string_view text) {
  const auto value = nlohmann::json::parse(text, nullptr, false);
  return value.is_string() ? value.get<std::string>() : std::string{};
}

template <class Number>
Number number(std::string_view text) {
  Number n{};
  std::from_chars(text.data(), text.data() + text.size(), n);
  return n;
}

bool plain_word(std::string_view text) {
  return !text.empty() && text.size() <= 64 && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_';
  });
}

bool digits(std::string_view text) {
  return !text.empty() && text.size() <= 20 &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// JSON on one line: an end of a line would end the event's field. Outside of strings these are only space, and in
// strings they do not stand as they are.
void append_line(std::string& out, std::string_view json) {
  for (const char c : json)
    out += c == '\r' || c == '\n' ? ' ' : c;
}

unsigned status_of(int code, bool temporary) {
  switch (code) {
  case client_error::unauthorized:
  case client_error::token_expired: return 401;
  case client_error::permission_denied: return 403;
  case client_error::unknown_channel: return 404;
  case client_error::bad_request: return 400;
  case client_error::too_many_requests: return 429;
  default: return temporary || code == client_error::limit_exceeded ? 503 : 500;
  }
}

unsigned status_of_close(std::uint16_t code) {
  switch (code) {
  case client_close::expired:
  case client_close::invalid_token: return 401;
  case client_close::bad_request: return 400;
  case client_close::permission_denied: return 403;
  case client_close::too_many_requests: return 429;
  default: return 503;
  }
}

} // namespace

event_client::event_client(event_request request, std::uint32_t retry_ms)
    : request_(std::move(request)), retry_ms_(retry_ms) {
  commands_ = "{\"id\":" + std::to_string(next_id_++) + ",\"connect\":{\"name\":\"sse\"";
  if (!request_.token.empty()) {
    commands_ += ",\"token\":";
    append_json_string(commands_, request_.token);
  }
  commands_ += "}}";
  if (!request_.last_event_id.empty()) {
    const std::string_view id = request_.last_event_id;
    const auto colon = id.rfind(':');
    if (colon != id.npos && plain_word(id.substr(0, colon)) && digits(id.substr(colon + 1))) {
      epoch_ = id.substr(0, colon);
      offset_ = id.substr(colon + 1);
    } else {
      event("reset", "{}"); // not one of ours
    }
  }
  subscribe();
}

void event_client::subscribe() {
  asked_ = next_id_++;
  resuming_ = !epoch_.empty() && !offset_.empty();
  page_.clear();
  std::string c = "{\"id\":" + std::to_string(asked_) + ",\"subscribe\":{\"channel\":";
  append_json_string(c, request_.channel);
  if (!request_.log)
    c += resuming_ ? ",\"type\":1,\"phase\":1" : ",\"type\":1,\"phase\":2";
  if (resuming_)
    c += ",\"recover\":true,\"epoch\":\"" + epoch_ + "\",\"offset\":" + offset_;
  if (!request_.data.empty())
    c += ",\"data\":" + request_.data;
  c += "}}";
  if (!commands_.empty())
    commands_ += '\n';
  commands_ += c;
}

void event_client::next_page(std::string_view cursor, std::string_view offset) {
  asked_ = next_id_++;
  page_ = "{\"id\":" + std::to_string(asked_) + ",\"subscribe\":{\"channel\":";
  append_json_string(page_, request_.channel);
  page_ += ",\"type\":1,\"phase\":2,\"cursor\":";
  page_ += cursor; // with its quotes
  page_ += ",\"epoch\":\"" + epoch_ + "\",\"offset\":";
  page_ += offset.empty() ? "0" : offset;
  page_ += "}}";
}

std::string event_client::take_commands(bool room) {
  if (room && !page_.empty()) {
    if (!commands_.empty())
      commands_ += '\n';
    commands_ += std::exchange(page_, {});
  }
  return std::exchange(commands_, {});
}

void event_client::start() {
  if (std::exchange(started_, true))
    return;
  events_ = "retry: " + std::to_string(retry_ms_) + "\n\n" + events_;
}

void event_client::event(std::string_view name, std::string_view data, std::string_view offset) {
  events_ += "event: ";
  events_ += name;
  events_ += "\ndata: ";
  append_line(events_, data);
  if (!offset.empty()) {
    events_ += "\nid: " + epoch_ + ':';
    events_ += offset;
  }
  events_ += "\n\n";
}

void event_client::end(std::string_view code, std::string_view message) {
  if (started_ && !code.empty()) {
    std::string data = "{\"code\":";
    data += code;
    data += ",\"message\":";
    append_json_string(data, message);
    event("error", data += '}');
  }
  ended_ = true;
}

void event_client::on_close(std::uint16_t code, std::string_view reason) {
  if (ended_)
    return;
  if (!started_) {
    status_ = status_of_close(code);
    refusal_ = reason;
  }
  // Of an end that a client comes back from it need not hear more than that it is one.
  const bool final = code >= 3500 && code < 4000;
  end(final ? std::to_string(code) : std::string{}, reason);
}

void event_client::on_reply(std::string_view lines) {
  while (!lines.empty() && !ended_) {
    const auto n = std::min(lines.find('\n'), lines.size());
    on_line(lines.substr(0, n));
    lines.remove_prefix(std::min(n + 1, lines.size()));
  }
}

void event_client::on_line(std::string_view line) {
  if (line == "{}") { // a ping: the socket itself tells whether anybody is there
    if (!commands_.empty())
      commands_ += '\n';
    commands_ += "{}";
    if (started_)
      events_ += ":\n\n";
    return;
  }
  std::uint32_t id = 0;
  std::string_view error, subscribed, push;
  each_member(line, [&](std::string_view name, std::string_view value) {
    if (name == "id")
      id = number<std::uint32_t>(value);
    else if (name == "error")
      error = value;
    else if (name == "subscribe")
      subscribed = value;
    else if (name == "push")
      push = value;
  });
  if (!error.empty()) {
    if (id == asked_ || !started_)
      on_error(number<int>(member(error, "code")), spoken(member(error, "message")),
               member(error, "temporary") == "true");
  } else if (!subscribed.empty()) {
    if (id == asked_)
      on_subscribed(subscribed);
  } else if (!push.empty()) {
    if (const auto over = member(push, "unsubscribe"); !over.empty()) {
      const auto code = number<std::uint32_t>(member(over, "code"));
      // Asked again at once after every reply, it would go round for ever.
      if (code >= 2500 && !std::exchange(resubscribed_, true))
        subscribe();
      else
        end(std::to_string(code), spoken(member(over, "reason")));
    } else if (const auto pub = member(push, "pub"); !pub.empty()) {
      publication(events_, pub);
    }
  }
}

void event_client::on_error(int code, std::string_view message, bool temporary) {
  if (code == client_error::unrecoverable && (resuming_ || started_)) {
    event("reset", "{}");
    epoch_.clear();
    offset_.clear();
    subscribe();
    return;
  }
  if (!started_) {
    status_ = status_of(code, temporary);
    refusal_ = message;
  }
  // A temporary one is over when the client comes back; its last id leads on.
  end(temporary ? std::string{} : std::to_string(code), message);
}

void event_client::on_subscribed(std::string_view body) {
  std::string_view state, publications, cursor, offset, epoch, phase;
  bool was_recovering = false, recovered = false;
  each_member(body, [&](std::string_view name, std::string_view value) {
    if (name == "state")
      state = value;
    else if (name == "publications")
      publications = value;
    else if (name == "cursor")
      cursor = value;
    else if (name == "offset")
      offset = value;
    else if (name == "epoch")
      epoch = unquoted(value);
    else if (name == "phase")
      phase = value;
    else if (name == "was_recovering")
      was_recovering = value == "true";
    else if (name == "recovered")
      recovered = value == "true";
  });
  if (offset.empty())
    offset = "0";
  const bool first_page = !resuming_;
  start();
  if (request_.log && was_recovering && !recovered)
    event("reset", "{}");
  epoch_ = epoch;
  if (!request_.log && first_page) {
    std::string rows = "{\"rows\":{";
    bool any = false;
    if (!state.empty())
      each_item(state, [&](std::string_view row) {
        rows += std::exchange(any, true) ? "," : "";
        rows += member(row, "key");
        rows += ':';
        const auto data = member(row, "data");
        rows += data.empty() ? "null" : data;
      });
    if (!phase.empty()) { // more pages
      event("snapshot", rows += "}}");
      next_page(cursor, offset);
      return;
    }
    // What changed meanwhile comes behind, so it is not yet all that the position says.
    event("snapshot", rows += "},\"done\":true}", publications.empty() ? offset : std::string_view{});
  }
  if (!publications.empty())
    each_item(publications, [&](std::string_view pub) { publication(events_, pub); });
  offset_ = offset;
  resubscribed_ = false;
  resuming_ = true; // whatever comes next starts from here
  // An id by itself: no event, and the client's Last-Event-ID all the same.
  events_ += "id: " + epoch_ + ':' + offset_ + "\n\n";
}

void event_client::publication(std::string& out, std::string_view pub) const {
  std::string_view key, data, offset, tags;
  bool removed = false;
  each_member(pub, [&](std::string_view name, std::string_view value) {
    if (name == "key")
      key = value;
    else if (name == "data")
      data = value;
    else if (name == "offset")
      offset = value;
    else if (name == "tags")
      tags = value;
    else if (name == "removed")
      removed = value == "true";
  });
  out += request_.log ? "event: entry\ndata: {" : "event: change\ndata: {";
  if (!request_.log) {
    out += "\"key\":";
    append_line(out, key);
    out += ',';
  }
  if (removed) {
    out += "\"removed\":true";
  } else {
    out += "\"data\":";
    append_line(out, data.empty() ? "null" : data);
  }
  if (!tags.empty()) {
    out += ",\"tags\":";
    append_line(out, tags);
  }
  out += '}';
  if (!offset.empty()) {
    out += "\nid: " + epoch_ + ':';
    out += offset;
  }
  out += "\n\n";
}

std::string event_client::events_of(std::string_view payload) const {
  std::string out;
  while (!payload.empty()) {
    const auto n = std::min(payload.find('\n'), payload.size());
    if (const auto push = member(payload.substr(0, n), "push"); !push.empty())
      if (const auto pub = member(push, "pub"); !pub.empty())
        publication(out, pub);
    payload.remove_prefix(std::min(n + 1, payload.size()));
  }
  return out;
}

} // namespace weir::http
