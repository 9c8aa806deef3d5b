// From text to a tree, by recursive descent. Whether a '/' begins a pointer or divides is told by the place: an operand
// or an operator is expected there.
#include "runtime/batch/expression_node.hpp"
#include "runtime/core/forms.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <fmt/format.h>
#include <limits>
#include <optional>
#include <utility>

namespace weir::batch {

namespace {

using kind = table::field::kind;

constexpr std::size_t any_number = std::numeric_limits<std::size_t>::max();

struct known_function {
  std::string_view name;
  operation what;
  std::size_t least, most; // arguments
};

constexpr std::array functions{
    known_function{"concat", operation::concat, 1, any_number},
    known_function{"coalesce", operation::coalesce, 1, any_number},
    known_function{"bucket", operation::bucket, 2, 2},
    known_function{"time", operation::time, 0, 0},
    known_function{"abs", operation::abs, 1, 1},
    known_function{"floor", operation::floor, 1, 1},
    known_function{"ceil", operation::ceil, 1, 1},
    known_function{"round", operation::round, 1, 1},
};
constexpr std::string_view function_names = "there are: concat, coalesce, bucket, time, abs, floor, ceil, round";

bool digit(char c) { return c >= '0' && c <= '9'; }
bool letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
// In a pointer without backticks; of what is not ASCII, each byte.
bool of_pointer(char c) { return letter(c) || digit(c) || c == '.' || c == '/' || (c & 0x80) != 0; }

class parser {
public:
  using node = expression::node;

  parser(std::string_view text, std::span<const std::string> earlier, std::span<const std::string> later)
      : text_(text), earlier_(earlier), later_(later) {}

  // Throws expression_fault; parse() below is the only one who sees that.
  node whole() {
    if (text_.size() > longest_expression)
      fail(0, fmt::format("is longer than {} bytes", longest_expression), "derive it in several steps");
    auto n = sum();
    blanks();
    if (at_ < text_.size())
      fail(at_, fmt::format("an operator is expected, not '{}'", here()), "there are: + - * / %");
    return n;
  }

private:
  [[noreturn]] void fail(std::size_t at, std::string what, std::string remedy) const {
    const auto before = text_.substr(0, at);
    const auto characters = std::count_if(before.begin(), before.end(), [](char c) { return (c & 0xC0) != 0x80; });
    throw expression_fault{static_cast<std::size_t>(characters) + 1, std::move(what), std::move(remedy)};
  }

  // The character at the place, whole, for messages.
  std::string_view here() const {
    auto end = at_ + 1;
    while (end < text_.size() && (text_[end] & 0xC0) == 0x80)
      ++end;
    return text_.substr(at_, end - at_);
  }

  void blanks() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n' || text_[at_] == '\r'))
      ++at_;
  }

  // The next character that is none, if it is one of these.
  char next(std::string_view of) {
    blanks();
    return at_ < text_.size() && of.find(text_[at_]) != std::string_view::npos ? text_[at_] : '\0';
  }

  node counted(operation what) {
    if (++size_ > largest_expression)
      fail(at_, fmt::format("has more than {} operators, functions and operands", largest_expression),
           "derive it in several steps");
    node n;
    n.what = what;
    return n;
  }

  node binary(operation what, node left, node right) {
    auto n = counted(what);
    n.arguments.push_back(std::move(left));
    n.arguments.push_back(std::move(right));
    return n;
  }

  node sum() {
    if (++depth_ > deepest_expression)
      fail(at_, fmt::format("goes deeper than {} levels", deepest_expression), "derive it in several steps");
    auto left = product();
    while (const char c = next("+-")) {
      ++at_;
      auto right = product();
      left = binary(c == '+' ? operation::add : operation::subtract, std::move(left), std::move(right));
    }
    --depth_;
    return left;
  }

