// What the program prints, as far as it lies in the buffers of this process: those of C's streams to files, pipes and
// terminals, and of std::cout, std::cerr, std::clog and their wide kin where they have buffers of their own.
#pragma once

namespace lenskit::detail {

/// Writes what the calling process has in its buffers. Waits for a reader that pauses, and for nothing else: a stream
/// that another thread holds for longer than 0.2 s is left out. No exception, and no SIGXFSZ, comes of it.
void write_output() noexcept;

/// The same before a fork, bounded: a stream that another thread holds, or whose reader pauses, for longer than 0.2 s
/// is left out. The C++ streams are other threads' to use, if there are any, and then left out, too.
void write_output_before_fork() noexcept;

/// In a forked child: forgets what was in the buffers at the fork. It is the parent's, which writes it (failures F8,
/// O1).
void drop_inherited_output() noexcept;

/// Lets C's standard output be written line by line from here on, unless it is not buffered at all: so nothing that can
/// happen to this process takes a whole line along, and lines of several processes stay whole.
void print_by_lines() noexcept;

/// In a process that crashes: writes what it can still find in its buffers. Takes no lock and no memory.
void write_last_output() noexcept;

}  // namespace lenskit::detail
