#include "cli/answers.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace weir::cli {

void print_table(std::string& out, const std::vector<std::string>& head,
                 const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> width;
  for (const auto& h : head)
    width.push_back(h.size());
  for (const auto& row : rows)
    for (std::size_t i = 0; i < row.size(); ++i)
      width[i] = std::max(width[i], row[i].size());
  const auto line = [&](const std::vector<std::string>& cells) {
    std::string s;
    for (std::size_t i = 0; i < cells.size(); ++i) {
      const bool number = !cells[i].empty() && cells[i].find_first_not_of("0123456789.-") == std::string::npos;
      s += number ? fmt::format("{:>{}}  ", cells[i], width[i]) : fmt::format("{:<{}}  ", cells[i], width[i]);
    }
    while (!s.empty() && s.back() == ' ')
      s.pop_back();
    out += s + "\n";
  };
  line(head);
  for (const auto& row : rows)
    line(row);
}

std::string said(const http::client_response& answer) {
  const auto body = nlohmann::json::parse(answer.body, nullptr, false);
  return body.is_object() && body.contains("error") ? body["error"].value("message", "") : "";
}

} // namespace weir::cli
