#include "runtime/http/follower.hpp"

#include <charconv>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace weir::http {
namespace {

using json = nlohmann::ordered_json;

constexpr std::uint32_t connect_id = 1;
constexpr int internal_error = 100, too_many_requests = 111, unrecoverable = 112;
constexpr int resubscribe_from = 2500; // unsubscribe codes below are final

std::string text_of(const json& j) { return j.dump(-1, ' ', false, json::error_handler_t::replace); }

// Members of another type than they should have count as absent, as other clients do.
template <class T>
T member(const json& j, const char* name, T otherwise) {
  const auto found = j.find(name);
  if (found == j.end())
    return otherwise;
  if constexpr (std::is_same_v<T, std::string>)
    return found->is_string() ? found->get<std::string>() : otherwise;
  else if constexpr (std::is_same_v<T, bool>)
    return found->is_boolean() ? found->get<bool>() : otherwise;
  else
    return found->is_number_integer() ? found->get<T>() : otherwise;
}

const json& list(const json& j, const char* name) {
  static const json none = json::array();
  const auto found = j.find(name);
  return found != j.end() && found->is_array() ? *found : none;
}

// Tags are texts; those that are numbers.
std::optional<std::int64_t> number(const json& pub, const char* tag) {
  const auto tags = pub.find("tags");
  if (tags == pub.end() || !tags->is_object())
    return std::nullopt;
  const auto text = member(*tags, tag, std::string{});
  std::int64_t n = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), n);
  return failed == std::errc{} && end == text.data() + text.size() && !text.empty() ? std::optional(n) : std::nullopt;
}

// Closes from 3500 and from 4500 on are final, below them a client comes again.
bool is_final(std::uint16_t close_code) {
  return (close_code >= 3500 && close_code < 4000) || (close_code >= 4500 && close_code < 5000);
}

} // namespace

struct follower::frame {
  const json& j;
};

follower::follower(follow_request request, backoff retry) : request_(std::move(request)), retry_(std::move(retry)) {
  channel_ = request_.key ? request_.table + "/" + *request_.key : request_.table;
}
follower::~follower() = default;

std::string follower::opened(std::string_view token) {
  live_ = false;
  cursor_.clear();
  next_id_ = connect_id + 1;
  json hello{{"connect", {{"name", "weir-tail"}}}, {"id", connect_id}};
  if (!token.empty())
    hello["connect"]["token"] = token;
  return text_of(hello) + "\n" + subscribe();
}

std::string follower::subscribe() {
  json s{{"channel", channel_}};
  if (request_.map) {
    s["type"] = 1;
    s["phase"] = positioned_ ? 1 : 2;
  }
  if (!cursor_.empty())
    s["cursor"] = cursor_;
  if (positioned_ || !cursor_.empty()) {
    s["offset"] = offset_;
    s["epoch"] = epoch_;
  }
  if (positioned_)
    s["recover"] = true;
  if (cursor_.empty()) { // further pages are of the same request
    json data = json::object();
    if (!request_.where.empty())
      data["where"] = json::parse(request_.where, nullptr, false);
    if (!request_.max_rate.empty())
      data["max_rate"] = request_.max_rate;
    if (!data.empty())
      s["data"] = std::move(data);
  }
  return text_of({{"subscribe", std::move(s)}, {"id", next_id_++}});
}

void follower::restart() {
  positioned_ = false;
  cursor_.clear();
  epoch_.clear();
  offset_ = 0;
  seen_.clear();
}

follow_step follower::on_lost(const error& why, std::uint16_t close_code) {
  follow_step step;
  if (is_final(close_code) || (!ever_ && retry_.tries() + 1 >= first_tries)) {
    step.then = follow_step::next::end;
    step.failed = why;
    return step;
  }
  step.then = follow_step::next::reconnect;
  step.wait = retry_.next();
  step.notes.push_back(fmt::format("connection lost ({}), connecting again in {:.1f} s{}", why.message,
                                   static_cast<double>(step.wait.count()) / 1000,
                                   positioned_ || !ever_ ? "" : ": what came so far comes again"));
  live_ = false;
  return step;
}

follow_step follower::on_message(std::string_view text) {
  follow_step step;
  while (!text.empty() && step.then == follow_step::next::go_on) {
    const auto end = std::min(text.find('\n'), text.size());
    const auto one = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const auto j = json::parse(one, nullptr, false);
    if (!j.is_object()) {
      step.then = follow_step::next::end;
      step.failed = {ec::io, "the server sent something that is not JSON"};
    } else if (j.empty()) {
      step.send += step.send.empty() ? "{}" : "\n{}"; // a ping
    } else {
      on_frame({j}, step);
    }
  }
  return step;
}

