#include "runtime/table/aggregate.hpp"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>

namespace weir::table {

namespace {

void append_wide(std::string& out, wide v) {
  if (v < 0)
    out += '-';
  __extension__ unsigned __int128 left = v < 0 ? -static_cast<unsigned __int128>(v) : static_cast<unsigned __int128>(v);
  char text[48];
  char* at = text + sizeof text;
  do {
    *--at = static_cast<char>('0' + static_cast<int>(left % 10));
    left /= 10;
  } while (left != 0);
  out.append(at, text + sizeof text);
}

bool same_bits(double a, double b) { return std::bit_cast<std::uint64_t>(a) == std::bit_cast<std::uint64_t>(b); }

// One bit pattern for "no number": which one a processor makes of infinity - infinity differs.
double settled(double sum) { return std::isnan(sum) ? std::nan("") : sum; }

void append_total(std::string& out, double v) {
  if (std::isfinite(v))
    append(out, v);
  else
    out += std::isnan(v) ? "\"nan\"" : v > 0 ? "\"inf\"" : "\"-inf\"";
}

// Reads what to_json wrote and nothing else: a strict reader of one fixed form is smaller and faster than a general
// one.
class state_text {
public:
  explicit state_text(std::string_view text) : rest_(text) {}

  bool skip(std::string_view expected) {
    if (!rest_.starts_with(expected))
      return false;
    rest_.remove_prefix(expected.size());
    return true;
  }

  template <class Int>
  bool read(Int& value) {
    const auto [end, bad] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), value);
    if (bad != std::errc{})
      return false;
    rest_.remove_prefix(static_cast<std::size_t>(end - rest_.data()));
    return true;
  }

  bool read(wide& value) {
    const bool negative = skip("-");
    __extension__ unsigned __int128 sum = 0;
    std::size_t n = 0;
    for (; n < rest_.size() && rest_[n] >= '0' && rest_[n] <= '9' && n < 39; ++n)
      sum = sum * 10 + static_cast<unsigned>(rest_[n] - '0');
    rest_.remove_prefix(n);
    value = static_cast<wide>(negative ? -sum : sum);
    return n > 0;
  }

  bool read(number& value) {
    const auto end = std::min(rest_.find_first_of(",]}"), rest_.size());
    if (rest_.substr(0, end).find_first_of(".e") != std::string_view::npos) {
      double real = 0;
      if (!read(real))
        return false;
      value = number(real);
      return true;
    }
    wide whole = 0;
    if (!read(whole) || !fits_64(whole))
      return false;
    value = narrowed(whole);
    return true;
  }

  bool at(char c) const { return !rest_.empty() && rest_[0] == c; }
  bool at_real() const {
    const auto end = std::min(rest_.find_first_of(",]}"), rest_.size());
    return rest_.substr(0, end).find_first_of(".e") != std::string_view::npos;
  }
  bool done() const { return rest_.empty(); }

private:
  std::string_view rest_;
};

} // namespace

aggregate_state::aggregate_state(std::span<const aggregate_field> fields) {
  cells_.reserve(fields.size());
  for (const auto& f : fields) {
    switch (f.fn) {
    case function::count: cells_.emplace_back(counter{}); break;
    case function::sum:
    case function::avg: cells_.emplace_back(total{}); break;
    case function::min:
    case function::max: {
      extreme e;
      e.greatest = f.fn == function::max;
      cells_.emplace_back(e);
      break;
    }
    case function::first:
    case function::last: {
      pick p;
      p.newest = f.fn == function::last;
      cells_.emplace_back(p);
      break;
    }
    case function::var:
    case function::stddev:
    case function::rate:
    case function::distinct:
    case function::top:
    case function::percentile: cells_.emplace_back(counter{}); break; // of jobs (batch/group_state.hpp): never here
    }
  }
}

