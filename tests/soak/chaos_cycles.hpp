// What the life and end of many pools in one process leave behind in its memory.
#pragma once

#include "disposable.hpp"

namespace lenskit::soak::chaos {

/// What `cycle` counts in its `notes`.
enum cycle_counter { cycles_measured, grown_bytes };

/// Makes a pool, has tasks throw and die in it, drops a range and ends the pool, `count` times, in this process. How
/// much the process has grown from the time when everything has been used a few times, the counters tell.
void cycle(long count, notes& complaints);

}  // namespace lenskit::soak::chaos
