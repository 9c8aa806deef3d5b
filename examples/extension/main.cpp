// weir with three steps of one's own: its whole command line, and a reader of CSV files, a processor that looks up
// where a machine stands, and a writer of report files. topology.jsonc uses all three.
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <utility>
#include <weir/program.hpp>

namespace {

namespace ext = weir::ext;
using nlohmann::json;

std::vector<std::string> split(const std::string& line) {
  std::vector<std::string> parts;
  std::istringstream in(line);
  for (std::string part; std::getline(in, part, ',');)
    parts.push_back(std::move(part));
  return parts;
}

// A field as a number where it is one.
json value_of(const std::string& text) {
  const auto value = json::parse(text, nullptr, false);
  return value.is_number() ? value : json(text);
}

// config: {"file": path}. The first line names the fields; there are no quotes. The place is the offset of the next
// line, so the file has to stay as it is until the execution is over.
class csv_reader final : public ext::reader {
public:
  csv_reader(const ext::execution& run, const ext::share& share)
      : path_(json::parse(run.config).at("file").get<std::string>()), in_(path_, std::ios::binary) {
    std::string line;
    if (!std::getline(in_, line))
      throw std::runtime_error("can't read the names of the fields in '" + path_ + "'");
    names_ = split(line);
    if (share.place)
      in_.seekg(std::stoll(*share.place));
    next_ = in_.tellg();
  }

  bool read(std::size_t most, std::vector<ext::item>& into) override {
    for (std::string line; most > 0 && std::getline(in_, line); --most) {
      next_ += static_cast<std::streamoff>(line.size() + 1);
      into.push_back({"", row_of(line), 0});
    }
    if (in_.bad())
      throw ext::try_again("can't read '" + path_ + "' for now");
    return in_.good();
  }

  std::string place() const override { return std::to_string(static_cast<long long>(next_)); }

private:
  // A line that does not fit goes on as it is: being no JSON object, it is skipped, and `dead_letter` gets it.
  std::string row_of(const std::string& line) const {
    const auto parts = split(line);
    if (parts.size() != names_.size())
      return line;
    json row;
    for (std::size_t i = 0; i < parts.size(); ++i)
      row[names_[i]] = value_of(parts[i]);
    return row.dump();
  }

  std::string path_;
  std::ifstream in_;
  std::vector<std::string> names_;
  std::streamoff next_ = 0;
};

// config: {"sites": {machine: site}}. Adds the site; leaves out machines that are switched off; refuses unknown ones.
class site_lookup final : public ext::processor {
public:
  explicit site_lookup(const ext::execution& run) : sites_(json::parse(run.config).at("sites")) {}

  void process(ext::item item, std::vector<ext::item>& into) override {
    auto row = json::parse(item.row, nullptr, false);
    if (!row.is_object())
      throw ext::skip("no JSON object");
    if (row.value("state", "") == "off")
      return;
    const auto site = sites_.find(row.value("machine", ""));
    if (site == sites_.end())
      throw ext::skip("unknown machine '" + row.value("machine", "") + "'");
    row["site"] = *site;
    item.row = row.dump();
    into.push_back(std::move(item));
  }

private:
  json sites_;
};

// config: {"folder": path}. A file for each chunk, named by fire time and number: a chunk that comes again, also in a
// restarted execution, takes the place of its file, which is never seen half written.
class report_files final : public ext::writer {
public:
  explicit report_files(const ext::execution& run)
      : begin_(json::parse(run.config).at("folder").get<std::string>() + "/" + run.job + "-" +
               std::to_string(run.fire_ms) + "-") {}

  void write(const ext::chunk& part) override {
    const auto name = begin_ + std::to_string(part.number) + ".jsonl";
    const auto unfinished = name + ".new";
    {
      std::ofstream out(unfinished, std::ios::trunc);
      for (const auto& row : part.rows)
        out << R"({"key":)" << json(row.key).dump() << R"(,"row":)" << row.row << "}\n";
      if (!out.flush())
        throw ext::try_again("can't write '" + unfinished + "'");
    }
    if (std::rename(unfinished.c_str(), name.c_str()) != 0)
      throw ext::try_again("can't rename '" + unfinished + "'");
  }

private:
  std::string begin_;
};

} // namespace

int main(int argc, char** argv) {
  ext::extensions steps;
  steps
      .add_reader("csv", [](const ext::execution& run,
                            const ext::share& share) { return std::make_unique<csv_reader>(run, share); })
      .add_processor("site-lookup", [](const ext::execution& run) { return std::make_unique<site_lookup>(run); })
      .add_writer("report-files", [](const ext::execution& run) { return std::make_unique<report_files>(run); });
  return weir::program(argc, argv, std::move(steps));
}
