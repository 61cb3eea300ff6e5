// One map call from the consumer's side: pulls inputs, keeps the workers fed within the window, and walks through the
// outcomes. What is typed about it lies in `map_range.hpp`.
#pragma once

#include <lenskit/detail/dispatch/dispatcher.hpp>
#include <lenskit/detail/dispatch/task_source.hpp>
#include <lenskit/detail/wire/reader.hpp>

#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

namespace lenskit {
class progress;
}

namespace lenskit::detail {

struct stream_options {
  std::size_t chunk_size = 0;   ///< tasks a chunk; 0: adaptive
  std::size_t buffer_size = 0;  ///< tasks pulled but not yielded; 0: chosen
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

  /// Goes to the next outcome, waiting for it; throws what ends the call before its input does. Of a value the caller
  /// must then decode exactly the bytes that `value_bytes` points to.
  step next() {
    if (straight_ > 0) {
      --straight_;
      return step::value;
    }
    if (yielded_ >= refill_at_) feed();
    return run_left_ > 0 ? go_straight() : next_run();
  }

  /// The bytes of values that follow the current one, each of so many, for the caller to go through by itself: the
  /// stream stands at the last of them then. They stay until the call of `next` behind them. Empty if it takes that to
  /// find out what comes.
  [[nodiscard]] std::span<const std::byte> values_behind(std::size_t bytes_each) noexcept {
    if (bytes_.left() / bytes_each < straight_) return {};
    return bytes_.take(std::exchange(straight_, 0) * bytes_each);
  }

  /// Index of the current outcome in the map call.
  [[nodiscard]] std::uint64_t index() const noexcept { return index_ - straight_; }
  /// Where the current value begins; reading it moves on to the next.
  [[nodiscard]] reader& value_bytes() noexcept { return bytes_; }
  /// Descriptors that came with the current value and those behind it.
  [[nodiscard]] std::span<descriptor> attachments() noexcept;
  [[nodiscard]] const std::exception_ptr& failure() const noexcept { return failure_; }
  /// The current value cannot be read, and neither can those behind it in its run: they fail with `why`.
  void spoil(std::exception_ptr why) noexcept;

 private:
  void feed();
  [[nodiscard]] bool input_ended() const noexcept { return exhausted_ || input_failure_ != nullptr; }
  step go_straight() noexcept;
  [[nodiscard]] std::uint32_t next_chunk_tasks(const feeding_advice& advice) const;
  bool submit_chunk(std::uint32_t tasks);
  bool take();
  step next_run();
  step begin_run();
  step fail(std::exception_ptr why);
  step end_of_input();
  void begin_part();
  void end_part() noexcept;
  [[nodiscard]] outcome_part& part() noexcept { return parts_[part_]; }
  void show_progress();

  std::shared_ptr<dispatcher> pool_;
  std::unique_ptr<task_source> source_;
  stream_options options_;
  std::shared_ptr<call_state> call_;

  std::uint64_t pulled_ = 0;
  std::uint64_t yielded_ = 0;
  std::uint64_t refill_at_ = 0;  // feed again once so many have been yielded
  std::uint32_t last_chunk_ = 0;
  bool exhausted_ = false;
  std::exception_ptr input_failure_;
  std::size_t argument_guess_ = 0;

  std::vector<outcome_part> parts_;   // taken from the pool
  std::size_t part_ = 0;              // which of them is next, or being walked through
  bool part_open_ = false;            // whether that has begun
  std::uint32_t part_left_ = 0;       // outcomes of that part in runs not yet begun
  std::uint32_t run_left_ = 0;        // values left in the current run, behind the straight ones
  std::uint32_t straight_ = 0;        // values to come that need nothing else; counted in index_ and yielded_ already
  std::uint32_t repeat_failure_ = 0;  // outcomes left that all fail as the part says
  reader bytes_{nullptr, 0};
  std::uint64_t index_ = 0;
  std::uint64_t next_index_ = 0;  // of the next outcome in the current part
  std::exception_ptr failure_;
  bool ended_ = false;

  struct shown {
    std::uint64_t dispatched = 0;
    std::uint64_t started = 0;
    std::uint64_t finished = 0;
  } shown_;
};

}  // namespace lenskit::detail
