// A whole table in miniature, driven by a seed: partitions that commit and publish, a publisher with its channel,
// connections with their session policies over slow sockets, and clients that follow the rules of the `centrifuge` SDK
// (docs/client-protocol.md). Every message can be late, and some are lost.
#pragma once

#include "proto/client_reply.hpp"
#include "runtime/http/session_policy.hpp"
#include "runtime/table/channel.hpp"
#include "runtime/table/inbox.hpp"
#include "runtime/table/view_chain.hpp"

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

namespace weir::simulation {

inline const std::string table_name = "machines";

using json = nlohmann::json;

struct random_source {
  explicit random_source(std::uint64_t seed) : engine(seed) {}
  std::mt19937_64 engine;
  std::uint64_t below(std::uint64_t n) { return n == 0 ? 0 : engine() % n; }
  bool chance(unsigned percent) { return below(100) < percent; }
};

// Guards taken away on purpose, to see that the checks notice.
enum class sabotage {
  none,
  offset_early,        // the frame's offset stands on its first publication
  heartbeat_unchained, // a heartbeat follows the last change that was published, not the last one that was stored
  offset_of_newest,    // the newest version is taken for the watermark
  ended_lane_untold,   // who was in a lane that fell behind what is kept does not hear of it
};

struct world_options {
  table_kind kind = table_kind::latest;
  bool same_keys_everywhere = false; // rows with parts in several partitions
  std::size_t partitions = 2;
  std::size_t keys = 8;
  std::size_t clients = 3;
  bool wishes = false;       // clients want some rows only, a pace, deltas, tags, short names
  bool disturb = true;       // lost messages, reloads, rollbacks, restarts
  bool few_removals = false; // views forget removals, and logs entries, before a slow pace has told them
  sabotage without = sabotage::none;
};

// One source partition as Redis has it, and its link to the publisher.
struct partition_truth {
  partition_key key;
  std::string epoch = "0001";
  std::uint64_t last = 1, changed = 0, floor = 0;
  std::uint64_t published = 0; // version of the last change that went out
  std::map<std::string, row_change> rows;
  std::vector<table::logged_change> log;
  std::vector<table::loaded_batch> batches;
  std::int64_t next_offset = 0;
  std::deque<change_set_ptr> wire;
};

// What a key was, in order of version; sequence 0: removed.
struct key_state {
  std::uint64_t at = 0, sequence = 0;
};

class world;

// The server's end of one connection.
class connection : public http::session_output, public http::session_publishers {
public:
  connection(world& w, std::uint64_t id, std::size_t room);
  void reply(std::string text) override { to_client.push_back({std::move(text), false}); }
  bool push(const http::frame_ptr& f) override {
    if (refused || pushes >= room)
      return refused = true, false;
    ++pushes;
    to_client.push_back({std::string(f->payload()), true});
    return true;
  }
  void close(std::uint16_t code, std::string_view) override { closed_with = code; }
  std::uint64_t stalled_ms() const override { return 0; }
  void subscribe(const std::string& table, std::uint32_t generation, table::subscribe_request request) override;
  void unsubscribe(const std::string& table, std::uint32_t generation) override;
  void catch_up(const std::string& table, std::uint32_t generation, table::lane_id lane, arrival from) override;
  void history(const std::string& table, std::uint32_t ticket, table::history_request request,
               table::selection_spec rows) override;

  // The client takes the next message off the socket.
  std::optional<std::pair<std::string, bool>> take();

  struct message {
    std::string text;
    bool push;
  };
  world& world_;
  std::uint64_t id;
  std::size_t room, pushes = 0;
  bool refused = false, gone = false;
  std::uint16_t closed_with = 0;
  std::deque<message> to_client;
  std::deque<std::function<void()>> from_publisher; // in order
  http::session_policy policy;
};

// The `centrifuge` SDK, as far as one subscription goes.
class sdk_client {
public:
  sdk_client(world& w, std::size_t index) : world_(w), index_(index) {}
  void step();          // does one thing: connects, sends, takes a message, goes away
  void drop();          // the transport is lost; what was not taken is lost with it
  bool settled() const; // subscribed and nothing left to read
  void receive(const std::string& text, bool push);

  void make_wishes();
  std::map<std::string, std::uint64_t> wanted_of(const std::map<std::string, std::uint64_t>& all) const;

