// A server on loopback with handlers of the test's choice.
#pragma once

#include "runtime/core/reactor.hpp"
#include "runtime/http/server.hpp"
#include "tests/support/eventually.hpp"
#include "tests/unit/http/raw_client.hpp"

#include <atomic>
#include <chrono>
#include <functional>
#include <gtest/gtest.h>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace weir::http::test {

using namespace std::chrono_literals;

using support::eventually;

// A session that does what the test put into it.
struct scripted_session : web_socket_handler {
  explicit scripted_session(web_socket& s) : socket(s) {}
  ~scripted_session() override {
    if (destroyed)
      destroyed();
  }
  void on_message(std::string_view text) override {
    if (message)
      message(*this, text);
  }
  void on_writable() override {
    if (writable)
      writable(*this);
  }
  void on_closed() override {
    if (closed)
      closed(*this);
  }

  web_socket& socket;
  std::function<void(scripted_session&, std::string_view)> message;
  std::function<void(scripted_session&)> writable, closed;
  std::function<void()> destroyed;
};

// Answers what it gets.
inline std::unique_ptr<web_socket_handler> echo(web_socket& s) {
  auto session = std::make_unique<scripted_session>(s);
  session->message = [](scripted_session& self, std::string_view text) { self.socket.reply(std::string(text)); };
  return session;
}

// Answers with what it understood of the request.
inline void describe(request r, responder answer) {
  response a;
  a.content_type = "text/plain";
  a.body = r.method + " " + r.path;
  for (const auto& s : r.segments)
    a.body += " [" + s + "]";
  for (const auto& [name, value] : r.query)
    a.body += " " + name + "=" + value;
  a.body += "\n" + r.body;
  answer(std::move(a));
}

class serving {
public:
  explicit serving(server_handlers handlers = {describe, echo}, server_limits limits = {},
                   http_config config = loopback(), int reactors = 1) {
    std::vector<reactor*> all;
    for (int i = 0; i < reactors; ++i) {
      reactors_.push_back(std::make_unique<reactor>("test-" + std::to_string(i)));
      reactors_.back()->start();
      all.push_back(reactors_.back().get());
    }
    auto made = listen(config, limits, all, std::move(handlers));
    if (made)
      server_ = std::move(*made);
    else
      ADD_FAILURE() << made.error().message;
  }
  ~serving() { server_.reset(); }

  static http_config loopback() {
    http_config c;
    c.port = 0;
    return c;
  }

  std::uint16_t port() const { return server_->port(); }
  server& operator*() { return *server_; }
  server* operator->() { return server_.get(); }
  reactor& home(std::size_t i = 0) { return *reactors_[i]; }

  // Runs f on the reactor and waits for it.
  void on_reactor(const std::function<void()>& f) {
    std::atomic<bool> done{false};
    ASSERT_TRUE(home().post([&] {
      f();
      done = true;
    }));
    ASSERT_TRUE(eventually([&] { return done.load(); }));
  }

  bool lives() { return raw_client(port()).get("/alive").status == 200; }

private:
  std::vector<std::unique_ptr<reactor>> reactors_;
  std::unique_ptr<server> server_;
};

} // namespace weir::http::test
