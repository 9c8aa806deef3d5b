#include "actors/batch_reducer.hpp"

#include "actors/custom_steps.hpp"
#include "runtime/core/priority.hpp"
#include "runtime/table/merge.hpp"

#include <algorithm>
#include <caf/event_based_actor.hpp>
#include <caf/send.hpp>
#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>
#include <charconv>
#include <limits>
#include <numeric>
#include <span>
#include <utility>

namespace weir::actors {
namespace {

constexpr std::uint32_t log_chunk = 64;       // packed entries asked for at a time, at most
constexpr std::uint64_t throttled_rows = 512; // about so many at a time where a throttle spreads them

// A record's event time can be ahead of the moment it was committed by as much as its producer's clock is: the window's
// first packed entry is looked for this much earlier than the window starts.
constexpr std::int64_t clock_allowance_ms = 60'000;

constexpr std::size_t most_letters = 1'000; // on their way to the dead letter topic; with more the reading waits

// A checkpoint is "<place>\n" and the reducer's own text. The place is the next bucket, the version from which a log is
// read on, or "reader <bytes>" where so many bytes, the reader's place, stand before the reducer's text.
constexpr std::string_view done_place = "done";
constexpr std::string_view reader_place = "reader ";

constexpr std::chrono::milliseconds most_pause{10'000}; // then the clock is looked at again: somebody may have set it

constexpr std::chrono::milliseconds reader_pause{100}; // a custom reader that has no rows yet is asked again

template <class Number>
bool parse_all(std::string_view text, Number& out) {
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc{} && rest == text.data() + text.size();
}

// A bucket of all partitions: as it came, and in the order in which it is reduced.
struct bucket_rows {
  std::vector<std::pair<partition_id, redis::stored_row>> rows;
  std::vector<std::uint32_t> order;
  std::size_t at = 0; // in `order`: the first that is not reduced

  // By key, whatever order Redis has them in: doubles are added in it. The parts of one row are neighbours then.
  void sort() {
    order.resize(rows.size());
    std::iota(order.begin(), order.end(), 0u);
    std::sort(order.begin(), order.end(), [&](auto a, auto b) {
      const auto by_key = rows[a].second.key.compare(rows[b].second.key);
      return by_key != 0 ? by_key < 0 : rows[a].first < rows[b].first;
    });
  }
};

struct batch_reducer_state {
  static inline const char* name = "batch-reducer";

  batch_reducer_actor::stateful_pointer<batch_reducer_state> self;
  batch_reducer_config config;
  std::shared_ptr<batch::reducer> partial;
  std::uint32_t buckets = 1, bucket = 0; // the bucket that is being read
  std::size_t part = 0;                  // of it: the partition to be asked next
  bucket_rows reading, reducing;         // of it, and of the one before
  version next;                          // of a log: the first that was not asked for
  std::int64_t checkpoint_at_ms = 0, told_at_ms = 0;
  std::uint64_t chunk_rows = 0;                              // of the last chunk, so about of the next
  std::uint64_t reserved = 0;                                // for the chunk that was asked for
  std::uint32_t log_entries = log_chunk;                     // asked for
  std::int64_t turn_ms = 0;                                  // of the next chunk
  std::optional<processor_time> fared;                       // what the pace knows of
  std::size_t letters = 0;                                   // on their way
  enum class hold { none, letters, turn } held = hold::none; // what the next chunk waits for
  bool done = false;                                         // the result waits for letters
  std::unique_ptr<reader_step> reader;                       // null: a table is read
  std::unique_ptr<processor_step> processor;                 // null: none
  std::vector<ext::item> items, made;                        // by the one and the other
  std::optional<std::string> refused;                        // by the processor

  explicit batch_reducer_state(batch_reducer_actor::stateful_pointer<batch_reducer_state> s) : self(s) {}

  bool is_log() const { return config.table.kind == table_kind::log; }

  // Skipped rows have to be where they go before the share is done.
  void finish_well() {
    done = true;
    if (letters == 0)
      finish(partial);
  }

  // A connection that has too much to do has less in a moment, unlike a reducer with too many groups.
  static error of_redis(error e) {
    if (e.code == ec::overloaded)
      e.code = ec::redis_busy;
    return e;
  }

  void finish(result<std::shared_ptr<batch::reducer>> r) {
    caf::anon_send(config.report_to, reducer_done{config.job.name, config.run, config.share, std::move(r)});
    self->quit();
  }

  void start_work() {
    partial = std::make_shared<batch::reducer>(config.job);
    buckets = redis::table_buckets(config.table.expected_rows);
    bucket = static_cast<std::uint32_t>(config.share);
    if (is_log() && config.from_ms)
      next =
          version{static_cast<std::uint64_t>(std::max<std::int64_t>(*config.from_ms - clock_allowance_ms, 0)) * 1000};
    checkpoint_at_ms = told_at_ms = config.node->wall_ms();
    chunk_rows = config.first_chunk_rows;
    if (config.job.throttle > 0)
      log_entries = 1; // until it is seen how many records an entry has
    std::optional<std::string> reader_at;
    if (!config.checkpoint.empty()) {
      const auto place = resume(reader_at);
      if (!place)
        return finish(tl::unexpected(place.error()));
      if (!*place)
        return finish(partial);
    }
    if (auto made_steps = make_steps(std::move(reader_at)); !made_steps)
      return finish(tl::unexpected(made_steps.error()));
    ask_next();
  }

  result<void> make_steps(std::optional<std::string> reader_at) {
    const step_place at{*config.node, config.job, config.execution, config.fire_ms};
    auto process = processor_step::make(at);
    if (!process)
      return tl::unexpected(process.error());
    processor = std::move(*process);
    if (!config.job.reader)
      return {};
    auto read = reader_step::make(at, {config.share, config.shares, std::move(reader_at)});
    if (!read)
      return tl::unexpected(read.error());
    reader = std::move(*read);
    return {};
  }

  void ask() {
    if (reader)
      caf::anon_send(batch_reducer_actor(self), caf::tick_atom::value); // others have their turn between two chunks
    else
      is_log() ? ask_log() : ask_part();
  }

  // The next chunk, as soon as the dead letters and the throttle let it.
  void ask_next() {
    if (letters >= most_letters) {
      held = hold::letters;
      return;
    }
    tell_pace();
    reserved = chunk_rows;
    turn_ms = config.pace->reserve(config.node->wall_ms(), reserved);
    wait_for_turn();
  }

  void tell_pace() {
    if (!config.node->threads_for_steps || config.job.throttle == 0)
      return; // not a thread of its own; nothing to slow down
    const auto now = processor_time_of_thread();
    if (now && fared)
      config.pace->fared(now->ran - fared->ran, now->waited - fared->waited);
    fared = now;
  }

  void wait_for_turn() {
    const auto wait = turn_ms - config.node->wall_ms();
    if (wait <= 0) {
      held = hold::none;
      return ask();
    }
    held = hold::turn;
    self->delayed_send(self, std::min(std::chrono::milliseconds(wait), most_pause), caf::flush_atom::value);
  }

  void chunk_found(std::uint64_t rows) {
    config.pace->found(std::exchange(reserved, 0), rows);
    chunk_rows = rows;
  }

  // -- rows

  result<void> add(std::string_view key, std::string_view row, const stamp& at) {
    if (!processor)
      return add_row(key, row, at);
    if (auto called = processor->process({std::string(key), std::string(row), at.time_ms}, made, refused); !called)
      return called;
    if (refused) {
      partial->skip(std::move(*refused));
      if (!config.job.dead_letter.empty())
        bury(key, row, at);
      return {};
    }
    if (made.empty())
      partial->leave_out();
    for (const auto& one : made)
      if (auto added = add_row(one.key, one.row, {one.time_ms, at.partition, at.at}); !added)
        return added;
    return {};
  }

  result<void> add_row(std::string_view key, std::string_view row, const stamp& at) {
    auto added = partial->add(row, at);
    if (!partial->skipped_because().empty() && !config.job.dead_letter.empty())
      bury(key, row, at);
    return added;
  }

  void bury(std::string_view key, std::string_view row, const stamp& at) {
    kafka::message m;
    m.topic = config.job.dead_letter;
    m.key = std::string(key);
    m.value = std::string(row);
    m.value_may_go = true;
    m.headers = {{"weir.job", config.job.name},
                 {"weir.execution", config.execution},
                 {config.job.reader ? "weir.reader" : "weir.table",
                  config.job.reader ? config.job.reader.name : config.table.name},
                 {"weir.reason", std::string(partial->skipped_because())},
                 {"weir.partition", std::to_string(at.partition.value)},
                 {"weir.offset", std::to_string(at.at.value)}};
    ++letters;
    batch_reducer_actor me = self;
    config.node->producer->send(std::move(m),
                                [me](result<void> sent) { caf::anon_send(me, letter_sent{std::move(sent)}); });
  }

  void on_letter(const letter_sent& m) {
    --letters;
    if (!m.sent)
      return finish(fail(m.sent.error().code == ec::overloaded ? ec::kafka_failed : m.sent.error().code,
                         fmt::format("cannot write to the dead letter topic '{}': {}", config.job.dead_letter,
                                     m.sent.error().message)));
    if (letters == 0 && done)
      return finish(partial);
    if (held == hold::letters && letters < most_letters / 2)
      ask_next();
  }

  // False: the share was done already.
  result<bool> resume(std::optional<std::string>& reader_at) {
    const auto damaged = [] { return fail(ec::internal, "a checkpoint that can't be read; abandon this execution"); };
    const std::string_view text = config.checkpoint;
    const auto end = text.find('\n');
    if (end == std::string_view::npos)
      return damaged();
    const auto first = text.substr(0, end);
    auto state = text.substr(end + 1);
    std::uint64_t place = 0;
    const bool is_done = first == done_place;
    if (!is_done && config.job.reader) {
      if (!first.starts_with(reader_place) || !parse_all(first.substr(reader_place.size()), place) ||
          place > state.size())
        return damaged();
      reader_at.emplace(state.substr(0, place));
      state.remove_prefix(place);
    } else if (!is_done && !parse_all(first, place)) {
      return damaged();
    }
    if (auto restored = partial->restore(state); !restored)
      return tl::unexpected(restored.error());
    if (is_done || reader_at)
      return !is_done;
    next = version{place};
    bucket = static_cast<std::uint32_t>(place);
    return true;
  }

  // Where the next chunk begins, as a checkpoint says it.
  result<std::string> place() {
    if (!reader)
      return std::to_string(is_log() ? next.value : bucket) + '\n';
    auto text = reader->place();
    if (!text)
      return text;
    return fmt::format("{}{}\n{}", reader_place, text->size(), *text);
  }

  // All chunks so far are in the partial result. False: the share has ended with an error.
  bool tell() {
    const auto now = config.node->wall_ms();
    std::string checkpoint;
    // Not while skipped rows are on their way: who goes on from a checkpoint does not read them again.
    if (letters == 0 && now - checkpoint_at_ms >= config.checkpoint_every.count()) {
      auto at = place();
      if (!at) {
        finish(tl::unexpected(at.error()));
        return false;
      }
      checkpoint = std::move(*at) + partial->save();
      // A large state is saved seldom, so that this costs a tenth of the time at most.
      checkpoint_at_ms = now + 9 * (config.node->wall_ms() - now);
    } else if (now - told_at_ms < 200) {
      return true;
    }
    told_at_ms = now;
    caf::anon_send(config.report_to,
                   share_progress{config.job.name, config.run, config.share, partial->counts(), std::move(checkpoint)});
    return true;
  }

  // -- keyed tables

  // A part of a bucket at a time: Redis executes all requests of a connection that have come before it looks at the
  // next connection, so what is asked for at once keeps it from everybody else at once. A piece of the bucket before is
  // reduced when a part has come, so that a core is not taken for longer either.
  void ask_part() {
    if (bucket >= buckets)
      return finish_well();
    batch_reducer_actor me = self;
    config.node->store->scan_bucket(config.partitions[part], config.ref, bucket, [me, p = part](auto answer) {
      caf::anon_send(me, bucket_read{p, 0, std::move(answer)});
    });
    ++part;
  }

  void on_bucket(bucket_read& m) {
    if (!m.rows)
      return finish(tl::unexpected(of_redis(m.rows.error())));
    chunk_found(m.rows->size());
    const auto id = config.partitions[m.partition].partition;
    for (auto& row : *m.rows)
      reading.rows.emplace_back(id, std::move(row));
    const auto parts_left = config.partitions.size() - part;
    if (parts_left == 0)
      return on_whole_bucket();
    ask_next(); // Redis is at it while the rows below are reduced
    reduce((reducing.order.size() - reducing.at) / (parts_left + 1));
  }

  void on_whole_bucket() {
    if (!reduce(reducing.order.size()) || !tell())
      return;
    reducing = std::exchange(reading, {});
    reducing.sort();
    bucket += static_cast<std::uint32_t>(config.shares);
    part = 0;
    if (bucket < buckets)
      ask_next();
    else if (reduce(reducing.order.size()))
      finish_well();
  }

  // At least so many stored rows more, if there are. False: the share has ended with an error.
  bool reduce(std::size_t count) {
    std::vector<table::part> parts_of_row;
    auto& [rows, order, at] = reducing;
    for (const auto end = std::min(order.size(), at + count); at < end;) {
      auto to = at + 1;
      while (to < order.size() && rows[order[to]].second.key == rows[order[at]].second.key)
        ++to;
      if (auto added = reduce_row(std::span(order).subspan(at, to - at), parts_of_row); !added) {
        finish(tl::unexpected(added.error()));
        return false;
      }
      at = to;
    }
    return true;
  }

  // `which`: the parts of one row. `space` is used again for each.
  result<void> reduce_row(std::span<const std::uint32_t> which, std::vector<table::part>& space) {
    const auto& [partition, first] = reducing.rows[which.front()];
    if (which.size() == 1 && config.table.kind == table_kind::latest) // the part is the row
      return add(first.key, first.value, {first.time_ms, partition, first.at});
    space.clear();
    stamp newest{std::numeric_limits<std::int64_t>::min(), {}, {}};
    for (const auto i : which) {
      const auto& [id, row] = reducing.rows[i];
      space.push_back({id, {row.time_ms, id, row.at}, std::make_shared<const std::string>(row.value)});
      newest = std::max(newest, space.back().at);
    }
    if (const auto visible = table::visible_row(config.table, space))
      return add(first.key, *visible, newest);
    return {};
  }

  // -- logs

  void ask_log() {
    batch_reducer_actor me = self;
    config.node->store->scan_log(config.partitions[config.share], config.ref, next, config.cut, log_entries,
                                 [me](auto answer) { caf::anon_send(me, log_read{std::move(answer)}); });
  }

  // With a throttle, chunks of about one size whatever the entries are.
  void size_log_chunk(std::size_t entries, std::uint64_t records) {
    if (config.job.throttle == 0 || entries == 0)
      return;
    log_entries = static_cast<std::uint32_t>(
        std::clamp<std::uint64_t>(throttled_rows * entries / std::max<std::uint64_t>(records, 1), 1, log_chunk));
    chunk_rows = records * log_entries / entries;
  }

  void on_log(const log_read& m) {
    if (!m.log)
      return finish(tl::unexpected(of_redis(m.log.error())));
    const auto id = config.partitions[config.share].partition;
    const auto& batches = m.log->batches;
    const bool more = batches.size() >= log_entries;
    if (!batches.empty())
      next = version{batches.back().first.value + std::max<std::uint64_t>(batches.back().records, 1)};
    std::uint64_t records = 0;
    for (const auto& batch : batches)
      records += batch.records;
    chunk_found(records);
    size_log_chunk(batches.size(), records);
    if (more)
      ask_next();
    for (const auto& batch : batches) {
      auto rest = batch.packed;
      redis::packed_record one;
      while (!rest.empty()) {
        if (!redis::next_record(rest, one))
          return finish(fail(ec::redis_protocol,
                             fmt::format("a damaged entry {} in the log '{}'", batch.first.value, config.table.name)));
        if (config.from_ms && (one.time_ms < *config.from_ms || one.time_ms >= config.to_ms))
          continue;
        if (auto added = add({}, one.value, {one.time_ms, id, one.at}); !added)
          return finish(tl::unexpected(added.error()));
      }
    }
    if (!more)
      return finish_well();
    tell();
  }

  // -- custom readers

  void on_reading_due() {
    const auto more = reader->read(items);
    if (!more)
      return finish(tl::unexpected(more.error()));
    chunk_found(items.size());
    const partition_id share{static_cast<std::int32_t>(config.share)};
    for (const auto& one : items) {
      // A row's number in its share stands for an offset.
      const offset number{static_cast<std::int64_t>(partial->counts().read)};
      if (auto added = add(one.key, one.row, {one.time_ms, share, number}); !added)
        return finish(tl::unexpected(added.error()));
    }
    if (!*more)
      return finish_well();
    if (!tell())
      return;
    if (items.empty())
      self->delayed_send(self, reader_pause, caf::tick_atom::value);
    else
      ask_next();
  }
};

batch_reducer_actor::behavior_type batch_reducer(batch_reducer_actor::stateful_pointer<batch_reducer_state> self,
                                                 batch_reducer_config config) {
  if (config.node->threads_for_steps)
    give_way(); // this thread is its own
  self->state.config = std::move(config);
  self->state.start_work();
  return {
      [self](bucket_read& m) { self->state.on_bucket(m); },
      [self](const log_read& m) { self->state.on_log(m); },
      [self](const letter_sent& m) { self->state.on_letter(m); },
      [self](caf::flush_atom) { self->state.wait_for_turn(); },
      [self](caf::tick_atom) { self->state.on_reading_due(); },
  };
}

} // namespace

std::string final_checkpoint(const batch::reducer& partial) { return std::string(done_place) + '\n' + partial.save(); }

bool is_final_checkpoint(std::string_view checkpoint) {
  return checkpoint.substr(0, checkpoint.find('\n')) == done_place;
}

batch_reducer_actor spawn_batch_reducer(caf::actor_system& system, batch_reducer_config config) {
  if (config.node->threads_for_steps)
    return system.spawn<caf::detached>(batch_reducer, std::move(config));
  return system.spawn(batch_reducer, std::move(config));
}

} // namespace weir::actors
