// What a request for Server-Sent Events asks for.
#pragma once

#include <string>

namespace weir::http {

struct event_request {
  std::string channel;       // "table" or "table/key"
  bool log = false;          // else keyed rows
  std::string data;          // of the subscription: a JSON object, or empty
  std::string token;         // a secret; empty: none
  std::string last_event_id; // "EPOCH:OFFSET"; empty: from the beginning
};

} // namespace weir::http
