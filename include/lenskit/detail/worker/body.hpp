// The code of a task, and the things it works on, as the pool sees them: without types.
#pragma once

#include <lenskit/detail/wire/message.hpp>
#include <lenskit/detail/worker/registry.hpp>

#include <memory>
#include <type_traits>

namespace lenskit::detail {

class reader;
class recorder;

/// A model and a function that wait for tasks. The typed one is in `typed_tasks.hpp`.
class workplace {
 public:
  virtual ~workplace() = default;
  /// Another one for another thread, with its own copy of the function. Throws std::invalid_argument if the function
  /// cannot be copied.
  [[nodiscard]] virtual std::unique_ptr<workplace> clone() const = 0;
};

/// Runs the tasks of a chunk: decodes their arguments, calls the function, records the results. Throws nothing that a
/// task threw.
using task_body = void (*)(workplace&, reader&, recorder&);

static_assert(std::is_same_v<body_id, code_id>);

/// Null if this process knows no body of that number.
[[nodiscard]] inline task_body find_body(body_id id) noexcept {
  return reinterpret_cast<task_body>(find_code(code_kind::body, id));
}

/// The number of `Body`. Made before the other objects of the program or plugin: one of these may be a pool, whose
/// workers know the bodies that there are when they are forked.
template <task_body Body>
[[gnu::init_priority(102)]] inline const registered_code body_entry{code_kind::body,
                                                                    reinterpret_cast<code_pointer>(Body)};

}  // namespace lenskit::detail
