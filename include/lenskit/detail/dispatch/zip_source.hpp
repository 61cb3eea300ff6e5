// The inputs of a map call: ranges pulled together, one element of each a task.
#pragma once

#include <lenskit/detail/dispatch/task_source.hpp>
#include <lenskit/detail/worker/typed_tasks.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <iterator>
#include <limits>
#include <memory>
#include <optional>
#include <ranges>
#include <tuple>
#include <utility>

namespace lenskit::detail {

/// Holds rvalue ranges and refers to lvalue ranges: each of `Ranges` is `R` or `R&`. The shortest ends the input. An
/// element is not asked for before its task is wanted.
template <class... Ranges>
class zip_source final : public task_source {
 public:
  explicit zip_source(Ranges&&... ranges) : ranges_(std::forward<Ranges>(ranges)...) {}

  pulled_tasks pull(writer& into, std::uint32_t most, std::size_t most_bytes) override {
    pulled_tasks pulled;
    if constexpr (bytes_each != 0) {
      pulled = pull_records(into, std::min<std::size_t>(most, std::max<std::size_t>(most_bytes / bytes_each, 1)));
    } else {
      pulled = pull_measured(into, most, most_bytes);
    }
    if constexpr (knows_its_end) {
      try {
        if (pulled.count > 0 && !pulled.exhausted && !pulled.input_failure) pulled.exhausted = elements_behind() == 0;
      } catch (...) {  // what has been pulled counts all the same
        pulled.input_failure = std::current_exception();
      }
    }
    return pulled;
  }

  [[nodiscard]] std::size_t record_bytes() const noexcept override { return bytes_each; }

  [[nodiscard]] std::optional<std::uint64_t> remaining() const override {
    std::optional<std::uint64_t> left;
    const auto consider = [&]<class R>(const std::remove_reference_t<R>& range) {
      if constexpr (std::ranges::sized_range<const std::remove_reference_t<R>>) {
        const auto size = static_cast<std::uint64_t>(std::ranges::size(range));
        left = std::min(left.value_or(size), size);
      }
    };
    std::apply([&](const auto&... range) { (consider.template operator()<Ranges>(range), ...); }, ranges_);
    if (left) *left -= std::min(*left, pulled_);
    return left;
  }

 private:
  static constexpr auto bytes_each = detail::record_bytes<std::ranges::range_value_t<Ranges>...>;

  struct position {
    std::tuple<std::ranges::iterator_t<Ranges>...> current;
    std::tuple<std::ranges::sentinel_t<Ranges>...> end;
  };

  // To the next element; false at the end of the shortest range.
  bool advance() {
    if (!at_) {
      std::apply(
          [&](auto&... range) {
            at_.emplace(position{{std::ranges::begin(range)...}, {std::ranges::end(range)...}});
          },
          ranges_);
    } else {
      std::apply([](auto&... at) { (++at, ...); }, at_->current);
    }
    if (at_end(std::index_sequence_for<Ranges...>())) return false;
    ++pulled_;
    return true;
  }

  template <std::size_t... I>
  [[nodiscard]] bool at_end(std::index_sequence<I...>) {
    return ((std::get<I>(at_->current) == std::get<I>(at_->end)) || ...);
  }

  // Arguments that are their bytes: room is made once for all of them.
  pulled_tasks pull_records(writer& into, std::size_t most) {
    pulled_tasks pulled;
    const auto before = into.size();
    auto* to = into.extend(most * bytes_each);
    std::uint32_t count = 0;
    try {
      while (count < most && advance()) {
        std::apply([&](auto&... at) { to = put_record(to, *at...); }, at_->current);
        ++count;
        if constexpr (knows_its_end) put_run(to, count, most - count);
      }
      pulled.exhausted = count < most;
    } catch (...) {
      pulled.input_failure = std::current_exception();
    }
    pulled.count = count;
    into.resize_down(before + count * bytes_each);
    return pulled;
  }

  static constexpr bool knows_its_end =
      ((std::ranges::random_access_range<Ranges> &&
        std::sized_sentinel_for<std::ranges::sentinel_t<Ranges>, std::ranges::iterator_t<Ranges>>)&&...);

  [[nodiscard]] std::size_t elements_behind() const {
    std::size_t least = std::numeric_limits<std::size_t>::max();
    const auto consider = [&](const auto& current, const auto& end) {
      least = std::min(least, static_cast<std::size_t>(end - current) - 1);
    };
    [&]<std::size_t... I>(std::index_sequence<I...>) {
      (consider(std::get<I>(at_->current), std::get<I>(at_->end)), ...);
    }
    (std::index_sequence_for<Ranges...>());
    return least;
  }

  // Up to `most` elements behind the current one, in a loop that has nothing else to do and keeps all in registers.
  void put_run(std::byte*& to, std::uint32_t& count, std::size_t most) {
    const auto run = std::min(most, elements_behind());
    auto current = at_->current;
    auto* next = to;
    std::size_t done = 0;
    const auto count_done = [&] {
      count += static_cast<std::uint32_t>(done);
      pulled_ += done;
      to = next;
    };
    try {
      for (; done < run; ++done) {
        std::apply([&](auto&... at) { next = put_record(next, *++at...); }, current);
      }
    } catch (...) {
      count_done();
      throw;
    }
    count_done();
    at_->current = std::move(current);
  }

  pulled_tasks pull_measured(writer& into, std::uint32_t most, std::size_t most_bytes) {
    pulled_tasks pulled;
    try {
      while (pulled.count < most && (pulled.count == 0 || into.size() < most_bytes)) {
        if (!advance()) {
          pulled.exhausted = true;
          break;
        }
        std::apply([&](auto&... at) { encode_one(into, pulled, *at...); }, at_->current);
        if (pulled.task_failure) break;
        ++pulled.count;
      }
    } catch (...) {
      pulled.input_failure = std::current_exception();
    }
    return pulled;
  }

  template <class... Elements>
  static std::byte* put_record(std::byte* to, Elements&&... elements) {
    const auto put = [&]<class Value>(const Value& value) {
      std::memcpy(to, std::addressof(value), sizeof value);
      to += sizeof value;
    };
    (put(as_value<std::ranges::range_value_t<Ranges>>(elements)), ...);
    return to;
  }

  // What the range throws passes through; what encoding throws is the failure of this one task.
  template <class... Elements>
  static void encode_one(writer& into, pulled_tasks& pulled, Elements&&... elements) {
    const auto before = into.size();
    try {
      encode_arguments(into, as_value<std::ranges::range_value_t<Ranges>>(elements)...);
    } catch (...) {
      into.resize_down(before);
      pulled.task_failure = std::current_exception();
    }
  }

  // A proxy, such as an element of vector<bool>, becomes the value that it stands for.
  template <class Value, class Element>
  static decltype(auto) as_value(Element& element) {
    if constexpr (std::is_same_v<Value, std::remove_cv_t<Element>>) {
      return static_cast<const Value&>(element);
    } else {
      return static_cast<Value>(element);
    }
  }

  std::tuple<Ranges...> ranges_;
  std::optional<position> at_;
  std::uint64_t pulled_ = 0;
};

}  // namespace lenskit::detail