void follower::on_frame(const frame& f, follow_step& step) {
  const auto& j = f.j;
  if (j.contains("error") && j["error"].is_object())
    return on_error(f, step);
  if (const auto s = j.find("subscribe"); s != j.end() && s->is_object())
    return on_subscribed({*s}, step);
  const auto push = j.find("push");
  if (push == j.end() || !push->is_object())
    return;
  if (const auto pub = push->find("pub"); pub != push->end() && pub->is_object())
    return on_publication({*pub}, step);
  const auto ended = push->find("unsubscribe");
  if (ended == push->end() || !ended->is_object())
    return;
  const auto code = member(*ended, "code", 0);
  const auto reason = member(*ended, "reason", std::string{});
  live_ = false;
  if (code < resubscribe_from) {
    step.then = follow_step::next::end;
    step.failed = {ec::stopped, fmt::format("the server ended the subscription: {} {}", code, reason)};
    return;
  }
  step.notes.push_back(fmt::format("the server asks to subscribe again ({})", reason));
  step.send += (step.send.empty() ? "" : "\n") + subscribe();
}

void follower::on_error(const frame& f, follow_step& step) {
  const auto& e = f.j["error"];
  const auto code = member(e, "code", 0);
  const auto message = member(e, "message", std::string{});
  const bool again = member(e, "temporary", false) || code == internal_error || code == too_many_requests;
  if (member(f.j, "id", 0) != static_cast<int>(connect_id) && code == unrecoverable) {
    // In the middle of the pages nothing is lost but the work.
    if (positioned_)
      step.lines.push_back({followed::kind::gap,
                            {},
                            {},
                            {},
                            request_.map ? "the position was lost, the whole table follows"
                                         : "entries may be missing: the server no longer has them"});
    else
      step.wait = retry_.next();
    restart();
  } else if (again) {
    step.wait = retry_.next();
    step.refused = fmt::format("error {}: {}", code, message);
  } else {
    step.then = follow_step::next::end;
    step.failed = {code >= 102 && code <= 107 ? ec::bad_argument : ec::io, fmt::format("error {}: {}", code, message)};
    return;
  }
  if (member(f.j, "id", 0) == static_cast<int>(connect_id)) {
    step.then = follow_step::next::reconnect;
    step.notes.push_back(fmt::format("not connected yet (error {}: {})", code, message));
    return;
  }
  step.send += (step.send.empty() ? "" : "\n") + subscribe();
}

void follower::on_subscribed(const frame& f, follow_step& step) {
  const auto& s = f.j;
  const auto epoch = member(s, "epoch", std::string{});
  const auto offset = member(s, "offset", std::uint64_t{0});
  if (!cursor_.empty() && epoch != epoch_) { // the table became another one between two pages
    restart();
    step.wait = retry_.next();
    step.send += (step.send.empty() ? "" : "\n") + subscribe();
    return;
  }
  const bool recovered = member(s, "recovered", false);
  if (!request_.map && positioned_ && !recovered) {
    step.lines.push_back({followed::kind::gap, {}, {}, {}, "entries may be missing: the server no longer has them"});
    seen_.clear();
  } else if (positioned_ && !live_) {
    step.notes.emplace_back("going on from where it was");
  }
  for (const auto& row : list(s, "state"))
    on_publication({row}, step);
  for (const auto& pub : list(s, "publications"))
    on_publication({pub}, step);
  if (request_.map && member(s, "phase", 0) == 2) {
    if (cursor_.empty()) { // the position is that of the first page
      epoch_ = epoch;
      offset_ = offset;
    }
    cursor_ = member(s, "cursor", std::string{});
    if (cursor_.empty()) {
      step.then = follow_step::next::end;
      step.failed = {ec::io, "the server sent a page without a way to the next"};
      return;
    }
    step.send += (step.send.empty() ? "" : "\n") + subscribe();
    return;
  }
  cursor_.clear();
  epoch_ = epoch;
  // A recovered log's reply has the position that was sent; its publications moved it on.
  offset_ = !request_.map && recovered ? std::max(offset_, offset) : offset;
  positioned_ = live_ = ever_ = true;
  retry_.reset();
}

void follower::on_publication(const frame& f, follow_step& step) {
  const auto& pub = f.j;
  // A position is one only once the state is complete; the pages' entries carry versions of rows.
  if (positioned_)
    if (const auto offset = member(pub, "offset", std::uint64_t{0}); offset > 0)
      offset_ = offset;
  followed line;
  if (const auto tags = pub.find("tags"); tags != pub.end() && tags->is_object())
    line.tags = text_of(*tags);
  if (request_.map) {
    line.key = member(pub, "key", std::string{});
    if (member(pub, "removed", false))
      line.what = followed::kind::removed;
  } else {
    line.what = followed::kind::entry;
    if (const auto p = number(pub, "p"), o = number(pub, "o"); p && o) {
      const auto [last, fresh] = seen_.try_emplace(*p, *o);
      if (!fresh && *o <= last->second)
        return; // shown before
      last->second = *o;
    }
  }
  if (line.what != followed::kind::removed)
    line.data = pub.contains("data") ? text_of(pub["data"]) : "null";
  step.lines.push_back(std::move(line));
}

} // namespace weir::http