void aggregate_state::add(std::span<const std::optional<number>> values, const stamp& at) {
  for (std::size_t i = 0; i < cells_.size(); ++i) {
    auto& cell = cells_[i];
    if (auto* c = std::get_if<counter>(&cell)) {
      ++c->n;
      continue;
    }
    if (!values[i])
      continue;
    const auto& v = *values[i];
    if (auto* t = std::get_if<total>(&cell)) {
      ++t->n;
      if (!t->real && !v.is_real()) {
        t->exact += widened(v);
        continue;
      }
      t->sum = settled(t->as_double() + v.as_double());
      t->exact = 0;
      t->real = true;
    } else if (auto* e = std::get_if<extreme>(&cell)) {
      if (!e->any || (e->greatest ? compare(v, e->value) > 0 : compare(v, e->value) < 0))
        e->value = v;
      e->any = true;
    } else if (auto* p = std::get_if<pick>(&cell)) {
      if (p->any && !p->newest)
        continue;
      p->any = true;
      p->value = v;
      p->at = at;
    }
  }
}

void aggregate_state::merge(const aggregate_state& later) {
  for (std::size_t i = 0; i < cells_.size() && i < later.cells_.size(); ++i) {
    auto& cell = cells_[i];
    if (auto* c = std::get_if<counter>(&cell)) {
      c->n += std::get<counter>(later.cells_[i]).n;
    } else if (auto* t = std::get_if<total>(&cell)) {
      const auto& other = std::get<total>(later.cells_[i]);
      if (other.n == 0)
        continue;
      if (t->n == 0) {
        *t = other;
        continue;
      }
      t->n += other.n;
      if (!t->real && !other.real) {
        t->exact += other.exact;
        continue;
      }
      t->sum = settled(t->as_double() + other.as_double());
      t->exact = 0;
      t->real = true;
    } else if (auto* e = std::get_if<extreme>(&cell)) {
      const auto& other = std::get<extreme>(later.cells_[i]);
      if (other.any &&
          (!e->any || (e->greatest ? compare(other.value, e->value) > 0 : compare(other.value, e->value) < 0)))
        *e = other;
    } else if (auto* p = std::get_if<pick>(&cell)) {
      const auto& other = std::get<pick>(later.cells_[i]);
      if (other.any && (!p->any || (p->newest ? other.at > p->at : other.at < p->at)))
        *p = other;
    }
  }
}

std::optional<number> aggregate_state::shown(std::size_t i, function fn) const {
  const auto& cell = cells_[i];
  if (const auto* c = std::get_if<counter>(&cell))
    return number(c->n);
  if (const auto* e = std::get_if<extreme>(&cell))
    return e->any ? std::optional(e->value) : std::nullopt;
  if (const auto* p = std::get_if<pick>(&cell))
    return p->any ? std::optional(p->value) : std::nullopt;
  const auto& t = std::get<total>(cell);
  if (t.n == 0)
    return std::nullopt;
  if (fn == function::avg)
    return number(t.as_double() / static_cast<double>(t.n));
  return !t.real && fits_64(t.exact) ? narrowed(t.exact) : number(t.as_double());
}

std::string aggregate_state::to_row(std::span<const aggregate_field> fields) const {
  std::string out = "{";
  for (std::size_t i = 0; i < cells_.size(); ++i) {
    if (i > 0)
      out += ',';
    append_quoted(out, fields[i].name);
    out += ':';
    if (const auto value = shown(i, fields[i].fn))
      append(out, *value);
    else
      out += "null";
  }
  out += '}';
  return out;
}

