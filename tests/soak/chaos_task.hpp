// What a chaos run gives its workers to do, and where they note what they really did.
#pragma once

#include <lenskit/shared_array.hpp>

#include <sys/types.h>

#include <boost/serialization/string.hpp>

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

namespace lenskit::soak::chaos {

constexpr std::size_t most_calls = 16;
constexpr std::size_t most_items = 200;
constexpr std::size_t most_kinds = 256;
constexpr std::size_t most_workers = 8;
constexpr std::chrono::milliseconds task_deadline{250};  ///< in runs that have one

/// What really became of one item, in all processes together.
struct item_record {
  std::atomic<std::uint32_t> executed;    ///< how often it was started
  std::atomic<std::uint32_t> logged;      ///< log records that were handed over, in all attempts
  std::atomic<std::int64_t> started_ns;   ///< of the last attempt
  std::atomic<std::int64_t> finished_ns;  ///< of the same; 0 if it did not come to its end
  std::atomic<bool> muffled;              ///< a worker that had damaged its log pipe ran it
};

/// Shared by all processes of a run.
struct board {
  item_record items[most_calls][most_items];
  std::atomic<pid_t> workers[most_workers];  ///< by index; of whichever pool ran there last
  std::atomic<pid_t> spawner;
  pid_t parent;
  std::atomic<int> strays;  ///< deaths that may befall any task
  std::atomic<int> reruns;  ///< how often a task may be run again though its worker did not die of it
};

/// Faults that happened, by kind, in all runs together.
struct tally {
  std::array<std::atomic<std::int64_t>, most_kinds> struck;
  std::atomic<std::int64_t> system_calls;  ///< that failed or were cut short
};

/// Both are mapped before anything is forked.
board& the_board();
tally& the_tally();
/// Maps a new board for this process and its descendants.
void new_board();
void map_tally();

struct model {
  shared_array<std::uint32_t> numbers;
  std::string name;
  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& numbers& name;
  }
};

model make_model(std::uint64_t seed);
std::uint64_t checksum(const model& of);

/// Where turning a value into bytes or back goes wrong.
enum class trap : std::uint8_t {
  none,
  saving_argument,
  loading_argument,
  saving_result,
  late_in_result,
  loading_result
};

void spring(trap set, trap here, std::size_t kind);

/// One task's argument.
struct item {
  std::uint32_t call = 0;
  std::uint32_t index = 0;
  std::uint32_t kind = 0;     ///< of its fault; 0: none
  std::uint32_t strikes = 0;  ///< how many of its attempts the fault befalls
  std::uint32_t records = 0;  ///< that each attempt logs before anything happens
  std::uint32_t answer_bytes = 0;
  std::uint64_t salt = 0;
  trap set = trap::none;
  std::string ballast;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& call& index& kind& strikes& records& answer_bytes& salt& set;
    if constexpr (Archive::is_saving::value) spring(set, trap::saving_argument, kind);
    archive& ballast;
    if constexpr (Archive::is_loading::value) spring(set, trap::loading_argument, kind);
  }
};

/// One task's result.
struct answer {
  std::uint64_t value = 0;  ///< depends on the model, the item and the ballast
  std::uint64_t lot = 0;    ///< drawn from the task's seed
  std::uint32_t kind = 0;
  trap set = trap::none;
  std::string ballast;

  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    if constexpr (Archive::is_saving::value) spring(set, trap::saving_result, kind);
    archive& value& lot& kind& set& ballast;
    if constexpr (Archive::is_saving::value) spring(set, trap::late_in_result, kind);
    if constexpr (Archive::is_loading::value) spring(set, trap::loading_result, kind);
  }
};

/// What a fault may want to know or change.
struct task_context {
  const model& numbers;
  const item& what;
  std::uint32_t attempt;
};

/// The task.
struct task {
  answer operator()(const model& numbers, const item& what) const;
};

/// What the task answers if nothing befalls it.
std::uint64_t expected_value(std::uint64_t model_checksum, const item& what);
/// What a task draws from its seed.
std::uint64_t draw_lot();
/// Text that follows from its arguments.
std::string filler(std::size_t bytes, std::uint64_t salt);

/// Logs a record that the judge will ask for; `thread` 0 is the task's own thread.
void log_record(const item& what, std::uint32_t attempt, std::uint32_t thread, std::uint32_t number,
                std::size_t filler_bytes);

}  // namespace lenskit::soak::chaos
