#include "runtime/config/graph.hpp"

#include <fmt/format.h>
#include <map>
#include <string_view>
#include <vector>

namespace weir {

namespace {

enum class shape { topic, dead_letters, source, table, job };

struct graph_node {
  shape form;
  std::string title, detail;
};

struct edge {
  std::size_t from, to;
  std::string label;
  bool exceptional = false; // dead letters
};

struct graph {
  std::vector<graph_node> nodes;
  std::vector<edge> edges;
};

std::string_view kind_text(table_kind k) {
  switch (k) {
  case table_kind::latest: return "latest";
  case table_kind::aggregate: return "aggregate";
  case table_kind::log: return "log";
  }
  return "";
}

graph build(const topology& t) {
  graph g;
  std::map<std::string, std::size_t> topics, sources, tables, jobs;
  const auto topic = [&](const std::string& name, shape form) {
    const auto [at, fresh] = topics.try_emplace(name, g.nodes.size());
    if (fresh)
      g.nodes.push_back({form, name, form == shape::topic ? "topic" : "dead letters"});
    return at->second;
  };
  for (const auto& [name, s] : t.sources)
    (void)topic(s.topic, shape::topic);
  for (const auto& [name, s] : t.sources) {
    sources[name] = g.nodes.size();
    g.nodes.push_back({shape::source, name, "source"});
    g.edges.push_back({topic(s.topic, shape::topic), sources[name], "", false});
    if (!s.dead_letter.empty())
      g.edges.push_back({sources[name], topic(s.dead_letter, shape::dead_letters), "unreadable", true});
  }
  for (const auto& [name, table] : t.tables) {
    tables[name] = g.nodes.size();
    g.nodes.push_back({shape::table, name, std::string(kind_text(table.kind))});
  }
  for (const auto& [name, table] : t.tables)
    if (const auto source = sources.find(table.from); source != sources.end())
      g.edges.push_back({source->second, tables[name], table.where.empty() ? "" : "where", false});
  for (const auto& [name, job] : t.jobs) {
    jobs[name] = g.nodes.size();
    g.nodes.push_back({shape::job, name, trigger_text(job)});
    if (const auto read = tables.find(job.read_table); read != tables.end())
      g.edges.push_back({read->second, jobs[name],
                         job.last     ? "last " + to_text(*job.last)
                         : job.window ? "window " + to_text(*job.window)
                                      : "",
                         false});
    if (const auto write = tables.find(job.write_table); write != tables.end())
      g.edges.push_back({jobs[name], write->second, "", false});
    if (!job.write_topic.empty())
      g.edges.push_back({jobs[name], topic(job.write_topic, shape::topic), "", false});
    for (const auto& [step, kind] : {std::pair(&job.reader, "reader"), std::pair(&job.writer, "writer")})
      if (*step) {
        g.nodes.push_back({shape::source, step->name, kind});
        const auto mine = g.nodes.size() - 1;
        g.edges.push_back(step == &job.reader ? edge{mine, jobs[name], "", false} : edge{jobs[name], mine, "", false});
      }
  }
  for (const auto& [name, job] : t.jobs)
    for (const auto& before : job.after)
      if (const auto other = jobs.find(before); other != jobs.end())
        g.edges.push_back({other->second, jobs[name], "after", false});
  return g;
}

std::string mermaid_text(std::string_view text) {
  std::string out;
  for (const char c : text) {
    // Mermaid has entity codes with '#'; whatever could end a label or begin markup is written as one.
    if (static_cast<unsigned char>(c) < 0x20)
      out += ' ';
    else if (std::string_view("\"#;<>&`|[](){}\\").find(c) != std::string_view::npos)
      out += fmt::format("#{};", static_cast<int>(c));
    else
      out += c;
  }
  return out;
}

std::string dot_text(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < 0x20) {
      out += ' ';
      continue;
    }
    if (c == '"' || c == '\\')
      out += '\\';
    out += c;
  }
  return out;
}

} // namespace

std::string graph_mermaid(const topology& t) {
  const auto g = build(t);
  std::string out = "flowchart LR\n";
  for (std::size_t i = 0; i < g.nodes.size(); ++i) {
    const auto& n = g.nodes[i];
    const auto label = fmt::format("\"{}<br/><i>{}</i>\"", mermaid_text(n.title), mermaid_text(n.detail));
    const auto [open, close] = [&]() -> std::pair<const char*, const char*> {
      switch (n.form) {
      case shape::topic:
      case shape::dead_letters: return {"([", "])"};
      case shape::source: return {"[/", "/]"};
      case shape::table: return {"[(", ")]"};
      case shape::job: return {"{{", "}}"};
      }
      return {"[", "]"};
    }();
    out += fmt::format("  n{}{}{}{}\n", i, open, label, close);
  }
  for (const auto& e : g.edges)
    out += fmt::format("  n{} {}{} n{}\n", e.from, e.exceptional ? "-.->" : "-->",
                       e.label.empty() ? "" : fmt::format("|\"{}\"|", mermaid_text(e.label)), e.to);
  return out;
}

std::string graph_dot(const topology& t) {
  const auto g = build(t);
  std::string out =
      fmt::format("digraph \"{}\" {{\n  rankdir=LR;\n  node [fontname=\"sans-serif\"];\n", dot_text(t.name));
  for (std::size_t i = 0; i < g.nodes.size(); ++i) {
    const auto& n = g.nodes[i];
    std::string_view form;
    switch (n.form) {
    case shape::topic: form = "ellipse"; break;
    case shape::dead_letters: form = "ellipse, style=dashed"; break;
    case shape::source: form = "parallelogram"; break;
    case shape::table: form = "cylinder"; break;
    case shape::job: form = "hexagon"; break;
    }
    out += fmt::format("  n{} [label=\"{}\\n{}\", shape={}];\n", i, dot_text(n.title), dot_text(n.detail), form);
  }
  for (const auto& e : g.edges) {
    out += fmt::format("  n{} -> n{} [label=\"{}\"{}];\n", e.from, e.to, dot_text(e.label),
                       e.exceptional ? ", style=dashed" : "");
  }
  return out + "}\n";
}

} // namespace weir
