// One map call from the consumer's side: pulls inputs, keeps the workers fed within the window, and walks through the
// outcomes. What is typed about it lies in `map_range.hpp`.
#pragma once

#include <lenskit/detail/dispatch/dispatcher.hpp>
#include <lenskit/detail/dispatch/run_cursor.hpp>
#include <lenskit/detail/dispatch/task_source.hpp>
#include <lenskit/detail/wire/reader.hpp>

#include <algorithm>
#include <cstdint>
#include <exception>
#include <memory>
#include <span>
#include <utility>

namespace lenskit {
class progress;
}

namespace lenskit::detail {

struct stream_options {
  std::size_t result_bytes = 0;  ///< of each encoded result; 0 if they differ
  std::size_t chunk_size = 0;    ///< tasks a chunk; 0: adaptive
  std::size_t buffer_size = 0;   ///< tasks pulled but not yielded; 0: chosen
  std::shared_ptr<lenskit::progress> progress{};
};

/// Not thread-safe: one consumer. Dropping it cancels what has not started.
class task_stream {
 public:
  task_stream(std::shared_ptr<dispatcher> pool, std::unique_ptr<task_source> source, call_plan plan,
              stream_options options);
  task_stream(const task_stream&) = delete;
  task_stream& operator=(const task_stream&) = delete;
  ~task_stream();

  enum class step { value, failure, end };

  /// Goes to the next outcome, waiting for it; throws what ends the call before its input does, and std::bad_alloc,
  /// after which it goes on. Of a value the caller must then decode exactly the bytes that `value_bytes` points to.
  step next() {
    if (at_.go_straight()) return step::value;
    if (at_.passed() >= refill_at_) feed(at_.is_dry() ? feeder::waits : feeder::goes_on);
    if (!at_.in_run()) return next_run();
    at_.set_out(refill_at_ - std::min(refill_at_, at_.passed()));
    return step::value;
  }

  /// The bytes of values that follow the current one, each of so many, for the caller to go through by itself: the
  /// stream stands at the last of them then. They stay until the call of `next` behind them. Empty if it takes that to
  /// find out what comes.
  [[nodiscard]] std::span<const std::byte> values_behind(std::size_t bytes_each) noexcept {
    return at_.values_ahead(bytes_each);
  }

  /// Index of the current outcome in the map call.
  [[nodiscard]] std::uint64_t index() const noexcept { return at_.index(); }
  /// Where the current value begins; reading it moves on to the next.
  [[nodiscard]] reader& value_bytes() noexcept { return at_.bytes(); }
  /// Descriptors that came with the current value.
  [[nodiscard]] std::span<descriptor> attachments() noexcept { return at_.attachments(); }
  [[nodiscard]] const std::exception_ptr& failure() const noexcept { return at_.failure(); }
  /// The current value cannot be read, and neither can those behind it: they fail with `why`.
  void spoil(std::exception_ptr why) noexcept { at_.spoil(std::move(why)); }

 private:
  void feed(feeder then);
  [[nodiscard]] bool input_ended() const noexcept { return input_.exhausted || input_.failure != nullptr; }
  [[nodiscard]] std::uint32_t next_chunk_tasks(const feeding_advice& advice) const;
  bool submit_chunk(std::uint32_t tasks, feeder then);
  bool submit_failure();
  [[nodiscard]] std::shared_ptr<chunk> next_chunk(std::uint32_t count);
  step next_run();
  step end_of_input();
  void show_progress();

  std::shared_ptr<dispatcher> pool_;
  std::unique_ptr<task_source> source_;
  stream_options options_;
  std::shared_ptr<call_state> call_;
  run_cursor at_;

  struct input_state {
    std::uint64_t pulled = 0;
    std::uint32_t last_chunk = 0;
    bool exhausted = false;
    std::exception_ptr failure{};       // thrown by the input range behind what was pulled
    std::exception_ptr task_failure{};  // of the task pulled last, which has not been submitted yet
    std::size_t argument_guess = 0;     // bytes of a chunk's arguments
    std::shared_ptr<chunk> next{};      // made before anything is pulled: what has been pulled is never lost (A1)
    std::shared_ptr<encoded_arguments> arguments{};
  } input_;
  std::uint64_t refill_at_ = 0;  // feed again once so many have been passed
  bool ended_ = false;

  struct shown {
    std::uint64_t dispatched = 0;
    std::uint64_t started = 0;
    std::uint64_t finished = 0;
  } shown_;
};

}  // namespace lenskit::detail
