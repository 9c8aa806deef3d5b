// What a program of one's own adds to weir's jobs: readers, processors, functions and writers, each by a name that a
// topology file then uses. Include this and <weir/program.hpp>; nothing else of weir is public.
//
// Every object made by a factory belongs to one share of one execution and is used by one thread at a time, but several
// shares run at once, so what they share has to be safe for threads. All of these calls run on the threads that also
// move records: they compute, and do not wait. An exception that leaves a call is never fatal to the node:
//
//   ext::skip        this item cannot be used: it counts against the job's skip_limit and goes to the dead letters
//   any other        the execution fails, or is tried again where the job has `retries`; its message is what()
//
// An execution that is taken over after a crash makes new objects and goes on from the last checkpoint, so what was
// read, added or written after that checkpoint is done again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace weir::ext {

// The execution that a part works for.
struct execution {
  std::string job;
  std::string id;                                // the same after a takeover
  std::int64_t fire_ms = 0;                      // milliseconds since 1970
  std::map<std::string, std::string> parameters; // of the run
  std::string options; // the "options" beside the part's name, as JSON; "{}" where there are none
};

// One item on its way: a row of a table, an entry of a log, or what a reader made.
struct item {
  std::string key;
  std::string row;          // one JSON object, UTF-8
  std::int64_t time_ms = 0; // event time, milliseconds since 1970
};

// Thrown: this item is to be skipped, with the reason.
class skip : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

// A share of the input: number `index` of `count`, and where to go on (what place() said), if not from the start.
struct share {
  std::size_t index = 0, count = 1;
  std::optional<std::string> place;
};

class reader {
public:
  virtual ~reader() = default;
  // Appends at most `most` items; false: that was all. No item and true: nothing yet, ask again soon.
  virtual bool read(std::size_t most, std::vector<item>& into) = 0;
  // Where the next read() starts: stored with what came of the items so far. At most 64 KiB.
  virtual std::string place() const = 0;
};

class processor {
public:
  virtual ~processor() = default;
  // May change the item. False: it is left out, and counted as filtered. Comes after `where` and before `derive`.
  // Must depend on the item, the execution and its options alone: an item may come again after a takeover.
  virtual bool process(item& it) = 0;
};

// What a field of a group becomes: the state of one group in one share.
class function {
public:
  virtual ~function() = default;
  // The member at the field's pointer as JSON ("3.5", "\"text\"", "{...}"); not called where there is none, or null.
  virtual void add(std::string_view json, std::int64_t time_ms) = 0;
  // Adds what `other`, made by the same factory, has seen. The result must not depend on how items were shared out.
  virtual void merge(const function& other) = 0;
  // Everything, for a checkpoint; restore() is given what save() gave, to a new object. At most 1 MiB.
  virtual std::string save() const = 0;
  virtual void restore(std::string_view saved) = 0;
  // The field's value as JSON.
  virtual std::string result() const = 0;
};

class writer {
public:
  virtual ~writer() = default;
  // One chunk of the result, in order. A chunk may come again after a crash, with the same number and the same rows:
  // (execution id, number) tells copies apart.
  virtual void write(std::size_t number, std::span<const item> rows) = 0;
};

// The parts by name. A name: [a-z][a-z0-9_]*, at most 64 characters; once for each kind.
class extensions {
public:
  using make_reader = std::function<std::unique_ptr<reader>(const execution&, const share&)>;
  using make_processor = std::function<std::unique_ptr<processor>(const execution&)>;
  using make_function = std::function<std::unique_ptr<function>()>;
  using make_writer = std::function<std::unique_ptr<writer>(const execution&)>;

  // Throw std::invalid_argument for a bad name or a second one, so that a program with a mistake does not start.
  // `shares`: into how many parts the reader can split its input, 1 to 64.
  extensions& add_reader(std::string name, make_reader make, std::size_t shares = 1);
  extensions& add_processor(std::string name, make_processor make);
  extensions& add_function(std::string name, make_function make);
  extensions& add_writer(std::string name, make_writer make);

  struct reader_entry {
    make_reader make;
    std::size_t shares = 1;
  };
  template <class T>
  using by_name = std::map<std::string, T, std::less<>>;
  const by_name<reader_entry>& readers() const { return readers_; }
  const by_name<make_processor>& processors() const { return processors_; }
  const by_name<make_function>& functions() const { return functions_; }
  const by_name<make_writer>& writers() const { return writers_; }

private:
  by_name<reader_entry> readers_;
  by_name<make_processor> processors_;
  by_name<make_function> functions_;
  by_name<make_writer> writers_;
};

} // namespace weir::ext
