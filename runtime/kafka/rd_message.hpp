// Private to runtime/kafka: hands a message to librdkafka.
#pragma once

#include "runtime/kafka/producer.hpp"
#include "runtime/kafka/rd_handle.hpp"

namespace weir::kafka {

// Copies the message into librdkafka's queue. `opaque` comes back with its delivery report; not kept where it is
// refused.
rd_kafka_resp_err_t enqueue(rd_kafka_t* rk, const message& m, void* opaque, std::string* why = nullptr);

} // namespace weir::kafka