  node product() {
    auto left = factor();
    while (const char c = next("*/%")) {
      ++at_;
      auto right = factor();
      left = binary(c == '*'   ? operation::multiply
                    : c == '/' ? operation::divide
                               : operation::remainder,
                    std::move(left), std::move(right));
    }
    return left;
  }

  node factor() {
    blanks();
    if (at_ == text_.size())
      fail(at_, "an operand is missing", R"(write a pointer such as /cpu, a number, a 'text', or a function)");
    const char c = text_[at_];
    if (c == '-')
      return negated();
    if (digit(c) || c == '.')
      return numeral();
    if (c == '\'')
      return literal_text();
    if (c == '/' || c == '`')
      return pointer();
    if (c == '(') {
      const auto open = at_++;
      auto inner = sum();
      close(open);
      return inner;
    }
    if (letter(c))
      return word();
    fail(at_, fmt::format("an operand is expected, not '{}'", here()),
         c == '"' ? "a text has single quotes" : "write a pointer such as /cpu, a number, a 'text', or a function");
  }

  node negated() {
    if (++depth_ > deepest_expression)
      fail(at_, fmt::format("goes deeper than {} levels", deepest_expression), "derive it in several steps");
    ++at_;
    auto n = counted(operation::negate);
    n.arguments.push_back(factor());
    --depth_;
    return n;
  }

  void close(std::size_t open) {
    if (!next(")"))
      fail(open, "a '(' without its ')'", at_ < text_.size() ? fmt::format("what is '{}' for?", here()) : "close it");
    ++at_;
  }

  node numeral() {
    const auto begin = at_;
    auto n = counted(operation::literal);
    n.literal.is = kind::number;
    const auto* first = text_.data() + begin;
    const auto* end = text_.data() + text_.size();
    std::uint64_t whole = 0;
    const auto [after_whole, bad_whole] = std::from_chars(first, end, whole);
    double real = 0;
    const auto [after, bad] = std::from_chars(first, end, real);
    if (bad != std::errc{} || !std::isfinite(real))
      fail(begin, "is no number that a double can hold", "write digits, such as 100 or 0.5");
    const bool is_whole = bad_whole == std::errc{} && after_whole == after;
    n.literal.num = is_whole ? table::number(whole) : table::number(real);
    at_ = static_cast<std::size_t>(after - text_.data());
    if (at_ < text_.size() && letter(text_[at_]))
      fail(at_, fmt::format("an operator is expected, not '{}'", here()), "there are: + - * / %");
    return n;
  }

  std::string quoted() {
    const auto open = at_++;
    std::string out;
    for (;; ++at_) {
      if (at_ == text_.size())
        fail(open, "a text without its closing quote", "add '; a quote inside is written ''");
      if (text_[at_] == '\'') {
        if (at_ + 1 == text_.size() || text_[at_ + 1] != '\'')
          break;
        ++at_;
      }
      out += text_[at_];
    }
    ++at_;
    return out;
  }

  node literal_text() {
    auto n = counted(operation::literal);
    n.literal.is = kind::text;
    n.literal.text = quoted();
    return n;
  }

  node pointer() {
    const auto begin = at_;
    std::string_view written;
    if (text_[at_] == '`') {
      const auto end = text_.find('`', at_ + 1);
      if (end == std::string_view::npos)
        fail(begin, "a pointer without its closing backtick", "add ` behind it");
      written = text_.substr(at_ + 1, end - at_ - 1);
      at_ = end + 1;
    } else {
      while (at_ < text_.size() && of_pointer(text_[at_]))
        ++at_;
      written = text_.substr(begin, at_ - begin);
      if (written.ends_with('/'))
        fail(begin, fmt::format("'{}' is a pointer to a field without a name", written),
             "put a blank before a '/' that divides; if it is meant, put it between backticks");
    }
    if (written.empty() || !is_pointer(written))
      fail(begin, fmt::format("'{}' is no JSON Pointer", written),
           written.starts_with('/') ? "'~' is written '~0', and '/' in a name '~1'"
                                    : fmt::format("did you mean `/{}`?", written));
    return refer(begin, written);
  }

