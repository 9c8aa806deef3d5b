#include "runtime/http/session_policy.hpp"

#include "proto/client_reply.hpp"
#include "runtime/config/condition.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <utility>

namespace weir::http {
namespace {

// Slower than this, what was removed meanwhile might be forgotten.
constexpr double longest_interval_ms = 300'000;

// "2/s", "30/m", "0.5/s": the time between two frames in milliseconds; 0: no bound worth keeping.
std::optional<std::uint32_t> interval_of(std::string_view rate) {
  double n = 0;
  const auto* end = rate.data() + rate.size();
  const auto [rest, problem] = std::from_chars(rate.data(), end, n);
  const std::string_view unit(rest, static_cast<std::size_t>(end - rest));
  const double ms = unit == "/s" ? 1000 : unit == "/m" ? 60'000 : unit == "/h" ? 3'600'000 : 0;
  if (problem != std::errc{} || ms == 0 || !(n > 0) || !std::isfinite(n) || ms / n > longest_interval_ms)
    return std::nullopt;
  return static_cast<std::uint32_t>(ms / n);
}

} // namespace

session_policy::~session_policy() {
  for (auto& s : subscriptions_)
    leave(s);
}

session_limits session_limits_of(const http_config& config) {
  session_limits l;
  l.subscriptions = config.limits.subscriptions;
  l.commands_per_second = config.limits.commands_per_second;
  l.connect_ms = static_cast<std::uint32_t>(config.limits.connect.count());
  l.stall_ms = static_cast<std::uint32_t>(config.limits.stall.count());
  return l;
}

session_policy::session_policy(std::string client, std::string server_version,
                               std::shared_ptr<const table_directory> tables, session_output& output,
                               session_publishers& publishers, session_limits limits, std::int64_t now_ms)
    : client_(std::move(client)), server_version_(std::move(server_version)), tables_(std::move(tables)),
      output_(output), publishers_(publishers), limits_(limits),
      rate_(limits.commands_per_second, 10.0 * limits.commands_per_second, now_ms),
      patience_(limits.commands_per_second, 10.0 * limits.commands_per_second, now_ms), opened_ms_(now_ms) {}

session_policy::subscription* session_policy::find(std::string_view channel) {
  for (auto& s : subscriptions_)
    if (s.channel == channel)
      return &s;
  return nullptr;
}

session_policy::subscription* session_policy::find(std::uint32_t generation) {
  for (auto& s : subscriptions_)
    if (s.generation == generation)
      return &s;
  return nullptr;
}

void session_policy::leave(subscription& s) {
  if (const auto port = std::exchange(s.port, nullptr))
    port->leave(s.place);
}

void session_policy::moved_in_lane(std::uint32_t generation, std::size_t index) {
  if (auto* s = find(generation))
    s->place = index;
}

std::size_t session_policy::lagging() const {
  return static_cast<std::size_t>(
      std::count_if(subscriptions_.begin(), subscriptions_.end(), [](const subscription& s) { return s.lagging; }));
}

// --- answers, in the order of the commands

void session_policy::answer(std::string text) {
  if (answers_.empty()) {
    output_.reply(std::move(text));
    return;
  }
  answers_.push_back({0, std::move(text), 0, 0});
  if (answers_.size() > limits_.waiting_answers)
    close(client_close::bad_request, "too many commands at once");
}

void session_policy::answer_subscribe(std::uint32_t generation, std::string text) {
  const auto at =
      std::find_if(answers_.begin(), answers_.end(), [&](const auto& a) { return a.generation == generation; });
  if (at == answers_.end())
    return;
  at->text = std::move(text);
  send_answers();
}

void session_policy::send_answers() {
  while (!answers_.empty() && !answers_.front().text.empty()) {
    auto first = std::move(answers_.front());
    answers_.pop_front();
    output_.reply(std::move(first.text));
    if (first.generation == 0)
      continue;
    for (auto& s : subscriptions_)
      if (s.generation == first.generation)
        s.held = false;
  }
}

// --- commands

void session_policy::on_message(std::string_view text, std::int64_t now_ms) {
  if (closed_)
    return;
  pinged_ = false; // whatever it says, the client is alive
  auto parsed = parse_commands(text, limits_.commands);
  for (auto& command : parsed.commands) {
    if (!over_rate(command, now_ms))
      handle(command, now_ms);
    if (closed_)
      return;
  }
  if (!parsed.problem.empty())
    close(client_close::bad_request, "bad request");
}

bool session_policy::over_rate(const client_command& command, std::int64_t now_ms) {
  if (rate_.take(now_ms))
    return false;
  output_.refused_command();
  if (!patience_.take(now_ms))
    close(client_close::too_many_requests, "too many requests");
  else if (command.id != 0)
    answer(error_reply(command.id, client_error::too_many_requests, "too many requests", true));
  return true;
}

void session_policy::handle(client_command& command, std::int64_t now_ms) {
  if (refused_ && !connected_ && command.kind != command_kind::connect) {
    if (command.id != 0)
      answer(error_reply(command.id, client_error::internal, "not connected: the token was refused", true));
    return;
  }
  if (connected_ == (command.kind == command_kind::connect)) {
    // Either something before connect, or connect twice.
    close(client_close::bad_request, "bad request");
    return;
  }
  switch (command.kind) {
  case command_kind::connect: connect(command, now_ms); return;
  case command_kind::subscribe: subscribe(command, now_ms); return;
  case command_kind::unsubscribe: unsubscribe(command); return;
  case command_kind::ping: answer(empty_reply(command.id, "ping")); return;
  case command_kind::pong:
  case command_kind::send: return;
  case command_kind::history: history(command.history, command.id, now_ms); return;
  case command_kind::refresh:
    if (admission_.guarded())
      return refresh(command, now_ms);
    [[fallthrough]];
  case command_kind::publish:
  case command_kind::presence:
  case command_kind::presence_stats:
  case command_kind::rpc:
  case command_kind::sub_refresh:
  case command_kind::unknown:
    answer(error_reply(command.id, client_error::method_not_found, "method not found"));
    return;
  }
}

void session_policy::connect(const client_command& command, std::int64_t now_ms) {
  const auto admitted = admission_.connect(command.connect.token, now_ms);
  if (admitted.close != 0)
    return close(admitted.close, admitted.message);
  if (!admitted.good()) {
    refused_ = true;
    return answer(error_reply(command.id, admitted.error, admitted.message));
  }
  connected_ = true;
  ping_due_ms_ = now_ms + limits_.ping_ms;
  answer(connect_reply(command.id, client_, server_version_, limits_.ping_ms / 1000, admitted.ttl));
}

void session_policy::refresh(const client_command& command, std::int64_t now_ms) {
  std::vector<admission::affected> changed;
  const auto admitted = admission_.refresh(command.connect.token, now_ms, changed);
  if (admitted.close != 0)
    return close(admitted.close, admitted.message);
  if (!admitted.good())
    return answer(error_reply(command.id, admitted.error, admitted.message));
  answer(refresh_reply(command.id, client_, server_version_, admitted.ttl.value_or(1)));
  for (const auto& one : changed)
    for (auto& s : subscriptions_)
      if (s.generation == one.generation) {
        if (one.lost)
          withdraw(s, client_unsubscribe::permission_lost, "permission denied by the new token");
        else
          withdraw(s, client_unsubscribe::insufficient_state, "other rows are permitted by the new token");
        break;
      }
}

int session_policy::unreached(const std::string& table, std::string& message) {
  table::selection_spec all;
  return admission_.reaches(table) ? 0 : permit(0, table, all, message);
}

int session_policy::objection(const subscribe_command& wanted, std::string& message) {
  const auto& channel = wanted.channel;
  const auto slash = channel.find('/');
  if (const auto code = unreached(channel.substr(0, slash), message); code != 0)
    return code;
  if (channel.find('*') != std::string::npos) {
    message = "a subscription is to one table: patterns are not spoken";
    return client_error::bad_request;
  }
  const auto table = tables_->find(std::string_view(channel).substr(0, slash));
  if (table == tables_->end()) {
    message = "unknown channel";
    return client_error::unknown_channel;
  }
  const auto bad = [&](std::string text) {
    message = std::move(text);
    return client_error::bad_request;
  };
  if (wanted.has_tags_filter)
    return bad("tag filters (tf) are not spoken: use 'where' in data");
  if (!wanted.data_problem.empty())
    return bad(wanted.data_problem);
  if (wanted.type > 1 || wanted.phase > 2)
    return bad("this type of subscription is not spoken");
  const bool keyed = table->second != table_kind::log;
  if (keyed && wanted.type == 0)
    return bad("table '" + table->first + "' has keyed rows: use a map subscription (newMapSubscription)");
  if (!keyed && wanted.type == 1)
    return bad("table '" + table->first + "' is a log: use a stream subscription (newSubscription)");
  if (!keyed && slash != std::string::npos)
    return bad("table '" + table->first + "' is a log: it has no keys");
  if (slash != std::string::npos && slash + 1 == channel.size())
    return bad("no key behind '/'");
  return 0;
}

int session_policy::permit(std::uint32_t generation, const std::string& table, table::selection_spec& rows,
                           std::string& message) {
  auto answer = admission_.narrow(generation, table, rows);
  message = std::move(answer.message);
  switch (answer.is) {
  case permission::verdict::granted: return 0;
  case permission::verdict::denied: return client_error::permission_denied;
  case permission::verdict::too_large: return client_error::bad_request;
  }
  return client_error::internal;
}

std::string session_policy::read_wishes(const subscribe_command& wanted, table::subscribe_request& request) {
  auto& lane = request.lane;
  lane.short_id = (wanted.flag & 1) != 0;
  lane.delta = wanted.delta && request.map;
  lane.tags = wanted.tags;
  if (const auto slash = wanted.channel.find('/'); slash != std::string::npos) {
    lane.rows.one_key = true;
    lane.rows.key = wanted.channel.substr(slash + 1);
  }
  if (!wanted.max_rate.empty()) {
    const auto interval = interval_of(wanted.max_rate);
    if (!interval)
      return "max_rate '" + wanted.max_rate +
             "': write a number above 0 and /s, /m or /h, at least 12/h, such as \"2/s\"";
    lane.interval_ms = *interval;
  }
  if (!wanted.where.empty()) {
    auto parsed = parse_condition(wanted.where, "/where");
    if (!parsed.ok()) {
      const auto& first = parsed.problems.front();
      return first.pointer + ": " + first.what + (first.remedy.empty() ? "" : "; " + first.remedy);
    }
    lane.rows.where = std::move(parsed.value);
    lane.rows.where_text = canonical_text(lane.rows.where);
  }
  return {};
}

void session_policy::history(const history_command& wanted, std::uint32_t id, std::int64_t now_ms) {
  std::string message;
  if (const auto code = unreached(wanted.channel, message); code != 0)
    return answer(error_reply(id, code, message));
  const auto table = tables_->find(wanted.channel);
  if (table == tables_->end())
    return answer(error_reply(id, client_error::unknown_channel, "unknown channel"));
  if (table->second != table_kind::log)
    return answer(error_reply(id, client_error::bad_request,
                              "table '" + table->first + "' has keyed rows: only a log has a history"));
  const auto* s = find(wanted.channel);
  auto rows = s ? s->rows : table::selection_spec{};
  if (const auto code = s ? 0 : permit(0, wanted.channel, rows, message); code != 0)
    return answer(error_reply(id, code, message));
  table::history_request request;
  request.limit = wanted.limit;
  request.since = wanted.has_since;
  request.offset = version{wanted.offset};
  request.epoch = wanted.epoch;
  request.reverse = wanted.reverse;
  const auto ticket = next_generation_++;
  answers_.push_back({ticket, {}, id, now_ms});
  publishers_.history(wanted.channel, ticket, std::move(request), std::move(rows));
}

void session_policy::on_history(std::uint32_t ticket, const table::history_reply& reply) {
  for (const auto& a : answers_)
    if (a.generation == ticket && a.history != 0)
      return answer_subscribe(ticket, reply.code != 0
                                          ? error_reply(a.history, reply.code, reply.message, reply.temporary)
                                          : reply_text(a.history, "history", reply.body));
}

void session_policy::subscribe(client_command& command, std::int64_t now_ms) {
  auto& wanted = command.subscribe;
  std::string message;
  int code = objection(wanted, message);
  if (code == 0 && find(wanted.channel)) {
    code = client_error::already_subscribed;
    message = "already subscribed";
  } else if (code == 0 && subscriptions_.size() >= limits_.subscriptions) {
    code = client_error::limit_exceeded;
    message = "limit exceeded: " + std::to_string(limits_.subscriptions) + " subscriptions in a connection";
  }
  if (code != 0) {
    answer(error_reply(command.id, code, message));
    return;
  }
  table::subscribe_request request;
  request.map = wanted.type == 1;
  request.phase = static_cast<table::map_phase>(wanted.phase);
  request.recover = wanted.recover;
  request.reject_unrecovered = (wanted.flag & 2) != 0;
  request.has_position = wanted.offset > 0 || !wanted.epoch.empty();
  request.limit = wanted.limit;
  request.offset = version{wanted.offset};
  request.epoch = std::move(wanted.epoch);
  request.cursor = std::move(wanted.cursor);
  if (auto problem = read_wishes(wanted, request); !problem.empty()) {
    answer(error_reply(command.id, client_error::bad_request, problem));
    return;
  }
  const auto table = wanted.channel.substr(0, wanted.channel.find('/'));
  if (code = permit(next_generation_, table, request.lane.rows, message); code != 0) {
    answer(error_reply(command.id, code, message));
    return;
  }
  subscription s;
  s.channel = std::move(wanted.channel);
  s.table = table;
  s.rows = request.lane.rows;
  s.generation = next_generation_++;
  s.command = command.id;
  s.asked_ms = now_ms;
  answers_.push_back({s.generation, {}, 0, now_ms});
  subscriptions_.push_back(std::move(s));
  const auto& stored = subscriptions_.back();
  publishers_.subscribe(stored.table, stored.generation, std::move(request));
}

void session_policy::unsubscribe(const client_command& command) {
  if (auto* s = find(command.channel)) {
    if (s->is == stage::asking)
      answer_subscribe(s->generation, error_reply(s->command, client_error::internal, "unsubscribed meanwhile", true));
    publishers_.unsubscribe(s->table, s->generation);
    erase(*s);
  }
  answer(empty_reply(command.id, "unsubscribe"));
}

void session_policy::erase(subscription& s) {
  admission_.ended(s.generation);
  if (asked_ == s.generation)
    asked_ = 0;
  leave(s);
  if (&s != &subscriptions_.back())
    s = std::move(subscriptions_.back());
  subscriptions_.pop_back();
}

void session_policy::resubscribe(subscription& s) {
  withdraw(s, client_unsubscribe::insufficient_state, "insufficient state");
}

void session_policy::withdraw(subscription& s, std::uint32_t code, std::string_view reason) {
  const auto generation = s.generation;
  const bool asking = s.is == stage::asking, held = s.held;
  const auto command = s.command;
  auto push = unsubscribe_push(s.channel, code, reason);
  publishers_.unsubscribe(s.table, generation);
  erase(s);
  if (asking) {
    const bool final = code < client_unsubscribe::insufficient_state;
    answer_subscribe(generation, error_reply(command, final ? client_error::permission_denied : client_error::internal,
                                             reason, !final));
  } else if (held) { // right behind its reply, which has not gone yet
    for (auto& a : answers_)
      if (a.generation == generation)
        a.text += "\n" + push;
  } else {
    output_.reply(std::move(push));
  }
}

// --- publishers

void session_policy::on_subscribed(std::uint32_t generation, table::subscribe_reply reply,
                                   std::shared_ptr<lane_port> port, std::int64_t now_ms) {
  auto* s = find(generation);
  if (!s || s->is != stage::asking)
    return;
  auto text = reply.code != 0 ? error_reply(s->command, reply.code, reply.message, reply.temporary)
                              : subscribe_reply_text(s->command, reply.body);
  if (!reply.live) {
    erase(*s);
  } else {
    s->is = stage::live;
    s->cursor = reply.at;
    s->lane = reply.lane;
    s->exact = reply.exact;
    s->interval_ms = reply.interval_ms;
    s->next_ms = now_ms + reply.interval_ms;
    s->held = answers_.front().generation != generation;
    s->lagging = reply.more || s->held; // what comes before its reply has gone is fetched when it has
    if (port) {
      s->port = std::move(port);
      s->place = s->port->join(*this, generation);
    }
  }
  answer_subscribe(generation, std::move(text));
  ask_next(now_ms);
}

bool session_policy::on_fan_out(std::uint32_t generation, const table::fan_out& changes, std::int64_t now_ms) {
  auto* s = find(generation);
  if (!s || s->is != stage::live || changes.to <= s->cursor)
    return false;
  if (s->lagging) {
    if (s->interval_ms > 0)
      ask_next(now_ms);
    return false;
  }
  if (s->exact ? changes.from != s->cursor : changes.from > s->cursor) { // one was left out on the way
    s->lagging = true;
    ask_next(now_ms);
    return false;
  }
  if (!changes.frame) {
    s->cursor = changes.to;
    return false;
  }
  if (!output_.push(changes.frame)) {
    s->lagging = true;
    busy_ = true;
    return false;
  }
  s->cursor = changes.to;
  s->next_ms = now_ms + s->interval_ms;
  return true;
}

void session_policy::on_left_out(std::uint32_t generation, std::int64_t now_ms) {
  auto* s = find(generation);
  if (!s || s->is != stage::live)
    return;
  s->lagging = true;
  ask_next(now_ms);
}

void session_policy::on_caught_up(std::uint32_t generation, const table::catch_up_reply& reply, std::int64_t now_ms) {
  if (asked_ != generation)
    return; // ended, or asked once more since
  asked_ = 0;
  auto* s = find(generation);
  if (s && s->lagging) {
    if (reply.gone) {
      resubscribe(*s);
    } else if (reply.part.from == s->cursor) {
      if (!reply.part.frame || output_.push(reply.part.frame)) {
        s->cursor = reply.part.to;
        s->lagging = reply.more;
        s->next_ms = reply.more ? 0 : now_ms + s->interval_ms;
        if (reply.part.frame)
          output_.caught_up(s->table, reply.part);
      } else {
        busy_ = true;
      }
    }
  }
  ask_next(now_ms);
}

void session_policy::on_reset(std::uint32_t generation) {
  if (auto* s = find(generation); s && s->is == stage::live)
    resubscribe(*s);
}

void session_policy::ask_next(std::int64_t now_ms) {
  if (asked_ != 0 || busy_ || closed_)
    return;
  for (std::size_t i = 0; i < subscriptions_.size(); ++i) {
    const auto index = (turn_ + i) % subscriptions_.size();
    const auto& s = subscriptions_[index];
    if (!s.lagging || s.held || (s.interval_ms > 0 && now_ms < s.next_ms))
      continue;
    turn_ = index + 1;
    asked_ = s.generation;
    asked_ms_ = now_ms;
    publishers_.catch_up(s.table, s.generation, s.lane, s.cursor);
    return;
  }
}

// --- the socket and time

void session_policy::on_writable(std::int64_t now_ms) {
  busy_ = false;
  pong_due_ms_ = now_ms + limits_.pong_ms; // a ping may have waited behind what is written now
  ask_next(now_ms);
}

void session_policy::on_tick(std::int64_t now_ms) {
  if (closed_)
    return;
  if (!connected_) {
    if (now_ms - opened_ms_ >= limits_.connect_ms)
      close(client_close::stale, "no connect in time");
    return;
  }
  if (admission_.expired(now_ms))
    return close(client_close::expired, "expired");
  const auto stalled = output_.stalled_ms();
  if (stalled >= limits_.stall_ms) {
    close(client_close::slow, "slow");
    return;
  }
  if (pinged_) {
    if (busy_ || stalled > 0)
      pong_due_ms_ = now_ms + limits_.pong_ms;
    else if (now_ms >= pong_due_ms_) {
      close(client_close::no_pong, "no pong");
      return;
    }
  }
  if (now_ms >= ping_due_ms_) {
    if (!pinged_) {
      output_.reply("{}");
      pinged_ = true;
      pong_due_ms_ = now_ms + limits_.pong_ms;
    }
    ping_due_ms_ = now_ms + limits_.ping_ms;
  }
  // A publisher that never answers (it was started anew) must not leave the client waiting.
  if (asked_ != 0 && now_ms - asked_ms_ >= limits_.answer_ms)
    asked_ = 0;
  for (std::size_t i = subscriptions_.size(); i-- > 0;) {
    auto& s = subscriptions_[i];
    if (s.is != stage::asking || now_ms - s.asked_ms < limits_.answer_ms)
      continue;
    const auto generation = s.generation;
    auto text = error_reply(s.command, client_error::internal, "the table does not answer yet", true);
    publishers_.unsubscribe(s.table, s.generation);
    erase(s);
    answer_subscribe(generation, std::move(text));
  }
  for (auto& a : answers_)
    if (a.history != 0 && a.text.empty() && now_ms - a.asked_ms >= limits_.answer_ms)
      a.text = error_reply(a.history, client_error::internal, "the table does not answer yet", true);
  send_answers();
  ask_next(now_ms);
}

void session_policy::end_all() {
  closed_ = true;
  for (auto& s : subscriptions_) {
    leave(s);
    publishers_.unsubscribe(s.table, s.generation);
  }
  subscriptions_.clear();
  admission_.ended_all();
  answers_.clear();
  asked_ = 0;
}

void session_policy::on_closed() { end_all(); }

void session_policy::shut_down() {
  if (!closed_)
    close(client_close::shutdown, "shutdown");
}

void session_policy::close(std::uint16_t code, std::string_view reason) {
  end_all();
  output_.close(code, reason);
}

} // namespace weir::http
