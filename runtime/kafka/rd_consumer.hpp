// The consumer over librdkafka.
//
// Threads of a consumer: librdkafka's own; one that polls events (rebalances, errors) and runs the handlers; one that
// asks the brokers questions, alive while there are some. Partition queues are drained by whoever calls drain(): no
// thread of ours copies records.
//
// Memory: librdkafka fetches ahead into the partitions' queues. `queue_bytes` bounds that for the whole consumer: half
// of it is for payload (queued.max.messages.kbytes, divided among the topic's partitions, at least 1 MiB each), half
// for librdkafka's bookkeeping, about 256 bytes a message (queued.min.messages). On top of it comes one fetch answer
// for each broker (fetch.max.bytes, 16 MiB). Both limits are checked before a fetch, so a partition may pass its share
// by the size of one answer (1 MiB).
//
// librdkafka before 2.2 sleeps a second whenever all queues of a broker are full; there the consumer wakes it as soon
// as there is room again, which is what makes a small budget affordable (a reader slower than the network: 500,000
// records/s instead of 70,000 with 1 MiB a partition). From 2.2 on fetch.queue.backoff.ms does it.
#pragma once

#include "proto/topology.hpp"
#include "runtime/kafka/consumer.hpp"

#include <cstdint>
#include <memory>
#include <string>

namespace weir::kafka {

struct consumer_options {
  // The embedded broker: take all partitions without joining a group, which takes 3 s there.
  bool assign_by_hand = false;
  std::string client_id = "weir";
  std::uint64_t queue_bytes = 64ull << 20; // per consumer, see above
  // Partitions to divide the budget by until describe() or start() has learnt the real number.
  std::int32_t expected_partitions = 8;
};

// `kafka.brokers` must be addresses: for the embedded broker put its bootstrap() there. Fails with bad_topology if
// librdkafka refuses a property. Does not wait for the brokers.
//
// The group is "<kafka.group>.<source.name>". Properties of the topology override weir's defaults (low latency, see
// settings.cpp), but never what correctness needs: positions are Redis', so automatic commits and resets stay off.
//
// What the handlers may rely on:
//
// `assigned` and `revoked` alternate as the group's protocol has it; librdkafka waits for assign() / unassign() in
// between. unassign() may come in several calls: the group is answered with the last of the revoked partitions. Both
// are cheap, but wait for librdkafka's thread. assign({}) is an answer too. restart() of a partition that was offered
// and left out adds it.
//
// A queue whose partition was unassigned, or whose consumer was closed, gives ec::stopped; it may be destroyed whenever
// its owner likes. drain() gives rising offsets only: what librdkafka delivers twice is dropped in it. An error met
// after some records were taken is given by the next drain(), for which on_ready is called once more.
//
// The callback of on_ready may run from within on_ready() itself when records are there already. It must not call the
// queue (it runs with librdkafka's lock held): it may send a message.
result<std::unique_ptr<consumer>> make_consumer(const kafka_config& kafka, const source_config& source,
                                                consumer_options options = {});

} // namespace weir::kafka
