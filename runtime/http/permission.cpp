#include "runtime/http/permission.hpp"

#include "runtime/config/condition.hpp"

namespace weir::http {

permission narrow(const auth::gate* gate, const auth::identity* who, std::string_view table,
                  table::selection_spec& rows) {
  permission out;
  if (!gate || !gate->guarded())
    return out;
  out.decided = gate->may_read(
      who, {table, rows.one_key ? std::optional<std::string_view>(rows.key) : std::nullopt, &rows.where});
  if (!out.decided.allowed) {
    out.is = permission::verdict::denied;
    out.message = out.decided.message;
    return out;
  }
  if (!out.decided.forced.empty()) {
    auto joined = auth::both(rows.where, out.decided.forced, condition_test_limit);
    if (!joined) {
      out.is = permission::verdict::too_large;
      out.message = "'where' and the condition that the token puts upon it are too large together";
      return out;
    }
    rows.where = std::move(*joined);
    rows.where_text = canonical_text(rows.where);
  }
  rows.partial = out.decided.partial;
  return out;
}

} // namespace weir::http
