// Writes a session's outbox to its socket: plainly without copying, or through TLS.
#pragma once

#include "runtime/http/web_socket_base.hpp"

#include <boost/asio/buffer.hpp>
#include <sys/socket.h>

namespace weir::http {

template <class Stream>
class outbox_writer : public web_socket_base {
public:
  // The stream has to live as long as this.
  outbox_writer(Stream& stream, std::shared_ptr<shard> home, slot counted, peer_info peer)
      : web_socket_base(lowest(stream), std::move(home), std::move(counted), std::move(peer)), transport_(stream) {}

protected:
  Stream& transport() { return transport_; }

private:
  void write_outbox() override {
    if constexpr (std::is_same_v<Stream, tcp_socket>)
      write_plain();
    else
      write_tls();
  }

  void write_plain() {
    while (!outbox_.empty()) {
      iovec parts[64];
      msghdr message{};
      message.msg_iov = parts;
      message.msg_iovlen = outbox_.gather(parts);
      const int fd = socket().native_handle();
      const int flags = MSG_NOSIGNAL | MSG_DONTWAIT;
      const auto sent = message.msg_iovlen == 1 ? ::send(fd, parts[0].iov_base, parts[0].iov_len, flags)
                                                : ::sendmsg(fd, &message, flags);
      if (sent >= 0) {
        progressed(static_cast<std::size_t>(sent));
        if (dead())
          return;
      } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
        wait_writable();
        return;
      } else if (errno != EINTR) {
        broken();
        return;
      }
    }
    drained();
  }

  void wait_writable() {
    begin_busy();
    socket().async_wait(tcp_socket::wait_write, [this, alive = shared_from_this()](error_code failed) {
      if (dead())
        return;
      if (failed)
        broken();
      else
        write_plain();
    });
  }

  // A TLS record has to be made from its bytes anyway, so they are gathered into one buffer; one write is under way at
  // most.
  void write_tls() {
    if (outbox_.empty()) {
      std::string().swap(record_); // most sessions are idle most of the time
      drained();
      return;
    }
    iovec parts[64];
    const auto n = outbox_.gather(parts);
    record_.clear();
    for (std::size_t i = 0; i < n && record_.size() < record_bytes; ++i)
      record_.append(static_cast<const char*>(parts[i].iov_base),
                     std::min(parts[i].iov_len, record_bytes - record_.size()));
    begin_busy();
    transport().async_write_some(boost::asio::buffer(record_),
                                 [this, alive = shared_from_this()](error_code failed, std::size_t sent) {
                                   if (dead())
                                     return;
                                   if (failed) {
                                     broken();
                                     return;
                                   }
                                   progressed(sent);
                                   if (!dead())
                                     write_tls();
                                 });
  }

  static constexpr std::size_t record_bytes = 16 << 10; // a TLS record's most

  Stream& transport_;
  std::string record_; // being written
};

} // namespace weir::http