std::string aggregate_state::to_json(std::span<const aggregate_field> fields) const {
  std::string out = R"({"v":1,"state":{)";
  for (std::size_t i = 0; i < cells_.size(); ++i) {
    if (i > 0)
      out += ',';
    append_quoted(out, fields[i].name);
    out += ':';
    if (const auto* c = std::get_if<counter>(&cells_[i])) {
      append(out, c->n);
    } else if (const auto* t = std::get_if<total>(&cells_[i])) {
      out += '[';
      append(out, t->n);
      out += ',';
      if (t->real) {
        append_total(out, t->sum);
      } else if (fits_64(t->exact)) {
        append_wide(out, t->exact);
      } else {
        out += '"'; // beyond what JSON readers agree on
        append_wide(out, t->exact);
        out += '"';
      }
      out += ']';
    } else if (const auto* e = std::get_if<extreme>(&cells_[i])) {
      e->any ? append(out, e->value) : void(out += "null");
    } else if (const auto* p = std::get_if<pick>(&cells_[i])) {
      if (!p->any) {
        out += "null";
        continue;
      }
      out += '[';
      append(out, p->value);
      out += ',';
      append(out, p->at.time_ms);
      out += ',';
      append(out, std::int64_t{p->at.partition.value});
      out += ',';
      append(out, p->at.at.value);
      out += ']';
    }
  }
  out += "}}";
  return out;
}

result<aggregate_state> aggregate_state::parse(std::span<const aggregate_field> fields, std::string_view json) {
  aggregate_state state(fields);
  state_text in(json);
  const auto read_total = [&](total& t) {
    if (!in.skip("[") || !in.read(t.n) || !in.skip(","))
      return false;
    t.real = in.at_real();
    bool good = true;
    if (t.real)
      good = in.read(t.sum);
    else if (!in.at('"'))
      good = in.read(t.exact);
    else if (in.skip("\"inf\""))
      t.real = true, t.sum = HUGE_VAL;
    else if (in.skip("\"-inf\""))
      t.real = true, t.sum = -HUGE_VAL;
    else if (in.skip("\"nan\""))
      t.real = true, t.sum = std::nan("");
    else
      good = in.skip("\"") && in.read(t.exact) && in.skip("\"");
    return good && in.skip("]");
  };
  const auto read_pick = [&](pick& p) {
    if (in.skip("null"))
      return true;
    p.any = true;
    return in.skip("[") && in.read(p.value) && in.skip(",") && in.read(p.at.time_ms) && in.skip(",") &&
           in.read(p.at.partition.value) && in.skip(",") && in.read(p.at.at.value) && in.skip("]");
  };
  const auto read_extreme = [&](extreme& e) {
    if (in.skip("null"))
      return true;
    e.any = true;
    return in.read(e.value);
  };
  bool good = in.skip(R"({"v":1,"state":{)");
  std::string name;
  for (std::size_t i = 0; good && i < fields.size(); ++i) {
    name = i > 0 ? "," : "";
    append_quoted(name, fields[i].name);
    name += ':';
    auto& cell = state.cells_[i];
    good = in.skip(name);
    if (!good)
      break;
    if (auto* c = std::get_if<counter>(&cell))
      good = in.read(c->n);
    else if (auto* t = std::get_if<total>(&cell))
      good = read_total(*t);
    else if (auto* e = std::get_if<extreme>(&cell))
      good = read_extreme(*e);
    else if (auto* p = std::get_if<pick>(&cell))
      good = read_pick(*p);
  }
  if (!good || !in.skip("}}") || !in.done())
    return fail(ec::internal, "a stored aggregate state can't be read; its table has to be rebuilt");
  return state;
}

bool aggregate_state::identical(const aggregate_state& other) const {
  const auto same = [](const field_state& a, const field_state& b) {
    if (a.index() != b.index())
      return false;
    if (const auto* c = std::get_if<counter>(&a))
      return c->n == std::get<counter>(b).n;
    if (const auto* t = std::get_if<total>(&a)) {
      const auto& u = std::get<total>(b);
      return t->n == u.n && t->real == u.real && t->exact == u.exact && same_bits(t->sum, u.sum);
    }
    if (const auto* e = std::get_if<extreme>(&a)) {
      const auto& f = std::get<extreme>(b);
      return e->any == f.any && e->greatest == f.greatest && e->value.identical(f.value);
    }
    const auto& p = std::get<pick>(a);
    const auto& q = std::get<pick>(b);
    return p.any == q.any && p.newest == q.newest && p.value.identical(q.value) && p.at == q.at;
  };
  return std::equal(cells_.begin(), cells_.end(), other.cells_.begin(), other.cells_.end(), same);
}

} // namespace weir::table
