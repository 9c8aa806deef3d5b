#include "runtime/config/document.hpp"

#include "runtime/config/values.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <unordered_map>

namespace weir::config {

namespace {

using json = nlohmann::json;

// nlohmann's parser tells no positions. So a first pass lists where the tokens begin; the parser's events then take the
// value tokens in turn.
struct token {
  std::size_t begin = 0;
  char kind = 0; // '{' '}' '[' ']' ',' ':' '"', 'w' for a word (number, literal, or nonsense), 'c' for a comment
                 // without its end
};

bool space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

std::size_t end_of_string(std::string_view text, std::size_t at) {
  for (++at; at < text.size() && text[at] != '"' && text[at] != '\n'; ++at)
    if (text[at] == '\\')
      ++at;
  return std::min(at + 1, text.size());
}

std::vector<token> tokens_of(std::string_view text, bool comments) {
  std::vector<token> out;
  std::size_t at = text.starts_with("\xEF\xBB\xBF") ? 3 : 0;
  while (at < text.size()) {
    const auto c = text[at];
    if (space(c)) {
      ++at;
    } else if (comments && text.substr(at, 2) == "//") {
      at = std::min(text.find_first_of("\r\n", at), text.size());
    } else if (comments && text.substr(at, 2) == "/*") {
      const auto end = text.find("*/", at + 2);
      if (end == std::string_view::npos)
        out.push_back({at, 'c'});
      at = end == std::string_view::npos ? text.size() : end + 2;
    } else if (c == '"') {
      out.push_back({at, '"'});
      at = end_of_string(text, at);
    } else if (std::string_view("{}[],:").find(c) != std::string_view::npos) {
      out.push_back({at, c});
      ++at;
    } else {
      out.push_back({at, 'w'});
      while (at < text.size() && !space(text[at]) &&
             std::string_view("{}[],:\"").find(text[at]) == std::string_view::npos)
        ++at;
    }
  }
  return out;
}

class lines {
public:
  explicit lines(std::string_view text) : text_(text) {
    starts_.push_back(0);
    for (std::size_t i = 0; i < text.size(); ++i)
      if (text[i] == '\n')
        starts_.push_back(i + 1);
  }

  position at(std::size_t byte) const {
    byte = std::min(byte, text_.size());
    const auto next = std::upper_bound(starts_.begin(), starts_.end(), byte);
    const auto begin = *(next - 1);
    const auto characters = std::count_if(text_.begin() + static_cast<std::ptrdiff_t>(begin),
                                          text_.begin() + static_cast<std::ptrdiff_t>(byte),
                                          [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; });
    return {static_cast<int>(next - starts_.begin()), static_cast<int>(characters) + 1};
  }

private:
  std::string_view text_;
  std::vector<std::size_t> starts_;
};

class builder : public json::json_sax_t {
public:
  builder(std::string_view text, const document_options& options, std::vector<token> tokens,
          std::vector<problem>& problems)
      : text_(text), options_(options), tokens_(std::move(tokens)), lines_(text), problems_(problems) {}

  bool null() override { return scalar(node::type::null) != nullptr; }
  bool boolean(bool v) override {
    scalar(node::type::boolean)->truth = v;
    return true;
  }
  bool number_integer(std::int64_t v) override {
    scalar(node::type::integer)->integer = v;
    return true;
  }
  bool number_unsigned(std::uint64_t v) override {
    scalar(node::type::natural)->natural = v;
    return true;
  }
  bool number_float(double v, const std::string&) override {
    scalar(node::type::real)->real = v;
    return true;
  }
  bool string(std::string& v) override {
    scalar(node::type::string)->text = std::move(v);
    return true;
  }
  bool binary(json::binary_t&) override { return false; }
  bool start_object(std::size_t) override { return open(node::type::object); }
  bool start_array(std::size_t) override { return open(node::type::array); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }

  bool key(std::string& name) override {
    auto& top = open_.back();
    member m;
    m.at = take();
    m.name = std::move(name);
    auto [known, fresh] = top.names.try_emplace(m.name, m.at.line);
    m.repeated = !fresh;
    top.value->members.push_back(std::move(m));
    if (!fresh)
      report(top.value->members.back().at, path(),
             fmt::format("a second member named '{}' (the first is on line {})", top.value->members.back().name,
                         known->second),
             "remove one, or give it another name");
    return true;
  }

  bool parse_error(std::size_t byte, const std::string&, const nlohmann::detail::exception& e) override {
    const std::string_view message = e.what();
    if (message.find("number overflow") != std::string_view::npos) {
      report(lines_.at(start_before(byte)), path(), "a number beyond the range of a double", "");
    } else if (message.find("unexpected end of input") != std::string_view::npos ||
               message.find("empty input") != std::string_view::npos) { // so said from nlohmann 3.11.3 on
      at_end();
    } else {
      const auto start = start_before(byte);
      report(lines_.at(start), path(), "no valid JSON: " + cause(message), remedy(start, message));
    }
    return false;
  }

  std::optional<node> result(bool whole) {
    if (!whole || root_.empty())
      return std::nullopt;
    return std::move(root_.front().value);
  }

private:
  struct frame {
    node* value;
    std::unordered_map<std::string, int> names; // to the line of the first
  };

  void report(position at, std::string pointer, std::string what, std::string remedy) {
    problems_.push_back({std::string(options_.pointer) + std::move(pointer), at.line, at.column, std::move(what),
                         std::move(remedy), std::string(options_.name)});
  }

