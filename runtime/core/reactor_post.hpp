// The reactor as seen by those who only hand it work: no Asio header.
#pragma once

#include <functional>

namespace weir {

class reactor;

// Runs `task` on the reactor's thread in its next round; a burst costs one wake-up. From any thread. False: the reactor
// was stopped.
bool post(reactor& to, std::function<void()> task);

// Runs `task` at the end of the reactor's current round, behind what was asked for earlier. On its thread only.
void at_round_end(reactor& of, std::function<void()> task);

} // namespace weir
