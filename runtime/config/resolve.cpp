#include "runtime/config/resolve.hpp"

#include "runtime/config/values.hpp"
#include "runtime/core/utf8.hpp"

#include <algorithm>
#include <charconv>
#include <fmt/format.h>

namespace weir::config {

namespace {

void mark(node& n, const std::string& place) {
  n.place = place;
  n.at = {};
  for (auto& m : n.members) {
    m.place = place;
    m.at = {};
    mark(m.value, place);
  }
}

node value_of(std::string_view text, const std::string& place, const std::string& pointer,
              std::vector<problem>& problems) {
  std::vector<problem> found;
  auto parsed = parse_document(text, {.name = place, .comments = false, .pointer = pointer}, found);
  const auto begins_value = text.starts_with('{') || text.starts_with('[');
  if (parsed) {
    for (auto& p : found) { // repeated members: the text is JSON, but not right
      p.line = p.column = 0;
      problems.push_back(std::move(p));
    }
    if (parsed->scalar() && !parsed->is(node::type::string)) {
      parsed->loose = true;
      parsed->text = text;
    }
  } else {
    // Most strings begin without a quote on a command line. One that begins like an object is a slip, if a file's path
    // follows.
    if (begins_value && text.find('"') != std::string_view::npos)
      problems.push_back(
          {pointer, 0, 0, "the value begins like JSON and is none", "check its quotes and brackets", place});
    parsed.emplace();
    parsed->kind = node::type::string;
    parsed->text = text;
  }
  mark(*parsed, place);
  return std::move(*parsed);
}

// Tokens of "/a/b" or "a.b"; none where the path is no path.
std::optional<std::vector<std::string>> path_of(std::string_view text) {
  const char separator = text.starts_with('/') ? '/' : '.';
  if (separator == '/') {
    if (!is_pointer(text))
      return std::nullopt;
    text.remove_prefix(1);
  }
  std::vector<std::string> out;
  for (;;) {
    const auto end = text.find(separator);
    std::string token(text.substr(0, end));
    if (separator == '/') {
      for (std::size_t at = 0; (at = token.find('~', at)) != std::string::npos; ++at)
        token.replace(at, 2, token[at + 1] == '1' ? "/" : "~");
    } else if (token.empty()) {
      return std::nullopt;
    }
    out.push_back(std::move(token));
    if (end == std::string_view::npos)
      return out;
    text.remove_prefix(end + 1);
  }
}

bool is_number(std::string_view token) {
  return !token.empty() && std::all_of(token.begin(), token.end(), [](char c) { return c >= '0' && c <= '9'; });
}

void apply(node& root, std::string_view set, std::size_t number, std::vector<problem>& problems,
           std::vector<made_by_number>& made) {
  const auto equals = set.find('=');
  if (equals == std::string_view::npos || equals == 0) { // the text is not repeated: it might be a password
    problems.push_back(
        {"", 0, 0, fmt::format("number {} is no path=value", number), "write --set path.to.key=value", "--set"});
    return;
  }
  const auto written = set.substr(0, equals);
  const auto place = fmt::format("--set {}", written);
  const auto path = path_of(written);
  if (!path || path->size() > static_cast<std::size_t>(topology_depth_limit)) {
    problems.push_back(
        {"", 0, 0, "no path",
         "write a dotted path (kafka.group) or, where names have dots, a JSON Pointer (/kafka/properties/client.id)",
         place});
    return;
  }
  auto* at = &root;
  std::string pointer;
  for (std::size_t i = 0; i < path->size(); ++i) {
    const auto& token = (*path)[i];
    const bool leaf = i + 1 == path->size();
    member* next = nullptr;
    if (at->is(node::type::object)) {
      auto found =
          std::find_if(at->members.begin(), at->members.end(), [&](const member& m) { return m.name == token; });
      if (found == at->members.end()) {
        at->members.push_back({token, {}, {}, place, false});
        found = at->members.end() - 1;
        found->value.kind = node::type::object;
        found->value.place = place;
        if (!leaf && is_number((*path)[i + 1])) {
          // What follows in the text is the number and the rest, each with its separator.
          auto rest = written;
          for (auto left = path->size() - i - 1; left > 0; --left)
            rest = rest.substr(0, rest.rfind(written.starts_with('/') ? '/' : '.'));
          made.push_back({place, pointer + '/' + pointer_token(token), std::string(rest)});
        }
      }
      next = &*found;
    } else if (at->is(node::type::array)) {
      std::size_t index = 0;
      const auto [rest, error] = std::from_chars(token.data(), token.data() + token.size(), index);
      const auto size = at->members.size();
      if (error != std::errc{} || rest != token.data() + token.size() || index > size || (index == size && !leaf)) {
        problems.push_back({pointer, 0, 0, fmt::format("'{}' is no place in an array of {}", token, size),
                            "count from 0; the number after the last one adds a value", place});
        return;
      }
      if (index == size)
        at->members.emplace_back();
      next = &at->members[index];
    } else {
      problems.push_back({pointer, 0, 0, fmt::format("has no members: it is {}", kind_name(*at)),
                          fmt::format("is '{}' one level too many?", token), place});
      return;
    }
    pointer += '/' + pointer_token(token);
    at = &next->value;
    if (leaf) {
      next->place = place;
      next->at = {};
      *at = value_of(set.substr(equals + 1), place, pointer, problems);
    }
  }
}

bool name_char(char c, bool first) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (!first && c >= '0' && c <= '9');
}

class substitution {
public:
  substitution(const environment& env, std::string_view file, std::vector<problem>& problems)
      : env_(env), file_(file), problems_(problems) {}

