// From a document's node to a condition. Internal to runtime/config.
#pragma once

#include "proto/condition.hpp"
#include "runtime/config/document.hpp"

#include <map>

namespace weir::config {

class condition_reader {
public:
  // Called with the place at fault: the position, and the --set (or empty) it came from.
  using reporter = std::function<void(position at, const std::string& place, const std::string& pointer,
                                      std::string what, std::string remedy)>;

  // rows: the condition chooses rows, so row_key_name may stand in place of a pointer.
  // parameters: {"parameter": "name"} may stand for a value; null: it may not.
  explicit condition_reader(reporter report, bool rows = false,
                            const std::map<std::string, scalar>* parameters = nullptr)
      : report_(std::move(report)), rows_(rows), parameters_(parameters) {}

  condition read(node& n, const std::string& pointer, int depth = 0);

private:
  void alternatives(member& m, const std::string& pointer, int depth, condition& out);
  void tests(member& m, const std::string& pointer, condition& out);
  void operation(const std::string& field, member& m, const std::string& pointer, condition& out);
  std::vector<scalar> operands(comparison op, std::string_view name, node& n, const std::string& pointer);
  void fault(const node& n, const std::string& pointer, std::string what, std::string remedy);
  void fault(const member& m, const std::string& pointer, std::string what, std::string remedy);
  bool parameter(const std::string& field, comparison op, member& m, const std::string& pointer, condition& out);
  bool room(const node& n, const std::string& pointer, std::size_t tests, std::size_t operands);

  reporter report_;
  bool rows_;
  const std::map<std::string, scalar>* parameters_;
  std::size_t tests_ = 0, operands_ = 0;
  bool full_ = false;
};

} // namespace weir::config
