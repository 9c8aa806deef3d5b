// Where a partition's committed changes go: the inboxes of the publishers of its source's tables.
//
// Made by the partition's owner at its claim and handed along with each transaction; after that only the redis writer
// touches it, so publishing needs no lock and keeps the order of the acknowledgements (I4).
#pragma once

#include "actors/handles.hpp"

namespace weir::actors {

struct feed_table {
  table_ref ref;
  std::shared_ptr<table::change_inbox> inbox;
  publisher_actor publisher;
  version changed; // of the last transaction that touched the table
};

// Shared with the source actor, which sends heartbeats where `known` lags behind what other partitions have shown.
struct feed_progress {
  std::atomic<std::uint64_t> known{0};   // the last version told to the publishers
  std::atomic<std::uint64_t> changed{0}; // the last one that carried a change
};

class feed {
public:
  feed(partition_key partition, std::vector<feed_table> tables, std::shared_ptr<feed_progress> progress)
      : partition_(std::move(partition)), tables_(std::move(tables)), progress_(std::move(progress)) {}

  // Tells every publisher what the transaction changed in its table, or that nothing up to its version did.
  void publish(const redis::transaction& tx, const redis::tx_result& answer);

  // Tells every publisher what the partition's head is after a claim: nothing older will come.
  void announce(const stream_epoch& epoch, version last);

private:
  void put(feed_table& to, change_set_ptr changes);

  partition_key partition_;
  std::vector<feed_table> tables_;
  std::shared_ptr<feed_progress> progress_;
};

using feed_ptr = std::shared_ptr<feed>;

struct submit {
  redis::transaction_ptr tx;
  feed_ptr to;
  write_client_actor from;
};

struct attach_client {
  partition_key partition;
  write_client_actor client;
  caf::actor_addr ended; // not null: forget this one, if it is still the partition's client
};

} // namespace weir::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(weir::actors::submit)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(weir::actors::attach_client)
