// How many records a second one core folds: 200-byte JSON, 10,000 keys, one `latest` table keyed by the record key.
//   fold [records] [records in a batch]
#include "runtime/table/fold.hpp"
#include "runtime/table/record_reader.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

namespace {

using steady = std::chrono::steady_clock;

double seconds_since(steady::time_point start) { return std::chrono::duration<double>(steady::now() - start).count(); }

void print(const char* what, std::size_t n, double seconds) {
  std::printf("%-38s %12.0f records/s %8.1f ns/record\n", what, static_cast<double>(n) / seconds,
              seconds * 1e9 / static_cast<double>(n));
}

weir::table::fold_table latest(std::string key) {
  weir::table::fold_table t;
  t.config.name = "machines";
  t.config.from = "readings";
  t.config.key = std::move(key);
  t.ref = {"machines", 1};
  return t;
}

void measure(const char* what, weir::table::fold_table def, const std::vector<std::string>& keys,
             const std::vector<std::string>& values, std::size_t n, std::size_t batch_size) {
  weir::table::partition_fold fold({"bench", "readings", weir::partition_id{0}}, {std::move(def)}, {weir::offset{0}});
  std::size_t rows = 0;
  const auto start = steady::now();
  for (std::size_t i = 0; i < n; ++i) {
    const auto k = i * 7919 % keys.size();
    fold.add(weir::offset{static_cast<std::int64_t>(i)}, 1'700'000'000'000, keys[k], values[k]);
    if (fold.records() == batch_size || i + 1 == n) {
      for (const auto& missing : fold.missing_states())
        for (const auto& key : missing.keys)
          if (!fold.supply_state(missing.table, key, std::nullopt))
            std::abort();
      for (const auto& w : fold.close().tables)
        rows += w.changes->rows.size() + w.changes->entries.size();
    }
  }
  print(what, n, seconds_since(start));
  std::printf("    %.3f rows a record\n", static_cast<double>(rows) / static_cast<double>(n));
}

} // namespace

int main(int argc, char** argv) {
  const auto n = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 2'000'000;
  const auto batch_size = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 16'000;
  std::vector<std::string> keys, values;
  for (int k = 0; k < 10'000; ++k) {
    keys.push_back("machine-" + std::to_string(k));
    std::string v = R"({"machine":"machine-)" + std::to_string(k) + R"(","site":"site-)" + std::to_string(k % 50) +
                    R"(","ts":1700000000000,"cpu":)" + std::to_string(k % 100) +
                    R"(.25,"sensors":{"temp":21.5,"fan":1200},"note":")";
    v.append(v.size() < 198 ? 198 - v.size() : 0, 'x');
    values.push_back(v + "\"}");
  }

  weir::table::record_reader reader;
  const auto start = steady::now();
  std::size_t good = 0;
  for (std::size_t i = 0; i < n; ++i)
    good += reader.read(values[i * 7919 % values.size()]).empty();
  print("reading alone (all valid)", good, seconds_since(start));

  measure("latest by record key", latest(""), keys, values, n, batch_size);
  measure("latest by /machine", latest("/machine"), keys, values, n, batch_size);
  auto chosen = latest("/machine");
  chosen.config.select = {{"cpu", "/cpu"}, {"temp", "/sensors/temp"}};
  measure("latest by /machine, select of two", chosen, keys, values, n, batch_size);
  auto log = latest("");
  log.config.kind = weir::table_kind::log;
  log.config.time = "/ts";
  measure("log by /ts", log, keys, values, n, batch_size);
  auto totals = latest("/site");
  totals.config.kind = weir::table_kind::aggregate;
  totals.config.fields = {
      {"n", weir::function::count, ""}, {"high", weir::function::max, "/cpu"}, {"mean", weir::function::avg, "/cpu"}};
  measure("aggregate by /site, three fields", totals, keys, values, n, batch_size);
  return 0;
}
