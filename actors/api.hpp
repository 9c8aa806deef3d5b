// HTTP requests: REST over tables, jobs and the node, health, metrics and the dashboard's files. Not an actor: called
// on reactors, it reads the status board and the metrics, and hands questions about rows to the publishers.
#pragma once

#include "actors/context.hpp"
#include "actors/door.hpp"
#include "actors/publisher.hpp"
#include "actors/session.hpp"
#include "runtime/http/server.hpp"
#include "runtime/http/static_files.hpp"

#include <map>
#include <mutex>

namespace weir::actors {

class api {
public:
  api(context_ptr node, std::map<std::string, publisher_actor> publishers, std::shared_ptr<session_registry> sessions,
      std::span<const http::asset> assets, gate_ptr gate);

  // Jobs can be run once the scheduler is there.
  void scheduler(scheduler_actor s);

  // Any thread; answers by `respond`, at once or later.
  void handle(http::request request, http::responder respond);

private:
  void tables(const auth::identity* who, const http::responder& respond);
  void table(const auth::identity* who, const http::request& request, const http::responder& respond);
  http::response stream(const http::request& request) const; // Server-Sent Events
  void jobs(const http::request& request, const http::responder& respond);
  void executions(const http::request& request, const http::responder& respond);
  std::string nodes_json();
  std::string job_json(const std::string& name) const;
  http::response ready() const;

  context_ptr node_;
  std::map<std::string, publisher_actor> publishers_;
  std::shared_ptr<session_registry> sessions_;
  http::static_files files_;
  door door_;
  std::int64_t started_ms_;
  mutable std::mutex mutex_; // guards all below
  scheduler_actor scheduler_;
  double cpu_seconds_ = 0, cpu_percent_ = 0; // of the process, as of cpu_at_ms_
  std::int64_t cpu_at_ms_ = 0;
};

} // namespace weir::actors
