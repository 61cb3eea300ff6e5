// The inputs of a map call: ranges pulled together, one element of each a task.
#pragma once

#include <lenskit/detail/pool/typed_tasks.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <iterator>
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
    if constexpr (bytes_each != 0) {
      return pull_records(into, std::min<std::size_t>(most, std::max<std::size_t>(most_bytes / bytes_each, 1)));
    } else {
      return pull_measured(into, most, most_bytes);
    }
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
      }
      pulled.exhausted = count < most;
    } catch (...) {
      pulled.input_failure = std::current_exception();
    }
    pulled.count = count;
    into.resize_down(before + count * bytes_each);
    return pulled;
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
