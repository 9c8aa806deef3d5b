#include "runtime/kafka/rd_consumer.hpp"

#include "runtime/core/checksum.hpp"
#include "runtime/kafka/rd_consumer_core.hpp"

namespace weir::kafka {

std::uint32_t record_checksum(const std::optional<std::string_view>& key,
                              const std::optional<std::string_view>& value) {
  return weir::record_checksum(key, value);
}

namespace {

using namespace std::chrono_literals;
using clock = std::chrono::steady_clock;

class rd_consumer : public consumer {
public:
  explicit rd_consumer(std::shared_ptr<consumer_core> c) : core_(std::move(c)) {}
  ~rd_consumer() override { core_->close(0ms); }

  void start(handlers h) override { core_->start(std::move(h)); }
  result<std::vector<std::pair<partition_id, std::unique_ptr<partition_queue>>>>
  assign(std::vector<partition_start> starts) override {
    return core_->assign(starts);
  }
  void unassign(std::vector<partition_id> partitions) override { core_->unassign(partitions); }
  result<std::unique_ptr<partition_queue>> restart(partition_start start) override { return core_->restart(start); }
  void commit(std::vector<partition_start> positions) override { core_->commit(positions); }
  void describe(std::chrono::milliseconds deadline, std::function<void(result<topic_facts>)> done) override {
    core_->questions().describe(clock::now() + deadline, std::move(done));
  }
  void range(partition_id p, std::chrono::milliseconds deadline,
             std::function<void(result<partition_range>)> done) override {
    core_->questions().range(p, !core_->by_hand(), clock::now() + deadline, std::move(done));
  }
  void fingerprint(partition_id p, offset at, std::chrono::milliseconds deadline,
                   std::function<void(result<std::optional<record_print>>)> done) override {
    core_->questions().fingerprint(p, at, clock::now() + deadline, std::move(done));
  }
  void close(std::chrono::milliseconds deadline) override { core_->close(deadline); }

private:
  std::shared_ptr<consumer_core> core_;
};

} // namespace

result<std::unique_ptr<consumer>> make_consumer(const kafka_config& kafka, const source_config& source,
                                                consumer_options options) {
  auto shared = std::make_shared<consumer_core>(kafka, source, std::move(options));
  if (auto opened = shared->questions().open(); !opened)
    return tl::unexpected(opened.error());
  return std::make_unique<rd_consumer>(std::move(shared));
}

} // namespace weir::kafka
