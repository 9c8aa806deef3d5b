// weir's HTTP and WebSocket transport as it is, with an echo where the client protocol would be: what Autobahn's cases
// want to talk to.
//
//   conformance_echo [reply|push]
//
// Text goes back as an answer to a command does (reply, the default) or as a publication does (push, with compression);
// binary messages, which the client protocol does not have, always as a push. Prints its port, and ends with its
// standard input.
//
// The client protocol's text is lines of JSON, and a client that sends no Origin gets a message for each line. The
// cases send no Origin and want back what they sent, so frames are made here: whole, and with no form split into lines.
#include "runtime/core/reactor.hpp"
#include "runtime/http/frame_forms.hpp"
#include "runtime/http/server.hpp"
#include "runtime/http/wire.hpp"

#include <cstdio>
#include <cstring>
#include <deque>
#include <unistd.h>

namespace {

using namespace weir;

// The largest message of the cases is 16 MiB.
constexpr std::size_t message_bytes = 32 << 20;

class echo final : public http::web_socket_handler {
public:
  echo(http::web_socket& socket, bool replies) : socket_(socket), replies_(replies) {}

  void on_message(std::string_view text) override {
    if (replies_)
      socket_.reply(std::string(text));
    else
      send(whole_frame(text_opcode, text));
  }

  bool on_binary(std::string_view bytes) override {
    send(whole_frame(binary_opcode, bytes));
    return true;
  }

  void on_writable() override {
    while (!waiting_.empty() && socket_.push(waiting_.front()))
      waiting_.pop_front();
  }

  void on_closed() override {}

private:
  static constexpr unsigned text_opcode = 1, binary_opcode = 2;

  static http::frame_ptr whole_frame(unsigned opcode, std::string_view payload) {
    auto f = std::make_shared<http::frame>();
    f->bytes = http::frame_header(opcode, payload.size());
    f->header = f->bytes.size();
    f->bytes += payload;
    // Compressed as a publication is. Binary ones are not: the transport knows compressed text alone.
    if (opcode == text_opcode)
      f->forms = std::make_shared<http::frame_forms>();
    return f;
  }

  // The cases wait for their echo, so what waits here stays short.
  void send(http::frame_ptr f) {
    if (!waiting_.empty() || !socket_.push(f))
      waiting_.push_back(std::move(f));
  }

  http::web_socket& socket_;
  const bool replies_;
  std::deque<http::frame_ptr> waiting_;
};

} // namespace

int main(int argc, char** argv) {
  const bool pushes = argc == 2 && std::strcmp(argv[1], "push") == 0;
  if (argc > 2 || (argc == 2 && !pushes && std::strcmp(argv[1], "reply") != 0)) {
    std::fprintf(stderr, "usage: %s [reply|push]\n", argv[0]);
    return 64;
  }
  reactor first("echo-0"), second("echo-1");
  first.start();
  second.start();
  http_config config;
  config.port = 0;
  http::server_limits limits;
  limits.message_bytes = message_bytes;
  limits.compression = pushes;
  http::server_handlers handlers;
  handlers.session = [pushes](http::web_socket& s) { return std::make_unique<echo>(s, !pushes); };
  auto server = http::listen(config, limits, {&first, &second}, std::move(handlers));
  if (!server) {
    std::fprintf(stderr, "%s\n", server.error().message.c_str());
    return 1;
  }
  std::printf("%u\n", (*server)->port());
  std::fflush(stdout);
  char ignored[256];
  while (::read(STDIN_FILENO, ignored, sizeof ignored) > 0) {
  }
  (*server)->close(2'000);
  return 0;
}
