// One table as Server-Sent Events: what an SDK does in a browser, done here for who has none. It speaks the client
// protocol (docs/client-protocol.md) with a session as any other client, so paging, catching up, filters, rates and
// permissions are the same, and writes what comes as events:
//
//   snapshot  {"rows":{KEY:ROW,...}}, in pages; the last one has "done":true
//   change    {"key":KEY,"data":ROW} or {"key":KEY,"removed":true}
//   entry     {"data":ENTRY,"tags":{"p":PARTITION,"o":OFFSET}} (logs)
//   reset     {}: what was shown is void; a snapshot follows (maps), or entries from now on (logs)
//   error     {"code","message"}: the stream ends
//
// `id: EPOCH:OFFSET` stands where everything up to it was sent; as Last-Event-ID it resumes the stream there.
//
// Pure: no sockets. All calls on one thread. Commands and events gather, and the transport takes them out, so that no
// call comes back into the session while the session calls.
#pragma once

#include "runtime/http/event_request.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace weir::http {

class event_client {
public:
  // retry_ms: the hint for reconnecting.
  event_client(event_request request, std::uint32_t retry_ms);

  // What the session says: replies and pushes of the client protocol, one or more lines. Its close, with the code.
  void on_reply(std::string_view lines);
  void on_close(std::uint16_t code, std::string_view reason);

  // A shared frame's payload as events; the same for all clients of a table. Empty: nothing to send.
  std::string events_of(std::string_view payload) const;

  // The offset of the last id that was sent in a shared frame.
  void passed(std::string_view offset) { offset_ = offset; }

  // For the session, to be taken once a round; empty: nothing. `room`: what was written before is on its way, so
  // another page may be asked for.
  std::string take_commands(bool room);
  // Another page will be asked for when there is room.
  bool wants_room() const { return !page_.empty(); }
  // To be written.
  std::string take_events() { return std::exchange(events_, {}); }

  // The subscription stands: answer with 200 and events.
  bool started() const { return started_; }
  // Else, when the session refused: the status to answer with, 0 while it is not known.
  unsigned refused_status() const { return status_; }
  const std::string& refusal() const { return refusal_; }
  // Nothing more will come: write what is there, then end the connection.
  bool ended() const { return ended_; }

private:
  void on_line(std::string_view line);
  void on_subscribed(std::string_view body);
  void on_error(int code, std::string_view message, bool temporary);
  void subscribe();
  void next_page(std::string_view cursor, std::string_view offset);
  void start();
  void end(std::string_view code, std::string_view message);
  void event(std::string_view name, std::string_view data, std::string_view offset = {});
  void publication(std::string& out, std::string_view pub) const;

  event_request request_;
  std::string commands_, page_, events_; // page_: the command for the next page of state
  std::string epoch_, offset_;           // of the last id; empty: none
  std::string refusal_;
  std::uint32_t next_id_ = 1, asked_ = 0; // asked_: the id of the subscribe under way
  std::uint32_t retry_ms_;
  unsigned status_ = 0;
  bool resuming_ = false;   // asked from a position
  bool resubscribed_ = false; // told to subscribe again, and nothing arrived since
  bool started_ = false, ended_ = false;
};

} // namespace weir::http
