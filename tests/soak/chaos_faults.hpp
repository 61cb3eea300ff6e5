// The faults of chaos runs, as tables: to add one is to add a line.
#pragma once

#include "chaos_task.hpp"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lenskit::soak::chaos {

/// What may become of a task that a fault befell. Several may be allowed.
struct fate {
  bool answers = false;
  bool dies = false;
  bool is_late = false;
  bool is_refused = false;         ///< serialization_error
  std::string_view throws{};       ///< name of the type that the task is said to have thrown
  std::optional<int> signal{};     ///< of `dies`, where it is certain
  std::optional<int> exit_code{};  ///< likewise
};

constexpr fate answers() { return {.answers = true}; }
constexpr fate dies() { return {.dies = true}; }
constexpr fate killed_by(int signal) { return {.dies = true, .signal = signal}; }
constexpr fate exits_with(int code) { return {.dies = true, .exit_code = code}; }
constexpr fate throws(std::string_view type) { return {.throws = type}; }
constexpr fate late() { return {.is_late = true}; }
constexpr fate refused() { return {.is_refused = true}; }
constexpr fate answers_or_dies() { return {.answers = true, .dies = true}; }
constexpr fate answers_or_is_late() { return {.answers = true, .is_late = true}; }

/// Something that befalls a task, in its worker.
struct task_fault {
  const char* name;
  chaos::fate fate;
  void (*strike)(task_context&) = [](task_context&) {};
  trap set = trap::none;      ///< or what befalls its argument or result
  unsigned rarity = 1;        ///< drawn once where others are drawn so often; slow ones are rare
  bool needs_process = true;  ///< it would harm the program itself
  bool muffles = false;       ///< later records of this worker may be lost, because it broke its own log pipe
};

std::vector<task_fault> deadly_faults();
std::vector<task_fault> thrown_faults();
std::vector<task_fault> habits();
std::vector<task_fault> hangs();

/// Makes a worker mortal again, whatever an earlier task has done to it.
void undo_habits();

/// All of them; an item's `kind` is a place in it, and 0 is no fault.
const std::vector<task_fault>& task_faults();

/// Names of every kind, those that do not befall tasks behind those that do. `kind_of` adds a name that is new.
std::vector<std::string>& kinds();
std::size_t kind_of(std::string_view name);
/// Counts that a fault happened.
void struck(std::size_t kind);

}  // namespace lenskit::soak::chaos
