// The publisher actor: one per table.
//
// Duty: keeps the table's view (or ring) in memory while anyone subscribes or asks, and a grace time after; takes
// committed changes from the inbox, encodes each round of them once and hands the shared frame to every live session;
// answers subscribe, catch-up and REST. Promise: never waits for a session (I6); shows nothing that Redis has not
// acknowledged (I4). A restart loads the view anew; sessions subscribe again.
#pragma once

#include "actors/context.hpp"
#include "actors/handles.hpp"

#include <caf/actor_system.hpp>

namespace weir::actors {

struct view_subscribe {
  session_id session;
  std::uint32_t generation = 0;
  session_actor from;
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
  arrival at;
};

// A question over HTTP; answered once.
struct view_query {
  enum class what { page, row, description };
  what kind = what::page;
  std::uint32_t limit = 0;
  std::string cursor;
  std::string key;
  std::function<void(table::rest_reply)> respond;
};

struct part_loaded {
  std::uint64_t load = 0; // which life of the view asked
  partition_key partition;
  result<table::partition_load> part;
};

struct subscribe_answered {
  std::string table;
  std::uint32_t generation = 0;
  table::subscribe_reply reply;
};

struct fan_out_arrived {
  std::shared_ptr<const std::string> table;
  table::fan_out changes;
};

struct catch_up_arrived {
  std::string table;
  std::uint32_t generation = 0;
  table::catch_up_reply reply;
};

struct table_reset {
  std::string table;
};

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
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(weir::actors::subscribe_answered)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(weir::actors::fan_out_arrived)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(weir::actors::catch_up_arrived)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(weir::actors::table_reset)