  // Where the next value token begins.
  position take() {
    while (next_ < tokens_.size() && std::string_view("{[\"w").find(tokens_[next_].kind) == std::string_view::npos)
      ++next_;
    return next_ < tokens_.size() ? lines_.at(tokens_[next_++].begin) : position{};
  }

  node* place() {
    if (open_.empty()) {
      root_.emplace_back();
      return &root_.back().value;
    }
    auto& top = *open_.back().value;
    if (top.is(node::type::array))
      top.members.emplace_back();
    return &top.members.back().value;
  }

  node* scalar(node::type kind) {
    auto* n = place();
    n->kind = kind;
    n->at = take();
    return n;
  }

  bool open(node::type kind) {
    auto* n = scalar(kind);
    if (open_.size() >= static_cast<std::size_t>(topology_depth_limit)) {
      report(n->at, path(), fmt::format("more than {} objects and arrays within each other", topology_depth_limit),
             "make it flatter");
      return false;
    }
    open_.push_back({n, {}});
    return true;
  }

  bool close() {
    std::erase_if(open_.back().value->members, [](const member& m) { return m.repeated; });
    open_.pop_back();
    return true;
  }

  // Pointer of the newest member of each open value.
  std::string path() const {
    std::string out;
    for (const auto& f : open_) {
      if (f.value->members.empty())
        break;
      out += '/';
      out += f.value->is(node::type::array) ? std::to_string(f.value->members.size() - 1)
                                            : pointer_token(f.value->members.back().name);
    }
    return out;
  }

  std::size_t start_before(std::size_t byte) const {
    auto found = std::upper_bound(tokens_.begin(), tokens_.end(), byte == 0 ? 0 : byte - 1,
                                  [](std::size_t b, const token& t) { return b < t.begin; });
    return found == tokens_.begin() ? 0 : (found - 1)->begin;
  }

  void at_end() {
    if (tokens_.empty())
      return report(lines_.at(0), "", "an empty text", R"(a topology is an object: {"topology": "name", ...})");
    if (open_.empty())
      return report(lines_.at(text_.size()), "", "no valid JSON: the text ends too early", "");
    report(lines_.at(text_.size()), path(),
           fmt::format("the text ends before the {} of line {} is closed",
                       open_.back().value->is(node::type::array) ? "array" : "object", open_.back().value->at.line),
           open_.back().value->is(node::type::array) ? "is a ']' missing?" : "is a '}' missing?");
  }

  // The parser's message without its prefix and without what it read: that could be a secret.
  static std::string cause(std::string_view message) {
    if (const auto dash = message.find(" - "); dash != std::string_view::npos)
      message.remove_prefix(dash + 3);
    if (const auto read = message.find("; last read"); read != std::string_view::npos)
      message = message.substr(0, read);
    return std::string(message);
  }

  std::string remedy(std::size_t start, std::string_view message) const {
    const auto has = [&](std::string_view part) { return message.find(part) != std::string_view::npos; };
    if (start < text_.size() && text_[start] == '\'')
      return "strings and names stand in double quotes";
    if (start < text_.size() && text_[start] == '#')
      return "comments begin with // or stand between /* and */";
    if (has("; expected string literal") || has("while parsing object key"))
      return "names stand in double quotes";
    if (has("missing closing quote") || has("control character"))
      return "is a '\"' missing at the end of the string? (write \\n for a new line)";
    if (has("invalid literal"))
      return "strings stand in double quotes; literals are true, false and null";
    if (has("unexpected") && (has("expected '}'") || has("expected ']'")))
      return "is a ',' missing before it?";
    return "";
  }

  std::string_view text_;
  const document_options& options_;
  std::vector<token> tokens_;
  lines lines_;
  std::vector<problem>& problems_;
  std::vector<member> root_;
  std::vector<frame> open_;
  std::size_t next_ = 0;
};

} // namespace

node* node::find(std::string_view name) {
  if (!is(type::object))
    return nullptr;
  auto found = std::find_if(members.begin(), members.end(), [&](const member& m) { return m.name == name; });
  return found == members.end() ? nullptr : &found->value;
}

std::string_view kind_name(const node& n) {
  switch (n.kind) {
  case node::type::null: return "null";
  case node::type::boolean: return "a boolean";
  case node::type::integer:
  case node::type::natural:
  case node::type::real: return "a number";
  case node::type::string: return "a string";
  case node::type::array: return "an array";
  case node::type::object: return "an object";
  }
  return "";
}

std::optional<node> parse_document(std::string_view text, const document_options& options,
                                   std::vector<problem>& problems) {
  auto tokens = tokens_of(text, options.comments);
  // A comma before a closing bracket is said and then overlooked, so that one run still finds everything else.
  std::string patched(text);
  const lines where(text);
  for (std::size_t i = 1; i < tokens.size(); ++i) {
    if ((tokens[i].kind == '}' || tokens[i].kind == ']') && tokens[i - 1].kind == ',') {
      const auto at = where.at(tokens[i - 1].begin);
      problems.push_back({std::string(options.pointer), at.line, at.column,
                          fmt::format("a comma with nothing after it before '{}'", tokens[i].kind), "remove the comma",
                          std::string(options.name)});
      patched[tokens[i - 1].begin] = ' ';
    }
  }
  builder b(patched, options, std::move(tokens), problems);
  const bool whole =
      json::sax_parse(patched.begin(), patched.end(), &b, json::input_format_t::json, true, options.comments);
  return b.result(whole);
}

} // namespace weir::config
