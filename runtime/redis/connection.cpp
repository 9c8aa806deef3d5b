#include "runtime/redis/connection.hpp"

#include "runtime/core/backoff.hpp"
#include "runtime/core/log.hpp"
#include "runtime/core/reactor.hpp"
#include "runtime/redis/scripts.hpp"

#include <algorithm>
#include <boost/asio/ssl/error.hpp>
#include <fmt/format.h>
#include <hiredis/hiredis.h>

namespace weir::redis {
namespace {

using std::chrono::steady_clock;

constexpr std::size_t read_buffer_bytes = 64u << 10;
// The reader gives its buffer back when it is empty and larger: big answers do not hold memory for ever, small ones
// never reallocate.
constexpr std::size_t reader_keeps_bytes = 1u << 20;
// One gathering write takes at most so many commands; the rest follows when it is done.
constexpr std::size_t gather = 64;

} // namespace

struct connection::request {
  command_writer::bytes data;
  std::function<command_writer::bytes(const std::string&)> make; // instead of data
  std::size_t count = 1;
  done then;
  std::optional<std::uint64_t> only_in;
  time_point deadline;
  std::size_t size = 0;
  replies got;

  ~request() {
    if (then) // the reactor was stopped with this in its queue
      then(fail(ec::stopped, "Redis: the connection was closed"));
  }
  void answer(result<replies> r) {
    auto call = std::exchange(then, nullptr);
    call(std::move(r));
  }
};

connection::connection(reactor& on, settings s)
    : reactor_(on), settings_(std::move(s)),
      label_(fmt::format("{}/{}", settings_.limits.log_component, settings_.name)), reader_(nullptr, &redisReaderFree),
      retry_(std::make_unique<backoff>(settings_.limits.first_retry, settings_.limits.most_retry)),
      retry_timer_(on.context()), deadline_timer_(on.context()), in_(read_buffer_bytes) {}

connection::~connection() = default;

void connection::start() {
  reactor_.post([self = shared_from_this()] { self->connect(); });
}

connection::life connection::present() const {
  std::lock_guard lock(mutex_);
  return life_;
}

void connection::send(command_writer::bytes data, std::size_t count, done then, std::optional<std::uint64_t> only_in) {
  // Shared only because a task must be copyable; the task hands the one request on.
  auto r = std::make_shared<request_ptr>(std::make_unique<request>());
  auto& q = **r;
  q.size = data.view().size();
  q.data = std::move(data);
  q.count = count;
  q.then = std::move(then);
  q.only_in = only_in;
  q.deadline = steady_clock::now() + settings_.limits.deadline;
  // If the reactor was stopped, the request's destructor answers.
  reactor_.post([self = shared_from_this(), r] { self->accept(std::move(*r)); });
}

void connection::send_late(std::function<command_writer::bytes(const std::string&)> make, done then) {
  auto r = std::make_shared<request_ptr>(std::make_unique<request>());
  (*r)->make = std::move(make);
  (*r)->then = std::move(then);
  (*r)->deadline = steady_clock::now() + settings_.limits.deadline;
  reactor_.post([self = shared_from_this(), r] { self->accept(std::move(*r)); });
}

void connection::post(std::function<void()> t) {
  if (!reactor_.post(t))
    t();
}

void connection::on_state(std::function<void(link_state)> changed) {
  reactor_.post([self = shared_from_this(), changed = std::move(changed)] {
    self->changed_ = changed;
    if (self->changed_)
      self->changed_(self->told_);
  });
}

void connection::close() {
  reactor_.post([self = shared_from_this()] {
    if (self->phase_ == phase::closed)
      return;
    self->drop({ec::stopped, "Redis: the connection was closed"});
    self->phase_ = phase::closed;
    self->retry_timer_.cancel();
    self->deadline_timer_.cancel();
    self->changed_ = nullptr;
  });
}

error connection::why_down() const {
  // A link's users treat every loss alike; a reader's user is told why (a wrong password is not cured by waiting).
  return {settings_.wait_for_first ? last_error_.code : ec::redis_unreachable, last_error_.message};
}

void connection::accept(request_ptr r) {
  if (phase_ == phase::closed)
    return r->answer(fail(ec::stopped, "Redis: the connection was closed"));
  const bool can_wait = settings_.wait_for_first && (phase_ == phase::connecting || phase_ == phase::signing_in);
  if (phase_ != phase::up && !can_wait)
    return r->answer(tl::unexpected(why_down()));
  if (r->only_in && (phase_ != phase::up || *r->only_in != lives_))
    return r->answer(fail(ec::redis_unreachable, "Redis: the connection was lost meanwhile"));
  if (waiting_bytes_ + r->size > settings_.limits.waiting_bytes && !waiting_.empty())
    return r->answer(
        fail(ec::overloaded, fmt::format("Redis: {} bytes wait for {}", waiting_bytes_, settings_.url.text())));
  waiting_bytes_ += r->size;
  waiting_.push_back(std::move(r));
  arm_deadline();
  want_flush();
}

void connection::want_flush() {
  if (flush_wanted_ || writing_ || phase_ != phase::up)
    return;
  flush_wanted_ = true;
  reactor_.at_round_end([self = shared_from_this()] {
    self->flush_wanted_ = false;
    self->flush();
  });
}

void connection::flush() {
  if (writing_ || phase_ != phase::up || waiting_.empty())
    return;
  auto data = std::make_shared<std::vector<command_writer::bytes>>();
  std::vector<boost::asio::const_buffer> buffers;
  while (!waiting_.empty() && data->size() < gather) {
    auto& r = waiting_.front();
    if (in_flight_bytes_ > 0 && in_flight_bytes_ + r->size > settings_.limits.in_flight_bytes)
      break;
    waiting_bytes_ -= r->size;
    if (r->make) {
      r->data = r->make(life_.run_id); // life_ changes on this thread only
      r->size = r->data.view().size();
    }
    in_flight_bytes_ += r->size;
    data->push_back(std::move(r->data));
    outstanding_.push_back(std::move(r));
    waiting_.pop_front();
  }
  if (data->empty())
    return;
  buffers.reserve(data->size());
  for (const auto& d : *data)
    buffers.push_back(boost::asio::buffer(d.view().data(), d.view().size()));
  writing_ = true;
  transport_->write(std::move(buffers), [self = shared_from_this(), link = transport_, data,
                                         attempt = attempt_](boost::system::error_code e, std::size_t) {
    if (attempt != self->attempt_)
      return;
    self->writing_ = false;
    if (e)
      return self->drop({ec::redis_unreachable, fmt::format("{}: {}", self->settings_.url.text(), e.message())});
    self->want_flush();
  });
}

void connection::connect() {
  if (phase_ != phase::resting)
    return;
  phase_ = phase::connecting;
  ++attempt_;
  reader_.reset(redisReaderCreate());
  reader_->maxbuf = reader_keeps_bytes;
  transport_ = make_transport(reactor_.context(), settings_.url, settings_.tls);
  attempt_deadline_ = steady_clock::now() + settings_.limits.connect_deadline;
  arm_deadline();
  transport_->open([self = shared_from_this(), link = transport_, attempt = attempt_](boost::system::error_code e) {
    if (attempt != self->attempt_)
      return;
    if (e) {
      const bool certificate = e.category() == boost::asio::error::get_ssl_category();
      return self->drop({certificate ? ec::redis_refused : ec::redis_unreachable,
                         fmt::format("cannot connect to {}: {}", self->settings_.url.text(), e.message())});
    }
    self->sign_in();
  });
}

void connection::sign_in() {
  phase_ = phase::signing_in;
  read();
  std::string all;
  std::size_t count = 0;
  const auto add = [&](auto... args) {
    command_writer w;
    (w.arg(args), ...);
    auto bytes = w.finish();
    all.append(bytes.view());
    ++count;
  };
  const auto& url = settings_.url;
  if (!url.username.empty())
    add(std::string_view("AUTH"), std::string_view(url.username), std::string_view(url.password));
  else if (!url.password.empty())
    add(std::string_view("AUTH"), std::string_view(url.password));
  if (url.database != 0)
    add(std::string_view("SELECT"), static_cast<std::uint64_t>(url.database));
  add(std::string_view("CLIENT"), std::string_view("SETNAME"), std::string_view(settings_.name));
  add(std::string_view("INFO"), std::string_view("server"));
  for (const auto& s : all_scripts())
    add(std::string_view("SCRIPT"), std::string_view("LOAD"), s.text);

  auto r = std::make_unique<request>();
  r->count = count;
  r->deadline = attempt_deadline_;
  r->then = [this](result<replies> answers) {
    signed_in(std::move(answers));
  }; // lives in outstanding_, so not longer than this
  outstanding_.push_back(std::move(r));
  auto data = std::make_shared<std::string>(std::move(all));
  writing_ = true;
  transport_->write({boost::asio::buffer(*data)}, [self = shared_from_this(), link = transport_, data,
                                                   attempt = attempt_](boost::system::error_code e, std::size_t) {
    if (attempt != self->attempt_)
      return;
    self->writing_ = false;
    if (e)
      return self->drop({ec::redis_unreachable, fmt::format("{}: {}", self->settings_.url.text(), e.message())});
    self->want_flush();
  });
}

void connection::signed_in(result<replies> answers) {
  if (!answers)
    return; // drop() is under way
  const auto& url = settings_.url;
  std::size_t at = 0;
  const auto next = [&] { return reply_view((*answers)[at++].get()); };
  const auto refuse = [&](std::string_view what, reply_view r) {
    auto e = classify(r.text());
    if (e.code == ec::redis_script)
      e.code = ec::redis_refused;
    drop({e.code, fmt::format("{}: {}: {}", url.text(), what, e.message)});
  };
  if (!url.username.empty() || !url.password.empty())
    if (auto r = next(); r.is_error())
      return refuse("signing in", r);
  if (url.database != 0)
    if (auto r = next(); r.is_error())
      return refuse(fmt::format("database {}", url.database), r);
  next(); // a name is a help for people: a user who may not set it does without
  std::string run_id;
  if (auto r = next(); r.is_error()) {
    if (r.text().starts_with("NOAUTH"))
      return refuse("signing in", r);
    log::warn(label_, "INFO is not allowed: a restart of Redis is noticed only by what is missing",
              {{"reason", r.text()}});
  } else if (auto from = r.text().find("run_id:"); from != std::string_view::npos) {
    auto rest = r.text().substr(from + 7);
    run_id = rest.substr(0, rest.find_first_of("\r\n"));
  }
  for (const auto& s : all_scripts()) {
    auto r = next();
    if (r.is_error())
      return refuse(fmt::format("loading the script {}", s.name), r);
    if (r.text() != s.sha)
      return drop(
          {ec::redis_protocol, fmt::format("{}: the script {} was stored under another name", url.text(), s.name)});
  }
  phase_ = phase::up;
  logged_ = ec::none;
  {
    std::lock_guard lock(mutex_);
    life_ = {++lives_, std::move(run_id)};
  }
  log::info(label_, "connected to Redis", {{"url", url.text()}});
  set_state(link_state::up);
  arm_deadline();
  want_flush();
}

void connection::read() {
  transport_->read_some(boost::asio::buffer(in_), [self = shared_from_this(), link = transport_,
                                                   attempt = attempt_](boost::system::error_code e, std::size_t n) {
    if (attempt != self->attempt_)
      return;
    if (e)
      return self->drop({ec::redis_unreachable, fmt::format("{}: {}", self->settings_.url.text(), e.message())});
    if (redisReaderFeed(self->reader_.get(), self->in_.data(), n) != REDIS_OK)
      return self->drop({ec::redis_protocol, fmt::format("{}: {}", self->settings_.url.text(), self->reader_->errstr)});
    if (self->take_replies())
      self->read();
  });
}

bool connection::take_replies() {
  const auto attempt = attempt_;
  for (;;) {
    void* raw = nullptr;
    if (redisReaderGetReply(reader_.get(), &raw) != REDIS_OK) {
      drop({ec::redis_protocol, fmt::format("{}: {}", settings_.url.text(), reader_->errstr)});
      return false;
    }
    if (!raw)
      return true;
    reply_ptr reply(static_cast<redisReply*>(raw));
    if (outstanding_.empty()) {
      drop({ec::redis_protocol, fmt::format("{}: an answer nobody asked for", settings_.url.text())});
      return false;
    }
    reply_view view(reply.get());
    bool read_only = false;
    if (view.is_error()) {
      if (view.text().starts_with("NOSCRIPT")) {
        drop({ec::redis_unreachable, fmt::format("{}: the server has forgotten its scripts", settings_.url.text())});
        return false;
      }
      // A demoted server keeps its connections; the address may lead to another one by now.
      read_only = phase_ == phase::up && classify(view.text()).code == ec::redis_cannot_write &&
                  view.text().find("READONLY") != std::string_view::npos;
    } else if (phase_ == phase::up) {
      retry_->reset();
    }
    auto& front = outstanding_.front();
    front->got.push_back(std::move(reply));
    if (front->got.size() == front->count) {
      auto r = std::move(outstanding_.front());
      outstanding_.pop_front();
      in_flight_bytes_ -= std::min(in_flight_bytes_, r->size);
      auto got = std::move(r->got);
      r->answer(std::move(got));
      if (attempt != attempt_)
        return false;
      if (!waiting_.empty())
        want_flush();
    }
    if (read_only) {
      drop({ec::redis_cannot_write, fmt::format("{}: the server is a replica", settings_.url.text())});
      return false;
    }
  }
}

void connection::drop(error why) {
  if (phase_ == phase::resting || phase_ == phase::closed)
    return;
  const bool was_up = phase_ == phase::up;
  const bool stopping = why.code == ec::stopped;
  phase_ = phase::resting;
  ++attempt_;
  transport_->close();
  transport_.reset();
  writing_ = false;
  last_error_ = why;
  {
    std::lock_guard lock(mutex_);
    life_ = {};
  }
  if (!stopping && logged_ != why.code) {
    logged_ = why.code;
    log::warn(label_, was_up ? "connection to Redis lost" : "no connection to Redis, trying on",
              {{"reason", why.message}});
  }
  set_state(link_state::down);
  end_all(stopping ? why : was_up ? error{ec::redis_unreachable, why.message} : why_down());
  if (stopping || phase_ != phase::resting)
    return;
  retry_timer_.expires_after(retry_->next());
  retry_timer_.async_wait([self = shared_from_this()](boost::system::error_code e) {
    if (!e)
      self->connect();
  });
}

void connection::end_all(const error& why) {
  // Moved out first: a callback may send again, and that must not be ended with the old ones.
  auto sent = std::move(outstanding_);
  auto unsent = std::move(waiting_);
  outstanding_.clear();
  waiting_.clear();
  waiting_bytes_ = in_flight_bytes_ = 0;
  for (auto& r : sent)
    r->answer(tl::unexpected(why));
  for (auto& r : unsent)
    r->answer(tl::unexpected(why));
}

void connection::arm_deadline() {
  if (phase_ == phase::closed || phase_ == phase::resting)
    return;
  auto next = time_point::max();
  if (phase_ != phase::up)
    next = attempt_deadline_;
  if (!outstanding_.empty())
    next = std::min(next, outstanding_.front()->deadline);
  if (!waiting_.empty())
    next = std::min(next, waiting_.front()->deadline);
  if (next >= armed_for_)
    return; // an earlier look is due anyway
  armed_for_ = next;
  deadline_timer_.expires_at(next);
  deadline_timer_.async_wait([self = shared_from_this()](boost::system::error_code e) {
    if (e)
      return; // armed anew for an earlier time, or closed
    self->armed_for_ = time_point::max();
    self->check_deadlines();
  });
}

void connection::check_deadlines() {
  if (phase_ == phase::closed || phase_ == phase::resting)
    return;
  const auto now = steady_clock::now();
  if (phase_ != phase::up && now >= attempt_deadline_)
    return drop({ec::redis_unreachable, fmt::format("{}: no answer within {} ms", settings_.url.text(),
                                                    settings_.limits.connect_deadline.count())});
  // Later answers on a connection that owes one cannot be told from the missing one: it is dropped as a whole.
  if (!outstanding_.empty() && now >= outstanding_.front()->deadline)
    return drop({ec::redis_unreachable,
                 fmt::format("{}: no answer within {} ms", settings_.url.text(), settings_.limits.deadline.count())});
  while (!waiting_.empty() && now >= waiting_.front()->deadline) {
    auto r = std::move(waiting_.front());
    waiting_.pop_front();
    waiting_bytes_ -= std::min(waiting_bytes_, r->size);
    r->answer(fail(ec::timeout, fmt::format("{}: no room on the connection within {} ms", settings_.url.text(),
                                            settings_.limits.deadline.count())));
  }
  arm_deadline();
}

void connection::set_state(link_state s) {
  if (s == told_)
    return;
  told_ = s;
  if (changed_)
    changed_(s);
}

} // namespace weir::redis
