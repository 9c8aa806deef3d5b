#include "runtime/batch/derive.hpp"

namespace weir::batch {

namespace {

void append_json(std::string& out, const derived_value& v) {
  using kind = table::field::kind;
  switch (v.is) {
  case kind::text: return table::append_quoted(out, v.text);
  case kind::number: return table::append(out, v.num);
  case kind::boolean: out += v.boolean ? "true" : "false"; return;
  default: out += "null"; return;
  }
}

} // namespace

derivation::derivation(std::span<const std::pair<std::string, std::string>> fields) {
  std::vector<std::string> names;
  for (const auto& [name, text] : fields) {
    auto parsed = expression::parse(text, names);
    if (!parsed) // never: it was checked
      continue;
    fields_.push_back(std::move(*parsed));
    names.push_back(name);
    table::append_quoted(heads_.emplace_back(), name);
    heads_.back() += ':';
  }
  values_.resize(fields_.size());
}

std::string_view derivation::apply(const table::record_reader& row, std::int64_t time_ms) {
  text_.assign(1, '{');
  for (std::size_t i = 0; i < fields_.size(); ++i) {
    values_[i] = fields_[i].evaluate(row, std::span(values_).first(i), time_ms);
    if (i > 0)
      text_ += ',';
    text_ += heads_[i];
    append_json(text_, values_[i]);
  }
  auto own = row.text().substr(1); // behind its '{'
  if (const auto begin = own.find_first_not_of(" \t\r\n"); begin != std::string_view::npos && own[begin] != '}')
    text_ += ',';
  text_ += own;
  return text_;
}

} // namespace weir::batch
