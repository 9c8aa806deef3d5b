#include "runtime/table/where.hpp"

#include <algorithm>
#include <string>
#include <variant>

namespace weir::table {

namespace {

struct operand {
  field::kind is = field::kind::null;
  bool boolean = false;
  number num;
  std::string text;
};

operand ready(const scalar& value) {
  const auto f = as_field(value);
  return {f.is, f.boolean, f.num, std::string(f.text)};
}

bool equal(const field& value, const operand& o) {
  if (value.is != o.is)
    return false;
  switch (o.is) {
  case field::kind::null: return true;
  case field::kind::boolean: return value.boolean == o.boolean;
  case field::kind::number: return compare(value.num, o.num) == 0;
  case field::kind::text: return value.text == o.text;
  default: return false;
  }
}

// Numbers and strings have an order; nothing else has.
std::partial_ordering order(const field& value, const operand& o) {
  if (value.is == o.is && o.is == field::kind::number)
    return compare(value.num, o.num);
  if (value.is == o.is && o.is == field::kind::text)
    return value.text.compare(o.text) <=> 0;
  return std::partial_ordering::unordered;
}

struct ready_test {
  bool on_key = false;
  pointer at;
  comparison op;
  std::vector<operand> operands;

  bool holds(const record_reader& record, std::string_view key) const {
    if (on_key) {
      field value;
      value.is = field::kind::text;
      value.text = key;
      return holds(value);
    }
    return holds(record.at(at));
  }

  bool holds(const field& value) const {
    if (op == comparison::exists)
      return (value.is != field::kind::missing) == operands[0].boolean;
    if (value.is == field::kind::missing)
      return op == comparison::ne;
    switch (op) {
    case comparison::eq: return equal(value, operands[0]);
    case comparison::ne: return !equal(value, operands[0]);
    case comparison::gt: return order(value, operands[0]) > 0;
    case comparison::gte: return order(value, operands[0]) >= 0;
    case comparison::lt: return order(value, operands[0]) < 0;
    case comparison::lte: return order(value, operands[0]) <= 0;
    case comparison::in:
      return std::any_of(operands.begin(), operands.end(), [&](const operand& o) { return equal(value, o); });
    case comparison::prefix:
      return value.is == field::kind::text && operands[0].is == field::kind::text &&
             value.text.starts_with(operands[0].text);
    case comparison::exists: break;
    }
    return false;
  }
};

} // namespace

field as_field(const scalar& value) {
  field f;
  std::visit(
      [&](const auto& v) {
        using type = std::decay_t<decltype(v)>;
        if constexpr (std::is_same_v<type, bool>) {
          f.is = field::kind::boolean;
          f.boolean = v;
        } else if constexpr (std::is_arithmetic_v<type>) {
          f.is = field::kind::number;
          f.num = number(v);
        } else if constexpr (std::is_same_v<type, std::string>) {
          f.is = field::kind::text;
          f.text = v;
        } else {
          f.is = field::kind::null;
        }
      },
      value);
  return f;
}

struct where::node {
  std::vector<ready_test> all;
  std::vector<node> any;

  explicit node(const condition& c) {
    for (const auto& t : c.all) {
      const bool on_key = t.pointer == row_key_name;
      auto& made = all.emplace_back(ready_test{on_key, on_key ? pointer() : pointer(t.pointer), t.op, {}});
      for (const auto& o : t.operands)
        made.operands.push_back(ready(o));
      if (made.operands.empty() && t.op != comparison::in) { // checked with the topology; `exists` alone means true
        auto& supplied = made.operands.emplace_back();
        if (t.op == comparison::exists)
          supplied.is = field::kind::boolean, supplied.boolean = true;
      }
    }
    for (const auto& c_any : c.any)
      any.emplace_back(c_any);
  }

  bool holds(const record_reader& record, std::string_view key) const {
    return std::all_of(all.begin(), all.end(), [&](const ready_test& t) { return t.holds(record, key); }) &&
           (any.empty() || std::any_of(any.begin(), any.end(), [&](const node& n) { return n.holds(record, key); }));
  }

  bool needs_fields() const {
    return std::any_of(all.begin(), all.end(), [](const ready_test& t) { return !t.on_key; }) ||
           std::any_of(any.begin(), any.end(), [](const node& n) { return n.needs_fields(); });
  }
};

where::where() = default;
where::where(const condition& c) : root_(c.empty() ? nullptr : std::make_shared<const node>(c)) {}
where::~where() = default;
where::where(const where&) = default;
where::where(where&&) noexcept = default;
where& where::operator=(const where&) = default;
where& where::operator=(where&&) noexcept = default;

bool where::matches(const record_reader& record) const { return !root_ || root_->holds(record, {}); }

bool where::matches(std::string_view row, record_reader& scratch) const {
  return !root_ || (scratch.read(row).empty() && root_->holds(scratch, {}));
}

bool where::matches(std::string_view key, const record_reader& row) const { return !root_ || root_->holds(row, key); }

bool where::needs_fields() const { return root_ && root_->needs_fields(); }

} // namespace weir::table
