// The publisher actor: one per table.
//
// Duty: keeps the table's view (or ring) in memory while anyone subscribes or asks, and a grace time after; takes
// committed changes from the inbox, encodes each round of them once and hands the shared frame to every live session;
// answers subscribe, catch-up and REST. What other nodes write, it reads from Redis (actors/follower). Promise: never
// waits for a session (I6); shows nothing that Redis has not acknowledged (I4). Frames are made once for each lane (who
// sees the same rows, written alike, at the same pace) and go once to each reactor. A restart loads the view anew;
// sessions subscribe again.
#pragma once

#include "actors/change_reader.hpp"
#include "actors/context.hpp"
#include "actors/handles.hpp"
#include "runtime/http/lane_port.hpp"

#include <caf/actor_system.hpp>

namespace weir::actors {

// Where a session lives: who takes frames for it.
struct fan_out_home {
  fan_out_actor actor;
  const void* reactor = nullptr; // tells homes apart
};

struct view_subscribe {
  session_id session;
  std::uint32_t generation = 0;
  session_actor from;
  fan_out_home home;
  table::subscribe_request request;
};

struct view_unsubscribe {
  session_id session;
  std::uint32_t generation = 0;
};

struct view_catch_up {
  session_id session;
  std::uint32_t generation = 0;
  session_actor from;
  table::lane_id lane;
  arrival at;
};

struct view_history {
  std::uint32_t ticket = 0;
  session_actor from;
  table::history_request request;
  table::selection_spec rows;
};

// A question over HTTP; answered once.
struct view_query {
  enum class what { page, row, description };
  what kind = what::page;
  std::uint32_t limit = 0;
  std::string cursor;
  table::selection_spec rows; // only these; row: the one, as far as the condition holds
  std::function<void(table::rest_reply)> respond;
};

struct part_loaded {
  std::uint64_t load = 0; // which life of the view asked
  partition_key partition;
  result<table::partition_load> part;
};

struct part_followed {
  std::uint64_t life = 0; // of the view
  partition_key partition;
  result<changes_read> read;
};

// What Redis has of a partition that this node owns. Nothing, where it could not be asked.
struct own_head {
  std::uint64_t life = 0; // of the view
  partition_key partition;
  std::pair<stream_epoch, version> applied; // the table's newest change
};

struct subscribe_answered {
  std::uint32_t generation = 0;
  table::subscribe_reply reply;
  std::shared_ptr<http::lane_port> port; // of the session's reactor; null unless the reply is live
};

// What deliveries of a table are counted by.
struct delivery_metrics {
  metrics::counter frames, conflated;
  metrics::histogram freshness;
};

struct fan_out_arrived {
  std::shared_ptr<http::lane_port> port;
  std::shared_ptr<const delivery_metrics> count;
  table::fan_out changes;
};

struct lane_ended {
  std::shared_ptr<http::lane_port> port;
};

struct catch_up_arrived {
  std::uint32_t generation = 0;
  table::catch_up_reply reply;
};

struct history_arrived {
  std::uint32_t ticket = 0;
  table::history_reply reply;
};

std::shared_ptr<const delivery_metrics> delivery_metrics_of(const node_context& node, const std::string& table);

struct publisher_config {
  context_ptr node;
  table_config table;
  table_ref ref;
  std::shared_ptr<table::change_inbox> inbox;
  std::chrono::milliseconds linger{30'000};       // a view without subscribers is kept this long
  std::chrono::milliseconds load_patience{4'000}; // who waits for a load is answered by then; SDKs give up after 5 s
  std::size_t most_waiting = 10'000;              // who waits for a load; more are refused with a temporary error
};

publisher_actor spawn_publisher(caf::actor_system& system, publisher_config config);

} // namespace weir::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(weir::actors::view_subscribe)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(weir::actors::view_unsubscribe)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(weir::actors::view_catch_up)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(weir::actors::view_query)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(weir::actors::part_loaded)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(weir::actors::part_followed)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(weir::actors::own_head)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(weir::actors::subscribe_answered)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(weir::actors::fan_out_arrived)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(weir::actors::catch_up_arrived)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(weir::actors::lane_ended)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(weir::actors::view_history)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(weir::actors::history_arrived)
