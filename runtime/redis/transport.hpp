// A byte stream to Redis over TCP, TLS or a unix socket. All calls and completions on the reactor's thread.
#pragma once

#include "runtime/redis/url.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/system/error_code.hpp>
#include <functional>
#include <memory>
#include <vector>

namespace boost::asio::ssl {
class context;
}

namespace weir::redis {

class transport {
public:
  using completion = std::function<void(boost::system::error_code, std::size_t)>;

  virtual ~transport() = default;

  // Resolve, connect and (TLS) handshake with the server's name checked.
  virtual void open(std::function<void(boost::system::error_code)> done) = 0;
  virtual void read_some(boost::asio::mutable_buffer into, completion done) = 0;
  // Writes all of `what`; the bytes stay valid until `done`. One at a time.
  virtual void write(std::vector<boost::asio::const_buffer> what, completion done) = 0;
  // Ends what is under way with errors; never blocks.
  virtual void close() = 0;
};

// Settings of TLS, shared by all connections. Null for the other schemes. ec::io: the CA file cannot be read.
result<std::shared_ptr<boost::asio::ssl::context>> make_tls(const server_url& url, const std::string& ca_file);

std::unique_ptr<transport> make_transport(boost::asio::io_context& context, const server_url& url,
                                          std::shared_ptr<boost::asio::ssl::context> tls);

} // namespace weir::redis
