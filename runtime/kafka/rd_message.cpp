#include "runtime/kafka/rd_message.hpp"

#include <array>

namespace weir::kafka {
namespace {

rd_kafka_vu_t entry(rd_kafka_vtype_t type) {
  rd_kafka_vu_t v{};
  v.vtype = type;
  return v;
}

} // namespace

rd_kafka_resp_err_t enqueue(rd_kafka_t* rk, const message& m, void* opaque, std::string* why) {
  std::array<rd_kafka_vu_t, 8> v;
  std::size_t n = 0;
  const auto put = [&](rd_kafka_vtype_t type) -> auto& { return (v[n++] = entry(type)).u; };
  put(RD_KAFKA_VTYPE_TOPIC).cstr = m.topic.c_str();
  put(RD_KAFKA_VTYPE_PARTITION).i32 = m.partition < 0 ? RD_KAFKA_PARTITION_UA : m.partition;
  put(RD_KAFKA_VTYPE_MSGFLAGS).i = RD_KAFKA_MSG_F_COPY;
  put(RD_KAFKA_VTYPE_TIMESTAMP).i64 = m.time_ms;
  // librdkafka takes what it copies as not const.
  if (m.key)
    put(RD_KAFKA_VTYPE_KEY).mem = {const_cast<char*>(m.key->data()), m.key->size()};
  if (m.value)
    put(RD_KAFKA_VTYPE_VALUE).mem = {const_cast<char*>(m.value->data()), m.value->size()};
  // A list of our own: librdkafka frees those it makes from single entries twice when the topic is not known. Ours stay
  // ours if it refuses.
  headers_ptr headers{m.headers.empty() ? nullptr : rd_kafka_headers_new(m.headers.size())};
  for (const auto& [name, value] : m.headers)
    rd_kafka_header_add(headers.get(), name.data(), static_cast<ssize_t>(name.size()), value.data(),
                        static_cast<ssize_t>(value.size()));
  if (headers)
    put(RD_KAFKA_VTYPE_HEADERS).headers = headers.get();
  put(RD_KAFKA_VTYPE_OPAQUE).ptr = opaque;
  const rd_error_ptr refused{rd_kafka_produceva(rk, v.data(), n)};
  if (!refused) {
    static_cast<void>(headers.release()); // librdkafka's now
    return RD_KAFKA_RESP_ERR_NO_ERROR;
  }
  if (why)
    *why = rd_kafka_error_string(refused.get());
  return rd_kafka_error_code(refused.get());
}

} // namespace weir::kafka
