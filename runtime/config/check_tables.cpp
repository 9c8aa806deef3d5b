// Tables and jobs, each by itself.
#include "runtime/config/check.hpp"

#include "runtime/batch/cron.hpp"
#include "runtime/config/values.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>

namespace weir::config {

namespace {

struct table_rule {
  std::string_view key;
  bool latest, aggregate, log;
  std::string_view remedy;
};

constexpr std::array table_rules{
    table_rule{"key", true, true, false, "a log has no keys: remove it"},
    table_rule{"select", true, false, true, "say what to keep in 'fields'"},
    table_rule{"fields", false, true, false, "use 'select' to choose fields, or \"kind\": \"aggregate\""},
    table_rule{"ttl", true, false, false, "a log has \"keep\": {\"age\": ...}; an aggregate stays"},
    table_rule{"time", false, false, true, "only a log has an event time"},
    table_rule{"keep", false, false, true, "rows of 'latest' go by \"ttl\""},
    table_rule{"expected_rows", true, true, false, "a log has \"keep\": {\"count\": ...}"},
};

} // namespace

void checker::table(const member& m, const spot& s) {
  auto& t = out_.tables[m.name];
  t.name = m.name;
  seen_[{"tables", m.name, ""}] = s;
  if (!is_table_name(m.name))
    report_name(m, s.pointer, fmt::format("'{}' is no name of a table", m.name),
                "begin with a-z, and use a-z 0-9 . _ - after it, at most 128 characters");
  if (!object(s, "a table"))
    return;
  std::map<std::string, spot> given;
  bool kind_known = false;
  each(s, table_keys, [&](std::string_view name, spot inner) {
    given[std::string(name)] = inner;
    if (name == "from") {
      t.from = text(inner).value_or("");
      seen_[{"tables", m.name, "from"}] = inner;
    } else if (name == "kind") {
      if (const auto value = choice(inner, "kind", kinds)) {
        t.kind = static_cast<table_kind>(*value);
        kind_known = true;
      }
    } else if (name == "key") {
      t.key = pointer(inner, false).value_or("");
    } else if (name == "time") {
      t.time = pointer(inner, false).value_or("");
    } else if (name == "select") {
      if (!object(inner, "'select'"))
        return;
      if (inner.value->members.empty())
        report(inner, "'select' chooses nothing", "name a field, or remove it: the record stays as it is");
      each_named(inner, [&](member& field, spot at) {
        if (field.name.empty())
          report_name(field, at.pointer, "a field without a name");
        if (auto value = pointer(at, true))
          t.select.emplace_back(field.name, std::move(*value));
      });
    } else if (name == "where") {
      t.where = where(inner);
    } else if (name == "fields") {
      t.fields = fields(inner, false);
    } else if (name == "ttl") {
      t.ttl = time_span(inner);
    } else if (name == "keep") {
      if (!object(inner, "'keep'"))
        return;
      if (inner.value->members.empty())
        report(inner, "'keep' says nothing", R"(write {"age": "1h"} or {"count": 100000})");
      each(inner, keep_keys, [&](std::string_view part, spot at) {
        if (part == "age")
          t.keep_age = time_span(at);
        else
          t.keep_count = whole(at, 1, 1'000'000'000'000).value_or(t.keep_count);
      });
    } else if (name == "expected_rows") {
      t.expected_rows = whole(inner, 1, 1'000'000'000).value_or(t.expected_rows);
    } else if (name == "max_view_bytes") {
      t.max_view_bytes = size(inner, 1, 1ull << 50).value_or(t.max_view_bytes);
    } else if (name == "max_rate") {
      if (const auto value = text(inner)) {
        t.max_rate = parse_rate(*value);
        if (!t.max_rate)
          report(inner, fmt::format("'{}' is no rate", *value),
                 "write a number and /s, /m or /h, such as '20/s' or '30/m'; at most 1000/s");
      }
    } else if (name == "access") {
      seen_[{"tables", m.name, "access"}] = inner;
      if (const auto value = choice(inner, "access", accesses))
        t.access = static_cast<table_access>(*value);
    }
  });
  if (!given.contains("from"))
    missing(s, "from", "\"a source, or job:name\"");
  if (!given.contains("kind"))
    missing(s, "kind", "\"latest\", \"aggregate\" or \"log\"");
  if (kind_known)
    kind_rules(s, t, given);
}

void checker::kind_rules(const spot& s, const table_config& t, const std::map<std::string, spot>& given) {
  for (const auto& rule : table_rules) {
    const auto found = given.find(std::string(rule.key));
    const bool allowed = t.kind == table_kind::latest      ? rule.latest
                         : t.kind == table_kind::aggregate ? rule.aggregate
                                                           : rule.log;
    if (found != given.end() && !allowed)
      report(found->second,
             fmt::format("'{}' does not belong to a table of kind '{}'", rule.key,
                         kinds[static_cast<std::size_t>(t.kind)]),
             std::string(rule.remedy));
  }
  if (t.kind == table_kind::aggregate && !given.contains("fields"))
    report(s, "an aggregate without 'fields'", R"(add "fields": {"n": "count"})");
  if (t.from_job())
    job_table_rules(t, given);
}

// A job's rows come whole: keyed by its groups, shaped by its fields.
void checker::job_table_rules(const table_config& t, const std::map<std::string, spot>& given) {
  if (t.kind == table_kind::aggregate)
    return report(given.at("kind"), "a job's rows are results already, and can't be aggregated again",
                  "\"kind\": \"latest\"");
  if (t.kind == table_kind::log)
    later(given.at("kind"), "a log written by a job");
  for (const auto* name : {"select", "where", "time"})
    if (const auto found = given.find(name); found != given.end())
      report(found->second, fmt::format("'{}' is for tables that read a source", name), "say it in the job");
  if (const auto found = given.find("ttl"); found != given.end())
    later(found->second, "ttl of a table written by a job");
  if (const auto found = given.find("keep"); found != given.end())
    later(found->second, "keep of a table written by a job");
  if (const auto found = given.find("key"); found != given.end())
    seen_[{"tables", t.name, "key"}] = found->second;
}

void checker::job(const member& m, const spot& s) {
  auto& j = out_.jobs[m.name];
  j.name = m.name;
  seen_[{"jobs", m.name, ""}] = s;
  if (!is_name(m.name))
    report_name(m, s.pointer, fmt::format("'{}' is no name of a job", m.name),
                "use letters, digits and . _ - in it, at most 128");
  if (!object(s, "a job"))
    return;
  // Before `where`, wherever they stand.
  if (auto* declared = s.value->find("parameters"))
    parameters(j, {declared, s.pointer + "/parameters"});
  std::map<std::string, spot> given;
  std::optional<duration> dirty_for;
  std::optional<std::uint64_t> changes;
  each(s, job_keys, [&](std::string_view name, spot inner) {
    given[std::string(name)] = inner;
    if (name == "every") {
      j.every = time_span(inner, duration{100});
    } else if (name == "cron") {
      if (const auto value = text(inner)) {
        if (const auto parsed = batch::cron::parse(*value); !parsed)
          report(inner, fmt::format("'{}' is no cron expression: {}", *value, parsed.error().message),
                 "write minute hour day month weekday, such as '*/5 * * * *', with the second in front if it is not 0");
        j.cron = *value;
      }
    } else if (name == "zone") {
      if (const auto value = text(inner)) {
        if (const auto found = batch::load_zone(*value); !found)
          report(inner, found.error().message,
                 "write a name such as 'Europe/Berlin', or install the time zone database (package tzdata)");
        j.zone = *value;
      }
    } else if (name == "jitter") {
      j.jitter = time_span(inner, duration{0}).value_or(j.jitter);
    } else if (name == "overlap") {
      if (const auto value = choice(inner, "policy for runs that would overlap", overlap_policies))
        j.overlap = static_cast<overlap_policy>(*value);
    } else if (name == "dirty_for") {
      dirty_for = time_span(inner, duration{0});
    } else if (name == "changes") {
      changes = whole(inner, 1, 1'000'000'000'000);
      seen_[{"jobs", j.name, "changes"}] = inner;
    } else if (name == "on") {
      if (const auto value = choice(inner, "trigger", triggers); value && *value == 1)
        j.change.emplace();
    } else if (name == "after") {
      after(m.name, inner);
    } else if (name == "missed") {
      if (const auto value = choice(inner, "policy for missed runs", missed_policies))
        j.missed = static_cast<missed_policy>(*value);
    } else if (name == "read") {
      read(j, inner);
    } else if (name == "reader") {
      j.reader = step(inner, step_kind::reader);
    } else if (name == "processor") {
      j.processor = step(inner, step_kind::processor);
    } else if (name == "where") {
      j.where = where(inner, &j.parameters);
    } else if (name == "group_by") {
      j.group_by = group_by(inner);
    } else if (name == "fields") {
      j.fields = fields(inner, true);
    } else if (name == "derive") {
      derive(j, inner);
    } else if (name == "write") {
      write(j, inner);
    } else if (name == "chunk") {
      j.chunk = static_cast<std::uint32_t>(whole(inner, 1, 50'000).value_or(j.chunk));
    } else if (name == "skip_limit") {
      j.skip_limit = whole(inner, 0, 1'000'000'000);
    } else if (name == "retries") {
      j.retries = static_cast<std::uint32_t>(whole(inner, 0, 1000).value_or(j.retries));
    } else if (name == "throttle") {
      if (const auto value = text(inner)) {
        const auto rows = parse_throttle(*value);
        if (!rows)
          report(inner, fmt::format("'{}' is no rate of rows", *value),
                 "write how many rows a second are read at most, such as '100000/s', or 'none'");
        j.throttle = rows.value_or(j.throttle);
      }
    } else if (name == "dead_letter") {
      seen_[{"jobs", j.name, "dead_letter"}] = inner;
      j.dead_letter = topic(inner).value_or("");
    } else if (name == "deadline") {
      j.deadline = time_span(inner, duration{1'000}).value_or(j.deadline);
    }
  });
  if (!given.contains("read") && !given.contains("reader"))
    missing(s, "read", R"({"table": "a table"})");
  if (given.contains("read") && given.contains("reader"))
    report(given["reader"], "'read' and 'reader' exclude each other", "keep one of them");
  if (!given.contains("write"))
    report(s, "the job writes nowhere", R"(add "write": {"table": "a table"} or {"topic": "a topic"})");
  if (!given.contains("fields"))
    missing(s, "fields", R"({"n": "count"})");
  if (j.change) {
    j.change->dirty_for = dirty_for.value_or(j.change->dirty_for);
    j.change->changes = changes;
  }
  trigger_rules(j, s, given);
}

void checker::parameters(job_config& j, const spot& s) {
  if (!object(s, "'parameters'"))
    return;
  each_named(s, [&](member& m, spot inner) {
    if (!is_name(m.name))
      return report_name(m, inner.pointer, fmt::format("'{}' is no name of a parameter", m.name),
                         "use letters, digits and . _ - in it, at most 128");
    const auto& n = *inner.value;
    if (n.is(node::type::string))
      j.parameters[m.name] = n.text;
    else if (n.is(node::type::boolean))
      j.parameters[m.name] = n.truth;
    else if (n.is(node::type::integer))
      j.parameters[m.name] = n.integer;
    else if (n.is(node::type::natural))
      j.parameters[m.name] = static_cast<std::int64_t>(std::min<std::uint64_t>(n.natural, INT64_MAX));
    else if (n.is(node::type::real))
      j.parameters[m.name] = n.real;
    else
      report(inner, fmt::format("a parameter is a string, a number or a boolean, not {}", kind_name(n)),
             "write the value that it has where a run says nothing else");
  });
}

void checker::read(job_config& j, const spot& s) {
  if (s.value->is(node::type::string)) {
    j.read_table = s.value->text;
    seen_[{"jobs", j.name, "read"}] = s;
    return;
  }
  if (!object(s, "'read'"))
    return;
  bool table = false;
  spot lateness;
  each(s, read_keys, [&](std::string_view name, spot inner) {
    if (name == "table") {
      table = true;
      j.read_table = text(inner).value_or("");
      seen_[{"jobs", j.name, "read"}] = inner;
    } else if (name == "last") {
      j.last = time_span(inner);
      seen_[{"jobs", j.name, "last"}] = inner;
    } else if (name == "window") {
      j.window = time_span(inner);
      seen_[{"jobs", j.name, "window"}] = inner;
    } else {
      j.lateness = time_span(inner, duration{0}).value_or(j.lateness);
      lateness = inner;
    }
  });
  if (!table)
    missing(s, "table", "\"a table\"");
  if (j.last && j.window)
    report(seen_[{"jobs", j.name, "window"}], "'last' and 'window' exclude each other",
           "'last' ends at the fire time, 'window' at a multiple of its length; keep one of them");
  if (lateness && !j.window)
    report(lateness, "there is no window that could be waited for", R"(add "window": "1m", or remove it)");
}

void checker::write(job_config& j, const spot& s) {
  if (!object(s, "'write'"))
    return;
  bool somewhere = false;
  each(s, write_keys, [&](std::string_view name, spot inner) {
    if (name == "table") {
      somewhere = true;
      j.write_table = text(inner).value_or("");
      seen_[{"jobs", j.name, "write"}] = inner;
    } else if (name == "topic") {
      somewhere = true;
      j.write_topic = topic(inner).value_or("");
      seen_[{"jobs", j.name, "topic"}] = inner;
    } else if (name == "custom") {
      somewhere = true;
      j.writer = step(inner, step_kind::writer);
    } else if (name == "exactly_once") {
      j.exactly_once = truth(inner).value_or(false);
      if (j.exactly_once)
        seen_[{"jobs", j.name, "exactly_once"}] = inner;
    } else {
      j.replace = truth(inner).value_or(false);
      if (j.replace)
        seen_[{"jobs", j.name, "replace"}] = inner;
    }
  });
  if (const auto replace = seen_.find({"jobs", j.name, "replace"}); replace != seen_.end() && j.write_table.empty())
    report(replace->second, "there is no table whose rows could be replaced",
           R"(add "table": "a table", or remove it)");
  if (const auto once = seen_.find({"jobs", j.name, "exactly_once"}); once != seen_.end() && j.write_topic.empty())
    report(once->second, "there is no topic that could be written to exactly once; a table always is",
           R"(add "topic": "a topic", or remove it)");
  if (!somewhere)
    report(s, "the job writes nowhere", R"(add "table": "a table", "topic": "a topic" or "custom": "a writer")");
}

void checker::after(const std::string& job, const spot& s) {
  const auto one = [&](const spot& at) {
    if (auto value = text(at)) {
      out_.jobs[job].after.push_back(*value);
      after_[job].emplace_back(std::move(*value), at);
    }
  };
  if (!s.value->is(node::type::array))
    return one(s);
  if (s.value->members.empty())
    report(s, "'after' names no job", "name one, or remove it");
  for (std::size_t i = 0; i < s.value->members.size(); ++i)
    one({&s.value->members[i].value, s.pointer + '/' + std::to_string(i)});
}

void checker::trigger_rules(const job_config& j, const spot& s, const std::map<std::string, spot>& given) {
  std::string_view first;
  for (const auto* name : {"every", "cron", "on"}) {
    const auto found = given.find(name);
    if (found == given.end())
      continue;
    if (first.empty())
      first = name;
    else
      report(found->second, fmt::format("'{}' and '{}' exclude each other", first, name), "keep one of them");
  }
  if (first.empty() && !given.contains("after"))
    report(s, "a job without a trigger", R"(add "every": "10s", or "on": "demand")");
  const auto needs = [&](const char* name, bool has, std::string_view what) {
    if (const auto found = given.find(name); found != given.end() && !has)
      report(found->second, fmt::format("'{}' means nothing without {}", name, what), "add it, or remove this");
  };
  const bool timed = given.contains("every") || given.contains("cron");
  needs("zone", given.contains("cron"), "'cron'");
  needs("jitter", timed, "'every' or 'cron'");
  needs("overlap", timed, "'every' or 'cron'");
  needs("missed", timed, "'every' or 'cron'");
  needs("dirty_for", j.change.has_value(), R"("on": "change")");
  needs("changes", j.change.has_value(), R"("on": "change")");
  if (const auto on = given.find("on"); j.change && on != given.end() && given.contains("reader"))
    report(on->second, "a job with a reader of its own has no table whose changes could be seen",
           R"(write "every", "cron", "after" or "on": "demand")");
}

} // namespace weir::config
