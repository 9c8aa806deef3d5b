#include "actors/custom_steps.hpp"

#include "runtime/core/json.hpp"
#include "runtime/core/log.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <type_traits>
#include <variant>

namespace weir::actors {
namespace {

constexpr std::size_t longest_message = 1'000; // bytes of what an exception says
constexpr std::chrono::milliseconds publish_after{100};

std::string message_of(const std::exception& e) {
  std::string text = e.what();
  if (text.size() > longest_message) {
    auto end = longest_message;
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) // not within a character
      --end;
    text.resize(end);
  }
  return text;
}

std::string json_of(const scalar& value) {
  if (const auto* text = std::get_if<std::string>(&value))
    return json_quote(*text);
  if (std::holds_alternative<std::nullptr_t>(value))
    return "null";
  return std::visit(
      [](const auto& v) {
        if constexpr (std::is_arithmetic_v<std::decay_t<decltype(v)>>)
          return fmt::format("{}", v);
        else
          return std::string();
      },
      value);
}

ext::execution execution_of(const step_place& at, const custom_step& step) {
  std::string parameters;
  for (const auto& [name, value] : at.job.parameters)
    parameters += fmt::format("{}{}:{}", parameters.empty() ? "" : ",", json_quote(name), json_of(value));
  return {at.job.name, at.execution, at.fire_ms, step.config, '{' + parameters + '}'};
}

// `weir check` and `weir run` have refused names that are not there, so this is for topologies that came otherwise.
template <class Map>
const typename Map::mapped_type* find(const Map& steps, const std::string& name) {
  const auto found = steps.find(name);
  return found == steps.end() ? nullptr : &found->second;
}

tl::unexpected<error> unknown(const step_watch& watch) {
  return fail(ec::step_failed, watch.name() + ": this program registers none of that name");
}

tl::unexpected<error> too_much(const step_watch& watch, const std::string& what) {
  return fail(ec::step_failed, watch.name() + ": " + what);
}

} // namespace

error step_error(const std::string& step) {
  try {
    throw;
  } catch (const ext::try_again& e) {
    return {ec::step_unavailable, step + ": " + message_of(e)};
  } catch (const std::exception& e) {
    return {ec::step_failed, step + ": " + message_of(e)};
  } catch (...) {
    return {ec::step_failed, step + ": an exception that is no std::exception"};
  }
}

// -- time

step_watch::step_watch(const step_place& at, std::string_view kind, const custom_step& step)
    : job_(at.job.name), name_(fmt::format("{} '{}'", kind, step.name)),
      seconds_(at.node.metrics->get(metrics::names::job_step_seconds, job_, kind)),
      slow_(at.node.metrics->get(metrics::names::job_step_slow, job_, kind)) {}

step_watch::~step_watch() { publish(); }

void step_watch::took(std::chrono::nanoseconds time) {
  spent_ += time;
  if (spent_ >= publish_after)
    publish();
  if (time <= ext::longest_call)
    return;
  slow_.add();
  if (!std::exchange(told_, true))
    log::warn(
        "job-steps", "a custom step took longer than a second",
        {{"job", job_}, {"step", name_}, {"ms", std::chrono::duration_cast<std::chrono::milliseconds>(time).count()}});
}

void step_watch::publish() { seconds_.add(std::chrono::duration<double>(std::exchange(spent_, {})).count()); }

// -- processor

result<std::unique_ptr<processor_step>> processor_step::make(const step_place& at) {
  if (!at.job.processor)
    return nullptr;
  std::unique_ptr<processor_step> made(new processor_step(at));
  const auto* factory = at.node.extensions ? find(at.node.extensions->processors(), at.job.processor.name) : nullptr;
  if (!factory)
    return unknown(made->watch_);
  if (auto done = made->watch_.call([&] { made->user_ = (*factory)(execution_of(at, at.job.processor)); }); !done)
    return tl::unexpected(done.error());
  if (!made->user_)
    return too_much(made->watch_, "its factory made nothing");
  return made;
}

result<void> processor_step::process(ext::item row, std::vector<ext::item>& into, std::optional<std::string>& refused) {
  into.clear();
  refused.reset();
  auto done = watch_.call([&] {
    try {
      user_->process(std::move(row), into);
    } catch (const ext::skip& e) {
      refused = message_of(e);
    }
  });
  if (!done)
    return done;
  if (into.size() > ext::most_rows)
    return too_much(watch_, fmt::format("made {} rows of one, at most {} are allowed", into.size(), ext::most_rows));
  if (!refused &&
      std::any_of(into.begin(), into.end(), [](const ext::item& i) { return i.row.size() > ext::most_row_bytes; }))
    refused = fmt::format("the processor made a row of more than {} bytes of it", ext::most_row_bytes);
  return {};
}

// -- reader

std::size_t reader_shares(const node_context& node, const job_config& job) {
  const auto* entry = node.extensions ? find(node.extensions->readers(), job.reader.name) : nullptr;
  return entry ? entry->shares : 1;
}

result<std::unique_ptr<reader_step>> reader_step::make(const step_place& at, ext::share share) {
  std::unique_ptr<reader_step> made(new reader_step(at));
  const auto* entry = at.node.extensions ? find(at.node.extensions->readers(), at.job.reader.name) : nullptr;
  if (!entry)
    return unknown(made->watch_);
  if (auto done = made->watch_.call([&] { made->user_ = entry->make(execution_of(at, at.job.reader), share); }); !done)
    return tl::unexpected(done.error());
  if (!made->user_)
    return too_much(made->watch_, "its factory made nothing");
  return made;
}

result<bool> reader_step::read(std::vector<ext::item>& into) {
  into.clear();
  bool more = false;
  if (auto done = watch_.call([&] { more = user_->read(ext::most_rows, into); }); !done)
    return tl::unexpected(done.error());
  if (into.size() > ext::most_rows)
    return too_much(watch_, fmt::format("gave {} rows where {} were asked for", into.size(), ext::most_rows));
  return more;
}

result<std::string> reader_step::place() {
  std::string text;
  if (auto done = watch_.call([&] { text = user_->place(); }); !done)
    return tl::unexpected(done.error());
  if (text.size() > ext::most_place_bytes)
    return too_much(watch_, fmt::format("its place has {} bytes, more than {}", text.size(), ext::most_place_bytes));
  return text;
}

// -- writer

writer_step::writer_step(const step_place& at)
    : watch_(at, "writer", at.job.writer), extensions_(at.node.extensions), step_(at.job.writer.name),
      for_(execution_of(at, at.job.writer)) {}

result<void> writer_step::write(const ext::chunk& part) {
  if (!user_) {
    const auto* factory = extensions_ ? find(extensions_->writers(), step_) : nullptr;
    if (!factory)
      return unknown(watch_);
    if (auto done = watch_.call([&] { user_ = (*factory)(for_); }); !done)
      return done;
    if (!user_)
      return too_much(watch_, "its factory made nothing");
  }
  return watch_.call([&] { user_->write(part); });
}

} // namespace weir::actors
