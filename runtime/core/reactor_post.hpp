// The reactor as seen by those who only hand it work: no Asio header.
#pragma once

#include <cstdint>
#include <functional>

namespace weir {

class reactor;
class timer_wheel;

// Runs `task` on the reactor's thread in its next round; a burst costs one wake-up. From any thread. False: the reactor
// was stopped.
bool post(reactor& to, std::function<void()> task);

// Runs `task` at the end of the reactor's current round, behind what was asked for earlier. On its thread only.
void at_round_end(reactor& of, std::function<void()> task);

// The reactor's timers, in the clock of steady_ms(). On the reactor's thread only; runs nothing once it was stopped.
timer_wheel& timers(reactor& of);

// Milliseconds of std::chrono::steady_clock.
std::int64_t steady_ms();

} // namespace weir
