// What the tests of the fold share.
#pragma once

#include "runtime/table/aggregate.hpp"
#include "runtime/table/fold.hpp"
#include "runtime/table/number.hpp"

#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace weir::table::testing {

using text = std::optional<std::string_view>;

inline constexpr text no_text{};

inline fold_table latest(std::string name, std::string key = "") {
  fold_table t;
  t.config.name = name;
  t.config.from = "readings";
  t.config.key = std::move(key);
  t.ref = table_ref{std::move(name), 1};
  return t;
}

inline fold_table log_table(std::string name, std::string time = "") {
  auto t = latest(std::move(name));
  t.config.kind = table_kind::log;
  t.config.time = std::move(time);
  return t;
}

inline std::vector<aggregate_field> all_fields() {
  return {{"n", function::count, ""},    {"sum", function::sum, "/v"},  {"low", function::min, "/v"},
          {"high", function::max, "/v"}, {"mean", function::avg, "/v"}, {"one", function::first, "/v"},
          {"now", function::last, "/v"}};
}

inline fold_table aggregate(std::string name, std::string key = "") {
  auto t = latest(std::move(name), std::move(key));
  t.config.kind = table_kind::aggregate;
  t.config.fields = all_fields();
  return t;
}

inline partition_key readings(std::int32_t partition = 0) { return {"fleet", "readings", partition_id{partition}}; }

// The seed is printed; WEIR_TEST_SEED repeats a run.
inline std::mt19937_64 seeded() {
  const char* given = std::getenv("WEIR_TEST_SEED");
  const std::uint64_t seed = given ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  std::cout << "seed " << seed << '\n';
  return std::mt19937_64(seed);
}

inline std::string shown(const number& n) {
  std::string out;
  append(out, n);
  return out;
}

} // namespace weir::table::testing
