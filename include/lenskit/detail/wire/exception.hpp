// Exceptions across processes: described in the worker, rebuilt in the parent.
#pragma once

#include <lenskit/detail/wire/reader.hpp>
#include <lenskit/detail/wire/writer.hpp>
#include <lenskit/error.hpp>

#include <sys/types.h>

#include <cstddef>
#include <exception>
#include <utility>

namespace lenskit::detail {

/// What a task threw, in the parent: of the standard (or library) type that the original was of or derived from, and
/// a `task_error` too. `what()` is the original text; a Base that composes its own would add to it.
template <class Base>
class remote_exception : public Base, public task_error {
 public:
  template <class... Args>
  explicit remote_exception(task_failure where, Args&&... args)
      : Base(std::forward<Args>(args)...), task_error(std::move(where)) {}
  [[nodiscard]] const char* what() const noexcept override { return message().c_str(); }
};

/// The same with the exception that it was thrown in answer to, so that `std::rethrow_if_nested` works in the parent.
/// Construct it while that one is being handled.
template <class Base>
class nested_remote_exception : public remote_exception<Base>, public std::nested_exception {
 public:
  using remote_exception<Base>::remote_exception;
};

/// Appends a description of `thrown`, whatever it is: an int, an exception nested in others. Throws only if there is no
/// memory for the shortest one.
void encode_exception(writer& out, std::exception_ptr thrown);

/// The exception to throw in the parent for the one that task `index` threw in `worker`. What cannot be rebuilt arrives
/// as `std::runtime_error`, and bytes that are no description as `serialization_error` (failure D11). Throws
/// std::bad_alloc alone: then it stands somewhere within the description, which is to be read again.
[[nodiscard]] std::exception_ptr decode_exception(reader& in, std::size_t index, pid_t worker);

}  // namespace lenskit::detail
