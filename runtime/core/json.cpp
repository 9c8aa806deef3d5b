#include "runtime/core/json.hpp"

#include <nlohmann/json.hpp>

namespace weir {

std::string json_quote(std::string_view text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

} // namespace weir
