#include "runtime/core/log.hpp"

#include <nlohmann/json.hpp>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

namespace weir::log {
namespace {

format form_ = format::text;

std::shared_ptr<spdlog::logger>& logger() {
  static auto instance = [] {
    auto l = std::make_shared<spdlog::logger>("weir", std::make_shared<spdlog::sinks::stderr_color_sink_mt>());
    l->set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %^%l%$ %v", spdlog::pattern_time_type::utc);
    return l;
  }();
  return instance;
}

spdlog::level::level_enum to_spdlog(level l) {
  switch (l) {
  case level::debug: return spdlog::level::debug;
  case level::info: return spdlog::level::info;
  case level::warn: return spdlog::level::warn;
  case level::error: return spdlog::level::err;
  }
  return spdlog::level::info;
}

std::string json_text(std::string_view text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

} // namespace

void setup(level least, format form) {
  form_ = form;
  logger()->set_level(to_spdlog(least));
  logger()->flush_on(spdlog::level::debug);
  if (form == format::json)
    logger()->set_pattern("{\"time\":\"%Y-%m-%dT%H:%M:%S.%eZ\",\"level\":\"%l\",%v}", spdlog::pattern_time_type::utc);
}

void write(level l, std::string_view component, std::string_view message, std::initializer_list<field> fields) {
  auto& out = logger();
  const auto at = to_spdlog(l);
  if (!out->should_log(at))
    return;
  std::string line;
  if (form_ == format::json) {
    line = fmt::format("\"component\":{},\"message\":{}", json_text(component), json_text(message));
    for (const auto& f : fields)
      line += fmt::format(",{}:{}", json_text(f.name), f.number ? f.value : json_text(f.value));
  } else {
    line = fmt::format("{}: {}", component, message);
    for (const auto& f : fields)
      line +=
          fmt::format(" {}={}", f.name,
                      f.number || f.value.find_first_of(" \"\n=") == std::string::npos ? f.value : json_text(f.value));
  }
  out->log(at, "{}", line);
}

} // namespace weir::log
