// Many timers for the price of one: a hashed wheel (Varghese and Lauck, 1987, scheme 6). Setting and cancelling cost a
// few pointer writes, memory is the entry's own; what drives it (a reactor) needs a single timer of the system.
//
// Owned by one thread, which calls everything. A timer runs at the first advance() at or after its time, rounded up to a
// step of the wheel, so up to one step late and never early.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>

namespace weir {

class timer_wheel {
public:
  static constexpr std::int64_t step_ms = 16;
  static constexpr std::size_t slots = 512; // one turn: 8.2 s; longer timers are passed by once a turn

  // Part of what waits; leaves the wheel when it is destroyed. Does not move.
  class entry {
  public:
    using callback = void (*)(void* owner);
    entry(callback call, void* owner) : call_(call), owner_(owner) {}
    ~entry() { cancel(); }
    entry(const entry&) = delete;
    entry& operator=(const entry&) = delete;

    bool waits() const { return wheel_ != nullptr; }
    void cancel();

  private:
    friend class timer_wheel;
    callback call_;
    void* owner_;
    timer_wheel* wheel_ = nullptr; // null: not waiting
    entry* previous_ = nullptr;
    entry* next_ = nullptr;
    std::int64_t due_ = 0; // in steps
  };

  timer_wheel() = default;
  ~timer_wheel(); // what waits is cancelled
  timer_wheel(const timer_wheel&) = delete;
  timer_wheel& operator=(const timer_wheel&) = delete;

  // Runs e in `after_ms` from now_ms, once; instead of what it waited for before. now_ms: a steady clock, never less
  // than at the call before, and the same one for advance().
  void set(entry& e, std::int64_t now_ms, std::int64_t after_ms);

  // Runs what is due. A callback may set and cancel timers (one that is set within runs in a later call), and end their
  // owners, its own included.
  void advance(std::int64_t now_ms);

  // When advance() should be called at the latest, in the clock of set(): the time of the next step in which something
  // may be due. Nothing: no timer waits.
  std::optional<std::int64_t> next_ms() const;

  std::size_t size() const { return size_; }

  // Called by set(), with the time at which the timer is due: for who drives the wheel. Not called within advance();
  // look at next_ms() after it.
  std::function<void(std::int64_t due_ms)> was_set;

private:
  struct list {
    entry* first = nullptr;
    entry* last = nullptr;
  };
  void append(list& to, entry& e);
  void unlink(entry& e);
  list& list_of(const entry& e);

  std::array<list, slots> slots_{};
  list running_;                // due, and not run yet
  std::int64_t at_ = -1;        // the last step that was advanced to; -1: no time was told yet
  std::size_t size_ = 0;
  bool advancing_ = false;
};

} // namespace weir
