// The code of a task, and the things it works on, as the pool sees them: without types.
#pragma once

#include <lenskit/detail/wire/message.hpp>

#include <memory>

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

/// Gives a body a number that means the same in every process forked from this program. Bodies are registered while
/// the program or a plugin is loaded; a plugin's are unknown to workers forked before, and forgotten when it is
/// unloaded.
class registered_body {
 public:
  explicit registered_body(task_body body) noexcept;
  ~registered_body();
  registered_body(const registered_body&) = delete;
  registered_body& operator=(const registered_body&) = delete;
  [[nodiscard]] body_id id() const noexcept { return id_; }

 private:
  body_id id_;
};

/// Null if this process knows no body of that number.
[[nodiscard]] task_body find_body(body_id id) noexcept;

/// The number of `Body`. Made before the other objects of the program or plugin: one of these may be a pool, whose
/// workers know the bodies that there are when they are forked.
template <task_body Body>
[[gnu::init_priority(102)]] inline const registered_body body_entry{Body};

}  // namespace lenskit::detail
