// The door from HTTP to Server-Sent Events.
#pragma once

#include "runtime/http/event_request.hpp"
#include "runtime/http/shard.hpp"

namespace weir::http {

// Answers with a stream of events, fed by a session like that of a WebSocket, or with the reason why not. `origin`: of a
// page that may read it from elsewhere; empty: none. `path`: for errors.
template <class Stream>
void accept_event_stream(std::shared_ptr<shard> home, std::unique_ptr<Stream> stream, event_request request,
                         std::string origin, std::string path, slot counted, peer_info peer);

} // namespace weir::http
