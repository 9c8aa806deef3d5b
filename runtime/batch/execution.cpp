#include "runtime/batch/execution.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <nlohmann/json.hpp>

namespace weir::batch {

namespace {

using json = nlohmann::ordered_json;

constexpr std::array<std::string_view, 7> names{"STARTING", "STARTED", "COMPLETED", "FAILED",
                                                "STOPPING", "STOPPED", "ABANDONED"};

template <class Number>
void take(const json& from, const char* name, Number& to) {
  if (const auto at = from.find(name); at != from.end() && at->is_number_integer())
    to = at->template get<Number>();
}

void take(const json& from, const char* name, std::string& to) {
  if (const auto at = from.find(name); at != from.end() && at->is_string())
    to = at->get<std::string>();
}

} // namespace

std::string_view to_string(execution_status status) { return names[static_cast<std::size_t>(status)]; }

std::optional<execution_status> parse_execution_status(std::string_view text) {
  const auto at = std::find(names.begin(), names.end(), text);
  if (at == names.end())
    return std::nullopt;
  return static_cast<execution_status>(at - names.begin());
}

bool is_over(execution_status status) {
  return status != execution_status::starting && status != execution_status::started &&
         status != execution_status::stopping;
}

bool may_restart(execution_status status) {
  return status == execution_status::failed || status == execution_status::stopped;
}

std::vector<execution_status> before(execution_status to) {
  using s = execution_status;
  switch (to) {
  case s::starting: return {};
  case s::started: return {s::starting, s::started};
  case s::completed: return {s::started};
  case s::failed: return {s::starting, s::started};
  case s::stopping: return {s::starting, s::started};
  case s::stopped: return {s::stopping};
  case s::abandoned: return {s::starting, s::started, s::stopping, s::failed, s::stopped};
  }
  return {};
}

std::string execution_id(std::int64_t fire_ms, std::uint32_t number) {
  return std::to_string(fire_ms) + '.' + std::to_string(number);
}

std::uint32_t number_of(std::string_view id) {
  const auto dot = id.find('.');
  std::uint32_t number = 0;
  if (dot == std::string_view::npos)
    return 0;
  const auto [rest, error] = std::from_chars(id.data() + dot + 1, id.data() + id.size(), number);
  return error == std::errc{} && rest == id.data() + id.size() ? number : 0;
}

std::string to_json(const execution& e) {
  return json{{"job", e.job},
              {"id", e.id},
              {"fire", e.fire_ms},
              {"status", to_string(e.status)},
              {"started", e.started_ms},
              {"ended", e.ended_ms},
              {"node", e.node},
              {"shares", e.shares},
              {"takeovers", e.takeovers},
              {"stuck", e.stuck},
              {"retried", e.retried},
              {"definition", e.definition},
              {"chunk", e.chunk},
              {"replace", e.replace},
              {"read", e.read},
              {"filtered", e.filtered},
              {"skipped", e.skipped},
              {"total", e.total},
              {"written", e.written},
              {"commits", e.commits},
              {"message", e.message},
              {"seen", e.seen},
              {"input_version", e.input_version},
              {"input_positions", e.input_positions},
              {"parameters", e.parameters}}
      .dump(-1, ' ', false, json::error_handler_t::replace);
}

std::optional<execution> parse_execution(std::string_view text) {
  const auto j = json::parse(text, nullptr, false);
  if (!j.is_object())
    return std::nullopt;
  execution e;
  take(j, "job", e.job);
  take(j, "id", e.id);
  take(j, "fire", e.fire_ms);
  std::string word;
  take(j, "status", word);
  const auto status = parse_execution_status(word);
  if (!status || e.id.empty())
    return std::nullopt;
  e.status = *status;
  take(j, "started", e.started_ms);
  take(j, "ended", e.ended_ms);
  take(j, "node", e.node);
  take(j, "shares", e.shares);
  take(j, "takeovers", e.takeovers);
  take(j, "retried", e.retried);
  take(j, "stuck", e.stuck);
  take(j, "definition", e.definition);
  take(j, "chunk", e.chunk);
  if (const auto at = j.find("replace"); at != j.end() && at->is_boolean())
    e.replace = at->get<bool>();
  take(j, "read", e.read);
  take(j, "filtered", e.filtered);
  take(j, "skipped", e.skipped);
  take(j, "total", e.total);
  take(j, "written", e.written);
  take(j, "commits", e.commits);
  take(j, "message", e.message);
  const auto take_texts = [&](const char* name, std::map<std::string, std::string>& to) {
    if (const auto at = j.find(name); at != j.end() && at->is_object())
      for (const auto& [key, value] : at->items())
        if (value.is_string())
          to[key] = value.get<std::string>();
  };
  take_texts("seen", e.seen);
  take_texts("parameters", e.parameters);
  take(j, "input_version", e.input_version);
  take(j, "input_positions", e.input_positions);
  return e;
}

} // namespace weir::batch
