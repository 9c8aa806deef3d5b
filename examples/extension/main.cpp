// weir for a power grid: its whole command line, and four parts for jobs. `grid-weir run topology.jsonc` uses all of them.
#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <weir/program.hpp>

namespace {

namespace ext = weir::ext;

double number(std::string_view json) {
  double value = 0;
  const auto [end, error] = std::from_chars(json.data(), json.data() + json.size(), value);
  if (error != std::errc{} || end != json.data() + json.size())
    throw ext::skip("'" + std::string(json) + "' is no number");
  return value;
}

std::string text(double value) {
  char buffer[32];
  return {buffer, std::to_chars(buffer, buffer + sizeof buffer, value).ptr};
}

// Reader: the hours of a day, each as a row. Goes on where the last checkpoint was.
class hours final : public ext::reader {
public:
  explicit hours(const ext::share& share) : next_(share.place ? std::stoi(*share.place) : 0) {}

  bool read(std::size_t most, std::vector<ext::item>& into) override {
    for (; most > 0 && next_ < 24; --most, ++next_)
      into.push_back({std::to_string(next_), R"({"hour":)" + std::to_string(next_) + R"(,"night":)" +
                                                 (next_ < 6 || next_ > 21 ? "true" : "false") + "}", 0});
    return next_ < 24;
  }

  std::string place() const override { return std::to_string(next_); }

private:
  int next_;
};

// Processor: leaves out stations that are being serviced, and refuses rows that name none.
class in_service final : public ext::processor {
public:
  bool process(ext::item& it) override {
    if (it.row.find("\"station\"") == std::string::npos)
      throw ext::skip("a row without a station");
    return it.row.find("\"service\":true") == std::string::npos;
  }
};

// Function: the median, exactly; keeps all numbers, so it is for small groups.
class median final : public ext::function {
public:
  void add(std::string_view json, std::int64_t) override { seen_.push_back(number(json)); }

  void merge(const ext::function& other) override {
    const auto& more = static_cast<const median&>(other).seen_;
    seen_.insert(seen_.end(), more.begin(), more.end());
  }

  std::string save() const override {
    std::string all;
    for (const double value : seen_)
      all += text(value) + ' ';
    return all;
  }

  void restore(std::string_view saved) override {
    while (!saved.empty()) {
      const auto end = saved.find(' ');
      seen_.push_back(number(saved.substr(0, end)));
      saved.remove_prefix(end + 1);
    }
  }

  std::string result() const override {
    if (seen_.empty())
      return "null";
    auto sorted = seen_;
    std::sort(sorted.begin(), sorted.end());
    const auto middle = sorted.size() / 2;
    return text(sorted.size() % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2);
  }

private:
  std::vector<double> seen_;
};

// Writer: a file for each chunk, named by execution and number, so that a chunk that comes again replaces itself.
class chunk_files final : public ext::writer {
public:
  explicit chunk_files(const ext::execution& run) : id_(run.id) {
    const char* folder = std::getenv("GRID_REPORTS");
    folder_ = folder ? folder : ".";
  }

  void write(std::size_t number, std::span<const ext::item> rows) override {
    const auto name = folder_ + "/" + id_ + "." + std::to_string(number);
    {
      std::ofstream out(name + ".new", std::ios::trunc);
      for (const auto& row : rows)
        out << row.key << '\t' << row.row << '\n';
      if (!out.flush())
        throw std::runtime_error("cannot write " + name);
    }
    if (std::rename((name + ".new").c_str(), name.c_str()) != 0)
      throw std::runtime_error("cannot rename to " + name);
  }

private:
  std::string folder_, id_;
};

} // namespace

int main(int argc, char** argv) {
  ext::extensions parts;
  parts.add_reader("hours", [](const ext::execution&, const ext::share& share) { return std::make_unique<hours>(share); })
      .add_processor("in_service", [](const ext::execution&) { return std::make_unique<in_service>(); })
      .add_function("median", [] { return std::make_unique<median>(); })
      .add_writer("chunk_files", [](const ext::execution& run) { return std::make_unique<chunk_files>(run); });
  return weir::program(argc, argv, std::move(parts));
}
