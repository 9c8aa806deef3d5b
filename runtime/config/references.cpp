// What one part of a topology says of another: unknown names, two sides that disagree, circles.
#include "runtime/config/check.hpp"

#include "runtime/config/values.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <set>

namespace weir::config {

namespace {

template <class Map>
std::vector<std::string_view> names(const Map& map) {
  std::vector<std::string_view> out;
  for (const auto& [name, value] : map)
    out.push_back(name);
  return out;
}

} // namespace

void checker::references() {
  for (const auto& [name, t] : out_.tables)
    table_source(t);
  for (const auto& [name, j] : out_.jobs)
    job_tables(j);
  for (const auto& [name, jobs] : after_)
    for (const auto& [other, at] : jobs)
      if (!out_.jobs.contains(other))
        report(at, fmt::format("unknown job '{}'", other), near(other, names(out_.jobs)));
  dead_letters();
  job_dead_letters();
  job_cycles();
  node_rules();
  access_rules();
}

void checker::table_source(const table_config& t) {
  const auto at = seen_.find({"tables", t.name, "from"});
  if (at == seen_.end() || !at->second.value->is(node::type::string))
    return;
  const auto& spot = at->second;
  if (!t.from_job()) {
    if (out_.sources.contains(t.from))
      return;
    std::string remedy;
    if (out_.jobs.contains(t.from))
      remedy = fmt::format("did you mean 'job:{}'?", t.from);
    else if (out_.tables.contains(t.from))
      remedy = "a table reads a source; a job makes one table of another";
    else
      remedy = near(t.from, names(out_.sources),
                    out_.sources.empty() ? "there is no source yet"
                                         : fmt::format("there are: {}", fmt::join(names(out_.sources), ", ")));
    return report(spot, fmt::format("unknown source '{}'", t.from), std::move(remedy));
  }
  const auto name = t.from.substr(4);
  const auto job = out_.jobs.find(name);
  if (job == out_.jobs.end()) {
    const auto close = nearest(name, names(out_.jobs));
    return report(spot, fmt::format("unknown job '{}'", name),
                  close ? fmt::format("did you mean 'job:{}'?", *close) : "");
  }
  const auto& j = job->second;
  // Where the job names a table that is unknown, or not its own, that is the fault, and said there.
  const bool own =
      j.write_table.empty() || (out_.tables.contains(j.write_table) && out_.tables.at(j.write_table).from == t.from);
  const bool nowhere = j.write_table.empty() && j.write_topic.empty() && !j.writer;
  if (j.write_table != t.name && own && !nowhere)
    report(spot, fmt::format("the job '{}' does not write this table", name),
           j.write_table.empty() ? fmt::format("add \"table\": \"{}\" to the job's 'write'", t.name)
                                 : fmt::format("it writes '{}', and a job writes one table", j.write_table));
  if (const auto key = seen_.find({"tables", t.name, "key"});
      key != seen_.end() && j.group_by != std::vector<std::string>{t.key})
    report(key->second, fmt::format("rows of the job '{}' are keyed by its 'group_by'", name),
           j.group_by.size() > 1 ? "remove the key" : "remove the key, or make the two equal");
}

void checker::job_tables(const job_config& j) {
  if (const auto at = seen_.find({"jobs", j.name, "read"});
      at != seen_.end() && at->second.value->is(node::type::string)) {
    const auto table = out_.tables.find(j.read_table);
    if (table == out_.tables.end())
      report(at->second, fmt::format("unknown table '{}'", j.read_table),
             out_.sources.contains(j.read_table) ? "that is a source; a job reads a table"
                                                 : near(j.read_table, names(out_.tables)));
    else if (table->second.kind != table_kind::log)
      for (const auto* name : {"last", "window"})
        if (const auto given = seen_.find({"jobs", j.name, name}); given != seen_.end())
          report(given->second, fmt::format("'{}' is a window of a log, and '{}' is none", name, j.read_table),
                 "remove it, or read a table of kind 'log'");
    if (const auto given = seen_.find({"jobs", j.name, "changes"});
        given != seen_.end() && table != out_.tables.end() && table->second.from_job())
      report(given->second,
             fmt::format("'{}' is written by a job, and only records of a source are counted", j.read_table),
             "remove it: 'dirty_for' says when the job runs");
  }
  if (const auto at = seen_.find({"jobs", j.name, "write"});
      at != seen_.end() && at->second.value->is(node::type::string)) {
    const auto table = out_.tables.find(j.write_table);
    if (table == out_.tables.end())
      report(at->second, fmt::format("unknown table '{}'", j.write_table),
             near(j.write_table, names(out_.tables), "add it under 'tables'"));
    else if (table->second.from != "job:" + j.name &&
             (out_.sources.contains(table->second.from) ||
              (table->second.from_job() && out_.jobs.contains(table->second.from.substr(4)))))
      report(at->second,
             fmt::format("the table '{}' is written by '{}', not by this job", j.write_table, table->second.from),
             fmt::format("say \"from\": \"job:{}\" in that table, or write another one", j.name));
  }
}

void checker::dead_letters() {
  for (const auto& [name, s] : out_.sources) {
    const auto at = seen_.find({"sources", name, "dead_letter"});
    if (at == seen_.end() || s.dead_letter.empty())
      continue;
    if (s.dead_letter == s.topic) {
      report(at->second, "the dead letters would go back into the source's own topic",
             fmt::format("did you mean '{}.dead'?", s.topic));
      continue;
    }
    // Letters that other sources hand on until they come back.
    std::set<std::string> reached{s.dead_letter};
    for (bool more = true; more;) {
      more = false;
      for (const auto& [other, o] : out_.sources)
        if (reached.contains(o.topic) && !o.dead_letter.empty() && o.dead_letter != o.topic)
          more = reached.insert(o.dead_letter).second || more;
    }
    if (reached.contains(s.topic))
      report(at->second, "the dead letters would come back to this source by way of others",
             "give one of the sources a topic of its own for them");
  }
}

void checker::job_dead_letters() {
  for (const auto& [name, j] : out_.jobs) {
    const auto at = seen_.find({"jobs", name, "dead_letter"});
    if (at == seen_.end() || j.dead_letter.empty())
      continue;
    if (j.dead_letter == j.write_topic)
      report(at->second, "the dead letters would stand among the job's results",
             fmt::format("did you mean '{}.dead'?", j.write_topic));
    for (const auto& [other, s] : out_.sources)
      if (s.topic == j.dead_letter)
        report(at->second,
               fmt::format("the source '{}' reads this topic, and would take the dead letters for records", other),
               "name a topic of its own");
  }
}

void checker::job_cycles() {
  // next[J]: jobs that read what J writes (by table, or by topic and source), or come after it.
  std::map<std::string, std::set<std::string>> next;
  const auto written_by = [&](const job_config& j, const table_config& t) {
    if (t.from == "job:" + j.name)
      return true;
    const auto source = out_.sources.find(t.from);
    return source != out_.sources.end() && !j.write_topic.empty() && source->second.topic == j.write_topic;
  };
  for (const auto& [name, j] : out_.jobs)
    for (const auto& [other, o] : out_.jobs)
      if (const auto table = out_.tables.find(o.read_table); table != out_.tables.end() && written_by(j, table->second))
        next[name].insert(other);
  for (const auto& [name, jobs] : after_)
    for (const auto& [other, at] : jobs)
      if (out_.jobs.contains(other))
        next[other].insert(name);

  std::map<std::string, int> state; // 1: on the path, 2: done
  std::vector<std::string> path;
  const std::function<void(const std::string&)> visit = [&](const std::string& name) {
    state[name] = 1;
    path.push_back(name);
    for (const auto& other : next[name]) {
      if (state[other] == 0) {
        visit(other);
      } else if (state[other] == 1) {
        std::vector<std::string> circle(std::find(path.begin(), path.end(), other), path.end());
        circle.push_back(other);
        auto at = seen_.find({"jobs", other, "read"});
        if (at == seen_.end())
          at = seen_.find({"jobs", other, ""});
        const auto& job = seen_[{"jobs", other, ""}];
        report(*at->second.value, job.pointer, fmt::format("the jobs go in a circle: {}", fmt::join(circle, " -> ")),
               "let one of them read or write something else");
      }
    }
    path.pop_back();
    state[name] = 2;
  };
  for (const auto& [name, j] : out_.jobs)
    if (state[name] == 0)
      visit(name);
}

void checker::node_rules() {
  // Where the brokers were not understood, nothing is known about them.
  const bool known = std::none_of(problems_.begin(), problems_.end(), [](const problem& p) {
    return p.pointer == "/kafka" || p.pointer == "/kafka/brokers";
  });
  if (const auto url = seen_.find({"redis", "", "url"});
      known && url != seen_.end() && out_.kafka.embedded() && !out_.redis.embedded() && !out_.redis.url.empty())
    report(url->second,
           "an embedded broker with an external Redis: the broker's offsets start again with each run, and Redis would "
           "keep the old ones",
           "name your brokers in kafka.brokers, or say \"embedded\" here too");
}

void checker::access_rules() {
  for (auto& [name, t] : out_.tables) {
    const auto said = seen_.find({"tables", name, "access"});
    if (said == seen_.end())
      t.access = out_.http.jwt ? table_access::claims : table_access::everybody;
    else if (!out_.http.jwt && t.access != table_access::everybody)
      report(said->second,
             fmt::format("nobody has to authenticate, so '{}' would keep everybody out",
                         accesses[static_cast<std::size_t>(t.access)]),
             R"(add "auth": {"jwt": {...}} in 'http', or remove it)");
  }
}

} // namespace weir::config
