// What actors tell each other. All of it stays in this process: messages carry handles to ports and shared memory.
#pragma once

#include "proto/change_set.hpp"
#include "proto/ids.hpp"
#include "runtime/core/error.hpp"
#include "runtime/http/server.hpp"
#include "runtime/kafka/consumer.hpp"
#include "runtime/redis/store.hpp"

#include <caf/allowed_unsafe_message_type.hpp>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace weir::actors {

// -- Kafka -> source

struct partitions_assigned {
  std::vector<partition_id> partitions;
  std::int32_t generation = -1;
};

struct partitions_revoked {
  std::vector<partition_id> partitions;
  bool lost = false;
};

struct kafka_trouble {
  error what;
  bool fatal = false;
};

struct topic_described {
  result<kafka::topic_facts> facts;
};

// Whether the brokers answer, asked after trouble.
struct brokers_answered {
  result<kafka::topic_facts> facts;
};

struct identity_stored {
  result<std::string> stored; // what Redis holds for this source now
};

// Redis lost the topology's own hash, so perhaps all else: store the identity again, look whether partitions are there.
struct state_lost {};

// -- source <-> partition

// A partition knows where its reading starts, or why it cannot.
struct start_resolved {
  partition_id partition;
  std::uint64_t life = 0; // of the partition actor, to ignore answers of an earlier one
  result<offset> at;
};

using queue_ptr = std::shared_ptr<kafka::partition_queue>;

struct queue_assigned {
  queue_ptr queue;
};

struct records_ready {}; // the queue went from empty to not empty

struct heartbeat_due {}; // other partitions of the source have newer changes

struct retire {
  bool lost = false; // the partition may already have another owner: do not wait for what is in flight
};

// -- partition's own questions

struct claim_answered {
  result<redis::partition_state> head;
};

struct range_answered {
  result<kafka::partition_range> range;
};

struct print_answered {
  result<std::optional<kafka::consumer::record_print>> print;
};

// Aggregate states of one table that a batch needs before it can be closed.
struct states_loaded {
  std::uint64_t load = 0;
  std::size_t table = 0;
  std::vector<std::string> keys;
  result<std::vector<std::optional<redis::stored_row>>> rows;
};

struct dead_letter_delivered {
  std::uint64_t life = 0;
  std::size_t index = 0; // in the batch under way
  result<void> done;
};

struct expired_listed {
  std::size_t table = 0;
  std::int64_t up_to_ms = 0;
  result<std::vector<redis::stored_row>> rows;
};

struct heads_listed {
  std::size_t table = 0;
  result<std::vector<redis::batch_head>> heads;
};

// -- redis writer

struct write_ack {
  batch_id id;
  result<redis::tx_result> answer;
};

// The link was down and is up again: verify that Redis still has what it acknowledged.
struct link_restored {};

struct link_changed {
  redis::link_state state = redis::link_state::down;
};

struct link_answered {
  std::uint64_t ticket = 0;
  result<redis::tx_result> answer;
};

struct head_read {
  partition_key partition;
  std::uint64_t up = 0; // the link's life that asked
  result<redis::partition_state> head;
};

// -- publisher

struct inbox_ready {}; // the table's inbox went from empty to not empty

// The partitions whose changes make up the table.
struct table_partitions {
  std::vector<partition_key> partitions;
};

// Those of them that this node is to write; all of the source's.
struct partitions_here {
  std::set<partition_key> partitions;
};

// -- jobs

struct run_job {
  std::string job;
  std::map<std::string, std::string> parameters; // as text; those left out are as the job says
  http::responder respond;                       // may be empty
  bool wait = true;                              // for its end, some seconds at most; false: until it is stored
};

struct stop_work {}; // drain: finish what is in flight, take nothing new, then end

} // namespace weir::actors

// None of these ever crosses a process.
#define WEIR_LOCAL_MESSAGE(name) CAF_ALLOW_UNSAFE_MESSAGE_TYPE(weir::actors::name)
WEIR_LOCAL_MESSAGE(partitions_assigned)
WEIR_LOCAL_MESSAGE(partitions_revoked)
WEIR_LOCAL_MESSAGE(kafka_trouble)
WEIR_LOCAL_MESSAGE(topic_described)
WEIR_LOCAL_MESSAGE(brokers_answered)
WEIR_LOCAL_MESSAGE(identity_stored)
WEIR_LOCAL_MESSAGE(state_lost)
WEIR_LOCAL_MESSAGE(start_resolved)
WEIR_LOCAL_MESSAGE(queue_assigned)
WEIR_LOCAL_MESSAGE(records_ready)
WEIR_LOCAL_MESSAGE(heartbeat_due)
WEIR_LOCAL_MESSAGE(retire)
WEIR_LOCAL_MESSAGE(claim_answered)
WEIR_LOCAL_MESSAGE(range_answered)
WEIR_LOCAL_MESSAGE(print_answered)
WEIR_LOCAL_MESSAGE(states_loaded)
WEIR_LOCAL_MESSAGE(dead_letter_delivered)
WEIR_LOCAL_MESSAGE(expired_listed)
WEIR_LOCAL_MESSAGE(heads_listed)
WEIR_LOCAL_MESSAGE(write_ack)
WEIR_LOCAL_MESSAGE(link_restored)
WEIR_LOCAL_MESSAGE(link_changed)
WEIR_LOCAL_MESSAGE(link_answered)
WEIR_LOCAL_MESSAGE(head_read)
WEIR_LOCAL_MESSAGE(inbox_ready)
WEIR_LOCAL_MESSAGE(table_partitions)
WEIR_LOCAL_MESSAGE(partitions_here)
WEIR_LOCAL_MESSAGE(run_job)
WEIR_LOCAL_MESSAGE(stop_work)
#undef WEIR_LOCAL_MESSAGE
