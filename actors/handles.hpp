// The whole vocabulary between actors on one page: who understands what. Handlers marked INTERNAL are an actor's
// messages to itself or the answers to its own questions, brought by a port's callback.
//
//   partition ──submit──▶ redis_writer ──(port)──▶ Redis
//       ▲ write_ack ◀─────────┘ │ change sets into the table's inbox
//       │                       ▼ inbox_ready
//    source                publisher ──fan_out──▶ session ──(port)──▶ browser
//
// A frame goes once to each reactor (fan_out_actor), which hands it to its sessions in the frame's lane; what is
// between one session and a publisher goes straight.
#pragma once

#include "actors/messages.hpp"
#include "runtime/table/channel.hpp"
#include "runtime/table/inbox.hpp"

#include <atomic>
#include <caf/typed_actor.hpp>

namespace weir::actors {

struct submit;
struct attach_client;
struct letter_sent;
struct input_counted;
struct input_read;
struct own_head;
struct part_followed;
struct part_loaded;
struct lane_ended;
struct view_subscribe;
struct view_unsubscribe;
struct view_catch_up;
struct view_history;
struct history_arrived;
struct view_query;
struct subscribe_answered;
struct fan_out_arrived;
struct catch_up_arrived;
struct reducer_done;
struct result_merged;
struct share_progress;
struct forget_rows;
struct lead;
struct job_read;
struct lease_answered;
struct job_answered;
struct control_job;
struct write_rows;
struct rows_written;
struct bucket_read;
struct log_read;
struct meta_answered;
struct redis_examined;

// Whoever submits transactions: partition actors and the writers of jobs' tables.
using write_client_actor = caf::typed_actor<
    // Its transaction was applied, refused, or failed.
    caf::reacts_to<write_ack>,
    // The link to Redis was down: make sure that Redis still holds what it acknowledged.
    caf::reacts_to<link_restored>>;

// One per assigned partition of a source.
using partition_actor = write_client_actor::extend<
    // Reading may start: the partition's own queue.
    caf::reacts_to<queue_assigned>,
    // The queue is not empty any more.
    caf::reacts_to<records_ready>,
    // Others have newer changes: say that nothing older will come from here.
    caf::reacts_to<heartbeat_due>,
    // The partition goes to somebody else, or the node stops.
    caf::reacts_to<retire>,
    // INTERNAL: Redis answered the claim.
    caf::reacts_to<claim_answered>,
    // INTERNAL: Kafka told the log's range.
    caf::reacts_to<range_answered>,
    // INTERNAL: Kafka told the fingerprint of the last applied record.
    caf::reacts_to<print_answered>,
    // INTERNAL: aggregate states for the batch under way.
    caf::reacts_to<states_loaded>,
    // INTERNAL: Kafka has a dead letter of the batch under way, or not.
    caf::reacts_to<dead_letter_delivered>,
    // INTERNAL: rows whose time may have come.
    caf::reacts_to<expired_listed>,
    // INTERNAL: the oldest entries of a log.
    caf::reacts_to<heads_listed>,
    // INTERNAL: expiry, trimming, retries.
    caf::reacts_to<caf::tick_atom>>::
    extend<
        // INTERNAL: try again what failed (claim, dead letters) after its backoff.
        caf::reacts_to<caf::flush_atom>>;

// One per source: owns the Kafka consumer.
using source_actor = caf::typed_actor<
    // Kafka gave partitions; answered by assigning them once their starts are known.
    caf::reacts_to<partitions_assigned>,
    // Kafka takes partitions back.
    caf::reacts_to<partitions_revoked>,
    // The connection has trouble.
    caf::reacts_to<kafka_trouble>,
    // A partition actor knows where its reading starts.
    caf::reacts_to<start_resolved>,
    // INTERNAL: what the brokers say of the topic.
    caf::reacts_to<topic_described>,
    // INTERNAL: whether the brokers answer after trouble.
    caf::reacts_to<brokers_answered>,
    // INTERNAL: what Redis says this source is.
    caf::reacts_to<identity_stored>,
    // Redis may have lost everything.
    caf::reacts_to<state_lost>,
    // INTERNAL: heartbeats, rates, advisory commits.
    caf::reacts_to<caf::tick_atom>,
    // Drain: retire all partitions, leave the group, end.
    caf::reacts_to<stop_work>>;

// One per Redis writer connection.
using redis_writer_actor = caf::typed_actor<
    // A transaction to be applied; answered by write_ack.
    caf::reacts_to<submit>,
    // A client wants to hear of restored links, or no more.
    caf::reacts_to<attach_client>,
    // INTERNAL: the link went down or up.
    caf::reacts_to<link_changed>,
    // INTERNAL: Redis' answer to a transaction.
    caf::reacts_to<link_answered>,
    // INTERNAL: after a reconnect, what a partition's head says of transactions without an answer.
    caf::reacts_to<head_read>,
    // INTERNAL: try again after an error that passes by itself.
    caf::reacts_to<caf::flush_atom>>;

// One per table: owns its view (or ring) and encodes each change once.
using publisher_actor = caf::typed_actor<
    // The inbox has change sets.
    caf::reacts_to<inbox_ready>,
    // The table's source knows its partitions.
    caf::reacts_to<table_partitions>,
    // Its source says which of them this node writes.
    caf::reacts_to<partitions_here>,
    // INTERNAL: what another node changed in one of the others.
    caf::reacts_to<part_followed>,
    // INTERNAL: what Redis has of one of this node's own.
    caf::reacts_to<own_head>,
    // A session opens a subscription, or asks for the next page of state.
    caf::reacts_to<view_subscribe>,
    // A session closes one.
    caf::reacts_to<view_unsubscribe>,
    // A lagging session can write again.
    caf::reacts_to<view_catch_up>,
    // A session asks for the entries of a log.
    caf::reacts_to<view_history>,
    // A request for rows over HTTP.
    caf::reacts_to<view_query>,
    // INTERNAL: one partition's part of a load arrived.
    caf::reacts_to<part_loaded>,
    // INTERNAL: linger, tombstones, deadlines of who waits for a load.
    caf::reacts_to<caf::tick_atom>,
    // INTERNAL: changes that a lane's pace held back are due.
    caf::reacts_to<caf::flush_atom>, caf::reacts_to<stop_work>>;

// One per reactor: takes frames for all of its sessions.
using fan_out_actor = caf::typed_actor<
    // Changes of a table, ready to be written by each session of a lane.
    caf::reacts_to<fan_out_arrived>,
    // The table has a new epoch: the lane's clients subscribe anew.
    caf::reacts_to<lane_ended>>;

// One per WebSocket, on its connection's reactor.
using session_actor = caf::typed_actor<
    // A publisher's answer to subscribe.
    caf::reacts_to<subscribe_answered>,
    // The answer to catch_up.
    caf::reacts_to<catch_up_arrived>,
    // The answer to history.
    caf::reacts_to<history_arrived>,
    // Drain: close with 3001.
    caf::reacts_to<stop_work>>;

// One per job: the owner of the pseudo-partition behind the job's table.
using job_writer_actor = write_client_actor::extend<
    // The result of an execution.
    caf::reacts_to<write_rows>,
    // The execution is over, whatever is left of its result.
    caf::reacts_to<forget_rows>,
    // This node schedules from now on, or does not any more.
    caf::reacts_to<lead>,
    // INTERNAL: what is written of the result.
    caf::reacts_to<job_read>,
    // INTERNAL: rows of the table that is replaced.
    caf::reacts_to<bucket_read>,
    // INTERNAL: Redis answered the claim.
    caf::reacts_to<claim_answered>,
    // INTERNAL: try again after a backoff; heartbeats.
    caf::reacts_to<caf::tick_atom>, caf::reacts_to<stop_work>>;

// One per input partition of a running execution: reads it in chunks and reduces.
using batch_reducer_actor = caf::typed_actor<
    // INTERNAL: a chunk of rows.
    caf::reacts_to<bucket_read>,
    // INTERNAL: a chunk of a log.
    caf::reacts_to<log_read>,
    // INTERNAL: a skipped row is in the dead letter topic.
    caf::reacts_to<letter_sent>,
    // INTERNAL: the throttle's pause is over.
    caf::reacts_to<caf::flush_atom>,
    // INTERNAL: a custom reader is to be asked for its next chunk.
    caf::reacts_to<caf::tick_atom>>;

// actors/step_writer
using step_writer_actor = caf::typed_actor<
    // INTERNAL: the next chunk is to be written.
    caf::reacts_to<caf::tick_atom>>;

// One active in the cluster: fires jobs and follows their executions.
using scheduler_actor = caf::typed_actor<
    // Run a job now.
    caf::reacts_to<run_job>,
    // Stop, start again or abandon an execution; tell its history.
    caf::reacts_to<control_job>,
    // A reducer of a running execution is so far.
    caf::reacts_to<share_progress>,
    // INTERNAL: who schedules in the cluster.
    caf::reacts_to<lease_answered>,
    // INTERNAL: the job repository answered.
    caf::reacts_to<job_answered>,
    // INTERNAL: how far a job's table has got.
    caf::reacts_to<input_read>,
    // INTERNAL: how many rows an execution is to read.
    caf::reacts_to<input_counted>,
    // One reducer of a running execution is done.
    caf::reacts_to<reducer_done>,
    // What all of them found, merged.
    caf::reacts_to<result_merged>,
    // The rows of an execution are in Redis, or not.
    caf::reacts_to<rows_written>,
    // INTERNAL: fire what is due.
    caf::reacts_to<caf::tick_atom>, caf::reacts_to<stop_work>>;

// One: starts the topology, supervises, drains.
using node_actor = caf::typed_actor<
    // INTERNAL: Redis answered for a field of the topology's own hash.
    caf::reacts_to<meta_answered>,
    // INTERNAL: what Redis' settings mean for us.
    caf::reacts_to<redis_examined>,
    // INTERNAL: sessions' clocks, deadlines of the drain, retries.
    caf::reacts_to<caf::tick_atom>,
    // Drain in order: sources, writers, publishers, sessions.
    caf::reacts_to<stop_work>>;

} // namespace weir::actors
