#include "actors/api.hpp"

#include "actors/scheduler.hpp"
#include "runtime/batch/execution.hpp"
#include "runtime/config/condition.hpp"

#include <caf/send.hpp>
#include <charconv>
#include <fmt/format.h>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <sys/resource.h>
#include <unistd.h>

namespace weir::actors {
namespace {

using json = nlohmann::ordered_json;

http::response plain(unsigned status, std::string body) {
  return {status, "text/plain; charset=utf-8", std::move(body), {}};
}
http::response as_json(unsigned status, const json& value) {
  return {status, "application/json", value.dump(-1, ' ', false, json::error_handler_t::replace), {}};
}

// known: If-None-Match of the request.
http::response from_rest(table::rest_reply reply, std::string_view at, std::string_view known) {
  if (reply.status != 200)
    return http::error_response(reply.status, reply.code, reply.message, at);
  http::response r{200, "application/json", std::move(reply.body), {}};
  if (reply.tag.empty())
    return r;
  const auto tag = '"' + reply.tag + '"'; // no quotes within, so that finding it is enough, weak or in a list
  r.headers.emplace_back("ETag", tag);
  r.headers.emplace_back("Cache-Control", "private, no-cache"); // kept, and asked about each time
  r.headers.emplace_back("Vary", "Authorization");              // a token may choose the rows
  if (known == "*" || known.find(tag) != known.npos) {
    r.status = 304;
    r.body.clear();
  }
  return r;
}

// RFC 7240.
bool prefers_no_wait(const http::request& request) {
  const auto prefer = request.headers.find("prefer");
  return prefer != request.headers.end() && prefer->second.find("respond-async") != std::string::npos;
}

std::uint64_t resident_bytes() {
  std::ifstream in("/proc/self/statm");
  std::uint64_t size = 0, resident = 0;
  in >> size >> resident;
  return resident * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

double cpu_seconds() {
  rusage use{};
  getrusage(RUSAGE_SELF, &use);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return seconds(use.ru_utime) + seconds(use.ru_stime);
}

std::int64_t steady_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

// A table's description for those who may read some of its rows only.
std::string without_numbers(const std::string& description) {
  auto j = json::parse(description, nullptr, false);
  if (!j.is_object())
    return "{}";
  for (const auto* number : {"rows", "bytes"})
    if (j.contains(number))
      j[number] = nullptr;
  return j.dump(-1, ' ', false, json::error_handler_t::replace);
}

} // namespace

api::api(context_ptr node, std::map<std::string, publisher_actor> publishers,
         std::shared_ptr<session_registry> sessions, std::span<const http::asset> assets, gate_ptr gate)
    : node_(std::move(node)), publishers_(std::move(publishers)), sessions_(std::move(sessions)), files_(assets),
      door_(std::move(gate)), started_ms_(node_->wall_ms()), cpu_seconds_(cpu_seconds()), cpu_at_ms_(steady_ms()) {}

void api::scheduler(scheduler_actor s) {
  std::lock_guard lock(mutex_);
  scheduler_ = std::move(s);
}

void api::handle(http::request request, http::responder respond) {
  const auto& path = request.segments;
  const auto who = door_.let_in(request);
  if (!who)
    return respond(who.error());
  const bool reading = request.method == "GET" || request.method == "HEAD";
  const auto need_get = [&] {
    if (reading)
      return true;
    auto r = http::error_response(405, "method_not_allowed",
                                  fmt::format("{} is not allowed here, use GET", request.method), request.path);
    r.headers.emplace_back("Allow", "GET, HEAD");
    respond(std::move(r));
    return false;
  };
  if (path.size() == 1 && path[0] == "healthz") {
    if (need_get())
      respond(plain(200, "ok\n"));
  } else if (path.size() == 1 && path[0] == "readyz") {
    if (need_get())
      respond(ready());
  } else if (path.size() == 1 && path[0] == "metrics") {
    if (need_get())
      respond({200, std::string(metrics::registry::content_type), node_->metrics->scrape(), {}});
  } else if (path.size() >= 3 && path[0] == "api" && path[1] == "v1") {
    const auto& what = path[2];
    if (what == "jobs")
      return jobs(request, respond);
    if (what != "tables" && what != "nodes" && what != "topology")
      return respond(
          http::error_response(404, "no_such_thing", fmt::format("there is no '{}' in this API", what), request.path));
    if (!need_get())
      return;
    if (what == "tables" && path.size() == 3)
      return tables(who->get(), respond);
    if (what == "tables")
      return table(who->get(), request, respond);
    if (path.size() == 3 && what == "nodes")
      return respond({200, "application/json", nodes_json(), {}});
    if (path.size() == 3 && what == "topology")
      return respond({200, "application/json", node_->topo.masked_json, {}});
    respond(http::error_response(404, "no_such_thing", "there is nothing at this path", request.path));
  } else if (auto file = files_.find(request)) {
    respond(std::move(*file));
  } else {
    respond(http::error_response(404, "no_such_thing", "there is nothing at this path", request.path));
  }
}

http::response api::ready() const {
  const auto waits = node_->board->waits();
  json waiting = json::array();
  for (const auto& [what, why] : waits)
    waiting.push_back(what + ": " + why);
  return as_json(waits.empty() ? 200 : 503, {{"ready", waits.empty()}, {"waiting", waiting}});
}

// Only those of which something may be read; where that is not the whole table, without the number of its rows.
void api::tables(const auth::identity* who, const http::responder& respond) {
  std::map<std::string, publisher_actor> readable;
  std::set<std::string> partly;
  for (const auto& [name, publisher] : publishers_) {
    const auto reach = door_.gate().reach_of(who, name);
    if (reach.some)
      readable[name] = publisher;
    if (!reach.whole)
      partly.insert(name);
  }
  if (readable.empty())
    return respond({200, "application/json", R"({"tables":[]})", {}});
  struct gathering {
    std::mutex mutex;
    std::map<std::string, std::string> parts;
    std::size_t open = 0;
    bool failed = false;
  };
  auto all = std::make_shared<gathering>();
  all->open = readable.size();
  for (const auto& [name, publisher] : readable) {
    view_query query;
    query.kind = view_query::what::description;
    query.respond = [all, name, respond, whole = !partly.contains(name)](table::rest_reply reply) {
      if (!whole && reply.status == 200)
        reply.body = without_numbers(reply.body);
      bool last;
      {
        std::lock_guard lock(all->mutex);
        if (reply.status == 200)
          all->parts[name] = std::move(reply.body);
        else
          all->failed = true;
        last = --all->open == 0;
      }
      if (!last)
        return;
      if (all->failed)
        return respond(http::error_response(503, "not_ready", "a table cannot be described now", "/api/v1/tables"));
      std::string body = R"({"tables":[)";
      for (const auto& [n, part] : all->parts)
        body += (body.back() == '[' ? "" : ",") + part;
      respond({200, "application/json", body + "]}", {}});
    };
    caf::anon_send(publisher, query);
  }
}

void api::table(const auth::identity* who, const http::request& request, const http::responder& respond) {
  const auto& path = request.segments;
  if (auto refusal = door_.unreached(who, request, path[3]))
    return respond(std::move(*refusal));
  const auto publisher = publishers_.find(path[3]);
  if (publisher == publishers_.end())
    return respond(
        http::error_response(404, "no_such_thing", fmt::format("there is no table '{}'", path[3]), request.path));
  view_query query;
  const auto known = request.headers.find("if-none-match");
  query.respond = [respond, at = request.path, known = known == request.headers.end() ? std::string{} : known->second](
                      table::rest_reply reply) { respond(from_rest(std::move(reply), at, known)); };
  if (path.size() == 4) {
    for (const auto& [name, value] : request.query) {
      if (name == "limit") {
        const auto* end = value.data() + value.size();
        const auto [rest, problem] = std::from_chars(value.data(), end, query.limit);
        if (problem != std::errc{} || rest != end || query.limit == 0 || query.limit > 10'000)
          return respond(
              http::error_response(400, "bad_argument", "limit must be a whole number from 1 to 10000", "limit"));
      } else if (name == "cursor") {
        query.cursor = value;
      } else if (name == "where") {
        auto parsed = parse_condition(value, "/where");
        if (!parsed.ok()) {
          const auto& first = parsed.problems.front();
          return respond(http::error_response(400, "bad_argument",
                                              first.remedy.empty() ? first.what : first.what + "; " + first.remedy,
                                              first.pointer));
        }
        query.rows.where = std::move(parsed.value);
        query.rows.where_text = canonical_text(query.rows.where);
      } else {
        return respond(http::error_response(
            400, "bad_argument", fmt::format("unknown parameter '{}': limit, cursor and where are known", name), name));
      }
    }
  } else if (path.size() == 6 && path[4] == "rows") {
    query.kind = view_query::what::row;
    query.rows.one_key = true;
    query.rows.key = path[5];
  } else if (path.size() == 5 && path[4] == "stream") {
    return respond(stream(request));
  } else {
    return respond(http::error_response(404, "no_such_thing", "there is nothing at this path", request.path));
  }
  if (auto refusal = door_.narrow(who, request, path[3], query.rows))
    return respond(std::move(*refusal));
  caf::anon_send(publisher->second, query);
}

http::response api::stream(const http::request& request) const {
  const auto& table = request.segments[3];
  http::event_request wanted;
  wanted.channel = table;
  wanted.log = node_->topo.tables.at(table).kind == table_kind::log;
  json data = json::object();
  for (const auto& [name, value] : request.query) {
    if (name == "where") {
      // Parsed here, so that what goes on into a command is one value and nothing else.
      auto where = json::parse(value, nullptr, false);
      if (!where.is_object())
        return http::error_response(400, "bad_argument", "where must be a JSON object, percent-encoded", "where");
      data["where"] = std::move(where);
    } else if (name == "key") {
      wanted.channel = table + "/" + value;
    } else if (name == "max_rate") {
      data["max_rate"] = value;
    } else if (name == "tags") {
      if (value != "true" && value != "false")
        return http::error_response(400, "bad_argument", "tags must be true or false", "tags");
      data["tags"] = value == "true";
    } else {
      return http::error_response(400, "bad_argument",
                                  fmt::format("unknown parameter '{}': where, key, max_rate and tags are known", name),
                                  name);
    }
  }
  if (!data.empty())
    wanted.data = data.dump(-1, ' ', false, json::error_handler_t::replace);
  const auto header = [&](const char* name) {
    const auto at = request.headers.find(name);
    return at == request.headers.end() ? std::string{} : at->second;
  };
  wanted.last_event_id = header("last-event-id");
  wanted.token = bearer_token(request); // whose permission the session looks at, as it does with a WebSocket's
  http::response r;
  r.events = std::move(wanted);
  return r;
}

std::string api::job_json(const std::string& name) const {
  const auto& config = node_->topo.jobs.at(name);
  const auto jobs = node_->board->jobs();
  const auto at = jobs.find(name);
  const auto status = at == jobs.end() ? job_status{} : at->second;
  const auto describe = [now = node_->wall_ms()](const job_run_status& run) {
    json j{{"run", run.number},
           {"execution", run.id},
           {"status", run.status},
           {"fire", run.fire_ms},
           {"started", run.started_ms},
           {"ended", run.ended_ms},
           {"duration_ms", run.ended_ms - run.started_ms},
           {"read", run.read},
           {"filtered", run.filtered},
           {"skipped", run.skipped},
           {"written", run.written},
           {"commits", run.commits},
           {"retried", run.retried},
           {"takeovers", run.takeovers},
           {"message", run.message}};
    if (run.ended_ms > 0)
      return j;
    // How far it is: rows a second so far, and what is left at that rate; null: not known.
    const auto seconds = std::max(0.001, static_cast<double>(now - run.started_ms) / 1000);
    const auto rate = static_cast<double>(run.read) / seconds;
    const bool known = run.total > 0 && run.read > 0;
    j["duration_ms"] = now - run.started_ms;
    j["total"] = run.total > 0 ? json(std::max(run.total, run.read)) : json(nullptr);
    j["rows_per_s"] = std::llround(rate);
    j["left_ms"] =
        known ? json(std::llround(static_cast<double>(run.total - std::min(run.total, run.read)) / rate * 1000))
              : json(nullptr);
    return j;
  };
  json j{{"name", name},
         {"trigger", trigger_text(config)},
         {"every", config.every ? fmt::format("{}ms", config.every->count()) : std::string{}},
         {"cron", config.cron},
         {"after", config.after},
         {"on", config.every || !config.cron.empty() || !config.after.empty() ? ""
                : config.change                                               ? "change"
                                                                              : "demand"},
         {"read", config.read_table},
         {"reader", config.reader.name},
         {"processor", config.processor.name},
         {"write",
          {{"table", config.write_table},
           {"topic", config.write_topic},
           {"exactly_once", config.exactly_once},
           {"custom", config.writer.name}}},
         {"running", status.running},
         {"runs", status.runs},
         {"next_fire", status.next_fire_ms},
         {"present", status.running ? describe(status.present) : json(nullptr)},
         {"last", status.last.empty() ? json(nullptr) : describe(status.last.front())}};
  j["history"] = json::array();
  for (const auto& run : status.last)
    j["history"].push_back(describe(run));
  return j.dump(-1, ' ', false, json::error_handler_t::replace);
}

// The newest one first, as it is in Redis: the same on every node.
void api::executions(const http::request& request, const http::responder& respond) {
  std::uint32_t limit = 100;
  if (const auto at = request.query.find("limit"); at != request.query.end()) {
    const auto& text = at->second;
    const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), limit);
    if (error != std::errc{} || rest != text.data() + text.size() || limit < 1 || limit > 1000)
      return respond(http::error_response(400, "bad_argument", "'limit' is a number from 1 to 1000", request.path));
  }
  const auto name = request.segments[3];
  const partition_key key{node_->topo.name, "job:" + name, partition_id{0}};
  auto* repository = &node_->store->jobs();
  const auto unreachable = [respond, at = request.path](const error& e) {
    respond(http::error_response(503, "not_ready", e.message, at));
  };
  repository->read_job(key, [=](result<redis::job_state> now) {
    if (!now)
      return unreachable(now.error());
    repository->job_history(key, limit, [=, now = std::move(*now)](result<std::vector<std::string>> history) {
      if (!history)
        return unreachable(history.error());
      json all = json::array();
      const auto add = [&](const std::string& text) {
        auto one = json::parse(text, nullptr, false);
        if (one.is_object() && all.size() < limit)
          all.push_back(std::move(one));
      };
      const auto status = batch::parse_execution_status(now.status);
      if (status && !batch::is_over(*status))
        add(now.run);
      for (const auto& text : *history)
        add(text);
      respond({200,
               "application/json",
               json{{"job", name}, {"executions", std::move(all)}}.dump(-1, ' ', false, json::error_handler_t::replace),
               {}});
    });
  });
}

void api::jobs(const http::request& request, const http::responder& respond) {
  const auto& path = request.segments;
  const bool reading = request.method == "GET" || request.method == "HEAD";
  if (path.size() > 3 && !node_->topo.jobs.contains(path[3]))
    return respond(
        http::error_response(404, "no_such_thing", fmt::format("there is no job '{}'", path[3]), request.path));
  const auto scheduler = [this] {
    std::lock_guard lock(mutex_);
    return scheduler_;
  };
  static const std::map<std::string_view, job_verb> verbs{
      {"stop", job_verb::stop}, {"restart", job_verb::restart}, {"abandon", job_verb::abandon}};
  if (path.size() == 5 && (path[4] == "run" || verbs.contains(path[4]))) {
    if (request.method != "POST") {
      auto r =
          http::error_response(405, "method_not_allowed", fmt::format("use POST to {} a job", path[4]), request.path);
      r.headers.emplace_back("Allow", "POST");
      return respond(std::move(r));
    }
    const auto to = scheduler();
    if (!to)
      return respond(http::error_response(503, "not_ready", "the node is not ready yet", request.path));
    const bool wait = !prefers_no_wait(request);
    if (path[4] == "run")
      caf::anon_send(to, run_job{path[3], request.query, respond, wait});
    else
      caf::anon_send(to, control_job{path[3], verbs.at(path[4]), respond, wait});
    return;
  }
  if (path.size() == 5 && path[4] == "executions" && reading)
    return executions(request, respond);
  if (!reading) {
    auto r = http::error_response(405, "method_not_allowed",
                                  fmt::format("{} is not allowed here, use GET", request.method), request.path);
    r.headers.emplace_back("Allow", "GET, HEAD");
    return respond(std::move(r));
  }
  if (path.size() == 4)
    return respond({200, "application/json", job_json(path[3]), {}});
  if (path.size() != 3)
    return respond(http::error_response(404, "no_such_thing", "there is nothing at this path", request.path));
  std::string body = R"({"jobs":[)";
  for (const auto& [name, config] : node_->topo.jobs)
    body += (body.back() == '[' ? "" : ",") + job_json(name);
  respond({200, "application/json", body + "]}", {}});
}

std::string api::nodes_json() {
  double cpu;
  {
    std::lock_guard lock(mutex_);
    const auto now = steady_ms();
    if (now - cpu_at_ms_ >= 500) {
      const auto used = cpu_seconds();
      cpu_percent_ = (used - cpu_seconds_) * 1e5 / static_cast<double>(now - cpu_at_ms_);
      cpu_seconds_ = used;
      cpu_at_ms_ = now;
    }
    cpu = cpu_percent_;
  }
  const auto waits = node_->board->waits();
  json waiting = json::array();
  for (const auto& [what, why] : waits)
    waiting.push_back(what + ": " + why);
  json sources = json::array();
  bool brokers = true;
  for (const auto& [name, s] : node_->board->sources()) {
    brokers = brokers && s.connected;
    json partitions = json::array();
    std::int64_t lag = 0;
    for (const auto& [number, p] : s.partitions) {
      partitions.push_back({{"partition", number},
                            {"state", p.state},
                            {"position", p.position},
                            {"end", p.end},
                            {"lag", p.lag()},
                            {"message", p.message}});
      lag += std::max<std::int64_t>(p.lag(), 0);
    }
    sources.push_back({{"name", name},
                       {"topic", s.topic},
                       {"state", s.state},
                       {"message", s.message},
                       {"connected", s.connected},
                       {"records", s.records},
                       {"records_per_s", s.records_per_s},
                       {"dead_letters", s.dead_letters},
                       {"lag", lag},
                       {"partitions", partitions}});
  }
  const auto links = node_->board->links();
  const bool connected = !links.empty() && std::all_of(links.begin(), links.end(), [](bool up) { return up; });
  json tables = json::array();
  for (const auto& [name, t] : node_->topo.tables)
    tables.push_back(name);
  const json node{
      {"name", node_->node_name},
      {"version", WEIR_VERSION},
      {"topology", node_->topo.name},
      {"uptime_s", (node_->wall_ms() - started_ms_) / 1000},
      {"ready", waits.empty()},
      {"waiting", waiting},
      {"memory_bytes", resident_bytes()},
      {"cpu_percent", cpu},
      {"sessions", sessions_->size()},
      {"sources", sources},
      {"redis", {{"connected", connected}, {"links", links.size()}, {"embedded", node_->topo.redis.embedded()}}},
      {"kafka", {{"connected", brokers}, {"embedded", node_->topo.kafka.embedded()}}},
      {"tables", tables}};
  return json{{"nodes", json::array({node})}}.dump(-1, ' ', false, json::error_handler_t::replace);
}

} // namespace weir::actors
