// The engines by name.
#pragma once

namespace lenskit {

/// Where tasks run. All engines give the same results, order, exceptions, seeds and progress.
enum class engine {
  automatic,   ///< in_process for one worker, if no option asks for what only processes can do; else processes
  in_process,  ///< in the thread that asks for the result; one task at a time, none before it is wanted
  threads,     ///< threads of this process; a task cannot be stopped, and a crash is the program's own
  processes,   ///< forked processes: a crash or a hang costs one task
};

}  // namespace lenskit
