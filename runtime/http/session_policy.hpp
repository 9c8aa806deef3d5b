// One client's side of the client protocol: what it may do, what it subscribes to, where each subscription stands. No
// I/O, no actor; all calls on the connection's reactor. A slow client costs a cursor, not a queue: a frame that the
// socket refuses marks its subscription as lagging, and when the socket can write again the publisher is asked for what
// changed since (one such request at a time, subscriptions in turns).
//
// Messages from a publisher have to come in the order in which it made them. Each subscription has a generation: what
// belongs to one that ended is ignored.
#pragma once

#include "proto/client_command.hpp"
#include "proto/topology.hpp"
#include "runtime/core/token_bucket.hpp"
#include "runtime/http/admission.hpp"
#include "runtime/http/lane_port.hpp"
#include "runtime/http/web_socket.hpp"
#include "runtime/table/publication.hpp"

#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace weir::http {

// Tables that can be subscribed to.
using table_directory = std::map<std::string, table_kind, std::less<>>;

// The socket, as the policy sees it; web_socket has the same methods.
class session_output {
public:
  virtual ~session_output() = default;
  virtual void reply(std::string text) = 0;  // never refused, never overtakes an accepted push
  virtual bool push(const frame_ptr& f) = 0; // false: on_writable() will be called
  virtual void close(std::uint16_t code, std::string_view reason) = 0;
  virtual std::uint64_t stalled_ms() const = 0;
  // A frame that was made for this session alone, or for others that were as far behind, was pushed.
  virtual void caught_up(const std::string& table, const table::fan_out& part) {
    static_cast<void>(table);
    static_cast<void>(part);
  }
  // For metrics: a command was refused because of its rate.
  virtual void refused_command() {}
};

// The publishers, as the policy sees them. Each call is a message to the table's publisher; answers come by the on_...
// calls below. They must not be answered from within the call.
class session_publishers {
public:
  virtual ~session_publishers() = default;
  virtual void subscribe(const std::string& table, std::uint32_t generation,
                         table::subscribe_request request) = 0;                     // on_subscribed
  virtual void unsubscribe(const std::string& table, std::uint32_t generation) = 0; // no answer
  virtual void catch_up(const std::string& table, std::uint32_t generation, table::lane_id lane,
                        arrival from) = 0; // on_caught_up
  virtual void history(const std::string& table, std::uint32_t ticket, table::history_request request,
                       table::selection_spec rows) = 0; // on_history
};

struct session_limits {
  std::size_t subscriptions = 256;
  std::uint32_t ping_ms = 25'000; // whole seconds
  std::uint32_t pong_ms = 9'000;  // after a ping; not counted while the socket is busy
  std::uint32_t connect_ms = 10'000;
  std::uint32_t stall_ms = 30'000;     // a socket that takes nothing for so long
  std::uint32_t answer_ms = 4'500;     // a publisher's answer; SDKs wait 5 s
  std::size_t waiting_answers = 2'000; // answers behind one that is not known yet; more end the connection
  command_limits commands;
  std::uint32_t commands_per_second = 100; // ten times as many at once
};

// What a topology says of them.
session_limits session_limits_of(const http_config& config);

class session_policy {
public:
  ~session_policy();
  session_policy(const session_policy&) = delete;
  session_policy& operator=(const session_policy&) = delete;
  session_policy(std::string client, std::string server_version, std::shared_ptr<const table_directory> tables,
                 session_output& output, session_publishers& publishers, session_limits limits, std::int64_t now_ms);

  // Before the first message: who is let in, and to what. Without it everybody, to everything.
  void guard(std::shared_ptr<const auth::gate> gate) { admission_ = admission(std::move(gate)); }

  // From the socket. now_ms: a steady clock.
  void on_message(std::string_view text, std::int64_t now_ms);
  void on_writable(std::int64_t now_ms);
  void on_tick(std::int64_t now_ms); // about once a second
  // The socket is gone (also after output.close()): ends all subscriptions. The last call.
  void on_closed();

  // From a publisher.
  // port: through which the lane's frames come from now on, where the reply is live.
  void on_subscribed(std::uint32_t generation, table::subscribe_reply reply, std::shared_ptr<lane_port> port,
                     std::int64_t now_ms);
  // True: it was pushed.
  bool on_fan_out(std::uint32_t generation, const table::fan_out& changes, std::int64_t now_ms);
  // A frame was left out on the way: what the subscription stands at may not be the newest.
  void on_left_out(std::uint32_t generation, std::int64_t now_ms);
  void on_caught_up(std::uint32_t generation, const table::catch_up_reply& reply, std::int64_t now_ms);
  void on_history(std::uint32_t ticket, const table::history_reply& reply);
  // The subscription ends with an unsubscribe push that makes the client subscribe again: the table has a new epoch, or
  // its publisher was started anew.
  void on_reset(std::uint32_t generation);
  void moved_in_lane(std::uint32_t generation, std::size_t index);

