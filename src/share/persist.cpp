#include <lenskit/detail/log/log_line.hpp>
#include <lenskit/detail/os/cancel_shield.hpp>
#include <lenskit/detail/os/other_threads.hpp>
#include <lenskit/detail/os/system.hpp>
#include <lenskit/detail/share/model_directory.hpp>
#include <lenskit/detail/share/model_state.hpp>
#include <lenskit/detail/share/storage.hpp>
#include <lenskit/error.hpp>
#include <lenskit/persist_method.hpp>

#include <boost/core/demangle.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <span>
#include <stdexcept>
#include <typeinfo>

namespace lenskit {

namespace detail {

void fail_closed() { throw persist_error("cannot use a persisted model: it is closed"); }

void fail_not_storable() {
  throw persist_error(
      "cannot store a model of this type: make it an aggregate or give it a Boost.Serialization serialize(), or let "
      "workers inherit it (persist_method::inherit)");
}

void fail_no_descriptors() {
  throw persist_error("cannot send a stored model: only a result of run_sp carries its descriptor");
}

void fail_cut_off(const std::type_info& actual, const std::type_info& stated) {
  throw persist_error(fmt::format(
      "cannot store a model of class {} that is given by its base {}: it would be cut off; give it as what it "
      "is, or let workers inherit it (persist_method::inherit, an lvalue)",
      boost::core::demangle(actual.name()), boost::core::demangle(stated.name())));
}

namespace {

// A worker has one thread, whatever the parent has: a model that leaves its work to another waits for ever there.
void warn_of_threads() {
  static constinit std::atomic<bool> warned{false};
  if (warned.load(std::memory_order_relaxed)) return;
  const auto threads = names_of_other_threads();
  if (threads.empty() || warned.exchange(true)) return;
  constexpr std::size_t most = 5;
  const auto some = std::span(threads).first(std::min(threads.size(), most));
  log_warning(fmt::format(
      "a model is inherited as it is, and this program has {} other thread{} ({}{}): no worker has them, so that a "
      "task "
      "hangs if the model needs one",
      threads.size(), threads.size() == 1 ? "" : "s", fmt::join(some, ", "), threads.size() > most ? ", ..." : ""));
}

persist_method inherited() {
  warn_of_threads();
  return persist_method::inherit;
}

}  // namespace

pid_t this_process() noexcept { return sys::getpid(); }

persist_method choose_method(const persist_options& options, bool can_be_stored) {
  const bool names_place = !options.dir.empty() || !options.file.empty();
  if (!options.dir.empty() && !options.file.empty())
    throw std::invalid_argument("persist options name both a directory and a file");
  if (options.method == persist_method::automatic) {
    if (!can_be_stored) return inherited();
    return names_place || chosen_model_directory() ? persist_method::file : persist_method::shm;
  }
  const bool inherits = options.method == persist_method::inherit;
  if (names_place && (inherits || !storage_of(options.method).takes_place))
    throw std::invalid_argument(
        fmt::format("persist options name a place for a file, but the method is {}", to_string(options.method)));
  if (inherits) return inherited();
  if (!can_be_stored) fail_not_storable();
  return options.method;
}

stored_model store_model(model_parts& parts, const model_type& type, const persist_options& options, naming names,
                         persist_method method) {
  const cancel_shield shield;
  const file_choice choice{options.dir, options.file, names == naming::nameless};
  try {
    return stored_model::make(method, parts, type, choice);
  } catch (const no_space&) {
    if (options.method != persist_method::automatic || method == persist_method::file) throw;
  }
  // A disk is slower than memory, and better than nothing.
  return stored_model::make(persist_method::file, parts, type, choice);
}

}  // namespace detail
}  // namespace lenskit
