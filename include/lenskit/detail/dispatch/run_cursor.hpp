// Where the consumer of a map call stands in what has come: in which part, which run of it, at which value.
#pragma once

#include <lenskit/detail/dispatch/outcome_part.hpp>
#include <lenskit/detail/wire/reader.hpp>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <iterator>
#include <span>
#include <utility>

namespace lenskit::detail {

/// Walks through outcomes in the order in which their parts were added. The shortest tasks take less than to keep
/// several counters for each, so values that need nothing else are gone through by one. Not thread-safe.
class run_cursor {
 public:
  /// `value_bytes`: of each encoded value; 0 if each is preceded by its 64-bit length.
  explicit run_cursor(std::size_t value_bytes) noexcept : value_bytes_(value_bytes) {}

  enum class step { value, failure, dry };

  /// Goes to the next value, if that takes nothing else.
  [[nodiscard]] bool go_straight() noexcept {
    if (straight_ == 0) return false;
    --straight_;
    return true;
  }
  /// Whether the next outcome is a value of the run it stands in.
  [[nodiscard]] bool in_run() const noexcept { return run_left_ > 0; }
  /// Whether the next `advance` finds nothing.
  [[nodiscard]] bool is_dry() const noexcept {
    const bool in_part = run_left_ > 0 || straight_ > 0 || part_left_ > 0 || repeat_failure_ > 0;
    return !in_part && (parts_.empty() || (part_open_ && std::next(parts_.begin()) == parts_.end()));
  }
  /// Goes to the next value of the run; up to `most` with it are counted as passed now and need only `go_straight`.
  void set_out(std::uint64_t most) noexcept;
  /// Goes to the next outcome; `dry` if there is none: parts have to be added. Of a value the caller must then decode
  /// exactly the bytes that `bytes` points to.
  [[nodiscard]] step advance();
  /// Where new parts are put.
  [[nodiscard]] outcome_list& parts() noexcept { return parts_; }
  void clear() noexcept { parts_.clear(); }

  /// Index of the current outcome in the map call.
  [[nodiscard]] std::uint64_t index() const noexcept { return index_ - straight_; }
  /// Outcomes passed, those counted ahead included.
  [[nodiscard]] std::uint64_t passed() const noexcept { return passed_; }
  /// Where the current value begins; reading it moves on to the next.
  [[nodiscard]] reader& bytes() noexcept { return bytes_; }
  /// The bytes of the values that can be had by `go_straight`, each of so many: it stands at the last of them then.
  /// They stay until the next `advance`. Empty if they are not all there.
  [[nodiscard]] std::span<const std::byte> values_ahead(std::size_t bytes_each) noexcept {
    if (bytes_.left() / bytes_each < straight_) return {};
    return bytes_.take(std::exchange(straight_, 0) * bytes_each);
  }
  /// Descriptors that came with the current value.
  [[nodiscard]] std::span<descriptor> attachments() noexcept;
  [[nodiscard]] const std::exception_ptr& failure() const noexcept { return failure_; }
  /// The current value cannot be read, and neither can those behind it in its part: they fail with `why`.
  void spoil(std::exception_ptr why) noexcept;

 private:
  [[nodiscard]] outcome_part& part() noexcept { return parts_.front(); }
  void begin_part();
  void end_part() noexcept;
  bool begin_run();
  void pass_over(std::uint32_t values);
  step fail(std::exception_ptr why) noexcept;

  const std::size_t value_bytes_;
  outcome_list parts_;
  bool part_open_ = false;            // whether the first part is being walked through
  std::uint32_t part_left_ = 0;       // outcomes of that part in runs not yet begun
  std::uint32_t skip_left_ = 0;       // of these, those that have come before
  std::uint32_t run_left_ = 0;        // values left in the current run, behind the straight ones
  std::uint32_t straight_ = 0;        // values to come that need nothing else; counted in index_ and passed_ already
  std::uint32_t repeat_failure_ = 0;  // outcomes left that all fail as the part says
  reader bytes_{nullptr, 0};
  std::uint64_t index_ = 0;
  std::uint64_t next_index_ = 0;  // of the next outcome in the current part
  std::uint64_t passed_ = 0;
  std::exception_ptr failure_;
};

}  // namespace lenskit::detail
