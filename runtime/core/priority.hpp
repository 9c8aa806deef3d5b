// Threads that give way to others.
#pragma once

namespace weir {

// From now on the calling thread gets the processor mostly when nobody else wants it (nice 10: about a tenth of the
// share of a thread that has not called this). For long work that nobody waits for by the millisecond. Linux; has no
// effect where it is not permitted. Not undone.
void give_way();

} // namespace weir
