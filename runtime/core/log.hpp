// Structured logs on standard error: one line an event, text or JSON. Thread-safe. Never log secrets or record values.
#pragma once

#include <fmt/format.h>
#include <initializer_list>
#include <string>
#include <string_view>

namespace weir::log {

enum class level { debug, info, warn, error };
enum class format { text, json };

// Call once, before threads start.
void setup(level least, format form);

struct field {
  std::string_view name;
  std::string value;
  bool number = false;

  field(std::string_view n, std::string_view v) : name(n), value(v) {}
  field(std::string_view n, const char* v) : name(n), value(v) {}
  field(std::string_view n, const std::string& v) : name(n), value(v) {}
  field(std::string_view n, bool v) : name(n), value(v ? "true" : "false"), number(true) {}
  template <class T>
    requires std::is_arithmetic_v<T>
  field(std::string_view n, T v) : name(n), value(fmt::format("{}", v)), number(true) {}
};

// `component` in kebab case with its key, as "partition/readings/3".
void write(level l, std::string_view component, std::string_view message, std::initializer_list<field> fields = {});

inline void debug(std::string_view c, std::string_view m, std::initializer_list<field> f = {}) {
  write(level::debug, c, m, f);
}
inline void info(std::string_view c, std::string_view m, std::initializer_list<field> f = {}) {
  write(level::info, c, m, f);
}
inline void warn(std::string_view c, std::string_view m, std::initializer_list<field> f = {}) {
  write(level::warn, c, m, f);
}
inline void error(std::string_view c, std::string_view m, std::initializer_list<field> f = {}) {
  write(level::error, c, m, f);
}

} // namespace weir::log
