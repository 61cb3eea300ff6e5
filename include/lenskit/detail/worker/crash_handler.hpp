// A crashing worker says where it crashed, before it dies of it.
#pragma once

#include <lenskit/detail/log/report_reader.hpp>

#include <string>

namespace lenskit::detail {

/// In the parent, before the fork: loads what taking a stack needs, so that a crashing worker does not have to.
void prepare_crash_reports() noexcept;

/// In a worker: from here on a fatal signal first reports the stack to the parent. The worker still dies of that
/// signal. Works on a stack of its own, so that a stack overflow is reported too. A handler that the program has for a
/// fault comes first, on the stack that it asks for: only what it does not mend is reported.
void start_crash_reports() noexcept;

/// In the parent: the stack as text, a frame a line, innermost first. Names of functions that are not exported are
/// known only to programs linked with -rdynamic; else a frame is its module and address.
[[nodiscard]] std::string describe_crash(const crash_notice& notice);

}  // namespace lenskit::detail