  void walk(node& n, const std::string& pointer) {
    if (n.is(node::type::string) && !n.loose)
      return replace(n, pointer);
    std::size_t index = 0;
    for (auto& m : n.members)
      walk(m.value, pointer + '/' + (n.is(node::type::array) ? std::to_string(index++) : pointer_token(m.name)));
  }

private:
  void report(const node& n, const std::string& pointer, std::string what, std::string remedy) {
    problems_.push_back(
        {pointer, n.at.line, n.at.column, std::move(what), std::move(remedy), n.place.empty() ? file_ : n.place});
  }

  void replace(node& n, const std::string& pointer) {
    const std::string text = std::move(n.text);
    n.text.clear();
    std::size_t at = 0;
    int names = 0;
    bool other = false;
    while (at < text.size()) {
      const auto dollar = text.find("${", at);
      if (dollar == std::string::npos) {
        n.text.append(text, at);
        other = true;
        break;
      }
      if (dollar > at && text[dollar - 1] == '$') {
        n.text.append(text, at, dollar - 1 - at);
        n.text += "${";
        at = dollar + 2;
        other = true;
        continue;
      }
      other = other || dollar > at;
      n.text.append(text, at, dollar - at);
      const auto close = text.find('}', dollar);
      if (close == std::string::npos) {
        report(n, pointer, "a '${' without its '}'", "close it, or write '$${' for the two characters themselves");
        return;
      }
      const auto inner = std::string_view(text).substr(dollar + 2, close - dollar - 2);
      ++names;
      at = close + 1;
      one(n, pointer, inner);
    }
    n.whole_name = names == 1 && !other;
  }

  void one(node& n, const std::string& pointer, std::string_view inner) {
    const auto mark = inner.find(":-");
    const std::string name(inner.substr(0, mark));
    bool good = !name.empty();
    for (std::size_t i = 0; i < name.size(); ++i)
      good = good && name_char(name[i], i == 0);
    if (!good) {
      report(n, pointer, fmt::format("'{}' is no name of an environment variable", name),
             "write ${NAME} or ${NAME:-default}; '$${' stands for the two characters themselves");
      return;
    }
    const auto value = env_(name);
    if (mark != std::string_view::npos && (!value || value->empty())) {
      n.text += inner.substr(mark + 2);
    } else if (!value) {
      report(n, pointer, fmt::format("the environment variable {} is not set", name),
             fmt::format("set it, or write ${{{}:-default}}", name));
    } else if (!is_utf8(*value)) {
      report(n, pointer, fmt::format("the environment variable {} is not valid UTF-8", name), "");
    } else {
      n.text += *value;
    }
  }

  const environment& env_;
  std::string file_;
  std::vector<problem>& problems_;
};

} // namespace

std::vector<made_by_number> apply_sets(node& root, const std::vector<std::string>& sets,
                                       std::vector<problem>& problems) {
  std::vector<made_by_number> made;
  std::size_t number = 0;
  for (const auto& set : sets)
    apply(root, set, ++number, problems, made);
  return made;
}

void explain_numbers(const std::vector<made_by_number>& made, std::vector<problem>& problems) {
  for (auto& p : problems)
    for (const auto& m : made)
      if (p.place == m.place && p.pointer == m.pointer && p.what.find("array") != std::string::npos) {
        p.what = "a number in the path reaches into an array, and there is none yet";
        p.remedy = fmt::format("give the whole array first: --set '{}=[...]'", m.path);
      }
}

void substitute(node& root, const environment& env, std::string_view file, std::vector<problem>& problems) {
  substitution(env, file, problems).walk(root, "");
}

} // namespace weir::config
