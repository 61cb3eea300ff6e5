// The results of a map call: a lazy range in bounded memory.
#pragma once

#include <lenskit/detail/dispatch/decode_result.hpp>
#include <lenskit/error.hpp>

#include <boost/system/result.hpp>

#include <cstddef>
#include <exception>
#include <iterator>
#include <memory>
#include <optional>
#include <ranges>
#include <type_traits>
#include <utility>
#include <vector>

namespace lenskit {

/// A task's value or what it threw. `value()` throws the exception itself.
template <class R>
using outcome = boost::system::result<R, std::exception_ptr>;

/// An outcome with the place of its task in the input.
template <class R>
struct completed {
  std::size_t index = 0;
  outcome<R> result;
};

/// The results of one map call, as they become available: a move-only `std::ranges::input_range` with `T&` as its
/// reference.
///
///     for (auto& recommendations : inv.map(users)) write(recommendations);
///
/// `begin()` and `++` wait for the next result. If its task failed, a range from `map` throws there, and a further
/// `begin()` or `++` goes on with the next one: nothing else is lost. It shares ownership of the pool, so it outlives
/// the invoker. Dropping it cancels what has not started; a task that runs is finished and its result thrown away.
///
/// Throws, besides what tasks threw: what the input range threw, once everything before it has been delivered;
/// `task_cancelled`, `broken_pool`, `invoker_closed` if the pool ends before the input does. For one thread at a time.
/// Not usable in a forked process. One that was moved from has no results: `begin()` and `++` throw invoker_closed.
///
/// LensKit: the iterator that `ModelOpInvoker.map` returns, which reads its input eagerly and ends at the first
/// failure.
template <class T>
class [[nodiscard]] map_range {
 public:
  class iterator {
   public:
    using iterator_concept = std::input_iterator_tag;
    using value_type = T;
    using difference_type = std::ptrdiff_t;

    iterator() = default;
    iterator(iterator&&) noexcept = default;
    iterator& operator=(iterator&&) noexcept = default;

    T& operator*() const noexcept { return *range_->current_; }
    T* operator->() const noexcept { return &*range_->current_; }
    iterator& operator++() {
      range_->advance();
      return *this;
    }
    void operator++(int) { ++*this; }
    friend bool operator==(const iterator& at, std::default_sentinel_t) noexcept { return at.at_end(); }

   private:
    friend class map_range;
    explicit iterator(map_range* range) noexcept : range_(range) {}
    [[nodiscard]] bool at_end() const noexcept { return range_->ended_; }
    map_range* range_ = nullptr;
  };

  map_range(map_range&& other) noexcept
      : stream_(std::move(other.stream_)),
        settle_(other.settle_),
        current_(std::move(other.current_)),
        next_(other.next_),
        behind_(other.behind_),
        ended_(other.ended_) {
    other.let_go();
  }
  map_range& operator=(map_range&& other) noexcept {
    if (this == &other) return *this;
    std::destroy_at(this);
    return *std::construct_at(this, std::move(other));
  }
  ~map_range() = default;

  /// Goes to the first result, or on from one that threw; else stays where it is.
  [[nodiscard]] iterator begin() {
    if ((!current_ || !stream_) && !ended_) advance();
    return iterator(this);
  }
  [[nodiscard]] std::default_sentinel_t end() const noexcept { return {}; }

  /// The results that are left. Throws at the first that failed; those behind it can still be had.
  [[nodiscard]] std::vector<T> collect() {
    std::vector<T> all;
    for (auto& each : *this) all.push_back(std::move(each));
    return all;
  }

  // For the invoker: `settle` puts the outcome at which the stream stands into its argument, or throws it.
  using settle_function = void (*)(detail::task_stream&, detail::task_stream::step, std::optional<T>&);
  map_range(std::unique_ptr<detail::task_stream> stream, settle_function settle) noexcept
      : stream_(std::move(stream)), settle_(settle) {}

 private:
  // Whether values that follow one another are taken without a call for each: the shortest tasks take less than that.
  static constexpr bool goes_on_by_itself = detail::wire_bitwise<T> && std::is_trivially_copy_assignable_v<T>;

  // A pointer into the stream that stayed behind would be read by the range that was moved from. What is left of the
  // current value goes with the range: without a stream nobody gets at it.
  void let_go() noexcept {
    next_ = behind_ = nullptr;
    ended_ = false;
  }

  void advance() {
    if constexpr (goes_on_by_itself) {
      if (next_ != behind_) [[likely]] {
        detail::reader one(std::exchange(next_, next_ + sizeof(T)), sizeof(T));
        try {
          current_ = detail::decode<T>(one);
          return;
        } catch (...) {
          current_.reset();
          throw;
        }
      }
    }
    current_.reset();
    if (!stream_) throw invoker_closed("range of results was moved from");
    const auto step = stream_->next();
    if (step == detail::task_stream::step::end) {
      ended_ = true;
    } else {
      settle_(*stream_, step, current_);
    }
    if constexpr (goes_on_by_itself) {
      const auto behind = stream_->values_behind(sizeof(T));
      next_ = behind.data();
      behind_ = next_ + behind.size();
    }
  }

  std::unique_ptr<detail::task_stream> stream_;
  settle_function settle_ = nullptr;
  std::optional<T> current_;
  const std::byte* next_ = nullptr;  // values of the stream that can be had without it
  const std::byte* behind_ = nullptr;
  bool ended_ = false;
};

}  // namespace lenskit
