// What a program of one's own adds to weir's jobs: readers, processors and writers, each by a name that a topology file
// then uses (docs/extending.md). Include <weir/program.hpp>, which includes this; nothing else of weir is public.
//
// Objects: a factory makes one for each share of an execution (a writer: one for each try at the whole result). One
// thread at a time uses it; those of several shares, executions and jobs run at once, so what they have in common has
// to be safe for threads.
//
// Time: a call may take up to a second (`longest_call`). A longer one is not broken off, since that can't be done
// safely, but logged, and counted in weir_job_step_slow_total; the execution's `deadline` is looked at between calls.
//
// Exceptions that leave a factory or a call never end the node:
//   skip         of a processor: this row can't be used. It counts against the job's `skip_limit`, and goes to its
//                `dead_letter` topic with the text as the reason
//   try_again    the cause passes by itself: the execution goes on from its checkpoints, `retries` times at most
//   any other    the execution ends as FAILED; its message has the step's name and what()
//
// After a takeover, a retry or a restart there are new objects, which go on from the last checkpoint: what came behind
// that is read, processed and written again.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

namespace weir::ext {

inline constexpr std::chrono::milliseconds longest_call{1'000};
inline constexpr std::size_t most_rows = 1'000;         // of one call of a reader or processor
inline constexpr std::size_t most_row_bytes = 1u << 20; // of one row; longer ones are skipped
inline constexpr std::size_t most_place_bytes = 64u << 10;
inline constexpr std::size_t most_shares = 64;

// The execution that an object works for.
struct execution {
  std::string job;
  std::string id;           // the same after a takeover and in a retry; a restart has another one
  std::int64_t fire_ms = 0; // milliseconds since 1970; a restart has that of the execution before it
  std::string config;       // the step's "config", one JSON object; "{}" where there is none
  std::string parameters;   // all of the job's "parameters" as this run has them, one JSON object
};

// A row of a table, an entry of a log, a row that a reader made, or a row of the result.
struct item {
  std::string key;          // of a log's entry: empty
  std::string row;          // one JSON object, UTF-8
  std::int64_t time_ms = 0; // event time, milliseconds since 1970; of a row of the result: the fire time
};

class skip : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

class try_again : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Number `index` of `count` shares of a reader's input, and where to go on, if not from the start: what place() gave.
struct share {
  std::size_t index = 0, count = 1;
  std::optional<std::string> place;
};

// In place of a table that a job reads.
class reader {
public:
  virtual ~reader() = default;
  // Appends the next rows, `most` (1 to most_rows) of them at most. False: there are no more after these. No row and
  // true: none yet, it is asked again soon. The same place has to give the same rows in the same order while an
  // execution and its retries last.
  virtual bool read(std::size_t most, std::vector<item>& into) = 0;
  // Where the next read() starts, at most most_place_bytes of any text. Stored with what came of the rows so far.
  virtual std::string place() const = 0;
};

// Gets each row before `derive`, `where` and `group_by`.
class processor {
public:
  virtual ~processor() = default;
  // Appends what becomes of the row, most_rows rows at most: itself, a changed one, several; none, and it counts as
  // filtered. Must depend on the row, the execution and the config alone, since a row may come again.
  virtual void process(item row, std::vector<item>& into) = 0;
};

// A part of a result. A result without rows is one chunk without rows.
struct chunk {
  std::size_t number = 0, count = 1; // number `number` (from 0) of `count`
  std::span<const item> rows;        // ascending by key through all chunks; the job's `chunk` at most
};

// Gets the result, after the table and before the topic that a job may write as well.
class writer {
public:
  virtual ~writer() = default;
  // In order, one at a time. A chunk may come again, with the same execution id, number and rows: after a takeover or
  // in a retry all of them come from the first on, so writing one twice must be the same as writing it once.
  virtual void write(const chunk& part) = 0;
};

// The steps by name. A name: letters a-z, digits, - and _, a letter first, at most 64 characters; once for each kind.
class extensions {
public:
  using make_reader = std::function<std::unique_ptr<reader>(const execution&, const share&)>;
  using make_processor = std::function<std::unique_ptr<processor>(const execution&)>;
  using make_writer = std::function<std::unique_ptr<writer>(const execution&)>;

  // Throw std::invalid_argument for a bad name, a second one, or no factory, so that a program with such a mistake does
  // not start. Factories are called by several threads at once. `shares`: into how many parts the reader can divide
  // its input, 1 to most_shares; they are read at once.
  extensions& add_reader(std::string name, make_reader make, std::size_t shares = 1);
  extensions& add_processor(std::string name, make_processor make);
  extensions& add_writer(std::string name, make_writer make);

  struct reader_entry {
    make_reader make;
    std::size_t shares = 1;
  };
  template <class T>
  using by_name = std::map<std::string, T, std::less<>>;
  const by_name<reader_entry>& readers() const { return readers_; }
  const by_name<make_processor>& processors() const { return processors_; }
  const by_name<make_writer>& writers() const { return writers_; }

private:
  by_name<reader_entry> readers_;
  by_name<make_processor> processors_;
  by_name<make_writer> writers_;
};

} // namespace weir::ext