  // Ends the connection so that clients come back (the node is shutting down).
  void shut_down();

  bool connected() const { return connected_; }
  bool closed() const { return closed_; }
  std::size_t subscriptions() const { return subscriptions_.size(); } // live ones and ones being made
  std::size_t lagging() const;
  const std::string& client() const { return client_; }

private:
  enum class stage : std::uint8_t { asking, live };

  struct subscription {
    std::string channel; // as the client names it: the table, or table/key
    std::string table;
    table::selection_spec rows;
    std::uint32_t generation = 0;
    std::uint32_t command = 0; // asking: id to be answered
    stage is = stage::asking;
    bool lagging = false;
    bool held = false;  // live, but its reply waits behind that of an earlier command: nothing of it may be sent
    bool exact = false; // frames fit only where the one before ended; else one that starts earlier brings no harm
    arrival cursor;
    std::int64_t asked_ms = 0;     // asking: when the publisher was asked
    std::uint32_t interval_ms = 0; // least time between two frames
    std::int64_t next_ms = 0;      // no catch-up before
    table::lane_id lane;
    std::shared_ptr<lane_port> port; // live
    std::size_t place = 0;           // in the port
  };

  // Replies go out in the order of the commands: what is answered before its turn waits here.
  struct waiting_answer {
    std::uint32_t generation = 0; // of the subscription, or the ticket, that is asked about; 0: answered at once
    std::string text;             // empty: not known yet
    std::uint32_t history = 0;    // id of a history command
    std::int64_t asked_ms = 0;
  };

  subscription* find(std::string_view channel);
  subscription* find(std::uint32_t generation);
  void answer(std::string text);
  void answer_subscribe(std::uint32_t generation, std::string text);
  void send_answers();
  void handle(client_command& command, std::int64_t now_ms);
  void connect(const client_command& command, std::int64_t now_ms);
  void subscribe(client_command& command, std::int64_t now_ms);
  void unsubscribe(const client_command& command);
  void refresh(const client_command& command, std::int64_t now_ms);
  // Ends what the client did not ask to end; it is told in the place of the reply, where that is still to come.
  void withdraw(subscription& s, std::uint32_t code, std::string_view reason);
  // Why a subscribe command is refused: 0 if it is not.
  int objection(const subscribe_command& wanted, std::string& message);
  // Fills in what the command's channel, flags and data ask for. Not empty: what is wrong with them.
  static std::string read_wishes(const subscribe_command& wanted, table::subscribe_request& request);
  void history(const history_command& wanted, std::uint32_t id, std::int64_t now_ms);
  void leave(subscription& s);
  // The refusal where the client may read nothing of a table: given before anything else, so that nobody learns which
  // tables there are. 0: something.
  int unreached(const std::string& table, std::string& message);
  // Narrows `rows` to what the client's token permits. 0, or the code of the refusal; generation 0: of no subscription.
  int permit(std::uint32_t generation, const std::string& table, table::selection_spec& rows, std::string& message);
  void erase(subscription& s);
  void resubscribe(subscription& s);
  void ask_next(std::int64_t now_ms);
  void end_all();
  void close(std::uint16_t code, std::string_view reason);
  bool over_rate(const client_command& command, std::int64_t now_ms);

  std::string client_, server_version_;
  std::shared_ptr<const table_directory> tables_;
  session_output& output_;
  session_publishers& publishers_;
  const session_limits limits_;
  std::vector<subscription> subscriptions_;
  admission admission_;
  // At most limits_.waiting_answers; not empty only while the first is not known. A list costs nothing while it is empty.
  std::list<waiting_answer> answers_;
  std::uint32_t next_generation_ = 1;
  std::uint32_t asked_ = 0; // generation of the subscription whose catch-up is under way; 0: none
  std::int64_t asked_ms_ = 0;
  std::size_t turn_ = 0; // where the search for the next lagging subscription starts
  token_bucket rate_, patience_; // of commands: beyond the first they are refused, beyond the second the session ends
  bool connected_ = false, closed_ = false;
  bool refused_ = false; // connect was answered with an error: the client may try again with another token
  bool busy_ = false;    // a push was refused; on_writable() will come
  bool pinged_ = false;
  std::int64_t opened_ms_, ping_due_ms_ = 0, pong_due_ms_ = 0;
};

} // namespace weir::http
