// The door from HTTP to WebSocket.
#pragma once

#include "runtime/http/shard.hpp"

#include <boost/beast/http/message.hpp>
#include <boost/beast/http/string_body.hpp>

namespace weir::http {

using parsed_request = boost::beast::http::request<boost::beast::http::string_body>;

// Answers the upgrade request and serves the WebSocket. `early`: bytes read beyond the request.
template <class Stream>
void accept_web_socket(std::shared_ptr<shard> home, std::unique_ptr<Stream> stream, std::string early,
                       parsed_request request, slot counted, peer_info peer);

} // namespace weir::http
