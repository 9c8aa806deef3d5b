// The commands.
#include "load.hpp"

#include <cinttypes>
#include <cstdio>
#include <cstdlib>

namespace fanout {

using namespace std::chrono_literals;

load::words load::split(const std::string& line) {
  words w;
  std::size_t at = line.find(' ');
  w.name = line.substr(0, at);
  while (at != std::string::npos) {
    const auto next = line.find(' ', at + 1);
    w.numbers.push_back(std::strtod(line.substr(at + 1, next - at - 1).c_str(), nullptr));
    at = next;
  }
  return w;
}

void load::obey(const std::string& line) {
  const auto w = split(line);
  const auto number = [&](std::size_t i) {
    if (i >= w.numbers.size())
      die("'" + line + "' lacks a number");
    return w.numbers[i];
  };
  if (w.name == "quit")
    quit_ = true;
  else if (w.name == "connect" || w.name == "stall")
    connect(static_cast<std::size_t>(number(0)), w.name == "stall");
  else if (w.name == "publish")
    waves(0, 1);
  else if (w.name == "fill")
    waves(0, settings_.keys);
  else if (w.name == "one")
    waves(number(0), 1);
  else if (w.name == "burst")
    waves(number(0), static_cast<std::size_t>(number(1)));
  else if (w.name == "rate")
    paced(number(0), number(1));
  else if (w.name == "brace")
    brace();
  else if (w.name == "storm")
    storm(number(0));
  else
    die("unknown command '" + line + "'");
}

void load::connect(std::size_t count, bool stalled) {
  const auto began = steady::now();
  const auto first = sessions_.size();
  sessions_.resize(first + count);
  sent_.resize(first + count);
  const auto wanted = live_ + (stalled ? 0 : count);
  for (auto who = first; who < sessions_.size(); ++who) {
    sessions_[who].stalled = stalled;
    // Late ones have not seen what came before them.
    sessions_[who].count = wanted_;
    sessions_[who].hash = wanted_hash_;
    sessions_[who].newest.assign(settings_.storms ? settings_.keys : 0, 0);
    open(who);
    if (!pump(steady::now() + 60s, [this] { return opening_ < openings_bound; }))
      die("handshakes are not answered");
  }
  if (!pump(steady::now() + 120s, [&] { return live_ >= wanted && opening_ == 0; }))
    die("only " + std::to_string(live_) + " of " + std::to_string(wanted) + " sessions became live");
  answer(began, "");
}

std::string load::make_row(std::size_t key) {
  const auto number = ++made_;
  char tail[96];
  const auto n =
      std::snprintf(tail, sizeof tail, R"(","k":%zu,"n":%)" PRIu64 R"(,"t":%)" PRId64 "}", key, number, wall_us());
  std::string row = "{\"x\":\"";
  const auto fixed = row.size() + static_cast<std::size_t>(n);
  row.append(settings_.row_bytes > fixed ? settings_.row_bytes - fixed : 1, 'x');
  row.append(tail, static_cast<std::size_t>(n));
  wanted_hash_ += mix(number);
  return row;
}

void load::send_rows(std::size_t count) {
  rows_out_.clear();
  for (std::size_t i = 0; i < count; ++i) {
    next_key_ = (next_key_ + 1) % settings_.keys;
    rows_out_.emplace_back(static_cast<std::uint32_t>(next_key_), make_row(next_key_));
  }
  // Nobody can have them before they are out.
  wanted_ += count;
  behind_ = readers();
  publisher_->send(rows_out_);
}

std::size_t load::readers() const { return live_; }

void load::begin() {
  sum_ = {};
  from_made_.clear();
  from_offset_.clear();
  made_to_arrival_.clear();
  offset_to_arrival_.clear();
  losses_ = refused_ = again_ = 0;
  made_before_ = made_;
  getrusage(RUSAGE_SELF, &used_);
}

// Batches, each when all have the one before; at least one.
void load::waves(double seconds, std::size_t rows) {
  begin();
  const auto began = steady::now();
  const auto until = began + seconds_of(seconds);
  do {
    send_rows(rows);
    if (!pump(steady::now() + 30s, [this] { return behind_ == 0; }))
      break;
  } while (steady::now() < until);
  answer(began, tally(steady::now() - began));
}