  node refer(std::size_t begin, std::string_view written) {
    table::pointer at(written);
    const auto found = std::find(earlier_.begin(), earlier_.end(), at.tokens.front().name);
    if (found == earlier_.end()) {
      if (std::find(later_.begin(), later_.end(), at.tokens.front().name) != later_.end())
        fail(begin, fmt::format("'{}' is derived below", written),
             "put that field before this one, or name it otherwise");
      auto n = counted(operation::pointer);
      n.at = std::move(at);
      return n;
    }
    if (at.tokens.size() > 1)
      fail(begin, fmt::format("'{}' is derived, and has nothing inside", *found),
           "name the derived field another way to reach the row's own");
    auto n = counted(operation::earlier);
    n.index = static_cast<std::size_t>(found - earlier_.begin());
    return n;
  }

  node word() {
    const auto begin = at_;
    while (at_ < text_.size() && (letter(text_[at_]) || digit(text_[at_])))
      ++at_;
    const auto name = text_.substr(begin, at_ - begin);
    if (!next("("))
      return constant(begin, name);
    const auto found =
        std::find_if(functions.begin(), functions.end(), [&](const known_function& f) { return f.name == name; });
    if (found == functions.end())
      fail(begin, fmt::format("unknown function '{}'", name), std::string(function_names));
    return call(begin, *found);
  }

  node constant(std::size_t begin, std::string_view name) {
    auto n = counted(operation::literal);
    if (name == "null")
      return n;
    if (name != "true" && name != "false")
      fail(begin, fmt::format("'{}' is neither a pointer nor a function", name),
           fmt::format("did you mean /{}?", name));
    n.literal.is = kind::boolean;
    n.literal.boolean = name == "true";
    return n;
  }

  node call(std::size_t begin, const known_function& f) {
    auto n = counted(f.what);
    const auto open = at_++;
    if (f.what == operation::bucket)
      return bucket(open, std::move(n));
    if (!next(")")) {
      n.arguments.push_back(sum());
      while (next(",")) {
        ++at_;
        n.arguments.push_back(sum());
      }
    }
    close(open);
    if (n.arguments.size() < f.least || n.arguments.size() > f.most)
      fail(begin,
           fmt::format("'{}' takes {}, not {}", f.name,
                       f.most == any_number ? std::string("one argument or more")
                       : f.most == 0        ? std::string("no argument")
                                            : std::string("one argument"),
                       n.arguments.size()),
           "");
    return n;
  }

  node bucket(std::size_t open, node n) {
    n.arguments.push_back(sum());
    if (!next(","))
      fail(at_, "the width of the buckets is missing", "write bucket(time(), '5m')");
    ++at_;
    blanks();
    const auto begin = at_;
    if (at_ == text_.size() || text_[at_] != '\'')
      fail(begin, "the width of the buckets is a duration in quotes", "such as '5m'");
    const auto written = quoted();
    const auto width = parse_duration(written);
    if (!width || width->count() < 1)
      fail(begin, fmt::format("'{}' is no duration", written),
           "write a whole number and one of ms s m h d, such as 250ms, 10s, 5m, 1h, 7d");
    n.width_ms = width->count();
    close(open);
    return n;
  }

  std::string_view text_;
  std::span<const std::string> earlier_, later_;
  std::size_t at_ = 0, depth_ = 0, size_ = 0;
};

} // namespace

tl::expected<expression, expression_fault>
expression::parse(std::string_view text, std::span<const std::string> earlier, std::span<const std::string> later) {
  try {
    return expression(std::make_unique<const node>(parser(text, earlier, later).whole()));
  } catch (expression_fault& fault) {
    return tl::unexpected(std::move(fault));
  }
}

} // namespace weir::batch
