#include "runtime/batch/group_state.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <iterator>

namespace weir::batch {

namespace {

using table::number;

// How an aggregate table's state does it, where it does: a rate is a count or a sum until it is shown.
std::optional<function> plain_function(const aggregate_field& f) {
  switch (f.fn) {
  case function::count:
  case function::sum:
  case function::min:
  case function::max:
  case function::avg: return f.fn;
  case function::rate: return f.pointer.empty() ? function::count : function::sum;
  case function::first:
  case function::last:
  case function::var:
  case function::stddev:
  case function::distinct:
  case function::top:
  case function::percentile: break;
  }
  return std::nullopt;
}

// Of a function that has no plain one.
group_plan::family family_of(function fn) {
  using family = group_plan::family;
  switch (fn) {
  case function::first: return family::first;
  case function::last: return family::last;
  case function::distinct: return family::distinct;
  case function::top: return family::top;
  case function::percentile: return family::percentiles;
  default: return family::moments; // var, stddev
  }
}

// 1.0 is 1, and -0.0 is 0.
number settled(const number& n) {
  if (!n.is_real())
    return n;
  const auto v = n.real();
  if (std::trunc(v) != v || std::fabs(v) >= 18446744073709551616.0 || v < -9223372036854775808.0)
    return n;
  return v < 0 ? number(static_cast<std::int64_t>(v)) : number(static_cast<std::uint64_t>(v));
}

void append_top(std::string& out, const top_values& top, std::size_t n) {
  out += '[';
  const char* separator = "";
  for (const auto& [value, count] : top.greatest(n)) {
    fmt::format_to(std::back_inserter(out), R"({}{{"value":{},"count":{})", separator, value, count);
    if (top.error() > 0)
      fmt::format_to(std::back_inserter(out), R"(,"error":{})", top.error());
    out += '}';
    separator = ",";
  }
  out += ']';
}

void append_optional(std::string& out, const std::optional<double>& v) {
  if (v)
    table::append(out, *v);
  else
    out += "null";
}

} // namespace

group_plan::group_plan(std::span<const aggregate_field> given) {
  for (const auto& f : given) {
    if (const auto fn = plain_function(f)) {
      fields.push_back({f, plain.size()});
      plain.push_back({f.name, *fn, f.pointer});
      plain_read.push_back(*fn == function::count ? 0 : read(f.pointer));
      continue;
    }
    const cell wanted{family_of(f.fn), read(f.pointer)};
    const auto found = std::find(cells.begin(), cells.end(), wanted);
    fields.push_back({f, static_cast<std::size_t>(found - cells.begin())});
    if (found == cells.end())
      cells.push_back(wanted);
    if (wanted.kind == family::distinct || wanted.kind == family::top)
      as_text[wanted.read] = true;
  }
}

std::size_t group_plan::read(const std::string& pointer) {
  const auto found = std::find(read_pointers_.begin(), read_pointers_.end(), pointer);
  const auto index = static_cast<std::size_t>(found - read_pointers_.begin());
  if (found == read_pointers_.end()) {
    read_pointers_.push_back(pointer);
    reads.emplace_back(pointer);
    as_text.push_back(false);
  }
  return index;
}

group_values::group_values(const group_plan& plan)
    : numbers(plan.reads.size()), texts(plan.reads.size()), plain_numbers(plan.plain.size()) {}

void group_values::read(const group_plan& plan, const table::record_reader& reader) {
  for (std::size_t i = 0; i < plan.reads.size(); ++i) {
    const auto value = reader.at(plan.reads[i]);
    numbers[i] = value.is == table::field::kind::number ? std::optional(value.num) : std::nullopt;
    if (plan.as_text[i])
      value_text(value, texts[i]);
  }
  for (std::size_t i = 0; i < plan.plain.size(); ++i)
    if (plan.plain[i].fn != function::count)
      plain_numbers[i] = numbers[plan.plain_read[i]];
}

void value_text(const table::field& value, std::string& out) {
  out.clear();
  switch (value.is) {
  case table::field::kind::text: return table::append_quoted(out, value.text);
  case table::field::kind::number: return table::append(out, settled(value.num));
  case table::field::kind::boolean: out = value.boolean ? "true" : "false"; return;
  case table::field::kind::missing:
  case table::field::kind::null:
  case table::field::kind::array:
  case table::field::kind::object: return;
  }
}

group_state::group_state(const group_plan& plan) : plain_(plan.plain) {
  using family = group_plan::family;
  cells_.reserve(plan.cells.size());
  for (const auto& c : plan.cells) {
    switch (c.kind) {
    case family::moments: cells_.emplace_back(moments{}); break;
    case family::first: cells_.emplace_back(pick{false}); break;
    case family::last: cells_.emplace_back(pick{true}); break;
    case family::percentiles: cells_.emplace_back(quantile_sketch{}); break;
    case family::distinct: cells_.emplace_back(distinct_counter{}); break;
    case family::top: cells_.emplace_back(top_values{}); break;
    }
  }
}

void group_state::add(const group_plan& plan, const group_values& values, const stamp& at) {
  plain_.add(values.plain_numbers, at);
  for (std::size_t i = 0; i < cells_.size(); ++i) {
    auto& mine = cells_[i];
    const auto read = plan.cells[i].read;
    if (auto* d = std::get_if<distinct_counter>(&mine)) {
      if (!values.texts[read].empty())
        d->add(values.texts[read]);
      continue;
    }
    if (auto* t = std::get_if<top_values>(&mine)) {
      if (!values.texts[read].empty() && values.texts[read].size() <= longest_top_text)
        t->add(values.texts[read]);
      continue;
    }
    const auto& v = values.numbers[read];
    if (!v)
      continue;
    if (auto* m = std::get_if<moments>(&mine))
      m->add(v->as_double());
    else if (auto* p = std::get_if<pick>(&mine))
      p->add(*v, at);
    else if (auto* s = std::get_if<quantile_sketch>(&mine))
      s->add(v->as_double());
  }
}

void group_state::merge(const group_state& later) {
  plain_.merge(later.plain_);
  for (std::size_t i = 0; i < cells_.size() && i < later.cells_.size(); ++i)
    std::visit(
        [&](auto& mine) {
          if (const auto* theirs = std::get_if<std::decay_t<decltype(mine)>>(&later.cells_[i]))
            mine.merge(*theirs);
        },
        cells_[i]);
}

std::size_t group_state::bytes() const {
  std::size_t sum = 0;
  for (const auto& c : cells_) {
    if (const auto* s = std::get_if<quantile_sketch>(&c))
      sum += s->bytes();
    else if (const auto* d = std::get_if<distinct_counter>(&c))
      sum += d->bytes();
    else if (const auto* t = std::get_if<top_values>(&c))
      sum += t->bytes();
  }
  return sum;
}

std::string group_state::to_row(const group_plan& plan, std::optional<double> seconds) const {
  std::string out = "{";
  for (const auto& [f, at] : plan.fields) {
    if (out.size() > 1)
      out += ',';
    table::append_quoted(out, f.name);
    out += ':';
    if (plain_function(f)) {
      const auto value = plain_.shown(at, f.fn);
      if (!value || (f.fn == function::rate && !(seconds.value_or(0) > 0)))
        out += "null";
      else if (f.fn == function::rate)
        table::append(out, value->as_double() / *seconds);
      else
        table::append(out, *value);
      continue;
    }
    const auto& mine = cells_[at];
    if (const auto* m = std::get_if<moments>(&mine))
      append_optional(out, f.fn == function::var ? m->variance() : m->deviation());
    else if (const auto* p = std::get_if<pick>(&mine))
      p->value() ? table::append(out, *p->value()) : void(out += "null");
    else if (const auto* s = std::get_if<quantile_sketch>(&mine))
      append_optional(out, s->percentile(f.argument));
    else if (const auto* d = std::get_if<distinct_counter>(&mine))
      table::append(out, d->count());
    else if (const auto* t = std::get_if<top_values>(&mine))
      append_top(out, *t, f.argument);
  }
  out += '}';
  return out;
}

// The plain state's own text; where there are other states, with its length before it and them behind it.
void group_state::save(const group_plan& plan, std::string& out) const {
  const auto text = plain_.to_json(plan.plain);
  if (!cells_.empty())
    fmt::format_to(std::back_inserter(out), "{}\n", text.size());
  out += text;
  for (const auto& c : cells_)
    std::visit([&](const auto& mine) { mine.save(out); }, c);
}

std::optional<group_state> group_state::restore(const group_plan& plan, std::string_view saved) {
  group_state state(plan);
  saved_text in(saved);
  auto length = saved.size();
  std::string_view plain;
  if ((!state.cells_.empty() && !in.number('\n', length)) || !in.bytes(length, plain))
    return std::nullopt;
  auto parsed = table::aggregate_state::parse(plan.plain, plain);
  if (!parsed)
    return std::nullopt;
  state.plain_ = std::move(*parsed);
  for (auto& c : state.cells_)
    if (!std::visit([&](auto& mine) { return mine.restore(in); }, c))
      return std::nullopt;
  return in.left() == 0 ? std::optional(std::move(state)) : std::nullopt;
}

} // namespace weir::batch
