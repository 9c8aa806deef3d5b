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

std::string text_member(const nlohmann::ordered_json& object, const char* name) {
  const auto found = object.find(name); // end() also where it is no object
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

std::string said(const http::client_response& answer) {
  const auto body = nlohmann::ordered_json::parse(answer.body, nullptr, false);
  const auto error = body.find("error");
  return error == body.end() ? std::string() : text_member(*error, "message");
}

std::string waited_for(const http::client_response& answer) {
  const auto body = nlohmann::json::parse(answer.body, nullptr, false);
  const auto waiting = body.find("waiting"); // end() also where it is no object
  if (waiting == body.end() || !waiting->is_array())
    return answer.body.substr(0, 200);
  std::string out;
  for (const auto& why : *waiting)
    if (why.is_string())
      out += (out.empty() ? "" : "; ") + why.get<std::string>();
  return out.empty() ? "no reason given" : out;
}

} // namespace weir::cli
