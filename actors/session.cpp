#include "actors/session.hpp"

#include "actors/reactor_companion.hpp"
#include "runtime/core/reactor_post.hpp"
#include "runtime/core/timer_wheel.hpp"
#include "runtime/metrics/registry.hpp"

#include <algorithm>
#include <atomic>
#include <caf/send.hpp>
#include <fmt/format.h>
#include <random>

namespace weir::actors {
namespace {

std::atomic<std::uint64_t> next_session{1};

// How often a session looks at its deadlines, which are whole seconds.
constexpr std::int64_t tick_ms = 1'000;

void count(const node_context& node, delivery_metrics of, const table::fan_out& part, std::size_t sessions) {
  of.frames.add(static_cast<double>(sessions));
  if (part.conflated > 0)
    of.conflated.add(static_cast<double>(part.conflated * sessions));
  if (part.newest_ms > 0)
    of.freshness.observe(static_cast<double>(std::max<std::int64_t>(node.wall_ms() - part.newest_ms, 0)) / 1000,
                         sessions);
}

} // namespace

struct fan_out_hub::impl {
  context_ptr node;
  reactor& home;
  reactor_companion companion;

  impl(context_ptr n, caf::actor_system& system, reactor& h) : node(std::move(n)), home(h), companion(system, h) {
    companion.become(
        [this](const fan_out_arrived& m) {
          const auto taken = m.port->deliver(m.changes, steady_ms());
          if (taken > 0) // counted once it is written
            at_round_end(home, [this, m, taken] { count(*node, *m.count, m.changes, taken); });
        },
        [](const lane_ended& m) { m.port->reset(); });
  }
};

fan_out_hub::fan_out_hub(const context_ptr& node, caf::actor_system& system, reactor& home)
    : impl_(std::make_unique<impl>(node, system, home)) {}

fan_out_hub::~fan_out_hub() = default;

fan_out_home fan_out_hub::home() const { return {impl_->companion.as<fan_out_actor>(), &impl_->home}; }

class session final : public http::web_socket_handler, http::session_output, http::session_publishers {
public:
  session(std::shared_ptr<const session_config> config, http::web_socket& socket)
      : config_(std::move(config)), socket_(socket), id_(next_session++), companion_(*config_->system, socket.home()),
        self_(companion_.as<session_actor>()),
        sessions_(config_->node->metrics->get(metrics::names::sessions)),
        policy_(fmt::format("{}-{}", config_->node->incarnation, id_.value), WEIR_VERSION, config_->tables, *this,
                *this, config_->limits, steady_ms()) {
    companion_.become(
        [this](const subscribe_answered& m) { policy_.on_subscribed(m.generation, m.reply, m.port, steady_ms()); },
        [this](const catch_up_arrived& m) { policy_.on_caught_up(m.generation, m.reply, steady_ms()); },
        [this](const history_arrived& m) { policy_.on_history(m.ticket, m.reply); },
        [this](const stop_work&) { policy_.shut_down(); });
    policy_.guard(config_->gate);
    config_->registry->add(socket_.home(), this);
    sessions_.set(static_cast<double>(config_->registry->size()));
    timers(socket_home_).set(timer_, steady_ms(), tick_ms);
  }

  ~session() override {
    config_->registry->remove(socket_home_, this);
    sessions_.set(static_cast<double>(config_->registry->size()));
  }

  void shut_down(std::int64_t after_ms) {
    ending_ = true;
    timers(socket_home_).set(timer_, steady_ms(), after_ms);
  }

  // -- from the socket

  void on_message(std::string_view text) override { policy_.on_message(text, steady_ms()); }
  void on_writable() override { policy_.on_writable(steady_ms()); }
  void on_closed() override { policy_.on_closed(); }

private:
  // -- to the socket

  void reply(std::string text) override {
    socket_.reply(std::move(text));
  }

  bool push(const http::frame_ptr& f) override { return socket_.push(f); }

  void close(std::uint16_t code, std::string_view reason) override {
    config_->node->metrics->get(metrics::names::closes, std::to_string(code)).add();
    socket_.close(code, reason);
  }

  std::uint64_t stalled_ms() const override { return socket_.stalled_ms(); }

  void refused_command() override { config_->node->metrics->get(metrics::names::refused, "commands").add(); }

  void on_time() {
    if (ending_)
      return policy_.shut_down();
    const auto now = steady_ms();
    timers(socket_home_).set(timer_, now, tick_ms);
    policy_.on_tick(now);
  }

  // -- to the publishers

  void subscribe(const std::string& table, std::uint32_t generation, table::subscribe_request request) override {
    caf::anon_send(config_->publishers.at(table),
                   view_subscribe{id_, generation, self_, config_->hubs.at(&socket_home_)->home(), std::move(request)});
  }

  void unsubscribe(const std::string& table, std::uint32_t generation) override {
    caf::anon_send(config_->publishers.at(table), view_unsubscribe{id_, generation});
  }

  void catch_up(const std::string& table, std::uint32_t generation, table::lane_id lane, arrival from) override {
    caf::anon_send(config_->publishers.at(table), view_catch_up{id_, generation, self_, lane, from});
  }

  void history(const std::string& table, std::uint32_t ticket, table::history_request request,
               table::selection_spec rows) override {
    caf::anon_send(config_->publishers.at(table), view_history{ticket, self_, std::move(request), std::move(rows)});
  }

  void caught_up(const std::string& table, const table::fan_out& part) override {
    count(*config_->node, *config_->deliveries.at(table), part, 1);
  }

  std::shared_ptr<const session_config> config_;
  http::web_socket& socket_;
  reactor& socket_home_ = socket_.home(); // the socket may be gone before this
  session_id id_;
  reactor_companion companion_;
  session_actor self_;
  metrics::gauge sessions_;
  bool ending_ = false;
  timer_wheel::entry timer_{[](void* self) { static_cast<session*>(self)->on_time(); }, this};
  http::session_policy policy_;
};

void session_registry::add(reactor& home, session* s) {
  std::lock_guard lock(mutex_);
  sessions_[&home].insert(s);
}

void session_registry::remove(reactor& home, session* s) {
  std::lock_guard lock(mutex_);
  sessions_[&home].erase(s);
}

std::size_t session_registry::size() const {
  std::lock_guard lock(mutex_);
  std::size_t n = 0;
  for (const auto& [home, set] : sessions_)
    n += set.size();
  return n;
}

void session_registry::shut_down(std::chrono::milliseconds over) {
  std::vector<reactor*> homes;
  {
    std::lock_guard lock(mutex_);
    for (const auto& [home, set] : sessions_)
      if (!set.empty())
        homes.push_back(home);
  }
  for (auto* home : homes)
    post(*home, [this, home, over] {
      std::lock_guard lock(mutex_);
      std::minstd_rand random{std::random_device{}()};
      std::uniform_int_distribution<std::int64_t> after(0, over.count());
      for (auto* s : sessions_[home]) // only sets timers, so that no session ends meanwhile
        s->shut_down(after(random));
    });
}

std::unique_ptr<http::web_socket_handler> make_session(const std::shared_ptr<const session_config>& config,
                                                       http::web_socket& socket) {
  return std::make_unique<session>(config, socket);
}

} // namespace weir::actors
