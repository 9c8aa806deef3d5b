#include "actors/table_description.hpp"

#include "runtime/core/json.hpp"
#include "runtime/table/view_chain.hpp"

#include <fmt/format.h>
#include <mutex>

namespace weir::actors {
namespace {

std::string_view kind_name(table_kind kind) {
  switch (kind) {
  case table_kind::latest: return "latest";
  case table_kind::aggregate: return "aggregate";
  case table_kind::log: return "log";
  }
  return "latest";
}

// Gathers the partitions' answers, which may come on several threads.
class description {
public:
  description(table_config table, table_ref ref, std::vector<partition_key> keys, std::size_t answers,
              std::function<void(table::rest_reply)> respond)
      : table_(std::move(table)), ref_(std::move(ref)), keys_(std::move(keys)), respond_(std::move(respond)),
        heads_(keys_.size()), open_(answers) {}

  void head(std::size_t i, result<redis::partition_state> answer) {
    arrived([&] {
      if (answer)
        heads_[i] = std::move(*answer);
      else
        failed_ = true;
    });
  }

  void rows(result<std::uint64_t> answer) {
    arrived([&] {
      if (answer)
        rows_ += *answer;
      else
        failed_ = true;
    });
  }

private:
  template <class Note>
  void arrived(const Note& note) {
    bool last;
    {
      std::lock_guard lock(mutex_);
      note();
      last = --open_ == 0;
    }
    if (last)
      answer();
  }

  void answer() {
    table::rest_reply reply;
    if (failed_) { // the table is there all the same; what only Redis knows is not
      reply.body = table_description(table_, std::nullopt, {}, {});
      return respond_(std::move(reply));
    }
    table::view_chain chain;
    for (std::uint32_t i = 0; i < keys_.size(); ++i) {
      chain.index_of(keys_[i]);
      const auto at = heads_[i].tables.find(ref_.text());
      const auto changed = at == heads_[i].tables.end() ? version{} : at->second.changed;
      static_cast<void>(chain.load(i, heads_[i].stream, heads_[i].last, changed)); // a fresh chain takes any load
      if (table_.kind == table_kind::log && at != heads_[i].tables.end())
        rows_ += at->second.records;
    }
    reply.body =
        table_description(table_, rows_, chain.watermark(), chain.epoch_text(table_.fingerprint, ref_.generation));
    respond_(std::move(reply));
  }

  const table_config table_;
  const table_ref ref_;
  const std::vector<partition_key> keys_;
  const std::function<void(table::rest_reply)> respond_;
  std::mutex mutex_; // guards what follows
  std::vector<redis::partition_state> heads_;
  std::uint64_t rows_ = 0;
  std::size_t open_;
  bool failed_ = false;
};

} // namespace

std::string table_description(const table_config& table, std::optional<std::uint64_t> rows, version watermark,
                              const std::string& epoch) {
  return fmt::format(R"({{"name":{},"kind":"{}","from":{},"rows":{},"offset":{},"epoch":{}}})", json_quote(table.name),
                     kind_name(table.kind), json_quote(table.from), rows ? std::to_string(*rows) : "null",
                     watermark.value, json_quote(epoch));
}

void describe_stored(const node_context& node, const table_config& table, const table_ref& ref,
                     const std::vector<partition_key>& partitions, std::function<void(table::rest_reply)> respond) {
  if (partitions.empty()) {
    table::rest_reply reply;
    reply.body = table_description(table, 0, {}, {});
    return respond(std::move(reply));
  }
  const bool log = table.kind == table_kind::log;
  auto all =
      std::make_shared<description>(table, ref, partitions, partitions.size() * (log ? 1 : 2), std::move(respond));
  for (std::size_t i = 0; i < partitions.size(); ++i) {
    node.store->read_head(partitions[i],
                          [all, i](result<redis::partition_state> head) { all->head(i, std::move(head)); });
    if (!log)
      node.store->count_rows(partitions[i], ref, redis::table_buckets(table.expected_rows),
                             [all](result<std::uint64_t> rows) { all->rows(std::move(rows)); });
  }
}

} // namespace weir::actors
