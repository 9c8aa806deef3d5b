#include "runtime/kafka/letter_box.hpp"

#include "runtime/kafka/consumer.hpp"

#include <algorithm>

namespace weir::kafka {

void letter_box::add(const std::string& topic, std::string_view source_topic, std::int32_t partition, const record& r,
                     std::string_view reason) {
  message m;
  m.topic = topic;
  if (r.key)
    m.key = std::string(*r.key);
  if (r.value)
    m.value = std::string(*r.value);
  m.time_ms = std::max<std::int64_t>(r.time_ms, 0);
  m.value_may_go = true; // a letter that the topic finds too large still says what was there
  m.headers = {{"weir.reason", std::string(reason)},
               {"weir.topic", std::string(source_topic)},
               {"weir.partition", std::to_string(partition)},
               {"weir.offset", std::to_string(r.at.value)}};
  bytes_ += (r.value ? r.value->size() : 0) + (r.key ? r.key->size() : 0) + 256;
  letters_.push_back({std::move(m), place::here});
  ++open_;
}

bool letter_box::answered(std::uint64_t life, std::size_t i, bool arrived) {
  if (life != life_ || i >= letters_.size() || letters_[i].at != place::under_way)
    return false;
  letters_[i].at = arrived ? place::arrived : place::here;
  open_ -= arrived ? 1 : 0;
  return true;
}

void letter_box::clear() {
  letters_.clear();
  open_ = 0;
  bytes_ = 0;
  ++life_;
}

} // namespace weir::kafka