void load::paced(double seconds, double per_second) {
  begin();
  const auto began = steady::now();
  const auto total = static_cast<std::uint64_t>(seconds * per_second);
  for (std::uint64_t i = 0; i < total && !quit_; ++i) {
    const auto turn_of = began + seconds_of(static_cast<double>(i) / per_second);
    pump(turn_of, [] { return false; });
    send_rows(1);
    // Who is behind does not matter until the end.
  }
  const auto complete = [this] {
    for (const auto& s : sessions_)
      if (!s.stalled && s.count < wanted_)
        return false;
    return true;
  };
  auto last = sum_.deliveries;
  // What was left out does not come any more: a second without anything ends the waiting.
  for (int quiet = 0; quiet < 20 && !complete(); ++quiet) {
    pump(steady::now() + 50ms, [] { return false; });
    if (sum_.deliveries != last)
      quiet = 0;
    last = sum_.deliveries;
  }
  answer(began, tally(steady::now() - began));
}

std::string load::tally(steady::duration took) {
  std::uint64_t missing = 0, wrong = 0;
  for (auto& s : sessions_) {
    if (s.stalled)
      continue;
    if (s.count < wanted_)
      missing += wanted_ - s.count;
    else if (s.count > wanted_ || s.hash != wanted_hash_)
      ++wrong;
    s.count = wanted_;
    s.hash = wanted_hash_;
  }
  rusage now{};
  getrusage(RUSAGE_SELF, &now);
  const auto spent = [](const timeval& a, const timeval& b) {
    return static_cast<double>(b.tv_sec - a.tv_sec) + static_cast<double>(b.tv_usec - a.tv_usec) / 1e6;
  };
  char text[1200];
  std::snprintf(text, sizeof text,
                R"(,"published":%)" PRIu64 R"(,"deliveries":%)" PRIu64 R"(,"missing":%)" PRIu64 R"(,"wrong":%)" PRIu64
                R"(,"per_s":%.0f,"messages":%)" PRIu64 R"(,"reads":%)" PRIu64 R"(,"bytes":%)" PRIu64
                R"(,"load_cpu_s":%.3f,"losses":%)" PRIu64
                R"(,"from_made_ms":%s,"from_offset_ms":%s,"made_to_arrival_ms":%s,"offset_to_arrival_ms":%s)",
                made_ - made_before_, sum_.deliveries, missing, wrong,
                static_cast<double>(sum_.deliveries) / std::chrono::duration<double>(took).count(), sum_.messages,
                sum_.reads, sum_.bytes, spent(used_.ru_utime, now.ru_utime) + spent(used_.ru_stime, now.ru_stime),
                losses_, from_made_.json().c_str(), from_offset_.json().c_str(), made_to_arrival_.json().c_str(),
                offset_to_arrival_.json().c_str());
  return text;
}

// What comes now counts for the storm: sessions that are lost before its command is read must not be missed, since they
// may be back by then.
void load::brace() {
  went_ = 0;
  live_again_.clear();
  braced_at_ = steady::now();
  for (auto& s : sessions_)
    s.went = s.live_again = false;
  answer(steady::now(), "");
}

void load::storm(double seconds) {
  begin();
  storm_began_ = steady::now();
  const auto until = storm_began_ + seconds_of(seconds);
  // All have to go first, or somebody who was never away would count.
  const bool all_lost = pump(until, [this] { return went_ >= sessions_.size(); });
  storm_from_ = made_ + 1;
  backwards_ = 0;
  back_.clear();
  for (auto& s : sessions_) {
    s.had_all = false;
    s.fresh = 0;
  }
  const double lost_s = std::chrono::duration<double>(steady::now() - storm_began_).count();
  send_rows(settings_.keys);
  const bool all_back = all_lost && pump(until, [this] { return back_.total() >= sessions_.size(); });
  char text[600];
  std::snprintf(text, sizeof text,
                R"(,"all_lost":%s,"lost_s":%.3f,"all_back":%s,"back":%)" PRIu64 R"(,"refused":%)" PRIu64
                R"(,"told_to_wait_or_start_over":%)" PRIu64 R"(,"backwards":%)" PRIu64 R"(,"back_ms":%s,"live_ms":%s)",
                all_lost ? "true" : "false", lost_s, all_back ? "true" : "false", back_.total(), refused_, again_,
                backwards_, back_.json().c_str(), live_again_.json().c_str());
  answer(storm_began_, text);
  storm_from_ = 0;
  for (auto& s : sessions_) {
    s.count = wanted_;
    s.hash = wanted_hash_;
  }
}

void load::answer(steady::time_point began, const std::string& more) {
  std::printf("{\"seconds\":%.4f,\"live\":%zu%s}\n", std::chrono::duration<double>(steady::now() - began).count(),
              live_, more.c_str());
  std::fflush(stdout);
}

} // namespace fanout