  json wishes = json::object(); // members of each subscribe command
  bool filtered = false;
  std::size_t deltas = 0;
  std::map<std::string, std::uint64_t> state; // key -> sequence
  std::optional<std::uint64_t> offset;
  std::string epoch;
  bool subscribed = false;
  bool whole = false; // nothing was cut short since the last complete reply: the position can be checked by the letter
  std::map<std::int32_t, std::int64_t> newest; // logs: by partition, the last offset taken; absent: not known
  std::size_t syncs = 0, recoveries = 0, unrecoverable = 0, pushed_away = 0;
  bool may_leave = true;

private:
  void send(const json& command);
  void start_flow();
  void ask_state(const std::string& cursor);
  void on_reply(const json& reply);
  void on_map_live(const json& result);
  void on_stream_reply(const json& result);
  void on_push(const json& push);
  void update(const json& publication);
  json data_of(const json& publication);
  void take_entry(const json& publication);
  bool interrupted();

  world& world_;
  std::size_t index_;
  std::shared_ptr<connection> link_;
  std::uint32_t next_id_ = 1;
  bool connected_ = false, flow_ = false, recovering_ = false, recover_ = false;
  std::vector<json> pages_;
  std::uint64_t flow_offset_ = 0;
  std::string channel_ = table_name, only_key_;
  int filter_ = 0; // 1: even sequences, 2: two keys, 3: a prefix, 4: one key
  std::uint32_t short_id_ = 0;
  std::map<std::string, std::string> bases_; // by key: what a delta is told against
  std::string flow_epoch_;
  std::map<std::string, std::size_t> reached_; // by key: how far its history was seen, in `reached_epoch_`
  std::string reached_epoch_;
  friend class world;
};

class world {
public:
  world(std::uint64_t seed, world_options options);

  void step();
  // No more changes and disturbances; everything is delivered. False: it did not come to rest.
  bool settle();
  // Empty: all is well; else what went wrong first.
  const std::string& verdict() const { return problem_; }
  void blame(const std::string& problem) {
    if (problem_.empty())
      problem_ = problem;
  }
  void compare_at_rest();

  // For clients.
  std::shared_ptr<connection> open();
  void check_position(const sdk_client& client);
  std::optional<std::size_t> find_in_history(const std::string& key, std::uint64_t sequence, std::size_t from) const;
  std::string true_epoch() const;
  std::map<std::string, std::uint64_t> visible() const;

  random_source random;
  const world_options options;
  table_config table;
  std::vector<partition_truth> partitions;
  std::map<std::string, std::vector<key_state>> history; // tables whose rows have one part
  std::unique_ptr<table::channel> channel;
  std::vector<std::unique_ptr<sdk_client>> clients;
  std::vector<std::shared_ptr<connection>> connections;
  std::deque<std::function<void()>> to_publisher;
  struct live_subscription {
    std::shared_ptr<connection> who;
    std::uint32_t generation = 0;
    table::lane_id lane;
  };
  std::map<std::uint64_t, live_subscription> live; // at the publisher, by connection
  void leave(std::uint64_t connection);
  std::int64_t now_ms = 1'000'000;
  std::size_t frames = 0, resets = 0, gaps = 0, lanes_ended = 0;
  bool calm = false;

private:
  friend class connection;
  void commit(partition_truth& p);
  void heartbeat(partition_truth& p);
  void publish(partition_truth& p, change_set c);
  void roll_back(partition_truth& p);
  void restart_publisher();
  void deliver(partition_truth& p);
  void flush();
  void load_step();
  void handle_one_message(connection& c);
  void reset_everyone();
  void end_lane(table::lane_id lane);
  void tell_ended(const live_subscription& l);

  std::uint64_t clock_ = 1000, sequence_ = 0;
  std::string problem_;
  std::uint64_t next_connection_ = 1;
  struct load_in_flight {
    std::vector<table::partition_load> loads;
    int stage = 0; // 0: heads read, 1: one of rows and log read, 2: both
    bool log_first = false;
  };
  std::optional<load_in_flight> load_;
  struct snapshot {
    std::size_t partition;
    partition_truth truth;
    std::map<std::string, std::vector<key_state>> history;
  };
  std::optional<snapshot> saved_;
};

} // namespace weir::simulation
